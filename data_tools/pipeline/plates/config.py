"""What an ingest is made of: the YAML behind ``wellstream ingest``.

Relative paths are relative to the working directory of the command, not to the config file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field, model_validator

from data_tools.illumination import ILLUMINATIONS, IlluminationConfig, PercentileGaussianConfig
from data_tools.nuclei import NUCLEI, NucleiConfig
from data_tools.omics import OmicsConfig
from data_tools.pipeline.build.config import IngestBase, refuse_twice
from data_tools.platemap import PlatemapConfig
from data_tools.readers.plates import READERS
from data_tools.single_cell import CellsConfig
from framework.config import StrictModel, choice

if TYPE_CHECKING:
    NucleiChoice: TypeAlias = NucleiConfig
    IlluminationChoice: TypeAlias = IlluminationConfig
else:
    NucleiChoice = choice(NUCLEI, key="method", default="intensity_peaks")
    IlluminationChoice = choice(ILLUMINATIONS, key="method", default="percentile_gaussian")


class PlateEntry(StrictModel):
    """One plate: its export, its plate map, and where there are any, its tables of single cells."""

    source: choice(READERS) = Field(  # type: ignore[valid-type]
        description="a mapping with the key 'name' of a reader, as {name: harmony, path: ...}"
    )
    platemap: PlatemapConfig = Field(description="a mapping with the key 'path' of the plate map")
    cells: CellsConfig | None = None
    """Measurements of single cells, joined by position."""


class ChecksConfig(StrictModel):
    """When an image counts as unusable.

    Attributes:
        max_saturated_share: share of pixels at the top of the camera's range (255, 1023, 4095, 16383 or 65535).
        allow_blank: accept images whose pixels are all equal.
    """

    max_saturated_share: float = Field(default=0.2, gt=0, le=1)
    allow_blank: bool = False


class QcConfig(StrictModel):
    """Small pictures of fields of view for the report: how many per plate, and their longest edge."""

    sites_per_plate: int = Field(default=4, ge=0)
    """How many fields of each plate are kept."""
    max_px: int = Field(default=540, ge=16)
    """Their longest edge."""


class IngestConfig(IngestBase):
    """A dataset to be made from raw plates."""

    kind: Literal["plates"] = "plates"
    """What the exports hold: fields of view, in which nuclei are looked for."""
    plates: tuple[PlateEntry, ...] = Field(min_length=1, description="a list with one entry per plate")
    nuclei: NucleiChoice = Field(description="a mapping with 'channel' and 'diameter_px' or 'diameter_um'")
    illumination: IlluminationChoice = PercentileGaussianConfig()
    """How uneven light is taken out."""
    omics: tuple[OmicsConfig, ...] = ()
    """Tables with labels of wells."""
    checks: ChecksConfig = ChecksConfig()
    qc: QcConfig = QcConfig()

    @model_validator(mode="after")
    def _each_channel_once(self) -> IngestConfig:
        refuse_twice("channels", self.channels)
        return self

    @model_validator(mode="after")
    def _each_omics_once(self) -> IngestConfig:
        refuse_twice("omics", tuple(item.name for item in self.omics))
        return self

    @property
    def read_channels(self) -> tuple[str, ...]:
        """The channels to read of each site: those stored, and that of the nuclei."""
        return self.channels if self.nuclei.channel in self.channels else (*self.channels, self.nuclei.channel)

    @property
    def markers(self) -> tuple[str, ...]:
        """Names of the single-cell markers over all plates, in config order."""
        return tuple(dict.fromkeys(name for entry in self.plates if entry.cells for name in entry.cells.markers))
