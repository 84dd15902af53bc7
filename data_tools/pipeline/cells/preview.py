"""A look at cells before anything is built: some cells of each bag or label, as they would be stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.fit import fit_crop, scale_tile
from data_tools.pipeline.cells.jobs import pixel_types
from data_tools.pipeline.cells.listed import reader_of
from data_tools.pipeline.cells.survey import CellExport, CellSurvey
from data_tools.pipeline.cells.task import check_image
from data_tools.readers.cells import CellImage
from data_tools.readers.cells.base import CELL
from data_tools.tiles import HAS_TILE
from framework.data.format.schema import BAG, CONTROL_TYPE, MARKER_PREFIX, SOURCE
from framework.look.cropped import label_counts, measured, names_of_bags, some_places
from framework.look.samples import histograms_of, sizes_of
from framework.look.values import Cropped, Look, Measured
from framework.progress import OnProgress

_GROUPS, _EACH = 8, 8
"""Rows of the picture of cells, and cells of each."""
_FIELDS_EACH = 1
"""Fields that are read of each group, where a reader finds the cells of each as it reads."""
_MARKERS = 40


@dataclass(kw_only=True)
class _Seen:
    """What was seen of the cells so far."""

    shown: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)
    edges: list[tuple[int, int]] = field(default_factory=list)
    pixels: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)


def look_at_cells(
    config: CellsIngestConfig,
    found: CellSurvey,
    facts: dict[str, str],
    problems: Sequence[str],
    report: OnProgress,
) -> Look:
    """Look at some cells of each export, evenly taken from its bags, or from its labels where it is one bag.

    Args:
        config: config of the ingest.
        found: what there is.
        facts: what is known already, by name.
        problems: sentences on what cannot be used.
        report: called with ("look", done, total).
    """
    seen = _Seen()
    for number in range(len(found.exports)):
        report("look", number, len(found.exports))
        _export(config, found, number, seen)
    report("look", len(found.exports), len(found.exports))
    return Look(
        name=config.name,
        facts=tuple(facts.items()),
        nuclei="",
        expected_px=None,
        tile_px=config.tiles.size_px,
        pixel_size_um=found.pixel_size_um,
        samples=(),
        sizes=sizes_of((), "", config.tiles.size_px),
        histograms=histograms_of(seen.pixels),
        problems=tuple(problems),
        notes=found.notes,
        cropped=_cropped(config, found, seen),
    )


def _export(config: CellsIngestConfig, found: CellSurvey, number: int, seen: _Seen) -> None:
    """Read some cells of an export; what is wrong with one was said by the dry run."""
    export = found.exports[number]
    rows, names = _chosen(config, found, export)
    types = pixel_types(config, number, export)
    places = export.places.iloc[rows].reset_index(drop=True)
    for item in reader_of(config.sources[number]).read(places, config.channels):
        if not isinstance(item, CellImage) or item.status != HAS_TILE:
            continue
        shown = seen.shown.setdefault(names[item.row], [])
        if len(shown) == _EACH or check_image(item, types, config) is not None:
            continue
        planes = list(item.pixels)
        seen.edges.append((planes[0].shape[0], planes[0].shape[1]))
        for channel, plane in zip(config.channels, planes, strict=True):
            seen.pixels.setdefault(channel, []).append(np.array(plane))
        tile = fit_crop(planes, config.tiles)
        scale_tile(tile, config.channels, config.intensity)
        shown.append(tile)


def _chosen(
    config: CellsIngestConfig, found: CellSurvey, export: CellExport
) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return rows of an export in its order, and the group that each shows."""
    usable = np.flatnonzero(~export.few)
    groups = _groups(config, found, export, usable)
    each = _FIELDS_EACH if export.listing.several else _EACH
    names = list(dict.fromkeys(groups))
    most = max(1, _GROUPS // len(found.exports))
    before = f"{export.plate} · " if len(found.exports) > 1 else ""
    named: dict[int, str] = {}
    for name in (names[place] for place in _evenly(len(names), most)):
        mine = usable[groups == name]
        named |= dict.fromkeys(mine[_evenly(len(mine), each)].tolist(), f"{before}{name}")
    rows = sorted(named)
    return np.array(rows, np.int64), [named[row] for row in rows]


def _groups(
    config: CellsIngestConfig, found: CellSurvey, export: CellExport, usable: npt.NDArray[np.int64]
) -> npt.NDArray[np.object_]:
    """Return the group of each usable row: its bag without its random group, else the label with the fewest values."""
    bags = found.bags[found.bags[SOURCE] == export.plate]
    by = list(config.bags.by)
    named = bags[by].agg("/".join, axis=1) if by and config.bags.groups is not None else bags[BAG]
    if len(bags) == 1 or (config.bags.groups is not None and named.nunique() == 1) or not by:
        labels = label_counts({name: export.cells[name].iloc[usable] for name in found.labels if name != CELL})
        several = {name: len(values) for name, values in labels.items() if len(values) > 1}
        if several:
            column = export.cells[min(several, key=lambda name: several[name])]
            return column.iloc[usable].fillna("").replace("", "(blank)").to_numpy(dtype=object)
    names = dict(zip(bags["bag"], named, strict=True))
    return export.cells["bag"].iloc[usable].map(names).to_numpy(dtype=object)


def _evenly(n: int, most: int) -> npt.NDArray[np.int64]:
    taken = min(n, most)
    return (np.arange(taken, dtype=np.int64) * n) // max(taken, 1)


def _cropped(config: CellsIngestConfig, found: CellSurvey, seen: _Seen) -> Cropped:
    cells = pd.concat([export.cells for export in found.exports], ignore_index=True)
    counts = np.bincount(cells["bag"], minlength=len(found.bags)).astype(np.int64)
    of_bags = {str(name): found.bags[name] for name in found.bags if str(name).startswith("Metadata_")}
    if set(of_bags[CONTROL_TYPE]) == {"treatment"}:
        del of_bags[CONTROL_TYPE]
    of_cells = {name: cells[name] for name in found.labels if name != CELL}
    several = any(export.listing.several for export in found.exports)
    names = names_of_bags(found.bags[SOURCE].tolist(), found.bags[BAG].tolist())
    return Cropped(
        unit="field" if several else "cell",
        fit=config.tiles.fit,
        shown={name: np.stack(tiles) for name, tiles in seen.shown.items() if tiles},
        edges_px=np.array(seen.edges, np.int64).reshape(-1, 2),
        per_bag=dict(zip(names, counts.tolist(), strict=True)),
        labels=label_counts(of_bags, counts) | label_counts(of_cells),
        markers=_markers(found, cells),
        places={
            export.plate: places
            for export in found.exports
            if len(places := some_places(export.cells["y_px"].to_numpy(), export.cells["x_px"].to_numpy()))
        },
        joined=found.matched,
    )


def _markers(found: CellSurvey, cells: pd.DataFrame) -> dict[str, Measured]:
    return {name: measured(cells[MARKER_PREFIX + name].to_numpy()) for name in list(found.markers)[:_MARKERS]}
