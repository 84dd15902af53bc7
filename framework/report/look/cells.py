"""Sections of the page of a look at cells that come one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.data.format.schema import PERCENTILES, ChannelStatistics
from framework.format import count, measure
from framework.look.values import Cropped, Look
from framework.report.figures.images import channel_panels, coloured, shades, tile_rows
from framework.report.look.figures_cells import bag_bars, crop_sizes, places_of_cells
from framework.report.look.sections import LOOK_SECTIONS, LookSection
from framework.report.page import Block, Grid, Note, Section
from framework.report.sections import SectionConfig

_ALONE, _VALUES, _ROWS = 4, 6, 40
_ROW, _SHOWN = "bag or label", "these cells"


@LOOK_SECTIONS.register("cells", SectionConfig)
class Cells(LookSection):
    """Cells as tiles."""

    order = 12

    def build(self, look: Look) -> Section | None:
        """Return a row of cells per bag or label, and the channels of some alone."""
        if look.cropped is None or not look.cropped.shown:
            return None
        shown, channels = look.cropped.shown, [each.channel for each in look.histograms]
        statistics = _statistics(shown, channels)
        shaded = {name: shades(tiles, channels, statistics) for name, tiles in shown.items()}
        rows = {name: coloured(tiles, channels) for name, tiles in shaded.items()}
        blocks: list[Block] = [tile_rows(rows, channels, look.pixel_size_um, _ROW, _SHOWN)]
        if len(channels) > 1:
            alone = {name: tiles[0] for name, tiles in list(shaded.items())[:_ALONE]}
            blocks.append(channel_panels(alone, channels, look.pixel_size_um, _ROW, _SHOWN))
        lead = f"Is there one whole cell in each tile? Tiles as they would be stored, {look.tile_px} px wide."
        return Section(anchor="cells", title="Cells", lead=lead, blocks=blocks)


@LOOK_SECTIONS.register("crops", SectionConfig)
class Crops(LookSection):
    """Sizes of crops."""

    order = 22

    def build(self, look: Look) -> Section | None:
        """Return the sizes against the edge of a tile."""
        if look.cropped is None or not len(look.cropped.edges_px):
            return None
        edges = look.cropped.edges_px
        lead = "Do the crops fit the tiles?"
        if (edges == look.tile_px).all():
            alike = f"All {len(edges)} crops that were looked at are {look.tile_px} x {look.tile_px} px, as tiles are."
            return Section(anchor="crops", title="Sizes", lead=lead, blocks=[Note(text=alike)])
        drawn = crop_sizes(edges, look.tile_px, look.cropped.fit)
        return Section(anchor="crops", title="Sizes", lead=lead, blocks=[drawn])


@LOOK_SECTIONS.register("counts", SectionConfig)
class Counts(LookSection):
    """Cells of bags and labels."""

    order = 62

    def build(self, look: Look) -> Section | None:
        """Return cells per bag, and per value of each label."""
        if look.cropped is None:
            return None
        unit = look.cropped.unit
        blocks: list[Block] = []
        if len(look.cropped.per_bag) > 1:
            blocks.append(bag_bars(look.cropped.per_bag, f"{unit}s"))
        if look.cropped.labels:
            blocks.append(_labels(look.cropped))
        lead = f"How many {unit}s has each bag and each label?"
        return Section(anchor="counts", title="Counts", lead=lead, blocks=blocks) if blocks else None


@LOOK_SECTIONS.register("joined", SectionConfig)
class Joined(LookSection):
    """What tables added."""

    order = 64

    def build(self, look: Look) -> Section | None:
        """Return how tables were joined, and what is known of each marker."""
        if look.cropped is None:
            return None
        blocks: list[Block] = [Note(text=text) for text in look.cropped.joined]
        if look.cropped.markers:
            blocks.append(_markers(look.cropped))
        lead = "Has every cell its measurements, and are they in the range you know?"
        return Section(anchor="joined", title="Measurements", lead=lead, blocks=blocks) if blocks else None


@LOOK_SECTIONS.register("places", SectionConfig)
class Places(LookSection):
    """Where cells lie in their fields."""

    order = 66

    def build(self, look: Look) -> Section | None:
        """Return a map of each export whose cells have places."""
        if look.cropped is None or not look.cropped.places:
            return None
        drawn = places_of_cells(look.cropped.places, look.pixel_size_um)
        return Section(anchor="places", title="Places", lead="Where do the cells lie?", blocks=[drawn])


def _statistics(shown: Mapping[str, npt.NDArray[Any]], channels: list[str]) -> dict[str, ChannelStatistics]:
    tiles = np.concatenate(list(shown.values()))
    at = [float(key) for key in PERCENTILES]
    return {
        channel: ChannelStatistics(
            mean=float(tiles[:, place].mean()),
            sd=float(tiles[:, place].std()),
            percentiles=dict(zip(PERCENTILES, np.percentile(tiles[:, place], at).tolist(), strict=True)),
        )
        for place, channel in enumerate(channels)
    }


def _labels(cells: Cropped) -> Grid:
    rows = []
    for name, values in list(cells.labels.items())[:_ROWS]:
        shown = [f"{value or '(blank)'}: {count(n)}" for value, n in list(values.items())[:_VALUES]]
        more = f" and {len(values) - _VALUES} more" if len(values) > _VALUES else ""
        rows.append((name, count(len(values)), ", ".join(shown) + more))
    return Grid(
        headers=("label", "values", f"{cells.unit}s of each, the most frequent first"),
        rows=rows,
        numeric=frozenset({1}),
        caption="Labels of the cells. A value with a misspelling, or far fewer cells than you measured, shows here.",
    )


def _markers(cells: Cropped) -> Grid:
    rows = [
        (name, count(each.n), f"{each.n / max(cells.n, 1):.1%}",
         *map(measure, (each.low, each.middle, each.high)))
        for name, each in list(cells.markers.items())[:_ROWS]
    ]  # fmt: skip
    return Grid(
        headers=("marker", "cells with a value", "share", "1st percentile", "median", "99th percentile"),
        rows=rows,
        numeric=frozenset(range(1, 6)),
        caption="Measurements that are stored with the cells, in the unit of their table.",
    )
