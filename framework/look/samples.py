"""From fields of view to sizes, focus and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from framework.look.sizes import Objects, find_objects, joined, typical_diameter
from framework.look.values import Floats, Histogram, Sample, Sizes

_CAMERA_TOPS = (255, 1023, 4095, 16383, 65535)
_BINS = 64
_SHOWN_PER_CENT = 99.95
"""Of the pixels of a channel that is not saturated, so that one hot pixel does not push the others together."""
_LEAST_AT_TOP = 1e-4
"""Share of the pixels that must lie at a value for it to count as the end of a range."""


def sizes_of(samples: Sequence[Sample], nuclei: str, tile_px: int) -> Sizes:
    """Return how large round bright objects of the nucleus channel are, and how near to each other nuclei lie.

    Args:
        samples: fields.
        nuclei: the channel.
        tile_px: edge of a tile.
    """
    found = []
    for sample in samples:
        if nuclei in sample.images:
            objects = find_objects(sample.images[nuclei])
            found.append(_enlarged(objects, sample.scale))
    objects = joined(found)
    apart, inside = [], []
    for sample in samples:
        if len(sample.y_px) > 1:
            near, count = _neighbours(sample.y_px, sample.x_px, tile_px / 2)
            apart.append(near)
            inside.append(count)
    return Sizes(
        diameter_px=objects.diameter_px,
        area=objects.strength * objects.diameter_px**2,
        typical_px=typical_diameter(objects),
        apart_px=float(np.median(np.concatenate(apart))) if apart else None,
        per_tile=float(np.median(np.concatenate(inside))) if inside else None,
    )


def _enlarged(objects: Objects, scale: float) -> Objects:
    return Objects(
        y_px=objects.y_px / scale,
        x_px=objects.x_px / scale,
        diameter_px=objects.diameter_px / scale,
        strength=objects.strength,
    )


def _neighbours(y: Floats, x: Floats, reach: float) -> tuple[Floats, Floats]:
    """Return the distance of each point to the nearest other, and how many lie in the square about it, itself too."""
    nearest, inside = np.empty(len(y)), np.empty(len(y))
    for place in range(len(y)):
        dy, dx = np.abs(y - y[place]), np.abs(x - x[place])
        distance = np.hypot(dy, dx)
        distance[place] = np.inf
        nearest[place] = distance.min()
        inside[place] = ((dy <= reach) & (dx <= reach)).sum()
    return nearest, inside


def focus_of(samples: Iterable[Sample], nuclei: str) -> dict[tuple[str, str, int], float]:
    """Return how sharp each field is in the nucleus channel: fine detail over contrast, in units of the median."""
    found = {
        (sample.plate, sample.well, sample.site): _sharpness(sample.images[nuclei])
        for sample in samples
        if nuclei in sample.images
    }
    middle = float(np.median(list(found.values()))) if found else 0.0
    return {key: value / middle for key, value in found.items()} if middle > 0 else {}


def _sharpness(image: npt.NDArray[Any]) -> float:
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    contrast = float(smooth.std(dtype=np.float64))
    return float(cv2.Laplacian(smooth, cv2.CV_32F).std(dtype=np.float64)) / contrast if contrast > 0 else 0.0


def histograms_of(pixels: Mapping[str, Sequence[npt.NDArray[Any]]]) -> tuple[Histogram, ...]:
    """Return the histogram of each channel, channel -> arrays of pixels of any shape."""
    return tuple(_histogram(channel, parts) for channel, parts in pixels.items() if len(parts))


def _histogram(channel: str, parts: Sequence[npt.NDArray[Any]]) -> Histogram:
    values = np.concatenate([np.asarray(part).ravel() for part in parts])
    start, highest = float(values.min()), float(values.max())
    # A mask has two values, and its upper one is not a limit of a camera.
    mask = bool(((values == start) | (values == highest)).all())
    tops = _CAMERA_TOPS if values.dtype.kind in "ui" and not mask else ()
    share = float((values == values.max()).mean()) if highest in tops else 0.0
    reached = share > _LEAST_AT_TOP
    end = highest if reached else float(np.percentile(values, _SHOWN_PER_CENT))
    edges = np.linspace(start, max(end, start + 1e-6), _BINS + 1)
    # Values above the end are left out: put into the last bin, they would look as saturation does.
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(
        channel=channel,
        edges=edges,
        counts=counts.astype(np.float64),
        saturated=share,
        top=highest if reached else None,
        constant=start == highest,
    )
