"""One plane of a Zarr array as the place of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from data_tools.formats.zarr_array import zarr_plane
from data_tools.readers.plates.places import Place


@dataclass(frozen=True, kw_only=True)
class ZarrImage(Place):
    """One plane of an array.

    Attributes:
        array: its folder.
        index: index of the plane on all axes but the two last.
    """

    array: Path
    index: tuple[int, ...]

    def __str__(self) -> str:
        """Return folder and index."""
        return f"{self.array}[{', '.join(map(str, self.index))}]" if self.index else str(self.array)

    @property
    def name(self) -> str:
        """Field and level."""
        return f"{self.array.parent.name}/{self.array.name}"

    def exists(self) -> bool:
        """Whether the array has metadata."""
        return (self.array / "zarr.json").is_file() or (self.array / ".zarray").is_file()

    def absolute(self) -> ZarrImage:
        """Return the same with the whole path."""
        return replace(self, array=self.array.absolute())

    def state(self) -> str:
        """Return the place, with size and time of change of the metadata."""
        file = self.array / "zarr.json" if (self.array / "zarr.json").is_file() else self.array / ".zarray"
        facts = file.stat() if file.is_file() else None
        return f"{self} absent" if facts is None else f"{self} {facts.st_size} {facts.st_mtime_ns}"

    def pixels(self) -> npt.NDArray[Any]:
        """Return its pixels, (H, W)."""
        return zarr_plane(self.array, self.index)
