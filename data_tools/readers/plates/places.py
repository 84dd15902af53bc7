"""Images that are not TIFFs on this machine: each knows how to be read, and what tells that it changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.formats.remote_file import fetch
from data_tools.formats.tiff import decode_grey
from data_tools.formats.tiff_page import MOST_BYTES


class Place(ABC):
    """One image that is not a TIFF on this machine; stands where a path does."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its last part, as the name of a file."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether it is known to be there."""

    @abstractmethod
    def absolute(self) -> Place:
        """Return the same, wherever the command runs."""

    @abstractmethod
    def state(self) -> str:
        """Return what tells a changed image from an unchanged one."""

    @abstractmethod
    def pixels(self) -> npt.NDArray[Any]:
        """Return the image, (H, W).

        Raises:
            FileNotFoundError: it is not there.
            Exception: of many kinds, from libraries, where it is damaged.
        """


@dataclass(frozen=True, kw_only=True)
class RemoteImage(Place):
    """A TIFF behind a URL.

    Attributes:
        url: URL of it.
        facts: size and stamp that a listing told.
        anonymous: whether to ask without credentials.
    """

    url: str
    facts: str = ""
    anonymous: bool = True

    def __str__(self) -> str:
        """Return its URL."""
        return self.url

    @property
    def name(self) -> str:
        """Its last part."""
        return self.url.rpartition("/")[2]

    def exists(self) -> bool:
        """Return True: a listing, where there is one, was asked before."""
        return True

    def absolute(self) -> RemoteImage:
        """Return itself."""
        return self

    def state(self) -> str:
        """Return its URL, size and stamp."""
        return f"{self.url} {self.facts}"

    def pixels(self) -> npt.NDArray[Any]:
        """Return its pixels, (H, W)."""
        return decode_grey(Path(self.name), fetch(self.url, MOST_BYTES, anonymous=self.anonymous))


ImageFile = Path | Place


def pixels_of(file: ImageFile) -> npt.NDArray[np.generic]:
    """Return the pixels of an image, (H, W), wherever it lies."""
    return file.pixels() if isinstance(file, Place) else decode_grey(file)
