"""Section about plates: values of wells as they lie."""

from __future__ import annotations

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import PLATE, WELL, of_plates
from framework.data.store import TileStore
from framework.evaluate import tile_mean_intensities
from framework.evaluate.wells import well_embeddings
from framework.report.figures.embedding import principal
from framework.report.kept_figures import evenly
from framework.report.page import Block, Note, Picture, Section
from framework.report.page_inputs import Inputs
from framework.report.run.figures_plate import plate_map, wells_of
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_PLATES = 4
_TILES_PER_WELL = 12
_CHANNELS = 4
_PLATE_COUNTS = (
    (
        "n_tiles",
        "tiles",
        "tiles per well",
        "Tiles cut in each well. Look for empty wells, and for rows, columns or an edge that differ from the inside: "
        "seeding, drying or focus, not biology.",
    ),
    (
        "with_tile",
        "nuclei with a tile",
        "% of the nuclei found",
        "Nuclei that got a tile, of those found. A low well is crowded at the border of its fields or full of debris.",
    ),
)
_COMPONENT_CAPTION = (
    "First principal component of the well embeddings. Look for treatments; a gradient over the plate says that the "
    "position leaks into them."
)


@SECTIONS.register("plates", SectionConfig)
class PlatesSection(ReportSection):
    """Heat-maps of plates."""

    order = 30

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        if inputs.dataset is None:
            return Note(
                text="Plate heat-maps: the dataset was not given.",
                command=f"wellstream report {inputs.run.path_shown} --data DATASET",
            )
        return plates(inputs.dataset, inputs.embeddings) or Note(
            text="Plate heat-maps: the wells of this dataset have no plate positions such as A01."
        )


def plates(dataset: Dataset, embeddings: anndata.AnnData | None) -> Section | None:
    """Return heat-maps by well; None when the bags lie on no plate."""
    if not of_plates(dataset.bags.columns.tolist()):
        return None
    bags = dataset.bags.copy()
    bags["with_tile"] = (bags["n_tiles"] / bags["n_cells"].where(bags["n_cells"] > 0)).astype(float)
    bags["with_tile"] *= 100.0
    maps = [_well_map(bags, value, quantity, caption, unit) for value, quantity, unit, caption in _PLATE_COUNTS]
    means = _intensities(dataset, TileStore(dataset, None))
    for position, channel in enumerate(dataset.manifest.tile.channels[:_CHANNELS]):
        caption = f"Mean intensity over up to {_TILES_PER_WELL} tiles per well. Look for gradients over the plate."
        maps.append(
            _well_map(
                bags.assign(mean=means[:, position]), "mean", f"{channel}, mean intensity", caption, "stored counts"
            )
        )
    if embeddings is not None:
        table = well_embeddings(embeddings)
        located = table.wells.assign(score=principal(table.vectors, 1)[:, 0])
        maps.append(_well_map(located, "score", "embedding, component 1", _COMPONENT_CAPTION, "score"))
    shown: list[Block] = [picture for picture in maps if picture is not None]
    if not shown:
        return None
    names = bags[PLATE].astype(str).nunique()
    if names > _PLATES:
        shown.append(Note(text=f"The first {_PLATES} of {names} plates by name are shown."))
    return Section(
        anchor="plates",
        title="Plates",
        lead="Does anything depend on where a well lies? Grey: no data; crossed out: no value.",
        blocks=shown,
    )


def _well_map(table: pd.DataFrame, value: str, quantity: str, caption: str, unit: str) -> Picture | None:
    return plate_map(wells_of(table, PLATE, WELL, value, _PLATES), quantity, caption, unit)


def _intensities(dataset: Dataset, store: TileStore) -> npt.NDArray[np.float64]:
    """Return the mean intensity (B, C) of evenly chosen tiles of the wells shown; NaN for wells without tiles."""
    shown = sorted(dataset.bags[PLATE].astype(str).unique())[:_PLATES]
    starts = dataset.index.bag_start
    means = np.full((len(dataset.bags), len(dataset.manifest.tile.channels)), np.nan)
    wanted = np.flatnonzero(dataset.bags[PLATE].astype(str).isin(shown) & (np.diff(starts) > 0))
    chosen = [evenly(int(starts[bag]), int(starts[bag + 1]), _TILES_PER_WELL) for bag in wanted]
    if chosen:
        of_tile = tile_mean_intensities(store, np.concatenate(chosen), chunk=256)
        ends = np.cumsum([len(ids) for ids in chosen])
        for bag, values in zip(wanted, np.split(of_tile, ends[:-1]), strict=True):
            means[bag] = values.mean(axis=0)
    return means
