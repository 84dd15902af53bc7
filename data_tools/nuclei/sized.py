"""What the methods share that look for nuclei of an expected size: the diameter, the threshold, the reduced image.

Flow: median 3x3 (hot pixels) -> threshold -> the response of the method -> local maxima -> centres. Everything is tied
to the expected diameter d of a nucleus.

Large nuclei are sought in a reduced image, which costs no accuracy that matters, and makes the time a field takes
depend little on the magnification. The Gaussian of a Laplacian keeps a sigma of 2 px of it, that of ``intensity_peaks``
1.5 px, so that a nucleus still spans 10 px: real fields of nuclei of 13 px, enlarged two and three times, gave the same
F1.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from data_tools.nuclei.base import FieldOfView, FloatImage, Nuclei, NucleiConfig, NucleusMethod, nuclei_at
from data_tools.nuclei.threshold import Levels, find_levels
from framework.errors import InputError

Points = npt.NDArray[np.float64]
MIN_DIAMETER_PX = 4.0


class SizedConfig(NucleiConfig):
    """Options of methods that know the size of a nucleus and a threshold."""

    diameter_um: float | None = Field(default=None, gt=0)
    """Expected diameter of a nucleus; needs a pixel size from the reader."""
    diameter_px: float | None = Field(default=None, ge=MIN_DIAMETER_PX)
    """Expected diameter of a nucleus in px; or ``diameter_um``."""
    method: str
    threshold: Literal["otsu"] | float = "otsu"
    """Intensity above which a pixel belongs to a nucleus, in stored units, or Otsu's of each image."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Centres with a lower score are dropped."""

    @model_validator(mode="after")
    def _check_diameter(self) -> SizedConfig:
        if (self.diameter_um is None) == (self.diameter_px is None):
            raise ValueError("expected exactly one of 'diameter_um' and 'diameter_px', the expected size of a nucleus")
        return self

    def in_px(self, pixel_size_um: float | None) -> float:
        """Return the expected diameter in px.

        Raises:
            InputError: the diameter is in um and the pixel size unknown, or it is less than 4 px.
        """
        if self.diameter_px is not None:
            return self.diameter_px
        if pixel_size_um is None or self.diameter_um is None:
            raise InputError("'diameter_um' needs a pixel size, which the export does not state; give 'diameter_px'")
        diameter = self.diameter_um / pixel_size_um
        if diameter < MIN_DIAMETER_PX:
            raise InputError(
                f"a nucleus of {self.diameter_um:g} um is {diameter:.1f} px at {pixel_size_um:g} um a pixel; below "
                f"{MIN_DIAMETER_PX:g} px nuclei cannot be told apart; check 'diameter_um'"
            )
        return diameter


class SizedMethod(NucleusMethod):
    """A method that looks for nuclei of an expected size above a threshold.

    Attributes:
        least_sigma_px: what the Gaussian of the response keeps at least in the reduced image.
    """

    options: SizedConfig
    least_sigma_px: ClassVar[float]

    def check(self, pixel_size_um: float | None) -> None:
        """See ``NucleusMethod``."""
        self.options.in_px(pixel_size_um)

    @abstractmethod
    def sigma(self, diameter: float) -> float:
        """Return the standard deviation of the Gaussian of the response."""

    @abstractmethod
    def peaks(self, plain: FloatImage, levels: Levels, diameter: float) -> tuple[Points, Points]:
        """Return points (n, 2) and scores (n,) in the reduced image, for a diameter in its px."""

    def find(self, image: npt.NDArray[Any], field: FieldOfView) -> Nuclei:
        """See ``NucleusMethod``."""
        diameter = self.options.in_px(field.pixel_size_um)
        factor = max(1, int(self.sigma(diameter) / self.least_sigma_px))
        clean = cv2.medianBlur(image, 3)
        plain = reduced(clean, factor)
        # integers are quicker to count
        levels = find_levels(clean if factor == 1 else plain, self.options.threshold, diameter / factor)
        if levels is None:
            return nuclei_at(np.zeros((0, 2)), np.zeros(0), image.shape)
        points, score = self.peaks(plain, levels, diameter / factor)
        kept = score >= self.options.min_score
        return nuclei_at((points[kept] + 0.5) * factor - 0.5, score[kept], image.shape)


def reduced(image: npt.NDArray[Any], factor: int) -> FloatImage:
    """Average blocks of factor x factor px; the last blocks repeat the border where the size is no multiple."""
    plain = image.astype(np.float32)
    if factor == 1:
        return plain
    height, width = (-size % factor for size in image.shape)
    padded = cv2.copyMakeBorder(plain, 0, height, 0, width, cv2.BORDER_REPLICATE) if height or width else plain
    size = (padded.shape[1] // factor, padded.shape[0] // factor)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
