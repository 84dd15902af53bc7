"""Tiles that speak for and against: the right ones, in order, with what each contributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from framework.durable import write_arrays
from framework.errors import InputError
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from wellstream import testing


def write_votes(file: Path, genes: list[str], tiles: int = 6, **changes: object) -> Path:
    """Tile k of the raising side contributes 6 - k, of the lowering side k - 6; pixels of a tile are its number."""
    output = np.repeat(np.arange(len(genes)), 2 * tiles)
    side = np.tile(np.repeat([1, -1], tiles), len(genes))
    number = np.arange(len(output))
    strength = 6.0 - np.tile(np.arange(tiles), 2 * len(genes))
    arrays = {
        "outputs": np.array(genes),
        "targets": np.array(["transcripts_M1"] * len(genes)),
        "channels": np.array(["Hoechst", "MitoTracker"]),
        "extreme_output": output,
        "extreme_side": side,
        "extreme_tile": number,
        "extreme_contribution": side * strength,
        "extreme_bag": np.array([f"P/A{each:02d}" for each in number % 3]),
        "extreme_images": np.broadcast_to(number[:, None, None, None], (len(number), 2, 8, 8)).astype(np.uint16),
    }
    kept = {name: value for name, value in (arrays | changes).items() if value is not None}
    write_arrays(file, kept)
    return file


class TestTileVotes(testing.FigureContract):
    name = "tile_votes"

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> FigureInputs:
        return FigureInputs(saliency=[write_votes(tmp_path / "m.npz", ["IRF1", "STAT1"])])

    def test_both_sides_of_every_output_with_the_strongest_first(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(tiles=2)).draw(inputs)
        shown = [tuple(row) for row in drawn.numbers[["gene", "side", "tile", "contribution"]].itertuples(index=False)]
        assert shown == [
            ("IRF1", "raise", 0, 6.0),
            ("IRF1", "raise", 1, 5.0),
            ("IRF1", "lower", 6, -6.0),
            ("IRF1", "lower", 7, -5.0),
            ("STAT1", "raise", 12, 6.0),
            ("STAT1", "raise", 13, 5.0),
            ("STAT1", "lower", 18, -6.0),
            ("STAT1", "lower", 19, -5.0),
        ]
        picture = drawn.canvas.axes[2].images[0].get_array()
        brighter = drawn.canvas.axes[3].images[0].get_array()
        assert picture.sum() < brighter.sum(), "tile 6 is darker than tile 7: contrast is shared"
        assert entry.build(entry.config(genes=1)).draw(inputs).notes == ("the first 1 of 2 outputs are drawn",)

    def test_files_that_do_not_vote_are_said(self, tmp_path: Path) -> None:
        figure = FIGURES.get(self.name).build(FIGURES.get(self.name).config())
        tiles = tmp_path / "tiles.npz"
        write_arrays(tiles, {"channels": np.array(["Hoechst"])})
        with pytest.raises(InputError, match="no file of saliency has tiles of bags"):
            figure.draw(FigureInputs(saliency=[tiles]))
        both = [tiles, write_votes(tmp_path / "m.npz", ["IRF1"])]
        assert "run that predicts tiles" in figure.draw(FigureInputs(saliency=both)).notes[0]
        short = write_votes(tmp_path / "s.npz", ["IRF1"], extreme_bag=np.array(["P/A01"]))
        with pytest.raises(InputError, match="do not fit together"):
            figure.draw(FigureInputs(saliency=[short]))
        lacking = write_votes(tmp_path / "l.npz", ["IRF1"], extreme_side=None)
        with pytest.raises(InputError, match="no array 'extreme_side'"):
            figure.draw(FigureInputs(saliency=[lacking]))
