"""The page about painted cells, made from what ``inpaint`` leaves in a run folder."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from framework.errors import InputError
from framework.report import write_report
from framework.report.page import Grid, Numbers, Picture
from framework.report.run.figures_inpainting import TITLES, painted_cells
from framework.report.run.inpainting import inpainting, painting_verdict

NAMES = [("AAC1", "AAH1"), ("<b>AAP1</b>", "AAC1")]
CHANNELS = ["rfp", "gfp"]


def arrays() -> dict[str, np.ndarray]:
    """Two targets of 16 px: protein in the left half, painted there too; after a stranger painted in the right half."""
    rng = np.random.default_rng(0)
    made = {name: rng.uniform(0, 0.05, (2, 2, 16, 16)) for name in ("source", "stranger", "target")}
    made |= {name: np.zeros((2, 1, 16, 16)) for name in ("painted", "painted_after_stranger")}
    made["source"][:, 1] = made["stranger"][:, 1] = made["target"][:, 1] = 0
    made["target"][:, 1, :, :8] = 1
    made["painted"][:, 0, :, :8] = 1
    made["painted_after_stranger"][:, 0, :, 8:] = 1
    return made


def facts(**changes: Any) -> dict[str, Any]:
    group = {"pairs": 3, "loss": 0.02, "loss_mismatched": 0.05}
    return {
        "format": 1,
        "part": "test",
        "pairs": 6,
        "loss": 0.02,
        "loss_mismatched": 0.05,
        "ratio": 2.5,
        "difference": [0.03, 0.025, 0.035],
        "right_is_better": 0.875,
        "by_condition": {"AAC1": group, "<b>AAP1</b>": group},
        "panels": [{"condition": own, "stranger_condition": other} for own, other in NAMES],
        "channels": CHANNELS,
        "structure": ["rfp"],
        "protein": ["gfp"],
        **changes,
    }


def write(run: Path, what: dict[str, Any] | str) -> None:
    folder = run / "inpainting"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inpainting.json").write_text(what if isinstance(what, str) else json.dumps(what))
    np.savez_compressed(folder / "panels.npz", **arrays())


def test_painted_cells_are_drawn_in_their_places() -> None:
    picture = painted_cells(arrays(), NAMES, CHANNELS, ["rfp"], ["gfp"])
    image = imread(io.BytesIO(base64.b64decode(picture.source.split(",", 1)[1])))[..., :3]
    green = (image[..., 1] > 0.8) & (image[..., 0] < 0.4)
    columns = np.flatnonzero(green.any(axis=0))
    # Three pure green half squares per row: painted left, truth left, painted after the stranger right.
    starts = columns[np.concatenate([[True], np.diff(columns) > 3])]
    assert len(starts) == 3
    width = image.shape[1] / (len(TITLES) + 1)
    assert 0.7 * width < starts[1] - starts[0] < 1.3 * width
    assert starts[2] - starts[1] > 2.2 * width
    assert "rfp red" in picture.caption
    assert "AAC1" in picture.alt


def test_painted_cells_have_a_scale_bar_where_the_pixel_size_is_known(tmp_path: Path) -> None:
    def white(picture: Picture) -> int:
        image = imread(io.BytesIO(base64.b64decode(picture.source.split(",", 1)[1])))[..., :3]
        line = image[len(image) // 10 : -len(image) // 20, image.shape[1] // 5 : image.shape[1] // 3]
        return int(((line > 0.99).all(axis=-1)).sum())

    bare = painted_cells(arrays(), NAMES, CHANNELS, ["rfp"], ["gfp"])
    barred = painted_cells(arrays(), NAMES, CHANNELS, ["rfp"], ["gfp"], 0.5)
    assert white(barred) > white(bare) + 50
    write(tmp_path, facts(pixel_size_um=0.5))
    section = inpainting(tmp_path)
    assert section is not None
    assert barred in section.blocks  # that of the painted pixels goes before that of the dataset


def test_the_section_tells_what_a_wrong_source_costs(tmp_path: Path) -> None:
    assert inpainting(tmp_path) is None
    write(tmp_path, facts())
    section = inpainting(tmp_path)
    assert section is not None
    numbers, picture, grid = section.blocks
    assert isinstance(numbers, Numbers)
    assert [value for value, _ in numbers.items] == ["0.02", "0.05", "+0.0300", "88%"]
    assert numbers.items[2][1] == "the difference, 95 % interval +0.0250 to +0.0350"
    assert isinstance(picture, Picture)
    assert isinstance(grid, Grid)
    assert grid.rows[1] == ("AAC1", "3", "0.02", "0.05", "2.50")


@pytest.mark.parametrize(
    ("difference", "said", "good"),
    [
        ([0.03, 0.025, 0.035], "Painting is better after", True),
        ([0.001, -0.002, 0.004], "Painting is no better after", False),
        ([-0.03, -0.04, -0.02], "Painting is worse after", False),
    ],
)
def test_the_page_begins_with_what_the_source_does(
    tmp_path: Path, difference: list[float], said: str, good: bool
) -> None:
    (tmp_path / "inpainting").mkdir()
    (tmp_path / "inpainting" / "inpainting.json").write_text(json.dumps(facts(difference=difference)))
    verdict = painting_verdict(tmp_path)
    assert verdict is not None
    assert verdict.text.startswith(said)
    assert "squared error 0.02 against 0.05" in verdict.text
    assert verdict.holds is good
    assert painting_verdict(tmp_path / "other") is None


def test_without_panels_the_numbers_stand_alone(tmp_path: Path) -> None:
    write(tmp_path, facts(panels=[]))
    (tmp_path / "inpainting" / "panels.npz").unlink()
    section = inpainting(tmp_path)
    assert section is not None
    assert [type(block) for block in section.blocks] == [Numbers, Grid]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, "{")
    with pytest.raises(
        InputError,
        match=r"inpainting\.json: not readable as what wellstream inpaint wrote.*run wellstream inpaint again",
    ):
        inpainting(tmp_path)
    write(tmp_path, facts(format=99))
    with pytest.raises(InputError, match="expected format 1"):
        inpainting(tmp_path)
    write(tmp_path, facts(channels=["rfp"]))
    with pytest.raises(InputError, match="not what wellstream inpaint writes"):
        inpainting(tmp_path)
    write(tmp_path, facts())
    (tmp_path / "inpainting" / "panels.npz").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"panels\.npz: not readable"):
        inpainting(tmp_path)


def test_the_page_shows_the_section_or_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("run_dir: runs/yeast\nobjective: {name: paired_inpainting}\n")
    before = write_report(tmp_path).read_text()
    assert "wellstream inpaint runs/yeast --data DATASET" in before
    write(tmp_path, facts())
    after = write_report(tmp_path).read_text()
    assert 'id="inpainting"' in after
    assert "<b>AAP1</b>" not in after
    assert "&lt;b&gt;AAP1&lt;/b&gt;" in after
    (tmp_path / "inpainting" / "inpainting.json").unlink()
    (tmp_path / "config.yaml").write_text("run_dir: runs/other\nobjective: {name: triplet_mil}\n")
    assert "wellstream inpaint" not in write_report(tmp_path).read_text()
