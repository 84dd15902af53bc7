"""Section about tiles: examples of each condition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, SOURCE, STIMULATION, of_plates
from framework.data.store import TileStore
from framework.report.figures.images import channel_panels, coloured, shades, tile_rows
from framework.report.kept_figures import evenly
from framework.report.page import Block, Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_CONDITIONS = 8
_TILES_PER_CONDITION = 8
_CONDITIONS_ALONE = 4


@SECTIONS.register("tiles", SectionConfig)
class TilesSection(ReportSection):
    """Example tiles."""

    order = 20

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        if inputs.dataset is None:
            return Note(
                text="Tiles: the dataset was not given.",
                command=f"wellstream report {inputs.run.path_shown} --data DATASET",
            )
        return tiles(inputs.dataset) or Note(
            text="Tiles: the dataset holds none; loosen its nuclei settings.", command="wellstream ingest CONFIG"
        )


def tiles(dataset: Dataset) -> Section | None:
    """Return example tiles by condition; None without tiles."""
    table = dataset.bags[dataset.bags["n_tiles"] > 0]
    if not len(table):
        return None
    store = TileStore(dataset, None)
    channels = dataset.manifest.tile.channels
    rows: dict[str, npt.NDArray[np.float64]] = {}
    alone: dict[str, npt.NDArray[np.float64]] = {}
    for name, bags in _conditions(table):
        starts, stops = dataset.index.bag_start[bags], dataset.index.bag_start[bags + 1]
        owned = np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])
        ids = owned[evenly(0, len(owned), _TILES_PER_CONDITION)]
        pixels = np.empty((len(ids), *dataset.manifest.tile.shape), dtype=dataset.manifest.tile.dtype)
        store.gather(ids, pixels)
        shaded = shades(pixels, channels, dataset.manifest.channel_statistics)
        rows[name] = coloured(shaded, channels)
        if len(alone) < _CONDITIONS_ALONE:
            alone[name] = shaded[0]
    size = dataset.manifest.pixel_size_um
    each, order = (
        ("bag", "taken evenly") if _by_bag(table) else ("condition", "controls first, then taken evenly by name")
    )
    blocks: list[Block] = [tile_rows(rows, channels, size, each)]
    if len(channels) > 1:
        blocks.append(channel_panels(alone, channels, size, each))
    total = len(_groups(table))
    if total > len(rows):
        blocks.append(Note(text=f"{len(rows)} of {total} {each}s are shown, {order}."))
    return Section(anchor="tiles", title="Cells", lead="What does the model see?", blocks=blocks)


def _conditions(table: pd.DataFrame) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return (name, bags) of the conditions to show: controls first, then evenly spaced by name."""
    groups = _groups(table)
    controls = [key for key, part in groups.items() if part[CONTROL_TYPE].isin(["negcon", "poscon"]).any()]
    controls = controls[: _CONDITIONS // 2]
    others = [key for key in groups if key not in controls]
    kept = controls + [others[position] for position in evenly(0, len(others), _CONDITIONS - len(controls))]
    return [
        (
            " · ".join(part for part in key if part not in {"", "none", "None", "nan"}) or "all cells",
            groups[key]["bag"].to_numpy(dtype=np.int64),
        )
        for key in kept
    ]


def _by_bag(table: pd.DataFrame) -> bool:
    """Whether bags are all that tells cells apart: they have no conditions, as those of proteins or donors."""
    return len(table[[PERTURBATION, STIMULATION]].drop_duplicates()) == 1 and not of_plates(list(table.columns))


def _groups(table: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the rows of each condition by name, or of each bag in the order of the dataset."""
    if _by_bag(table):
        names = [SOURCE, BAG] if table[SOURCE].nunique() > 1 else [BAG]
        return {tuple(map(str, key)): part for key, part in table.groupby(names, sort=False)}
    names = [PERTURBATION, STIMULATION]
    return {tuple(map(str, key)): part for key, part in table.groupby(names, dropna=False, sort=True)}
