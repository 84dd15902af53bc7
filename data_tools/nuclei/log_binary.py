"""``log_binary``: maxima of the Laplacian of Gaussian of the thresholded image, as in the Image2Omics paper."""

from __future__ import annotations

from typing import Literal

from data_tools.nuclei.base import NUCLEI
from data_tools.nuclei.log_response import LogConfig, LogMethod


class LogBinaryConfig(LogConfig):
    """``nuclei: {method: log_binary}``."""

    method: Literal["log_binary"] = "log_binary"


@NUCLEI.register("log_binary", LogBinaryConfig)
class LogBinary(LogMethod):
    """See the module."""

    binary = True
