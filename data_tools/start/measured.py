"""A look at a few fields of plates: size and type of the images, and how large nuclei are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_tools.readers.plates import Export, ImageError, ImageRef, read_image
from framework.look.sizes import Objects, find_objects, joined, typical_diameter
from framework.look.stains import nucleus_channel

_FIELDS = 4
_UM = 12.0
"""A nucleus where none was seen."""
_PX = 20.0
_LEAST_PX = 4.0
_STEP_PX = 16
_LEAST_TILE, _MOST_TILE = 32, 256
_TILE_NUCLEI = 3.5
_ALIKE = np.log(1.7)
"""Of the logarithm of a diameter: such objects count as nuclei."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a few fields tell.

    Attributes:
        channels: channels that have images, in acquisition order.
        nuclei: the channel that shows nuclei.
        by_name: whether its name says so; else it is the first.
        pixel_size_um: pixel size of all plates, or None.
        diameter_px: diameter of a nucleus; a usual one where none was seen.
        seen: objects of about this size.
        fields: fields that were looked at.
        shape: (H, W) of the first image that can be read, or None.
        dtype: dtype of its pixels.
        problems: sentences on images that cannot be read.
    """

    channels: tuple[str, ...]
    nuclei: str
    by_name: bool
    pixel_size_um: float | None
    diameter_px: float
    seen: int
    fields: int
    shape: tuple[int, int] | None
    dtype: str
    problems: tuple[str, ...]

    @property
    def per_field(self) -> float:
        """Nuclei of a field, as far as a look tells."""
        return self.seen / max(self.fields, 1)

    @property
    def tile_px(self) -> int:
        """Edge of a tile: three and a half nuclei, a multiple of 16 px, inside the image."""
        edge = int(np.clip(-(-_TILE_NUCLEI * self.diameter_px // _STEP_PX) * _STEP_PX, _LEAST_TILE, _MOST_TILE))
        inside = min(self.shape) // 2 if self.shape else edge
        return edge if edge <= inside else max(inside // 4 * 4, 4)


def measure(exports: Sequence[Export]) -> Measured:
    """Look at up to four fields of plates."""
    used = channels_of(exports[0])
    named = nucleus_channel(used)
    nuclei = used[named or 0]
    sizes = {one.pixel_size_um for one in exports}
    pixel_um = exports[0].pixel_size_um if len(sizes) == 1 else None
    found: list[Objects] = []
    problems: list[str] = []
    shape, dtype = None, "uint16"
    refs = _spread([ref for one in exports for ref in one.refs if ref.channel == nuclei])
    for ref in refs:
        try:
            image = read_image(ref)
        except ImageError as error:
            problems.append(str(error))
            continue
        shape, dtype = shape or (image.shape[0], image.shape[1]), image.dtype.name
        found.append(find_objects(image))
    objects = joined(found)
    typical = typical_diameter(objects)
    usual = _PX if pixel_um is None else max(_UM / pixel_um, _LEAST_PX)
    return Measured(
        channels=used,
        nuclei=nuclei,
        by_name=named is not None,
        pixel_size_um=pixel_um,
        diameter_px=max(typical, _LEAST_PX) if typical is not None else usual,
        seen=0 if typical is None else int((np.abs(np.log(objects.diameter_px / typical)) < _ALIKE).sum()),
        fields=len(found),
        shape=shape,
        dtype=dtype,
        problems=tuple(problems),
    )


def channels_of(export: Export) -> tuple[str, ...]:
    """Return the channels that have images, in acquisition order."""
    there = {ref.channel for ref in export.refs}
    return tuple(name for name in export.channels if name in there)


def _spread(refs: Sequence[ImageRef]) -> list[ImageRef]:
    """Return a few images, evenly over the plates."""
    count = min(_FIELDS, len(refs))
    return [refs[place * len(refs) // count] for place in range(count)]
