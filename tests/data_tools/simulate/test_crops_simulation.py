"""A simulated library of proteins: the same bytes each time, places as the truth says, styles no outline tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.simulate import CropsConfig, simulate_crops
from framework.errors import InputError

SMALL = CropsConfig(proteins=5, fields=2, cells_per_field=3)


def images(folder: Path, channel: str) -> dict[tuple[str, int, int], np.ndarray]:
    found = {}
    for file in sorted(folder.rglob(f"*_{channel}.tif")):
        protein, field, _, cell, _ = file.stem.split("_")
        found[protein, int(field), int(cell)] = tifffile.imread(file)
    return found


def test_files_truth_and_bytes(tmp_path: Path) -> None:
    summary = simulate_crops(SMALL, tmp_path / "one")
    simulate_crops(SMALL, tmp_path / "two")
    assert (summary.proteins, summary.cells, summary.images) == (5, 30, 60)
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert Path("images/PROT1/PROT1_2_rfp_3_gfp.tif") in files
    assert len(files) == 60 + 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    truth = pd.read_csv(tmp_path / "one" / "truth_proteins.csv")
    assert truth["place"].tolist() == ["nucleus", "membrane", "spots", "network", "cytosol"]
    with pytest.raises(InputError, match="differs in seed"):
        simulate_crops(SMALL.model_copy(update={"seed": 1}), tmp_path / "one")


def test_proteins_lie_where_the_truth_says(tmp_path: Path) -> None:
    config = CropsConfig(proteins=5, fields=1, cells_per_field=8, noise=0, style_spread=0)
    simulate_crops(config, tmp_path)
    cells = pd.read_csv(tmp_path / "truth_cells.csv").set_index(["protein", "field", "cell"])
    light: dict[str, list[tuple[float, float, float]]] = {}
    y, x = np.mgrid[:64, :64]
    for key, image in images(tmp_path, "gfp").items():
        cell = cells.loc[key]
        core = np.hypot(y - cell["nucleus_y_px"], x - cell["nucleus_x_px"]) <= cell["nucleus_radius_px"]
        middle = np.hypot(y - cell["y_px"], x - cell["x_px"])
        rim = (middle > 0.75 * cell["short_px"]) & (middle < 1.15 * cell["long_px"])
        bright = image >= np.percentile(image, 95)
        light.setdefault(key[0], []).append((image[core].mean(), image[rim].mean(), core[bright].mean()))
    core, rim, share = (dict(zip(light, values, strict=True)) for values in np.mean(list(light.values()), axis=1).T)
    assert core["PROT1"] > 5 * rim["PROT1"]
    assert rim["PROT2"] > 3 * core["PROT2"]
    assert share["PROT1"] > 0.4 > 0.2 > share["PROT4"]
    assert share["PROT5"] < 0.05


def test_the_structure_does_not_tell_the_protein(tmp_path: Path) -> None:
    """Means of the structure channel differ between proteins no more than chance has it; those of the protein do."""
    simulate_crops(CropsConfig(proteins=6, fields=1, cells_per_field=30, places=("cytosol",)), tmp_path)

    def between(channel: str) -> float:
        means: dict[str, list[float]] = {}
        for (protein, _, _), image in images(tmp_path, channel).items():
            means.setdefault(protein, []).append(float(image.max()))
        groups = np.array(list(means.values()))
        return float(30 * groups.mean(axis=1).var(ddof=1) / groups.var(axis=1, ddof=1).mean())

    assert between("rfp") < 4
    assert between("gfp") > 20


@pytest.mark.parametrize("options", [{"size_px": 8}, {"places": ["vacuole"]}, {"noise": -1}, {"places": []}])
def test_impossible_wishes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CropsConfig.from_plain(options)
