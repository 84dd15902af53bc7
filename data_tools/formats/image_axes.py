"""What the planes of an image file are, as it states: channels, z slices, time points, and names of the channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_tools.formats.tiff import Tiff
from data_tools.formats.tiff_directory import TiffError

CHANNELS = "channels"
Z_SLICES = "z slices"
TIME_POINTS = "time points"


class AxesError(TiffError):
    """A statement on planes that cannot be believed, or that contradicts the planes of its file."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__(text, what, damaged=False)


class MissingPlanes(AxesError):
    """More planes are stated than the file has pages."""


@dataclass(frozen=True, kw_only=True)
class StatedAxes:
    """What a file states of its planes.

    Attributes:
        source: where it stands, as ``its OME-XML``.
        sizes: what is counted -> how many, of everything that there is more than one of (``z slices`` -> 5).
        order: place of each channel among the images of the file, in the order of the statement; empty where that is
            the order of the file.
        names: names of the channels in the order of the statement; empty where not all have a name.
        are_labels: whether the names are labels of slices, which need not be the same in every file.
    """

    source: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    order: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    are_labels: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        """What there is more than one of, beside channels."""
        return tuple(name for name in self.sizes if name != CHANNELS)

    @property
    def shown(self) -> str:
        """The sizes in words, as ``3 channels x 5 z slices``."""
        return " x ".join(f"{size} {name}" for name, size in self.sizes.items())


def refused(tiff: Tiff, what: str, kind: type[AxesError] = AxesError) -> AxesError:
    """Return the error for a statement on the planes of a file."""
    return kind(f"{tiff.directories.name}: {what}", what)


def several(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes above one."""
    return {name: size for name, size in sizes.items() if size > 1}


def named(names: list[str], n: int) -> tuple[str, ...]:
    """Return the names of ``n`` channels in one line each; none where a name is missing."""
    cleaned = tuple(" ".join(name.split()) for name in names)
    return cleaned if len(cleaned) == n and all(cleaned) else ()
