"""Figure 7 of Image2Omics: wells by their embeddings, with the reference states in colour and tiles beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from pydantic import Field

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, SOURCE, STIMULATION
from framework.data.store import TileStore
from framework.errors import InputError
from framework.evaluate.embeddings import aligned, standard
from framework.evaluate.wells import negative_controls, stimulations, well_embeddings
from framework.report.canvas import INK, MARKERS, PALETTE, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.embedding import project
from framework.report.figures.images import composite
from framework.report.figures.paga import paga_start
from framework.report.omics.gene_maps import mosaic
from framework.report.omics.panels import WIDTH

Floats = npt.NDArray[np.float64]
_GREY = "#c4ccd3"
_NEIGHBOURS = 15
_TILES = 9
_LETTER, _LINE, _AWAY = 0.018, 0.042, 0.07
"""Width of a letter, height of a line of names, and how far beside its wells a name stands: shares of the picture."""
_UNDER: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
"""What lies under a name, so that dots and lines do not cross it."""
_PLACES = ((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.5, 0.0), (0.0, 0.5), (1.0, 0.5))
"""Where insets stand, as shares of the picture."""
_INSET = (0.09, 0.16, 0.11)
"""What an inset takes to each side, above (with its title) and below its centre, as shares of the picture."""


class EmbeddingMapConfig(FigureConfig):
    """Options of ``embedding_map``."""

    reference: tuple[str, ...] = ()
    """Perturbations whose wells are coloured, each with its tiles; none named: the controls."""
    highlight: int = Field(default=4, ge=0, le=10)
    """Further perturbations that are coloured and named: those farthest from the negative controls."""
    coral: Literal["plates", "authors", "none"] = "plates"
    """How batch effects are removed with the negative controls. ``plates``: each plate gets mean and covariance that
    controls of its stimulation have over all plates; ``authors``: each stimulation gets the covariance that controls
    have in all of them, as the authors' code does; ``none``: not."""


@FIGURES.register("embedding_map", EmbeddingMapConfig)
class EmbeddingMap(FigureKind[EmbeddingMapConfig]):
    """UMAP of wells."""

    shows = "a map of wells by their embeddings after CORAL: reference states in colour, with tiles of each"
    paper = "Figure 7"
    takes = ("embeddings",)
    also = ("data",)
    order = 70

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw one dot per well, tiles of each reference state beside it, and names of far perturbations."""
        table = well_embeddings(inputs.embedded)
        wells = table.wells.reset_index(drop=True)
        notes: list[str] = []
        if len(wells) < 3 or PERTURBATION not in wells.columns:
            raise InputError(f"{inputs.embeddings}: expected three wells or more, and their column {PERTURBATION}")
        vectors = self._aligned(standard(table.vectors), wells, notes)
        groups = self._groups(wells, vectors)
        some = len(wells) > 2 * _NEIGHBOURS
        points, method = project(vectors, start=paga_start(vectors, _NEIGHBOURS) if some else None)
        made, axes = figure(WIDTH, WIDTH * 0.95)
        panel = axes[0, 0]
        names = sorted(set(groups) - {""})
        references = [name for name in names if name in set(self._references(wells))] if inputs.data is not None else []
        insets = _inset_places(points, groups, references)
        _cloud(panel, points, groups, method, [name for name in names if name not in insets], insets)
        if insets:
            _insets(panel, inputs.dataset, wells, points, insets)
        drawn = wells[[key for key in (SOURCE, BAG, PERTURBATION, STIMULATION) if key in wells.columns]]
        start = ", begun from connected clusters (PAGA)" if method == "UMAP" and some else ""
        return Drawn(
            canvas=made,
            numbers=drawn.assign(x=points[:, 0], y=points[:, 1], group=groups),
            title="Image embeddings recapitulate cell function and state",
            caption=f"{method} of the embeddings of {len(wells)} wells{start}; batch effects: "
            f"{_CORAL[self.options.coral]}. Coloured: reference states, and the perturbations farthest from the "
            f"negative controls. Beside a reference state: {_TILES} tiles of one of its wells, drawn at random. UMAP "
            "keeps neighbours, not distances.",
            alt=f"{method} of wells; coloured: {', '.join(names)}",
            notes=tuple(notes),
        )

    def _references(self, wells: pd.DataFrame) -> list[str]:
        named = wells[PERTURBATION].astype(str)
        if self.options.reference:
            missing = [name for name in self.options.reference if not (named == name).any()]
            if missing:
                raise InputError(f"figure 'embedding_map': no well has the perturbation '{missing[0]}'")
            chosen = named.isin(self.options.reference)
        elif CONTROL_TYPE in wells.columns:
            chosen = wells[CONTROL_TYPE].astype(str).isin(["negcon", "poscon"])
        else:
            return []
        return sorted(set(_states(wells)[chosen]))

    def _groups(self, wells: pd.DataFrame, vectors: Floats) -> npt.NDArray[np.object_]:
        """Return the coloured group of each well, empty for the others."""
        states = _states(wells)
        references = self._references(wells)
        control = negative_controls(wells)
        others = [name for name in sorted(set(states)) if name not in references]
        if control.any():
            centres = {
                state: vectors[control & _same(wells, state)].mean(axis=0) for state in _stimulations(wells, control)
            }
            far = {
                name: float(
                    np.linalg.norm(vectors[states == name].mean(axis=0) - _nearest(centres, wells, states, name))
                )
                for name in others
            }
            others = sorted(others, key=lambda name: -far[name])
        shown = [*references[: len(PALETTE)], *others][: min(len(PALETTE), len(references) + self.options.highlight)]
        return np.where(np.isin(states, shown), states, "")

    def _aligned(self, vectors: Floats, wells: pd.DataFrame, notes: list[str]) -> Floats:
        if self.options.coral == "none":
            return vectors
        moved, told, _ = aligned(vectors, wells, self.options.coral)
        notes += told
        return moved


_CORAL = {
    "plates": "each plate aligned by CORAL to the negative controls of its stimulation",
    "authors": "covariances of each stimulation aligned by CORAL to all negative controls",
    "none": "not removed",
}


def _states(wells: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return perturbation and stimulation of each well as one name."""
    named, state = wells[PERTURBATION].astype(str), stimulations(wells)
    several = state.nunique() > 1
    return (named + " " + state if several else named).to_numpy(dtype=object)


def _same(wells: pd.DataFrame, state: str) -> npt.NDArray[np.bool_]:
    return (stimulations(wells) == state).to_numpy()


def _stimulations(wells: pd.DataFrame, control: npt.NDArray[np.bool_]) -> list[str]:
    return sorted(set(stimulations(wells)[control]))


def _nearest(centres: dict[str, Floats], wells: pd.DataFrame, states: npt.NDArray[np.object_], name: str) -> Floats:
    """Return the mean of the controls of a group's own stimulation, or of all where it has none."""
    own = str(stimulations(wells)[states == name].iloc[0])
    found: Floats = centres[own] if own in centres else np.mean(list(centres.values()), axis=0)
    return found


def _cloud(
    panel: Axes,
    points: Floats,
    groups: npt.NDArray[np.object_],
    method: str,
    named: list[str],
    insets: Mapping[str, _Inset],
) -> None:
    """Draw the wells, and the names of some groups beside them, not where insets will be."""
    grey = groups == ""
    panel.scatter(points[grey, 0], points[grey, 1], s=8, color=_GREY, linewidths=0, label="other wells")
    names = sorted(set(groups) - {""})
    for place, name in enumerate(names):
        mine = groups == name
        look: dict[str, Any] = {"color": PALETTE[place % len(PALETTE)], "marker": MARKERS[place % len(MARKERS)]}
        x, y, label = points[mine, 0], points[mine, 1], shortened(name, 18)
        panel.scatter(x, y, s=20, linewidths=0.3, edgecolors="white", label=label, **look)
    panel.set_xlabel(f"{method} 1")
    panel.set_ylabel(f"{method} 2")
    panel.set_xticks([])
    panel.set_yticks([])
    # Tiles stand at the edge, so the wells keep to the middle.
    panel.margins(0.55 if len(named) < len(names) else 0.1)
    middles = {name: np.median(points[groups == name], axis=0) for name in named}
    _callouts(panel, middles, [inset.at for inset in insets.values()])
    panel.legend(frameon=False, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.06), handletextpad=0.1)


def _callouts(panel: Axes, middles: dict[str, Floats], insets: Sequence[tuple[float, float]]) -> None:
    """Write names beside their groups, away from the other ones, with a line to each; none over another or an inset."""
    if not middles:
        return
    panel.autoscale_view()
    labels = [shortened(name, 18) for name in middles]
    widths = np.array([_LETTER * len(label) for label in labels])
    at = np.array(list(middles.values()))
    outwards = np.where(at[:, 0] < at[:, 0].mean(), -1.0, 1.0)
    starts = np.asarray((panel.transData + panel.transAxes.inverted()).transform(at))
    away = outwards * (widths / 2 + _AWAY)
    outside = starts + np.stack([away, np.zeros_like(away)], axis=1)
    under = np.array([covered(place, width, insets) for place, width in zip(outside, widths, strict=True)])
    starts[:, 0] += np.where(under, -away, away)
    for label, middle, place in zip(labels, at, apart(starts, widths, _LINE), strict=True):
        panel.annotate(
            label,
            (float(middle[0]), float(middle[1])),
            (float(place[0]), float(place[1])),
            textcoords="axes fraction",
            fontsize=8,
            color=INK,
            ha="center",
            va="center",
            weight="bold",
            bbox=_UNDER,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
            zorder=6,
        )


def covered(place: Floats, width: float, insets: Sequence[tuple[float, float]]) -> bool:
    """Return whether a name of this width would lie under an inset or its title; all are shares of the picture."""
    across, up, down = _INSET
    return any(
        abs(place[0] - x) < across + width / 2 and y - down - _LINE / 2 < place[1] < y + up + _LINE / 2
        for x, y in insets
    )


def apart(starts: Floats, widths: Floats, height: float) -> Floats:
    """Return centres (n, 2) of boxes that do not overlap: each moves down, as far as it must, the upper ones first.

    Args:
        starts: (n, 2), where they would stand, x and y.
        widths: (n,), of the boxes, in the same unit.
        height: height of every box.
    """
    found = starts.copy()
    done: list[int] = []
    for box in np.argsort(-starts[:, 1], kind="stable").tolist():
        near = [each for each in done if abs(found[each, 0] - found[box, 0]) < (widths[each] + widths[box]) / 2]
        for each in sorted(near, key=lambda other: -found[other, 1]):
            if abs(found[each, 1] - found[box, 1]) < height:
                found[box, 1] = found[each, 1] - height
        done.append(box)
    return found


@dataclass(frozen=True, kw_only=True)
class _Inset:
    """Tiles of a well beside the wells: the row of the well, and their centre as shares of the picture."""

    well: int
    at: tuple[float, float]


def _inset_places(points: Floats, groups: npt.NDArray[np.object_], references: list[str]) -> dict[str, _Inset]:
    """Return the well of each reference state that lies in its middle, and the free place at the edge next to it."""
    free, low, high = list(_PLACES), points.min(axis=0), points.max(axis=0)
    found = {}
    for name in references[: len(_PLACES)]:
        mine = np.flatnonzero(groups == name)
        middle = np.median(points[mine], axis=0)
        well = int(mine[np.linalg.norm(points[mine] - middle, axis=1).argmin()])
        share = (points[well] - low) / np.maximum(high - low, 1e-12)
        place = min(free, key=lambda spot: float(np.hypot(*(np.array(spot) - share))))
        free.remove(place)
        found[name] = _Inset(well=well, at=(0.11 + 0.78 * place[0], 0.11 + 0.76 * place[1]))
    return found


def _insets(panel: Axes, dataset: Dataset, wells: pd.DataFrame, points: Floats, insets: Mapping[str, _Inset]) -> None:
    """Draw tiles of a well of each reference state at the edge, with a line to the well."""
    names = pd.MultiIndex.from_frame(dataset.bags[[SOURCE, BAG]].astype(str))
    for name, inset in insets.items():
        well = inset.well
        wanted = [(str(wells[SOURCE].iloc[well]), str(wells[BAG].iloc[well]))]
        bag = names.get_indexer(pd.MultiIndex.from_tuples(wanted))[0]
        if bag < 0:
            raise InputError(
                f"{dataset.where}: has no bag {wanted[0][1]} of {wanted[0][0]}, which the "
                "embeddings have; name the dataset they were made of with --data"
            )
        x, y = inset.at
        title = {"ha": "center", "fontsize": 8, "bbox": _UNDER, "zorder": 6}
        panel.text(x, y + 0.11, shortened(name, 18), transform=panel.transAxes, **title)
        panel.add_artist(
            AnnotationBbox(
                OffsetImage(_tiles(dataset, int(bag), well), zoom=_zoom(dataset)),
                (float(points[well, 0]), float(points[well, 1])),
                xybox=inset.at,
                xycoords="data",
                boxcoords="axes fraction",
                pad=0.1,
                arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.7},
            )
        )


def _zoom(dataset: Dataset) -> float:
    """Return the zoom that makes a row of tiles nine tenths of an inch wide."""
    return 64.0 / (3 * dataset.manifest.tile.width + 4)


def _tiles(dataset: Dataset, bag: int, seed: int) -> Floats:
    own = np.arange(*dataset.index.bag_start[[bag, bag + 1]])
    ids = np.sort(np.random.default_rng(seed).permutation(own)[:_TILES]).astype(np.int64)
    pixels = np.empty((len(ids), *dataset.manifest.tile.shape), dtype=dataset.manifest.tile.dtype)
    TileStore(dataset, None).gather(ids, pixels)
    return mosaic(composite(pixels, dataset.manifest.tile.channels, dataset.manifest.channel_statistics))
