"""``omezarr``: OME-Zarr 0.5, a plate (HCS) per source, in which each well shows its fields of view.

Tiles lie where they were cut, on black. The label image ``tiles`` says which pixel belongs to which cell: its values
are the number of the tile plus 1, the rows of ``cells.csv``. Cells that were cropped elsewhere have no field of view:
each bag is an image of its own, ``<source>.zarr/<bag>/<number>``, with its tiles side by side.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr
from zarr.storage import MemoryStore

from framework.data.export.base import EXPORTS, ExportOptions, Written
from framework.data.export.cells import Bag, CellSource
from framework.data.export.mosaic import Field, Mosaics, paint
from framework.data.format.schema import of_plates
from framework.errors import DatasetError

TABLE_NAME = "cells.csv"
LABELS = "tiles"
_VERSION = "0.5"
_CHUNK = 1024
_SMALLEST = 512
"""Edge in px down to which an image is halved for its pyramid."""
_COLOURS = ("0000FF", "00FF00", "FF0000", "FFFF00", "FF00FF", "00FFFF")
_WELL = re.compile(r"^([A-Z]{1,2})(\d{2})$")


class OmeZarrOptions(ExportOptions):
    """OME-Zarr.

    Attributes:
        labels: whether to write the label image.
    """

    name: Literal["omezarr"] = "omezarr"
    labels: bool = True


@EXPORTS.register("omezarr", OmeZarrOptions)
def write_omezarr(options: OmeZarrOptions, cells: CellSource, folder: Path, done: Callable[[int], None]) -> Written:
    """Write ``<source>.zarr`` for each plate or export of cells, and ``cells.csv``."""
    mosaics, images = Mosaics(cells), 0
    rows: list[tuple[int, str, int, int, int]] = []
    plates = of_plates(cells.dataset.bags.columns.tolist())
    wells: dict[str, dict[str, int]] = {}
    for bag in cells.bags():
        path = _well_path(bag, cells) if plates else bag.file_name
        root = folder / f"{cells.source_names[bag.source]}.zarr"
        fields = list(mosaics.fields(bag))
        for number, field in enumerate(fields):
            _write_image(root / path / str(number), field, cells, options, f"{bag.source} {bag.name} {field.site}")
            rows += _rows(f"{root.name}/{path}/{number}", field)
            done(len(field.tiles))
        images += len(fields)
        wells.setdefault(bag.source, {})[path] = len(fields)
    for source, paths in wells.items():
        root = folder / f"{cells.source_names[source]}.zarr"
        _write_plate(root, source, paths) if plates else _write_groups(root, paths)
    placed = pd.DataFrame(rows, columns=["tile", "image", "label", "top_px", "left_px"]).sort_values("tile")
    table = placed.merge(cells.facts, on="tile", validate="one_to_one")
    table.to_csv(folder / TABLE_NAME, index=False, lineterminator="\n")
    lie = "where they were cut" if mosaics.centres else "side by side"
    note = f"{images} images in which tiles lie {lie}; label v is the row of {TABLE_NAME} whose column label is v"
    return Written(files=images + 1, notes=(note,))


def _well_path(bag: Bag, cells: CellSource) -> str:
    well = _WELL.match(bag.name)
    if well is None:
        raise DatasetError(f"{cells.dataset.where}: bag '{bag.name}' is not a well such as A01; ingest again")
    return f"{well[1]}/{int(well[2])}"


def _rows(image: str, field: Field) -> Iterator[tuple[int, str, int, int, int]]:
    for number, top, left in zip(field.tiles.tolist(), field.top.tolist(), field.left.tolist(), strict=True):
        yield number, image, number + 1, top, left


def _write_image(folder: Path, field: Field, cells: CellSource, options: OmeZarrOptions, name: str) -> None:
    pixels, labels = paint(field, cells)
    size = cells.dataset.manifest.pixel_size_um
    levels = _write_levels(folder, pixels, _halved)
    facts = {"multiscales": [_scales(name, levels, size, "cyx")], "omero": {"channels": _channels(cells)}}
    _group(folder, facts)
    if options.labels:
        _group(folder / "labels", {"labels": [LABELS]})
        levels = _write_levels(folder / "labels" / LABELS, labels, lambda image: image[:-1:2, :-1:2])
        shown = {"source": {"image": "../../"}, "properties": [{"label-value": int(n) + 1} for n in field.tiles]}
        _group(folder / "labels" / LABELS, {"multiscales": [_scales(LABELS, levels, size, "yx")], "image-label": shown})


def _write_levels(
    folder: Path, pixels: npt.NDArray[Any], halved: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
) -> int:
    """Write an image and its halves ``0``, ``1`` ...; return how many."""
    level = 0
    while True:
        _write_array(folder / str(level), pixels)
        level += 1
        if max(pixels.shape[-2:]) <= 2 * _SMALLEST or min(pixels.shape[-2:]) < 2:
            return level
        pixels = halved(pixels)


def _halved(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the mean of 2 x 2 pixels; a last row or column without a partner is left out."""
    channels, height, width = image.shape
    even = image[:, : height // 2 * 2, : width // 2 * 2].reshape(channels, height // 2, 2, width // 2, 2)
    mean = even.mean(axis=(2, 4), dtype=np.float64)
    rounded: npt.NDArray[Any] = mean if image.dtype.kind == "f" else np.rint(mean)
    return rounded.astype(image.dtype)


def _write_array(folder: Path, pixels: npt.NDArray[Any]) -> None:
    """Write a Zarr v3 array; it is made in memory first, because Zarr's own threads go on after an interruption."""
    store = MemoryStore()
    chunks = (*(1,) * (pixels.ndim - 2), *(min(edge, _CHUNK) for edge in pixels.shape[-2:]))
    array = zarr.create_array(
        store, shape=pixels.shape, dtype=pixels.dtype, chunks=chunks, dimension_names=tuple("cyx"[-pixels.ndim :])
    )
    array[...] = pixels
    for key, data in store._store_dict.items():
        file = folder / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.to_bytes())


def _group(folder: Path, facts: dict[str, Any]) -> None:
    """Write the metadata of a Zarr v3 group."""
    folder.mkdir(parents=True, exist_ok=True)
    attributes = {"ome": {"version": _VERSION, **facts}} if facts else {}
    plain = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (folder / "zarr.json").write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")


def _scales(name: str, levels: int, size_um: float | None, axes: str) -> dict[str, Any]:
    space = {"type": "space", **({"unit": "micrometer"} if size_um else {})}
    steps = [[1.0 if axis == "c" else (size_um or 1.0) * 2**level for axis in axes] for level in range(levels)]
    return {
        "name": name,
        "axes": [{"name": "c", "type": "channel"} if axis == "c" else {"name": axis, **space} for axis in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": step}]}
            for level, step in enumerate(steps)
        ],
    }


def _channels(cells: CellSource) -> list[dict[str, Any]]:
    most = float(np.iinfo(cells.dtype).max) if cells.dtype.kind == "u" else None
    made = []
    for number, name in enumerate(cells.channels):
        cuts = cells.dataset.manifest.channel_statistics[name].percentiles
        start, end = cuts["0.1"], cuts["99.9"]
        window = {"min": 0.0, "max": end if most is None else most, "start": start, "end": end}
        made.append({"label": name, "active": True, "color": _COLOURS[number % len(_COLOURS)], "window": window})
    return made


def _write_plate(root: Path, source: str, wells: dict[str, int]) -> None:
    """Write the metadata of a plate, its rows and its wells."""
    places = [path.split("/") for path in wells]
    rows = sorted({row for row, _ in places}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in places}, key=int)
    listed = [
        {"path": f"{row}/{column}", "rowIndex": rows.index(row), "columnIndex": columns.index(column)}
        for row, column in places
    ]
    named = {"rows": _named(rows), "columns": _named(columns)}
    _group(root, {"plate": {"name": source, **named, "wells": listed, "field_count": max(wells.values())}})
    for row in rows:
        _group(root / row, {})
    for path, fields in wells.items():
        _group(root / path, {"well": {"images": [{"path": str(field)} for field in range(fields)]}})


def _named(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def _write_groups(root: Path, bags: dict[str, int]) -> None:
    """Write groups that hold the images of each bag."""
    for folder in (root, *(root / path for path in bags)):
        _group(folder, {})
