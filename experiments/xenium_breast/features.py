"""What the network is compared with: numbers per cell, from its tile or without any image, each for a ridge regression.

Statistics of the nucleus, the filters of the network alone, networks that are untrained or have weights of ImageNet,
the density of cells, their place, their transcripts, and those of their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import nn

from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.models import BACKBONES, build_backbone, take_weights
from framework.models.filter_bank import FilterBank, FilterBankConfig
from framework.objectives.cell_expression import log_share

TOTAL, BLOCK = "transcripts", "Metadata_Block"
MIN_CELLS = 50
STATISTICS, FILTERS = "27 statistics of the nucleus", "the filters, ridge"
COUNTED = "density of cells within 60, 120, 240 px"
NEAREST = 10
_CROP_PX, SEEN_PX = 64, 224
"""ImageNet's network sees a crop of 64 px, enlarged to the 224 px that its weights know."""
_COMPONENTS = 60
_CHUNK = 64
_INNER_RINGS = 7
_SIGMAS_PX = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
_IMAGENET_MEAN, _IMAGENET_SD = 0.449, 0.226
"""Mean over the three channels of what its weights were trained with."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Field:
    """The cells of the dataset.

    Attributes:
        dataset: as it was ingested.
        strip: (T,) text, the block of each cell.
        place: (T, 2), y and x in pixels.
        total: (T,), all its transcripts.
        genes: those seen in ``MIN_CELLS`` cells and more.
        measured: (T, G), log(1 + 100 share).
        listed: (n, 2), y and x of every cell that was listed.
    """

    dataset: Dataset
    strip: npt.NDArray[np.object_]
    place: Floats
    total: Floats
    genes: list[str]
    measured: Floats
    listed: Floats

    @classmethod
    def read(cls, data: Path) -> Field:
        """Read the dataset of ``ingest.yaml`` from its folder."""
        dataset = Dataset.open(data)
        tiles = dataset.tile_table()
        names = [name for name in dataset.manifest.markers if name != TOTAL]
        counts = dataset.markers(tuple(names)).astype(np.float64)
        kept = (counts > 0).sum(axis=0) >= MIN_CELLS
        total = dataset.markers((TOTAL,))[:, 0].astype(np.float64)
        blocks = dataset.bags.set_index("bag")[BLOCK].astype(str)
        cells = pd.read_parquet(data / "cells.parquet", columns=["y_px", "x_px"])
        return cls(
            dataset=dataset,
            strip=blocks.loc[tiles["bag"]].to_numpy(dtype=object),
            place=tiles[["y_px", "x_px"]].to_numpy(np.float64),
            total=total,
            genes=[name for name, keep in zip(names, kept, strict=True) if keep],
            measured=log_share(counts[:, kept], total),
            listed=cells.to_numpy(np.float64),
        )

    @property
    def strips(self) -> list[str]:
        """The names of the strips."""
        return sorted(set(self.strip.tolist()))

    def rows(self, strip: str) -> npt.NDArray[np.int64]:
        """Return the cells of a strip."""
        return np.flatnonzero(self.strip == strip)


def features(field: Field) -> dict[str, Floats]:
    """Return name -> (T, F), each for a ridge regression of its own."""
    filters, said = of_tiles(field, _bank()), of_tiles(field, _nucleus)
    trained, fresh = (principal(of_tiles(field, efficientnet(weights))) for weights in (True, False))
    y, x = field.place.T
    return {
        STATISTICS: np.hstack([filters[:, : 2 * _INNER_RINGS], said]),
        "brightness of rings": filters[:, : 2 * _INNER_RINGS],
        FILTERS: filters,
        "the network untrained": untrained(filters),
        "ImageNet network": trained,
        "ImageNet network untrained": fresh,
        "log of all transcripts (no image)": np.log(field.total)[:, None],
        COUNTED: density(field),
        "position x, y, xy, xx, yy": np.stack([x, y, x * y, x * x, y * y], axis=1),
    }


def density(field: Field) -> Floats:
    """Return how many other cells lie within 60, 120 and 240 px of each, (T, 3)."""
    tree = cKDTree(field.listed)
    return np.stack(
        [tree.query_ball_point(field.place, radius, return_length=True) - 1.0 for radius in (60, 120, 240)], axis=1
    )


def of_neighbours(field: Field) -> Floats:
    """Return the mean expression of the ``NEAREST`` cells of the same strip around each, (T, G): what its region says.

    It needs the transcripts of the held-out strip, so it is not a baseline.
    """
    found = np.zeros_like(field.measured)
    for strip in field.strips:
        rows = field.rows(strip)
        near = np.asarray(cKDTree(field.place[rows]).query(field.place[rows], NEAREST + 1)[1])[:, 1:]
        found[rows] = field.measured[rows][near].mean(axis=1)
    return found


def of_tiles(field: Field, measure: Callable[[npt.NDArray[np.float32]], Floats]) -> Floats:
    """Return what ``measure`` makes of log(1 + pixel) of all tiles (n, H, W), (T, F)."""
    store, found = TileStore(field.dataset), []
    for start in range(0, len(field.total), _CHUNK):
        ids = np.arange(start, min(start + _CHUNK, len(field.total)))
        tiles = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
        store.gather(ids, tiles)
        found.append(measure(np.log1p(tiles[:, 0].astype(np.float32))))
    return np.concatenate(found).astype(np.float64)


def _bank() -> Callable[[npt.NDArray[np.float32]], Floats]:
    """Return the filter bank; its first numbers are brightness and spread in the inner rings."""
    bank = FilterBank(1, FilterBankConfig())
    bank.standard = nn.Identity()  # type: ignore[assignment]
    return lambda tiles: _seen(bank, torch.from_numpy(tiles)[:, None])


def untrained(filters: Floats) -> Floats:
    """Return the hidden layer of the network before its first step, (T, 256)."""
    torch.manual_seed(0)
    layer = build_backbone(FilterBankConfig(), 1).head
    spread = filters.std(axis=0)
    values = (filters - filters.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    layer.eval()
    return _seen(nn.Sequential(layer, nn.ReLU()), torch.from_numpy(values.astype(np.float32)))


def efficientnet(weights: bool) -> Callable[[npt.NDArray[np.float32]], Floats]:
    """Return a frozen EfficientNet-Lite0 with weights of ImageNet, or untrained, on crops of 64 px."""
    torch.manual_seed(0)
    plain = {"name": "efficientnet_lite0", "resize_px": SEEN_PX, **({"weights": "imagenet"} if weights else {})}
    options = BACKBONES.get("efficientnet_lite0").config.from_plain(plain)
    network = build_backbone(options, 1)
    if weights:
        take_weights(network, options, ("DAPI",))
    # The memory format takes a third off the time on a CPU.
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def measured(tiles: npt.NDArray[np.float32]) -> Floats:
        crops = _cropped(np.expm1(tiles), _CROP_PX)
        low, high = (np.quantile(crops, at, axis=(1, 2), keepdims=True) for at in (0.01, 0.995))
        unit = np.clip((crops - low) / np.maximum(high - low, 1e-6), 0, 1)
        scaled = ((unit - _IMAGENET_MEAN) / _IMAGENET_SD).astype(np.float32)
        return _seen(network, torch.from_numpy(scaled)[:, None])

    return measured


def principal(values: Floats) -> Floats:
    """Return the first 60 principal components of standardised features, (T, 60); no expression is looked at."""
    spread = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    left, scale, _ = np.linalg.svd(standard, full_matrices=False)
    return np.asarray(left[:, :_COMPONENTS] * scale[:_COMPONENTS])


def _nucleus(tiles: npt.NDArray[np.float32]) -> Floats:
    """Size, shape and brightness of the nucleus in the middle, and blobs of six sizes there: (n, 13)."""
    crops = _cropped(tiles, _CROP_PX)
    shapes = [shape_of(crop) for crop in crops]
    middle = _CROP_PX // 2
    blobs = [
        [-(sigma**2) * ndimage.gaussian_laplace(crop, sigma)[middle, middle] for sigma in _SIGMAS_PX] for crop in crops
    ]
    return np.hstack([np.array(shapes), np.array(blobs)])


def shape_of(crop: npt.NDArray[np.float32]) -> list[float]:
    """Return area, long and short axis (px), ratio, mean, sd, contrast of the object in the middle of a crop.

    The object is what is brighter than half way between the 10 % and the 95 % quantile; 0 where there is none.
    """
    low, high = np.quantile(crop, [0.1, 0.95])
    labels, _ = ndimage.label(ndimage.gaussian_filter(crop, 1.0) > (low + high) / 2)
    middle = labels[tuple(edge // 2 for edge in crop.shape)]
    inside = (labels == middle) & (middle > 0)
    if inside.sum() < 3:
        return [0.0] * 7
    y, x = np.nonzero(inside)
    short, long = (4 * np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(y, x)), 0.0))).tolist()
    values = crop[inside]
    ratio, contrast = short / max(long, 1e-6), float(values.mean() - low)
    return [float(inside.sum()), long, short, ratio, float(values.mean()), float(values.std()), contrast]


def _cropped(tiles: npt.NDArray[np.float32], edge: int) -> npt.NDArray[np.float32]:
    top, left = ((size - edge) // 2 for size in tiles.shape[1:])
    return tiles[:, top : top + edge, left : left + edge]


def _seen(network: nn.Module, tiles: torch.Tensor) -> Floats:
    with torch.no_grad():
        found: Floats = network(tiles).numpy().astype(np.float64)
    return found
