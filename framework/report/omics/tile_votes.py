"""The tiles that speak most for and against a gene's prediction, from files of ``wellstream saliency`` of bags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from pydantic import Field

from framework.errors import InputError
from framework.files.npz import load_npz
from framework.report.canvas import SOFT, bare, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.images import channel_colours, composite
from framework.report.figures.scale import draw_scale_bar, stored_pixel_size
from framework.report.omics.panels import WIDTH, spoken

_ARRAYS = ("output", "side", "tile", "contribution", "bag", "images")
_THEN = "make it with: wellstream saliency RUN --outputs GENE --out FILE.npz, of a run that predicts bags"
_SIDES = {1: "raise", -1: "lower"}


class TileVotesConfig(FigureConfig):
    """Options of ``tile_votes``."""

    tiles: int = Field(default=6, ge=1, le=6)
    """Tiles of each side."""
    genes: int = Field(default=6, ge=1, le=40)
    """Outputs that are drawn at most."""


@dataclass(frozen=True, kw_only=True)
class _Votes:
    """The strongest tiles of one side of one output."""

    target: str
    gene: str
    side: int
    rows: pd.DataFrame
    pictures: npt.NDArray[np.float64]
    pixel_size_um: float | None


@FIGURES.register("tile_votes", TileVotesConfig)
class TileVotes(FigureKind[TileVotesConfig]):
    """Tiles with the largest and smallest contribution."""

    shows = "the tiles that raise and lower a gene's prediction most, with what each contributes"
    paper = ""
    takes = ("saliency",)
    order = 65

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw two rows per output: tiles that raise it, and tiles that lower it, the strongest left."""
        found: list[_Votes] = []
        channels: tuple[str, ...] = ()
        notes = []
        for file in inputs.saliency:
            votes, channels = _read(Path(file))
            if not votes:
                notes.append(f"{file}: is of a run that predicts tiles, which has no bags to vote in")
            found += votes
        if not found:
            raise InputError(f"no file of saliency has tiles of bags; {_THEN}")
        shown = found[: 2 * self.options.genes]
        if len(found) > len(shown):
            notes.append(f"the first {self.options.genes} of {len(found) // 2} outputs are drawn")
        count = self.options.tiles
        made, axes = figure(WIDTH, 1.1 * len(shown) + 0.1, len(shown), count)
        for line, side in zip(axes, shown, strict=True):
            _row(line, side)
        colours = [f"{name} {colour}" for name, (colour, _) in zip(channels, channel_colours(channels), strict=True)]
        numbers = pd.concat([votes.rows.head(count) for votes in shown], ignore_index=True)
        return Drawn(
            canvas=made,
            numbers=numbers,
            title="Tiles that speak for and against",
            caption="Tiles of the wells that were looked at, with the largest (raise) and the smallest (lower) share "
            "in the prediction of their well; below each its contribution, in units of the target. "
            f"Colours: {', '.join(colours)}; contrast is the same in all tiles of an output. Look for what the upper "
            "tiles share and the lower ones lack; debris or blur there is a fault, not biology.",
            alt="; ".join(_told(votes) for votes in shown),
            notes=tuple(notes),
        )


def _row(line: Sequence[Axes], votes: _Votes) -> None:
    for place, panel in enumerate(line):
        bare(panel)
        if place < len(votes.rows):
            picture = votes.pictures[place]
            panel.imshow(picture, interpolation="nearest")
            if place == 0:
                draw_scale_bar(panel, votes.pixel_size_um, picture.shape[1], picture.shape[0])
            panel.set_xlabel(f"{votes.rows['contribution'].iloc[place]:+.2g}", fontsize=7, color=SOFT, labelpad=1)
    line[0].set_ylabel(f"{_SIDES[votes.side]}s", fontsize=8)
    if votes.side > 0:
        named = f"{shortened(votes.gene, 24)} ({spoken(votes.target)})"
        title = line[0].text(0, 1.06, named, transform=line[0].transAxes, fontsize=8.5, weight="bold", va="bottom")
        # It is wider than its tile, and must not move the others: an empty title keeps its height free.
        title.set_in_layout(False)
        line[0].set_title(" ", fontsize=8.5)


def _told(votes: _Votes) -> str:
    return f"{votes.gene}, {_SIDES[votes.side]}: {', '.join(f'{value:+.2g}' for value in votes.rows['contribution'])}"


def _read(file: Path) -> tuple[list[_Votes], tuple[str, ...]]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; {_THEN}")
    found = load_npz(file, error=InputError, what="saliency maps (.npz)", then=_THEN)
    if "extreme_tile" not in found and "channels" in found:
        return [], tuple(map(str, found["channels"]))
    missing = [name for name in ("outputs", "targets", "channels", *(f"extreme_{each}" for each in _ARRAYS)) if
               name not in found]  # fmt: skip
    if missing:
        raise InputError(f"{file}: no array '{missing[0]}'; {_THEN}")
    own = {name: found[f"extreme_{name}"] for name in _ARRAYS}
    channels = tuple(map(str, found["channels"]))
    rows = len(own["tile"])
    shapes = own["images"].ndim == 4 and all(len(values) == rows for values in own.values())
    if not shapes or own["images"].shape[1] != len(channels) or len(found["outputs"]) != len(found["targets"]):
        raise InputError(f"{file}: its arrays do not fit together (extreme_images {own['images'].shape}); {_THEN}")
    return [
        votes
        for place, names in enumerate(zip(found["targets"].tolist(), found["outputs"].tolist(), strict=True))
        for votes in _of_output(own, place, names, channels, stored_pixel_size(found))
    ], channels


def _of_output(
    own: dict[str, npt.NDArray[Any]], place: int, names: tuple[str, str], channels: tuple[str, ...], um: float | None
) -> list[_Votes]:
    mine = np.flatnonzero(own["output"] == place)
    if not len(mine):
        return []
    pictures = composite(own["images"][mine], channels, {})
    made = []
    for side, what in _SIDES.items():
        chosen = np.flatnonzero(own["side"][mine] == side)
        rows = pd.DataFrame(
            {
                "target": str(names[0]),
                "gene": str(names[1]),
                "side": what,
                "place": np.arange(1, len(chosen) + 1),
                "tile": own["tile"][mine][chosen],
                "bag": own["bag"][mine][chosen],
                "contribution": own["contribution"][mine][chosen],
            }
        )
        made.append(_Votes(target=str(names[0]), gene=str(names[1]), side=side, rows=rows, pictures=pictures[chosen],
                           pixel_size_um=um))  # fmt: skip
    return made
