"""Figures 6 and 12: the wells of the right genes, and the maps of the right genes beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framework.durable import write_arrays
from framework.errors import InputError
from framework.evaluate.predictions import open_predictions
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from framework.report.omics.gene_maps import maps_of, mosaic, read_gene_maps
from wellstream import testing


def write_maps(file: Path, genes: list[str], targets: list[str], tiles: int = 5) -> Path:
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 4000, (tiles, 3, 16, 16), dtype=np.uint16),
        "maps": rng.normal(size=(tiles, len(genes), 3, 16, 16)).astype(np.float32),
        "outputs": np.array(genes),
        "targets": np.array(targets),
        "channels": np.array(["Hoechst", "MitoTracker", "Phalloidin"]),
    }
    write_arrays(file, arrays)
    return file


@pytest.fixture
def with_maps(scored: FigureInputs, tmp_path: Path) -> FigureInputs:
    maps = write_maps(tmp_path / "maps.npz", ["G29", "G03"], ["transcripts_M2", "proteins_M1"])
    return FigureInputs(predictions=scored.predictions, saliency=[maps])


class TestExamples(testing.FigureContract):
    name = "omics_examples"

    @pytest.fixture
    def inputs(self, with_maps: FigureInputs) -> FigureInputs:
        return with_maps

    def test_dots_are_the_test_wells_of_every_split(self, with_maps: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        numbers = entry.build(entry.config()).draw(with_maps).numbers
        pairs = [("transcripts_M2", "G29"), ("proteins_M1", "G03")]
        assert list(dict.fromkeys(zip(numbers["target"], numbers["gene"], strict=True))) == pairs
        assert numbers.groupby("target").size().to_dict() == {"transcripts_M2": 120, "proteins_M1": 120}
        file = next(file for file in with_maps.predictions if "transcripts_M2-1" in str(file))
        opened = open_predictions(file)
        own = numbers[(numbers["target"] == "transcripts_M2") & (numbers["seed"] == "1")]
        assert own["measured"].to_numpy() == pytest.approx(opened.measured[opened.part("test"), 29])
        assert own["predicted"].to_numpy() == pytest.approx(opened.predicted[opened.part("test"), 29])

    def test_named_genes_are_shown_also_without_maps(self, with_maps: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(genes=("proteins_M2/G05",))).draw(with_maps)
        assert drawn.notes == ("no saliency file has maps of G05",)
        with pytest.raises(InputError, match="no gene is called 'G99'"):
            entry.build(entry.config(genes=("G99",))).draw(with_maps)


class TestExtremes(testing.FigureContract):
    name = "omics_extremes"

    @pytest.fixture
    def inputs(self, scored: FigureInputs) -> FigureInputs:
        return scored

    def test_the_best_gene_stands_before_the_worst(self, scored: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        numbers = entry.build(entry.config(targets=("proteins_M2",))).draw(scored).numbers
        genes = scored.genes[scored.genes["target"] == "proteins_M2"]
        ranked = genes[genes["significant"] & genes["regression_significant"]].sort_values("r2")
        assert list(dict.fromkeys(numbers["gene"])) == [ranked["gene"].iloc[-1], ranked["gene"].iloc[0]]

    def test_with_maps_each_gene_has_a_row_with_tiles(self, with_maps: FigureInputs, scored: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        best = entry.build(entry.config(targets=("proteins_M2",))).draw(scored).numbers["gene"].iloc[0]
        maps = write_maps(Path(str(with_maps.saliency[0])), [best], [""])
        drawn = entry.build(entry.config()).draw(FigureInputs(predictions=scored.predictions, saliency=[maps]))
        assert len(drawn.canvas.axes) == 8 * 3


def test_maps_are_found_by_gene_and_target(with_maps: FigureInputs, tmp_path: Path) -> None:
    found = read_gene_maps(with_maps.saliency)
    assert maps_of(found, "transcripts_M2", "G29") is found[0]
    assert maps_of(found, "transcripts_M1", "G29") is None
    assert found[1].attributions(4).max() == 1
    np.savez(tmp_path / "other.npz", images=np.zeros((1, 3, 4, 4)))
    with pytest.raises(InputError, match=r"other\.npz: no array 'maps'; make it with: wellstream saliency"):
        read_gene_maps([tmp_path / "other.npz"])
    np.savez(
        tmp_path / "b.npz",
        images=np.zeros((2, 3, 4, 4)),
        maps=np.zeros((1, 1, 3, 4, 4)),
        outputs=["a"],
        channels=["x"] * 3,
    )
    with pytest.raises(InputError, match="its arrays do not fit together"):
        read_gene_maps([tmp_path / "b.npz"])


def test_a_mosaic_has_every_tile_once() -> None:
    tiles = np.arange(1.0, 6.0)[:, None, None] * np.ones((5, 2, 2))
    picture = mosaic(tiles)
    assert picture.shape == (6, 10)
    assert [picture[0, 0], picture[0, 4], picture[0, 8], picture[4, 0], picture[4, 4], picture[4, 8]] == [
        1,
        2,
        3,
        4,
        5,
        0,
    ]
