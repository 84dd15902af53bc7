"""Options of nucleus finding: what the user knows is the diameter, the rest follows from it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from framework.config import StrictModel
from framework.errors import InputError

MIN_DIAMETER_PX = 4.0
DEFAULT_MIN_AREA = 0.25


class NucleiConfig(StrictModel):
    """How nuclei are found."""

    channel: str = Field(min_length=1, description="the name of the channel with the nuclei")
    diameter_um: float | None = Field(default=None, gt=0)
    """Expected diameter of a nucleus; needs a pixel size from the reader."""
    diameter_px: float | None = Field(default=None, ge=MIN_DIAMETER_PX)
    method: Literal["intensity_peaks", "log_intensity", "log_binary"] = "intensity_peaks"
    """``log_binary`` is that of the Image2Omics paper; ``data_tools.nuclei.detect`` tells them apart."""
    threshold: Literal["otsu"] | float = "otsu"
    """Intensity above which a pixel belongs to a nucleus, in stored units, or Otsu's of each image."""
    min_score: float = Field(default=0.0, ge=0, le=1)
    """Centres with a lower score are dropped."""
    min_area: float | None = Field(default=None, ge=0, lt=1)
    """``intensity_peaks``: smallest area of a nucleus as a share of the expected; the default means half the
    expected diameter."""

    @model_validator(mode="after")
    def _check_diameter(self) -> NucleiConfig:
        if (self.diameter_um is None) == (self.diameter_px is None):
            raise ValueError("expected exactly one of 'diameter_um' and 'diameter_px', the expected size of a nucleus")
        if self.min_area is not None and self.method != "intensity_peaks":
            raise ValueError(f"'min_area' has no meaning for '{self.method}', which measures no areas; drop it")
        return self

    @property
    def smallest_area(self) -> float:
        """Smallest area of a nucleus, as a share of the expected area."""
        return DEFAULT_MIN_AREA if self.min_area is None else self.min_area

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
