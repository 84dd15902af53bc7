"""What a finished dataset shows: the same look as before it was built, from what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread

from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, CONTROL_TYPE, MARKER_PREFIX, SOURCE
from framework.data.store import TileStore
from framework.errors import DatasetError
from framework.files.failures import reading
from framework.files.npz import load_npy
from framework.format import count
from framework.look.cropped import label_counts, measured, names_of_bags, some_places
from framework.look.samples import focus_of, histograms_of, sizes_of
from framework.look.stains import nucleus_channel
from framework.look.values import Cropped, Floats, Look, Sample
from framework.report.kept_figures import evenly, kept_figures, kept_index
from framework.report.look.page import write_look
from framework.report.run.skipped import skipped
from framework.report.run.tiles import tiles

PAGE_NAME = "report.html"
_FIELDS, _TILES, _FLATFIELDS, _MARKERS = 12, 256, 12, 40
_CELL = "Metadata_Cell"


def write_dataset_report(place: Path | str, out: Path | str | None = None) -> Path:
    """Write the page of a finished dataset.

    Args:
        place: folder or URL.
        out: the file; default: ``<dataset>.report.html`` beside the folder, which holds nothing but the dataset.

    Raises:
        DatasetError: no finished dataset there, or what it keeps is damaged.
    """
    dataset = Dataset.open(place)
    file = Path(out) if out is not None else dataset.root.with_name(f"{dataset.root.name}.{PAGE_NAME}")
    further = [section for section in (tiles(dataset), skipped(dataset, notes=False)) if section is not None]
    return write_look(look_of(dataset), file, f"dataset of {count(dataset.manifest.n_tiles)} tiles", tuple(further))


def look_of(dataset: Dataset) -> Look:
    """Return what a dataset shows."""
    manifest = dataset.manifest
    config = manifest.source.get("nuclei", {})
    options: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    channels = manifest.tile.channels
    nuclei = str(options.get("channel") or channels[nucleus_channel(channels) or 0])
    samples = _samples(dataset)
    cropped = _cropped(dataset) if manifest.source.get("kind") == "cells" else None
    bags = dataset.bags if cropped is None else dataset.bags.iloc[:0]
    per_field = bags["n_cells"] / bags["n_sites"].where(bags["n_sites"] > 0)
    counts: dict[str, dict[str, float]] = {}
    for plate, well, value in zip(bags[SOURCE].astype(str), bags[BAG].astype(str), per_field, strict=True):
        counts.setdefault(plate, {})[well] = float(value)
    read = bags[(bags["n_sites"] > 0) & (bags["n_cells"] == 0)]
    return Look(
        name=manifest.name,
        facts=_facts(dataset),
        nuclei=nuclei,
        expected_px=_expected(options, manifest.pixel_size_um),
        tile_px=manifest.tile.width,
        pixel_size_um=manifest.pixel_size_um,
        samples=samples,
        sizes=sizes_of(samples, nuclei, manifest.tile.width),
        histograms=histograms_of(_pixels(dataset)),
        flatfields=_flatfields(dataset),
        fitted_to=_fitted_to(dataset),
        focus=focus_of(samples, nuclei),
        counts=counts,
        empty=tuple(f"{plate}/{well}" for plate, well in zip(read[SOURCE], read[BAG], strict=True)),
        problems=tuple(item.detail for item in manifest.skipped),
        notes=manifest.notes,
        cropped=cropped,
    )


def _cropped(dataset: Dataset) -> Cropped:
    """Return what is known of cells that came one by one: of those with a tile, which is all a training sees."""
    bags, counts = dataset.bags, dataset.bags["n_tiles"].to_numpy(np.int64)
    options = dataset.manifest.source.get("tiles", {})
    varying = [name for name in dataset.tile_labels() if name != _CELL]
    columns = [MARKER_PREFIX + name for name in dataset.manifest.markers[:_MARKERS]]
    table = dataset.tile_table([*varying, *columns, "bag", "y_px", "x_px"])
    source = bags[SOURCE].to_numpy()[table["bag"].to_numpy()]
    y, x = table["y_px"].to_numpy(), table["x_px"].to_numpy()
    places = {str(name): some_places(y[source == name], x[source == name]) for name in dict.fromkeys(source)}
    of_bags = {str(name): bags[name] for name in bags if str(name).startswith("Metadata_")}
    if set(of_bags[CONTROL_TYPE]) == {"treatment"}:
        del of_bags[CONTROL_TYPE]
    names = names_of_bags(bags[SOURCE].tolist(), bags[BAG].tolist())
    return Cropped(
        unit="cell",
        fit=str(options.get("fit", "exact")) if isinstance(options, Mapping) else "exact",
        shown={},
        edges_px=np.zeros((0, 2), np.int64),
        per_bag=dict(zip(names, counts.tolist(), strict=True)),
        labels=label_counts(of_bags, counts) | label_counts({name: table[name] for name in varying}),
        markers={name.removeprefix(MARKER_PREFIX): measured(table[name].to_numpy()) for name in columns},
        places={name: found for name, found in places.items() if len(found)},
        joined=(),
    )


def _expected(options: Mapping[str, Any], pixel_um: float | None) -> float | None:
    if options.get("diameter_px"):
        return float(options["diameter_px"])
    if options.get("diameter_um") and pixel_um:
        return float(options["diameter_um"]) / pixel_um
    return None


def _facts(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    manifest = dataset.manifest
    size = "unknown" if manifest.pixel_size_um is None else f"{manifest.pixel_size_um:.4g} µm"
    return (
        ("bags", count(manifest.n_bags)),
        ("cells found", count(manifest.n_cells)),
        ("tiles", f"{count(manifest.n_tiles)} of {manifest.tile.width} px"),
        ("channels", ", ".join(manifest.tile.channels)),
        ("pixel size", size),
        ("targets", ", ".join(manifest.targets) or "none"),
        ("markers", ", ".join(manifest.markers) or "none"),
        ("left out", count(len(manifest.skipped))),
        ("updates since it was built", count(len(manifest.history))),
    )


def _samples(dataset: Dataset) -> tuple[Sample, ...]:
    """Return the fields whose pictures the dataset keeps."""
    keys = ("file", "plate", "well", "site", "bag", "channel", "scale")
    fields: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for entry in kept_figures(dataset, "overviews", keys):
        fields.setdefault((int(entry["bag"]), int(entry["site"])), []).append(entry)
    cells = dataset.cells() if fields else None
    samples = []
    for place in evenly(0, len(fields), _FIELDS):
        (bag, site), entries = sorted(fields.items())[place]
        if cells is None:
            continue
        here = cells[(cells["bag"] == bag) & (cells["site"] == site)]
        samples.append(
            Sample(
                plate=str(entries[0]["plate"]),
                well=str(entries[0]["well"]),
                site=site,
                images={str(entry["channel"]): _picture(dataset.file(str(entry["file"]))) for entry in entries},
                scale=float(entries[0]["scale"]),
                y_px=here["y_px"].to_numpy(np.float64),
                x_px=here["x_px"].to_numpy(np.float64),
                has_tile=(here["status"] == "tile").to_numpy(),
            )
        )
    return tuple(samples)


def _picture(file: Path) -> np.ndarray[Any, Any]:
    with reading(file, DatasetError, "the overview of a field (.png)", "ingest again"):
        image = np.asarray(imread(file), dtype=np.float32)
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape}")
    return image if image.ndim == 2 else image[..., :3].mean(axis=2)


def _pixels(dataset: Dataset) -> dict[str, list[np.ndarray[Any, Any]]]:
    tile, ids = dataset.manifest.tile, evenly(0, dataset.manifest.n_tiles, _TILES)
    pixels = np.empty((len(ids), *tile.shape), dtype=tile.dtype)
    TileStore(dataset, None).gather(ids, pixels)
    return {channel: [pixels[:, place]] for place, channel in enumerate(tile.channels)} if len(ids) else {}


def _flatfields(dataset: Dataset) -> dict[str, Floats]:
    fields = {}
    for entry in kept_figures(dataset, "flatfields", ("file", "plate", "channel"))[:_FLATFIELDS]:
        field = load_npy(dataset.file(entry["file"]), what="a flat-field (.npy)", then="ingest again")
        if field.ndim == 2:
            fields[f"{entry['channel']} · {entry['plate']}"] = field.astype(np.float64)
    return fields


def _fitted_to(dataset: Dataset) -> int | None:
    """Return the images of the plate with the fewest, where flat-fields were fitted to images."""
    options = dataset.manifest.source.get("illumination", {})
    if (
        not isinstance(options, Mapping)
        or not kept_index(dataset).get("flatfields")
        or options.get("method") == "export"
    ):
        return None
    sites = dataset.bags.groupby(SOURCE)["n_sites"].sum()
    most = options.get("max_images")
    fewest = int(sites.min()) if len(sites) else 0
    return fewest if most is None else min(fewest, int(most))
