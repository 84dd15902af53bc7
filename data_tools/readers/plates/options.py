"""Keys that readers of plates share: the place and name of the plate, its channels, planes, timepoints, measurements.

A reader's own options extend the classes they need, and say under ``Attributes`` what a shared key means there.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from data_tools.readers.channel_names import check_channel_names, check_distinct
from data_tools.readers.plates.projection import Projection
from data_tools.readers.recognition import KnowsExports
from framework.config import NamedOptions, StrictModel


class SomePlanes(StrictModel):
    """``plane: {planes: [2, 3, 4], by: max}``: chosen planes made one image."""

    planes: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    """Numbers of the planes."""
    by: Projection
    """How the planes become one image."""

    @model_validator(mode="after")
    def _each_once(self) -> SomePlanes:
        if len(set(self.planes)) < len(self.planes):
            raise ValueError(f"'planes' names a plane twice: {', '.join(map(str, self.planes))}")
        return self

    def __str__(self) -> str:
        """Return it as a config writes it."""
        return f"{{planes: [{', '.join(map(str, self.planes))}], by: {self.by}}}"


PlaneChoice = Annotated[int, Field(ge=0)] | Projection | SomePlanes | None
"""What a config says after ``plane``: one plane, how all are made one image, or how some are."""


class PlateOptions(NamedOptions, KnowsExports):
    """Options of a reader whose export is one plate, with channels that a config may call otherwise."""

    channel_key: ClassVar[tuple[str, str] | None] = None
    """What the files call a channel, as a regular expression, and examples of it; None where it may be any text."""

    name: str
    path: str
    plate: str | None = Field(default=None, min_length=1)
    """Name of the plate; where an export holds several, the one to read."""
    channel_names: dict[str, str] = Field(default={})
    """What the files call a channel -> its name."""

    @model_validator(mode="after")
    def _check_channel_names(self) -> PlateOptions:
        if self.channel_key is None:
            check_distinct(self.channel_names.values(), "channel_names")
        else:
            check_channel_names(self.channel_names, *self.channel_key)
        return self


class SizedPixels(PlateOptions):
    """Options of a reader whose export may not say how large a pixel is."""

    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel; without it the size that the first image states, if any."""


class TakesPlanes(PlateOptions):
    """Options with ``plane``; ``planes: max`` and ``planes: [3]`` say the same, ``planes: [2, 3]`` goes with one."""

    plane: PlaneChoice = None
    """Counted from 1; or ``max``, ``mean`` or ``sharpest`` of all planes; ``{planes: [2, 3], by: max}`` of some."""
    timepoint: int | None = Field(default=None, ge=1)
    """Number of the timepoint, from 1; not needed if there is only one."""

    @model_validator(mode="before")
    @classmethod
    def _planes(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "planes" not in given:
            return given
        rest = {key: value for key, value in given.items() if key not in ("plane", "planes")}
        planes, plane = given["planes"], given.get("plane")
        if isinstance(planes, list | tuple) and isinstance(plane, str):
            return {**rest, "plane": {"planes": planes, "by": plane}}
        if plane is not None:
            raise ValueError(
                "'plane' and 'planes' both choose planes; keep one, or write 'planes: [2, 3]' with 'plane: max'"
            )
        if isinstance(planes, list | tuple):
            if len(planes) != 1:
                raise ValueError("'planes' names several planes; say how they become one image, as 'plane: max'")
            return {**rest, "plane": planes[0]}
        return {**rest, "plane": planes}

    @model_serializer(mode="wrap")
    def _without_new_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set of keys that came later: datasets of before keep their configs word for word."""
        plain: dict[str, Any] = handler(self)
        return {key: value for key, value in plain.items() if key not in ("measurement", "rename") or value}


class OneMeasurement(TakesPlanes):
    """Options of a reader whose vendor writes several measurements into one folder."""

    measurement: str | None = Field(default=None, min_length=1)
    """Folder below ``path`` (or beginning of the file names) of the measurement to read, where there are several."""
