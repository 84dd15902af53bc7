"""Exports of cells that are cropped already: their channels, labels, and how large crops are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_tools.readers.cells import CELL_READERS, CellImage, CellListing
from data_tools.readers.cells.base import CELL
from data_tools.readers.recognition import Opened, Recognised

_LOOKED_AT = 64
_STEP_PX = 16
_LEAST_TILE, _MOST_TILE = 32, 256
_MOST_BAGS = 1000


@dataclass(frozen=True, kw_only=True)
class CellsFound:
    """Cells of an export.

    Attributes:
        reader: reader that reads them.
        why: what it saw.
        exports: as it read them.
        labels: ``Metadata_*`` columns whose values several cells share.
        dtype: dtype of the pixels.
        crop_px: the edge that holds most crops.
        others: sentences of readers that came near.
    """

    reader: str
    why: str
    exports: tuple[Opened[CellListing], ...]
    labels: tuple[str, ...]
    dtype: str
    crop_px: int
    others: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels of the first export."""
        return self.exports[0].listing.channels

    @property
    def tile_px(self) -> int:
        """Edge of a tile that holds most crops."""
        return int(np.clip(-(-self.crop_px // _STEP_PX) * _STEP_PX, _LEAST_TILE, _MOST_TILE))

    @property
    def count(self) -> int:
        """Number of cells."""
        return sum(len(one.listing) for one in self.exports)


def listing_of(options: Any) -> CellListing:
    """Return the cells of an export with all of its channels. Raises InputError: it cannot be read."""
    reader = CELL_READERS.get(options.name).build(options)
    channels = reader.survey(()).channels
    return reader.survey(channels)


def cells_found(answer: Recognised[Any], others: tuple[str, ...]) -> CellsFound:
    """Look at some cells of an export that a reader knows."""
    first: Opened[CellListing] = answer.opened[0]
    images = _some(first)
    edges = [max(np.asarray(image.pixels[0]).shape) for image in images if len(image.pixels)]
    types = {np.asarray(plane).dtype.name for image in images for plane in image.pixels}
    return CellsFound(
        reader=answer.reader,
        why=answer.claim.why if answer.claim else "",
        exports=answer.opened,
        labels=_labels([one.listing for one in answer.opened]),
        dtype=next((kind for kind in ("float32", "uint16", "uint8") if kind in types), "uint16"),
        crop_px=int(np.percentile(edges, 90)) if edges else _LEAST_TILE,
        others=others,
    )


def _some(opened: Opened[CellListing]) -> list[CellImage]:
    """Return a few cells, evenly over the export."""
    options, listing = dict(opened.options), opened.listing
    entry = CELL_READERS.get(str(options["name"]))
    count = min(_LOOKED_AT, len(listing))
    rows = [place * len(listing) // count for place in range(count)] if count else []
    places = listing.places.iloc[rows].reset_index(drop=True)
    found = entry.build(entry.config(**options)).read(places, listing.channels)
    return [image for image in found if isinstance(image, CellImage)]


def _labels(listings: Sequence[CellListing]) -> tuple[str, ...]:
    first = listings[0].cells
    names = [str(name) for name in first.columns if str(name).startswith("Metadata_") and name != CELL]
    return tuple(name for name in names if 1 < first[name].nunique() <= min(_MOST_BAGS, len(first) // 2))
