"""Sections about the data: plates as they lie, example tiles, nuclei, illumination, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.format.schema import CONTROL_TYPE, NUCLEI_NAME, PERTURBATION, PLATE, STIMULATION, WELL
from framework.data.store import TileStore
from framework.evaluate import tile_mean_intensities
from framework.files.failures import is_inside
from framework.files.json_file import read_mapping
from framework.files.npz import load_npy
from framework.report.figures.embedding import Colouring, embedding_map, principal, project
from framework.report.figures.images import composite, flat_fields, overview, tile_rows
from framework.report.format import count
from framework.report.page import Block, Grid, Note, Picture, Section
from framework.report.run.figures_plate import plate_map, wells_of

_PLATES = 4
_CONDITIONS = 8
_TILES_A_CONDITION = 8
_TILES_A_WELL = 12
_FLAT_FIELDS = 16
_OVERVIEWS = 4
_SKIPPED_ROWS = 100
_CHANNELS = 4
_NOTES = 20
_AGAIN = "ingest again"
_NUCLEUS_UM = 12.0
_PLATE_COUNTS = (
    (
        "n_tiles",
        "tiles",
        "Tiles cut in each well. Look for empty wells, and for rows, columns or an edge that differ from the inside: "
        "seeding, drying or focus, not biology.",
    ),
    (
        "with_tile",
        "share of nuclei with a tile",
        "Nuclei that got a tile, of those found. A low well is crowded at the border of its fields or full of debris.",
    ),
)
_COMPONENT_CAPTION = (
    "First principal component of the well embeddings. Look for treatments; a gradient over the plate says that the "
    "position leaks into them."
)


def plates(dataset: Dataset, embeddings: anndata.AnnData | None) -> Section | None:
    """Return heat-maps by well; None when the bags lie on no plate."""
    bags = dataset.bags.copy()
    bags["with_tile"] = (bags["n_tiles"] / bags["n_nuclei"].where(bags["n_nuclei"] > 0)).astype(float)
    maps = [_well_map(bags, *entry) for entry in _PLATE_COUNTS]
    means = _intensities(dataset, TileStore(dataset, None))
    for position, channel in enumerate(dataset.manifest.tile.channels[:_CHANNELS]):
        caption = f"Mean intensity over up to {_TILES_A_WELL} tiles a well. Look for gradients over the plate."
        maps.append(_well_map(bags.assign(mean=means[:, position]), "mean", f"{channel}, mean intensity", caption))
    if embeddings is not None:
        table = well_embeddings(embeddings)
        located = table.wells.assign(score=principal(table.vectors, 1)[:, 0])
        maps.append(_well_map(located, "score", "embedding, component 1", _COMPONENT_CAPTION))
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


def _well_map(table: pd.DataFrame, value: str, quantity: str, caption: str) -> Picture | None:
    return plate_map(wells_of(table, PLATE, WELL, value, _PLATES), quantity, caption)


def _intensities(dataset: Dataset, store: TileStore) -> npt.NDArray[np.float64]:
    """Return the mean intensity (B, C) of evenly chosen tiles of the wells shown; NaN for wells without tiles."""
    shown = sorted(dataset.bags[PLATE].astype(str).unique())[:_PLATES]
    starts = dataset.index.bag_start
    means = np.full((len(dataset.bags), len(dataset.manifest.tile.channels)), np.nan)
    wanted = np.flatnonzero(dataset.bags[PLATE].astype(str).isin(shown) & (np.diff(starts) > 0))
    chosen = [_evenly(int(starts[bag]), int(starts[bag + 1]), _TILES_A_WELL) for bag in wanted]
    if chosen:
        of_tile = tile_mean_intensities(store, np.concatenate(chosen), chunk=256)
        ends = np.cumsum([len(ids) for ids in chosen])
        for bag, values in zip(wanted, np.split(of_tile, ends[:-1]), strict=True):
            means[bag] = values.mean(axis=0)
    return means


def _evenly(start: int, stop: int, most: int) -> npt.NDArray[np.int64]:
    """Return up to ``most`` evenly spaced whole numbers of [start, stop), each once."""
    n = min(most, stop - start)
    return start + (np.arange(n, dtype=np.int64) * (stop - start)) // max(n, 1)


def tiles(dataset: Dataset) -> Section | None:
    """Return example tiles by condition; None without tiles."""
    table = dataset.bags[dataset.bags["n_tiles"] > 0]
    if not len(table):
        return None
    store = TileStore(dataset, None)
    channels = dataset.manifest.tile.channels
    rows = {}
    for name, bags in _conditions(table):
        starts, stops = dataset.index.bag_start[bags], dataset.index.bag_start[bags + 1]
        owned = np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops, strict=True)])
        ids = owned[_evenly(0, len(owned), _TILES_A_CONDITION)]
        pixels = np.empty((len(ids), *dataset.manifest.tile.shape), dtype=dataset.manifest.tile.dtype)
        store.gather(ids, pixels)
        rows[name] = composite(pixels, channels, dataset.manifest.channel_statistics)
    blocks: list[Block] = [tile_rows(rows, channels)]
    total = len(table.groupby([PERTURBATION, STIMULATION], dropna=False))
    if total > len(rows):
        blocks.append(Note(text=f"{len(rows)} of {total} conditions are shown: controls first, then evenly by name."))
    return Section(anchor="tiles", title="Tiles", lead="What the model sees.", blocks=blocks)


def _conditions(table: pd.DataFrame) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return (name, bags) of the conditions to show: controls first, then evenly spaced by name."""
    groups = {
        (str(perturbation), str(stimulation)): part
        for (perturbation, stimulation), part in table.groupby([PERTURBATION, STIMULATION], dropna=False, sort=True)
    }
    controls = [key for key, part in groups.items() if part[CONTROL_TYPE].isin(["negcon", "poscon"]).any()]
    controls = controls[: _CONDITIONS // 2]
    others = [key for key in groups if key not in controls]
    kept = controls + [others[position] for position in _evenly(0, len(others), _CONDITIONS - len(controls))]
    return [
        (
            " · ".join(part for part in key if part not in {"", "none", "None", "nan"}) or "all wells",
            groups[key]["bag"].to_numpy(dtype=np.int64),
        )
        for key in kept
    ]


def illumination(dataset: Dataset) -> Section | None:
    """Return the flat-fields kept at ingest; None without any."""
    entries = _index(dataset, "flatfields", ("file", "plate", "channel"))
    fields = {}
    for entry in entries[:_FLAT_FIELDS]:
        field = load_npy(dataset.file(entry["file"]), what="a flat-field (.npy)", then=_AGAIN)
        if field.ndim == 2:
            fields[f"{entry['channel']} · {entry['plate']}"] = field.astype(np.float64)
    if not fields:
        return None
    blocks: list[Block] = [flat_fields(fields)]
    if len(entries) > _FLAT_FIELDS:
        blocks.append(
            Note(text=f"{_FLAT_FIELDS} of {len(entries)} flat-fields are shown; the others are in qc/ of the dataset.")
        )
    return Section(
        anchor="illumination",
        title="Illumination",
        lead="What was the uneven light that was divided out?",
        blocks=blocks,
    )


def nuclei(dataset: Dataset) -> Section | None:
    """Return fields with their nuclei; None when ingest kept no overview."""
    entries = _fields(dataset)
    if not entries or not dataset.file(NUCLEI_NAME).is_file():
        return None
    table = dataset.nuclei()
    blocks: list[Block] = []
    for entry in (entries[position] for position in _evenly(0, len(entries), _OVERVIEWS)):
        here = table[(table["bag"] == int(entry["bag"])) & (table["site"] == int(entry["site"]))]
        title = f"{entry['plate']} {entry['well']}, site {entry['site']}, {entry['channel']}"
        blocks.append(overview(dataset.file(entry["file"]), here, float(entry["scale"]), _diameter_px(dataset), title))
    counts = table["status"].astype(str).value_counts()
    blocks.append(
        Grid(
            headers=("what became of a nucleus", "nuclei", "share"),
            rows=[(str(name), count(int(n)), f"{n / len(table):.1%}") for name, n in counts.items()],
            numeric=frozenset({1, 2}),
            caption="Every nucleus found, in all wells: those with a tile, and why the others have none.",
        )
    )
    return Section(anchor="nuclei", title="Nuclei", lead="Were the cells found?", blocks=blocks)


def _diameter_px(dataset: Dataset) -> float:
    """Return the nucleus diameter the ingest expected, else the usual 12 um, else a quarter of a tile."""
    config = dataset.manifest.source.get("nuclei", {})
    found = config if isinstance(config, Mapping) else {}
    pixel_um = dataset.manifest.pixel_size_um
    if found.get("diameter_px"):
        return float(found["diameter_px"])
    if pixel_um:
        return float(found.get("diameter_um") or _NUCLEUS_UM) / pixel_um
    return dataset.manifest.tile.width / 4


def _fields(dataset: Dataset) -> list[Mapping[str, Any]]:
    """Return one overview a field: in the channel nuclei were looked for, else in the first kept."""
    nuclear = dataset.manifest.source.get("nuclei", {})
    wanted = nuclear.get("channel") if isinstance(nuclear, Mapping) else None
    chosen: dict[tuple[int, int], Mapping[str, Any]] = {}
    for entry in _index(dataset, "overviews", ("file", "plate", "well", "site", "bag", "channel", "scale")):
        key = (int(entry["bag"]), int(entry["site"]))
        if key not in chosen or entry["channel"] == wanted:
            chosen[key] = entry
    return [chosen[key] for key in sorted(chosen)]


def _index_file(dataset: Dataset) -> Mapping[str, Any]:
    index = dataset.file("qc/index.json")
    if not index.is_file():
        return {}
    return read_mapping(index, what="the list of figures of a dataset", then=_AGAIN)


def _index(dataset: Dataset, name: str, keys: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Return the entries of a list in qc/index.json that have ``keys`` and whose file lies in the dataset."""
    found = _index_file(dataset).get(name, [])
    entries = [entry for entry in found if isinstance(entry, Mapping) and set(keys) <= set(entry)]
    # A name read from a file must not lead out of the dataset.
    inside = [entry for entry in entries if is_inside(dataset.root / str(entry["file"]), dataset.root)]
    return [entry for entry in inside if dataset.file(str(entry["file"])).is_file()]


def skipped(dataset: Dataset) -> Section | None:
    """Return what ingest left out: raw input, conditions with images or omics alone; None when it used all."""
    blocks: list[Block] = []
    if dataset.manifest.skipped:
        blocks.append(_skipped_table(dataset))
    targets = _index_file(dataset).get("targets", {})
    labels = _label_table(targets) if isinstance(targets, Mapping) and targets else None
    if labels is not None:
        blocks.append(labels)
    notes = _index_file(dataset).get("notes", [])
    blocks += [Note(text=str(note)) for note in notes[:_NOTES]]
    if not blocks:
        return None
    return Section(
        anchor="skipped", title="Left out", lead="What did not become part of the dataset, and why?", blocks=blocks
    )


def _skipped_table(dataset: Dataset) -> Grid:
    left_out = dataset.manifest.skipped
    reasons = pd.Series([item.reason for item in left_out]).value_counts()
    rows = [
        (item.plate, item.well, "" if item.site is None else str(item.site), item.reason.replace("_", " "), item.detail)
        for item in left_out[:_SKIPPED_ROWS]
    ]
    told = ", ".join(f"{n} × {str(reason).replace('_', ' ')}" for reason, n in reasons.items())
    rest = f" The first {_SKIPPED_ROWS} of {len(left_out)}; all are in dataset.json."
    return Grid(
        headers=("plate", "well", "site", "reason", "detail"),
        rows=rows,
        caption=f"{told}.{rest if len(left_out) > _SKIPPED_ROWS else ''} Check that what is missing is what you "
        f"expected "
        "to be missing.",
    )


def _label_table(targets: Mapping[str, Any]) -> Grid | None:
    """Return what the omics tables and the plates do not share; None when the index is of another form."""
    keys = ("bags", "genes", "dropped_genes", "without_images", "without_omics")
    known = {name: facts for name, facts in targets.items() if isinstance(facts, Mapping) and set(keys) <= set(facts)}
    rows = [
        (
            str(name),
            *(count(facts[key]) for key in keys[:3]),
            ", ".join(f"{plate} {count(low)}" for plate, low in facts.get("low_on", {}).items()),
            *(count(len(facts[key])) for key in keys[3:]),
        )
        for name, facts in sorted(known.items())
    ]
    if not rows:
        return None
    return Grid(
        headers=(
            "target",
            "wells",
            "genes",
            "genes dropped",
            "too low on",
            "conditions without images",
            "without omics",
        ),
        rows=rows,
        numeric=frozenset({1, 2, 3, 5, 6}),
        caption="Omics targets: genes dropped for low expression, how many are too low on each plate, and conditions "
        "that only one side has. A plate with far more low genes than the others has probably failed. Names of "
        "perturbations that differ between plate map and omics table show up here.",
    )


@dataclass(frozen=True, kw_only=True)
class WellEmbeddings:
    """Embeddings with one row a well: the bag table's columns, and (B, D) vectors."""

    wells: pd.DataFrame
    vectors: npt.NDArray[np.float64]


def well_embeddings(data: anndata.AnnData) -> WellEmbeddings:
    """Return well embeddings of an embeddings file at either level."""
    vectors = np.asarray(data.X, dtype=np.float64)
    rows = data.obs.reset_index(drop=True)
    if "tile" not in rows.columns:
        return WellEmbeddings(wells=rows, vectors=vectors)
    keys = [rows[PLATE].astype(str), rows[WELL].astype(str)]
    code = pd.MultiIndex.from_arrays(keys).factorize()[0]
    sums = np.zeros((int(code.max()) + 1, vectors.shape[1]))
    np.add.at(sums, code, vectors)
    first = np.unique(code, return_index=True)[1]
    wells = rows.iloc[first].reset_index(drop=True)
    return WellEmbeddings(wells=wells, vectors=sums / np.bincount(code)[:, None])


def embedding(data: anndata.AnnData) -> Section | None:
    """Return the map of well embeddings; None with fewer than three wells."""
    table = well_embeddings(data)
    if len(table.wells) < 3:
        return None
    points, method = project(table.vectors)
    wells = table.wells
    colourings: dict[str, Colouring] = {}
    if STIMULATION in wells.columns and wells[STIMULATION].astype(str).nunique() > 1:
        colourings["Stimulation"] = Colouring(labels=wells[STIMULATION])
    if PERTURBATION in wells.columns:
        named = wells[PERTURBATION].astype(str)
        is_control = (
            wells[CONTROL_TYPE].astype(str).isin(["negcon", "poscon"]) if CONTROL_TYPE in wells.columns else named == ""
        )
        labels = named.where(~is_control, named + " (control)")
        colourings["Perturbation"] = Colouring(labels=labels, first=tuple(sorted(labels[is_control].unique())))
    if len(colourings) < 2 and PLATE in wells.columns:
        colourings["Plate"] = Colouring(labels=wells[PLATE])
    blocks: list[Block] = [embedding_map(points, method, colourings)]
    if method == "PCA":
        blocks.append(
            Note(
                text="Drawn with principal components: umap-learn is not installed or there are too few "
                "wells. For UMAP:",
                command="pip install 'wellstream[analysis]'",
            )
        )
    return Section(anchor="embeddings", title="Embeddings", lead="Which wells look alike to the model?", blocks=blocks)
