"""What a nucleus method is: from a field of view to the centres of its nuclei.

A new method is one class in one file::

    class MineConfig(NucleiConfig):
        method: Literal["mine"] = "mine"

    @NUCLEI.register("mine", MineConfig)
    class Mine(NucleusMethod):
        def find(self, image, field): ...      # -> Nuclei, see ``nuclei_at``

A method that brings its centres from elsewhere says in ``survey`` which files belong to which field.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from data_tools.readers.problem import Problem
from framework.config import StrictModel
from framework.registry import Registry

FloatImage = npt.NDArray[np.float32]
FieldKey = tuple[str, str, int]
"""(plate, well, site)."""


class NucleiConfig(StrictModel):
    """Options of a nucleus method; each declares ``method: Literal["its name"]``, what a config writes to choose it."""

    channel: str = Field(min_length=1, description="the name of the channel with the nuclei")

    if TYPE_CHECKING:
        # No field here: it would move ``method`` forward in every manifest that holds an entry's options.
        method: str


@dataclass(frozen=True, kw_only=True)
class FieldOfView:
    """Which field of view it is.

    Attributes:
        plate: its name.
        well: ``A01``.
        site: as the reader numbers it.
        image: file name of its image of the nucleus channel.
        pixel_size_um: edge of a pixel, where it is known.
        files: what the survey of the method found for it.
    """

    plate: str
    well: str
    site: int
    image: str = ""
    pixel_size_um: float | None = None
    files: tuple[Path, ...] = ()

    @property
    def key(self) -> FieldKey:
        """(plate, well, site)."""
        return self.plate, self.well, self.site

    def __str__(self) -> str:
        return f"plate {self.plate} well {self.well} site {self.site}"


@dataclass(frozen=True, kw_only=True)
class FieldSurvey:
    """What a method found for the fields of an ingest before any pixel was read.

    Attributes:
        files: what ``find`` reads, by field; an ingest that goes on looks whether they changed.
        problems: fields that cannot be used, each with plate, well and site.
        notes: sentences on what was joined and left out.
    """

    files: Mapping[FieldKey, tuple[Path, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Nuclei:
    """Centres of nuclei, sorted by y, then x.

    Attributes:
        y_px: float32 (n,), row of the centre; the centre of the first pixel is 0.
        x_px: float32 (n,), column.
        score: float32 (n,), 0..1, how sure the method is. Of the methods here the contrast to the background, c / (c +
            t), where c is the response and t the height of the threshold above the background (``log_binary``: the
            response itself, at most 2/e for an ideal disc).
        remark: what is to be counted of such fields, as ``a label image without a label``; empty for nothing.
    """

    y_px: FloatImage
    x_px: FloatImage
    score: FloatImage
    remark: str = ""

    def __len__(self) -> int:
        return len(self.y_px)

    def centres(self) -> FloatImage:
        """Return float32 (n, 2), (y, x)."""
        return np.stack([self.y_px, self.x_px], axis=1)


def nuclei_at(
    points: npt.NDArray[np.floating[Any]],
    score: npt.NDArray[np.floating[Any]] | None,
    shape: tuple[int, ...],
    remark: str = "",
) -> Nuclei:
    """Return nuclei at points (n, 2) of (y, x) in any order, moved into the image; None scores each 1."""
    inside = np.clip(np.asarray(points, dtype=np.float64).reshape(-1, 2), 0, np.array(shape) - 1).astype(np.float32)
    scores = np.ones(len(inside), dtype=np.float32) if score is None else score
    order = np.lexsort((inside[:, 1], inside[:, 0]))
    y, x = inside[order].T
    return Nuclei(
        y_px=np.ascontiguousarray(y),
        x_px=np.ascontiguousarray(x),
        score=scores[order].astype(np.float32),
        remark=remark,
    )


class NucleusMethod(ABC):
    """Finds the nuclei of fields of view; made of its options in every process.

    Attributes:
        from_pixels: whether centres are looked for in the image; False: they were made elsewhere.
    """

    from_pixels: bool = True

    def __init__(self, options: Any) -> None:
        self.options = options

    def check(self, pixel_size_um: float | None) -> None:  # noqa: B027 (most methods work with any export)
        """Check that the options suit an export, before any image of it is read.

        Raises:
            InputError: they do not, as a diameter in um without a pixel size.
        """

    def survey(self, fields: Sequence[FieldOfView]) -> FieldSurvey:
        """Say what is needed beside the images of all fields of an ingest; nothing, unless a method brings centres.

        Raises:
            InputError: nothing fits.
        """
        return FieldSurvey()

    @abstractmethod
    def find(self, image: npt.NDArray[Any], field: FieldOfView) -> Nuclei:
        """Find the nuclei of one field.

        Args:
            image: (H, W), uint8, uint16 or float32, finite; never changed.
            field: which it is.

        Raises:
            InputError: the field cannot be used; without what to do with ``on_error``, which is added.
        """


NUCLEI: Registry[type[NucleusMethod]] = Registry("nucleus method", options=NucleiConfig)
"""Nucleus methods by the name a config writes after ``nuclei.method``."""


def find_nuclei(image: npt.NDArray[Any], config: NucleiConfig, pixel_size_um: float | None = None) -> Nuclei:
    """Find the nuclei of an image that stands alone.

    Args:
        image: (H, W), uint8, uint16 or float32, finite.
        config: options of a method that looks for nuclei in the image.
        pixel_size_um: needed where the diameter is in um.

    Returns:
        Centres with scores; none for an image without contrast, as a black or a saturated one.

    Raises:
        InputError: the diameter is in um and the pixel size unknown, or too few px.
    """
    alone = FieldOfView(plate="", well="", site=0, pixel_size_um=pixel_size_um)
    return NUCLEI.get(config.method).build(config).find(image, alone)


def maxima(response: FloatImage, allowed: npt.NDArray[np.bool_], reach: float) -> npt.NDArray[np.int64]:
    """Return int64 (n, 2): pixels that no pixel of the square of half-edge ``reach`` around exceeds; one a plateau."""
    edge = 2 * max(1, round(reach)) + 1
    highest = cv2.dilate(response, np.ones((edge, edge), np.uint8))
    top = response == highest
    top &= allowed
    at = np.flatnonzero(top)
    y, x = np.divmod(at, top.shape[1])
    if not _touch(top, y, x):
        return np.stack([y, x], axis=1)
    count, labels = cv2.connectedComponents(top.view(np.uint8), connectivity=8)
    member = labels.ravel()[at]
    size = np.maximum(np.bincount(member, minlength=count), 1)
    middle = [np.bincount(member, weights=axis, minlength=count) / size for axis in (y, x)]
    # of a plateau take the member nearest to its centroid, the first where several are
    distance = np.hypot(y - middle[0][member], x - middle[1][member])
    order = np.lexsort((x, y, distance, member))
    first = order[np.searchsorted(member[order], np.arange(1, count))]
    return np.stack([y[first], x[first]], axis=1).astype(np.int64)


def _touch(top: npt.NDArray[np.bool_], y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> bool:
    """Return whether any two of the pixels (y, x), those set in ``top``, are neighbours."""
    padded = np.pad(top, 1)
    return any(bool(padded[y + dy, x + dx].any()) for dy, dx in ((1, 2), (2, 0), (2, 1), (2, 2)))
