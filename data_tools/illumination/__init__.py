"""Uneven illumination: the mean of a plate's images becomes a flat-field, and the flat-field corrects each image.

Flow: workers ``add`` images to a ``StreamingMean`` each and ``merge`` them; a method of ``ILLUMINATIONS`` turns the
mean into a flat-field; ``correct`` divides by it. One file per method.
"""

from data_tools.illumination.base import ILLUMINATIONS, FloatImage, IlluminationConfig, StreamingMean, correct
from data_tools.illumination.export import ExportIlluminationConfig
from data_tools.illumination.none import NoIlluminationConfig
from data_tools.illumination.percentile_gaussian import PercentileGaussianConfig, fit_flatfield
from data_tools.illumination.profiles import Profile

__all__ = [
    "ILLUMINATIONS",
    "ExportIlluminationConfig",
    "FloatImage",
    "IlluminationConfig",
    "NoIlluminationConfig",
    "PercentileGaussianConfig",
    "Profile",
    "StreamingMean",
    "correct",
    "fit_flatfield",
]
