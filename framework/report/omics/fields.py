"""Fields of view as a dataset keeps them: small pictures of each channel, in the units of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.image import imread

from framework.data.dataset import Dataset
from framework.errors import InputError
from framework.files.failures import check_regular, reading
from framework.files.npz import load_npy
from framework.report.figures.images import channel_colours
from framework.report.kept_figures import kept_figures

Floats = npt.NDArray[np.float64]
_KEYS = ("file", "plate", "well", "site", "bag", "channel", "scale", "low", "high")
_WHAT, _AGAIN = "the overview of a field (.png)", "ingest again"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of view.

    Attributes:
        plate, well, site, bag: which.
        scale: pixels of the picture per pixel of the field.
        channels: name -> (H, W), corrected, in the units of the images, to the 256 steps that were kept.
    """

    plate: str
    well: str
    site: int
    bag: int
    scale: float
    channels: Mapping[str, Floats]


def fields_of(dataset: Dataset) -> list[dict[str, Any]]:
    """Return what is kept of each field that has all channels: the keys of ``Field``, ``files`` in place of pixels.

    Raises:
        InputError: the dataset keeps none.
    """
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for entry in kept_figures(dataset, "overviews", _KEYS):
        key = (str(entry["plate"]), str(entry["well"]), int(entry["site"]))
        field = found.setdefault(key, {**{name: entry[name] for name in _KEYS[1:7] if name != "channel"}, "files": {}})
        field["files"][str(entry["channel"])] = entry
    wanted = set(dataset.manifest.tile.channels)
    whole = [field for field in found.values() if wanted <= set(field["files"])]
    if not whole:
        raise InputError(
            f"{dataset.where}: has no picture of a field with all its channels (qc/site_*.png); ingest with "
            "qc.sites_per_plate > 0"
        )
    return whole


def read_field(dataset: Dataset, kept: Mapping[str, Any]) -> Field:
    """Read the pictures of one field.

    Raises:
        InputError: one is not a picture, damaged, or of another size than the others.
    """
    entries = {name: kept["files"][name] for name in dataset.manifest.tile.channels}
    channels = {name: _pixels(dataset.file(str(entry["file"])), entry) for name, entry in entries.items()}
    if len({plane.shape for plane in channels.values()}) > 1:
        raise InputError(f"{dataset.where}: pictures of {kept['well']} differ in size; ingest again")
    return Field(
        plate=str(kept["plate"]),
        well=str(kept["well"]),
        site=int(kept["site"]),
        bag=int(kept["bag"]),
        scale=float(kept["scale"]),
        channels=channels,
    )


def flat_field_of(dataset: Dataset, field: Field, channel: str) -> Floats | None:
    """Return the flat-field of a plate and channel, (H, W) as the pictures, mean 1; None where none is kept."""
    for entry in kept_figures(dataset, "flatfields", ("file", "plate", "channel")):
        if (str(entry["plate"]), str(entry["channel"])) == (field.plate, channel):
            kept = load_npy(dataset.file(str(entry["file"])), error=InputError, what="a flat-field (.npy)", then=_AGAIN)
            if kept.ndim == 2 and kept.size:
                height, width = field.channels[channel].shape
                small = cv2.resize(kept.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
                return np.asarray(small, dtype=np.float64)
    return None


def overlay(planes: Sequence[Floats], channels: Sequence[str], ranges: Sequence[tuple[float, float]]) -> Floats:
    """Return (H, W, 3) in 0..1: each channel in its colour, from the low to the high end of its range."""
    picture = np.zeros((*planes[0].shape, 3))
    for plane, (_, colour), ends in zip(planes, channel_colours(channels), ranges, strict=True):
        picture += shade(plane, ends)[..., None] * np.asarray(colour)
    return np.clip(picture, 0, 1)


def shade(plane: Floats, ends: tuple[float, float]) -> Floats:
    """Return a plane (H, W) in 0..1 between the ends of a range."""
    shaded: Floats = np.clip((plane - ends[0]) / max(ends[1] - ends[0], 1e-9), 0, 1)
    return shaded


def nuclei_last(channels: Sequence[str]) -> list[str]:
    """Return channels in the order of the paper: nuclei last, the others from last to first."""
    colours = channel_colours(channels)
    others = [name for name, (colour, _) in zip(channels, colours, strict=True) if colour != "blue"]
    return [*others[::-1], *(name for name in channels if name not in others)]


def _pixels(file: Path, entry: Mapping[str, Any]) -> Floats:
    check_regular(file, InputError, _WHAT, _AGAIN)
    with reading(file, InputError, _WHAT, _AGAIN):
        image = np.asarray(imread(file), dtype=np.float64)
        if image.ndim != 2 or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape}")
        return float(entry["low"]) + image * (float(entry["high"]) - float(entry["low"]))
