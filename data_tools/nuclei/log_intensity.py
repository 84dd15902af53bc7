"""``log_intensity``: maxima of the Laplacian of Gaussian of the intensities inside the threshold."""

from __future__ import annotations

from typing import Literal

from data_tools.nuclei.base import NUCLEI
from data_tools.nuclei.log_response import LogConfig, LogMethod


class LogIntensityConfig(LogConfig):
    """``nuclei: {method: log_intensity}``."""

    method: Literal["log_intensity"] = "log_intensity"


@NUCLEI.register("log_intensity", LogIntensityConfig)
class LogIntensity(LogMethod):
    """See the module."""

    binary = False
