"""An interactive page: a map of wells on which each point shows its cells, its place on the plate and what is near.

The page is one file that loads nothing: its program may run because the page names the program's checksum, and names of
wells are text to it, whatever they hold.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anndata
import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, PLATE, SOURCE, STIMULATION, WELL
from framework.data.store import TileStore
from framework.durable import write_text
from framework.errors import InputError
from framework.evaluate.wells import well_embeddings
from framework.files.outputs import check_output_file
from framework.report.figures.embedding import Floats, label_colours, project
from framework.report.figures.images import coloured, shades
from framework.report.figures.scale import round_length
from framework.report.kept_figures import evenly
from framework.report.page import render_well_map
from framework.report.run.embeddings import colourings_of
from framework.report.run.figures_plate import plate_shape, well_position

_MOST_WELLS = 1536
_MOST_CELLS, _CELLS_IN_ALL = 6, 2400
"""Cells per well, and of all wells: the page stays below some 20 MB."""
_NEAREST = 5
_GAP = 2
_QUALITY = 85
_OTHERS = "others"


def write_well_map(dataset: Dataset, embeddings: anndata.AnnData, out: Path | str, title: str) -> Path:
    """Write the page.

    Args:
        dataset: dataset that was embedded.
        embeddings: embeddings of its wells, or of its tiles (then wells are means).
        out: the file.
        title: heading.

    Returns:
        The file. Equal inputs give equal bytes, with the same release of umap-learn.

    Raises:
        InputError: fewer than three wells, or embeddings of another dataset.
    """
    file = Path(out)
    check_output_file(file, ".html")
    facts = map_facts(dataset, embeddings)
    file.parent.mkdir(parents=True, exist_ok=True)
    subtitle = (
        f"{facts['method']} of the embeddings of {len(facts['names'])} wells of {dataset.manifest.name}. Near points "
        "are wells whose cells look alike to the model; far distances mean little."
    )
    write_text(file, render_well_map(title, subtitle, script_safe(facts)))
    return file


def script_safe(facts: Any) -> str:
    """Return JSON that no HTML parser reads as anything else."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def map_facts(dataset: Dataset, data: anndata.AnnData) -> dict[str, Any]:
    """Return what the page's program draws; lists have one entry per well.

    Raises:
        InputError: fewer than three wells, or embeddings of another dataset.
    """
    table = well_embeddings(data)
    if len(table.wells) < 3:
        raise InputError(
            f"a map needs three wells or more, found {len(table.wells)}; embed a whole dataset, or leave out the map"
        )
    bags = _bags_of(dataset, table.wells)
    points, method = project(table.vectors)
    chosen = np.array(evenly(0, len(table.wells), _MOST_WELLS))
    wells, vectors, points = table.wells.iloc[chosen].reset_index(drop=True), table.vectors[chosen], points[chosen]
    strips, shown = _strips(dataset, bags[chosen])
    columns = _columns(wells)
    bar = round_length(dataset.manifest.pixel_size_um, dataset.manifest.tile.width)
    return {
        "method": method,
        "points": np.round(_unit(points), 4).tolist(),
        "names": (wells[SOURCE].astype(str) + " " + wells[BAG].astype(str)).tolist(),
        "columns": list(columns),
        "facts": [list(row) for row in zip(*columns.values(), strict=True)],
        "colourings": {title: _colouring(each.labels, each.first) for title, each in colourings_of(wells).items()},
        "positions": _positions(wells),
        "nearest": _nearest(vectors),
        "rows": ["all", *dataset.manifest.tile.channels],
        "strips": strips,
        "shown": shown,
        "scale": None if bar is None else {"um": bar[0], "pixels": round(bar[1], 2)},
    }


def _bags_of(dataset: Dataset, wells: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the bag of each well."""
    known = pd.MultiIndex.from_frame(dataset.bags[[SOURCE, BAG]].astype(str))
    found = known.get_indexer(pd.MultiIndex.from_frame(wells[[SOURCE, BAG]].astype(str)))
    if (found < 0).any():
        first = wells.iloc[int(np.flatnonzero(found < 0)[0])]
        raise InputError(
            f"embeddings: well '{first[SOURCE]} {first[BAG]}' is not in the dataset {dataset.where}; give the dataset "
            "that was embedded with --data"
        )
    return found.astype(np.int64)


def _columns(wells: pd.DataFrame) -> dict[str, list[str]]:
    """Return what is told of each well: name -> text."""
    parts = [wells[name].astype(str) for name in (PERTURBATION, STIMULATION) if name in wells.columns]
    both = [
        " · ".join(each for each in row if each not in {"", "none", "None", "nan"}) for row in zip(*parts, strict=True)
    ]
    found = {"Treatment": [text or "none" for text in both]}
    names = {
        PLATE: "Plate",
        SOURCE: "Source",
        WELL: "Well",
        CONTROL_TYPE: "Control",
        "part": "Part",
        "n_tiles": "Cells",
    }
    for column, name in names.items():
        if column in wells.columns and not (column == SOURCE and PLATE in wells.columns):
            found[name] = wells[column].astype(str).replace({"": "no", "none": "no", "nan": "no"}).tolist()
    return found


def _colouring(labels: pd.Series, first: tuple[str, ...]) -> dict[str, Any]:
    named = labels.astype(str).to_numpy()
    colours = label_colours(named, first)
    place = {label: number for number, (label, _) in enumerate(colours)}
    return {
        "labels": [_OTHERS if label is None else label for label, _ in colours],
        "colours": [colour for _, colour in colours],
        "of": [place[name] if name in place else place[None] for name in named.tolist()],
    }


def _positions(wells: pd.DataFrame) -> list[list[int] | None]:
    """Return row, column, rows and columns of each well's plate; None for what lies on no plate."""
    if WELL not in wells.columns:
        return [None] * len(wells)
    spots = [well_position(str(name)) for name in wells[WELL]]
    shapes = {
        plate: plate_shape([spots[row] or (0, 0) for row in part.index])
        for plate, part in wells.groupby(SOURCE, observed=True)
    }
    return [None if spot is None else [*spot, *shapes[plate]] for spot, plate in zip(spots, wells[SOURCE], strict=True)]


def _nearest(vectors: Floats) -> list[list[tuple[int, str]]]:
    """Return the nearest wells of each well, by the distance of their embeddings."""
    squares = (vectors**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * vectors @ vectors.T, 0.0))
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(_NEAREST, len(vectors) - 1)]
    return [[(int(other), f"{row[other]:.3g}") for other in near] for row, near in zip(distances, order, strict=True)]


def _strips(dataset: Dataset, bags: npt.NDArray[np.int64]) -> tuple[list[str], list[int]]:
    """Return a picture of some cells of each well as a ``data:`` URI, and how many cells there are in it."""
    store, starts, tile = TileStore(dataset, None), dataset.index.bag_start, dataset.manifest.tile
    most = max(2, min(_MOST_CELLS, _CELLS_IN_ALL // len(bags)))
    found, counts = [], []
    for bag in bags:
        ids = np.array(evenly(int(starts[bag]), int(starts[bag + 1]), most), dtype=np.int64)
        pixels = np.zeros((most, *tile.shape), dtype=tile.dtype)
        if len(ids):
            store.gather(ids, pixels[: len(ids)])
        shaded = shades(pixels, tile.channels, dataset.manifest.channel_statistics)
        shaded[len(ids) :] = 0.0
        found.append(_uri(_strip(shaded, tile.channels)))
        counts.append(len(ids))
    return found, counts


def _strip(shaded: Floats, channels: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """(n, C, H, W) -> one picture (rows, columns, 3): a row of composites, then one of each channel."""
    number, _, height, width = shaded.shape
    rows = [coloured(shaded, channels), *(np.repeat(shaded[:, each, ..., None], 3, 3) for each in range(len(channels)))]
    picture = np.zeros((len(rows) * (height + _GAP) - _GAP, number * (width + _GAP) - _GAP, 3))
    for line, row in enumerate(rows):
        for place, cell in enumerate(row):
            top, left = line * (height + _GAP), place * (width + _GAP)
            picture[top : top + height, left : left + width] = cell
    return np.round(picture * 255).astype(np.uint8)


def _uri(picture: npt.NDArray[np.uint8]) -> str:
    done, code = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise InputError("a picture of cells cannot be encoded")
    return f"data:image/jpeg;base64,{base64.b64encode(code.tobytes()).decode('ascii')}"


def _unit(points: Floats) -> Floats:
    low, high = points.min(axis=0), points.max(axis=0)
    span: Floats = (points - low) / np.maximum(high - low, 1e-12)
    return span
