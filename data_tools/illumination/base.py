"""What an illumination method is: from the mean image of a channel to the flat-field that images are divided by.

A new method is its options and one function in one file::

    class MineConfig(IlluminationConfig):
        method: Literal["mine"] = "mine"

    @ILLUMINATIONS.register("mine", MineConfig)
    def mine(mean, options, channel): ...      # -> float32 (H, W), mean 1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from data_tools.illumination.images import FloatImage
from framework.config import StrictModel
from framework.registry import Registry


class IlluminationConfig(StrictModel):
    """The section ``illumination``: what every method has.

    Attributes:
        method: its name.
        max_images: sites of a plate the mean is taken over, drawn by seed; null for all, as the paper; then all are
            read twice. A sample errs with the root of its size: of 720 simulated fields, 256 gave flat-fields that
            differ from those of all by 1.3 to 2.2 % (rms).
    """

    corrects: ClassVar[bool] = True
    """Whether images are divided by anything; False: no mean is taken, and nothing is kept."""
    of_export: ClassVar[bool] = False
    """Whether the first argument of its function is the flat-field that the export holds, not a mean of images."""
    method: str
    max_images: int | None = Field(default=None, ge=1)

    @model_serializer(mode="wrap")
    def _own_options_before_those_of_all(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return {**{key: value for key, value in plain.items() if key != "max_images"}, "max_images": self.max_images}


FitFlatfield = Callable[[FloatImage, Any, str], FloatImage]
"""``fit(mean, options, channel)``: ``mean`` is float32 (H, W) in stored units and is not changed, ``channel`` is for
messages; returns float32 (H, W), finite, above 0, with mean 1. Raises InputError where none can be fitted."""

ILLUMINATIONS: Registry[FitFlatfield] = Registry("illumination method", options=IlluminationConfig)
"""Illumination methods by the name a config writes after ``illumination.method``."""
