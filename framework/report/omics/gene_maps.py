"""Tiles with their attributions for a gene, from files of ``wellstream saliency``; several of each make one mosaic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.errors import InputError
from framework.files.npz import load_npz
from framework.report.figures.images import composite
from framework.report.figures.scale import stored_pixel_size

Floats = npt.NDArray[np.float64]
_ARRAYS = ("images", "maps", "outputs", "channels")
_THEN = "make it with: wellstream saliency RUN --outputs GENE --out FILE.npz"
_CLIPPED = 99.5
"""Percentile of the attributions that is drawn brightest."""


@dataclass(frozen=True, kw_only=True)
class GeneMaps:
    """Tiles of one file, and what a gene is read from in them.

    Attributes:
        target: target of the gene; empty where the file does not say.
        gene: its name.
        images: (n, C, H, W) as stored.
        maps: float32 (n, C, H, W), attributions.
        channels: (C,) names.
        pixel_size_um: None where the file does not say.
    """

    target: str
    gene: str
    images: npt.NDArray[Any]
    maps: npt.NDArray[np.float32]
    channels: tuple[str, ...]
    pixel_size_um: float | None = None

    def tiles(self, count: int) -> Floats:
        """Return the first ``count`` tiles as one picture (H, W, 3) in 0..1, nuclei blue."""
        return mosaic(composite(self.images[:count], self.channels, {}))

    def attributions(self, count: int) -> Floats:
        """Return the maps of the same tiles as one picture (H, W) in 0..1: the largest size over channels."""
        size = np.abs(self.maps[:count]).max(axis=1).astype(np.float64)
        top = float(np.percentile(size, _CLIPPED)) if size.size else 0.0
        return mosaic(np.clip(size / max(top, 1e-30), 0, 1))


def read_gene_maps(files: Sequence[Path | str]) -> list[GeneMaps]:
    """Return the maps of every gene of every file.

    Raises:
        InputError: a file without these arrays, or whose arrays do not fit together.
    """
    return [found for file in files for found in _read(Path(file))]


def maps_of(found: Sequence[GeneMaps], target: str, gene: str) -> GeneMaps | None:
    """Return the maps of a gene; None where no file has them."""
    return next((each for each in found if each.gene == gene and each.target in ("", target)), None)


def mosaic(tiles: Floats) -> Floats:
    """(n, H, W) or (n, H, W, 3) -> one picture with the tiles side by side, in rows as long as there are rows."""
    columns = max(1, int(np.ceil(np.sqrt(len(tiles)))))
    rows = -(-len(tiles) // columns)
    height, width = tiles.shape[1:3]
    gap = 2
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:])
    picture = np.ones(shape) if tiles.ndim == 4 else np.zeros(shape)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = row * (height + gap), column * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture


def _read(file: Path) -> list[GeneMaps]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; {_THEN}")
    found = load_npz(file, error=InputError, what="saliency maps (.npz)", then=_THEN)
    missing = [name for name in _ARRAYS if name not in found]
    if missing:
        raise InputError(f"{file}: no array '{missing[0]}'; {_THEN}")
    images, maps, outputs = found["images"], found["maps"], found["outputs"].tolist()
    targets = found["targets"].tolist() if "targets" in found else [""] * len(outputs)
    fits = images.ndim == 4 and maps.shape == (len(images), len(outputs), *images.shape[1:])
    if not fits or len(found["channels"]) != images.shape[1] or len(targets) != len(outputs) or not len(images):
        raise InputError(f"{file}: its arrays do not fit together (images {images.shape}, maps {maps.shape}); {_THEN}")
    channels = tuple(map(str, found["channels"]))
    return [
        GeneMaps(
            target=str(target),
            gene=str(gene),
            images=images,
            maps=maps[:, place],
            channels=channels,
            pixel_size_um=stored_pixel_size(found),
        )
        for place, (target, gene) in enumerate(zip(targets, outputs, strict=True))
    ]
