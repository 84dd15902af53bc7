"""Nuclei: where they are in a field of view, and how well that agrees with known centres; one file per method."""

from data_tools.nuclei.base import (
    NUCLEI,
    FieldOfView,
    FieldSurvey,
    Nuclei,
    NucleiConfig,
    NucleusMethod,
    find_nuclei,
    nuclei_at,
)
from data_tools.nuclei.image2omics import Image2OmicsTilesConfig
from data_tools.nuclei.intensity_peaks import IntensityPeaksConfig
from data_tools.nuclei.labels import LabelsConfig
from data_tools.nuclei.log_binary import LogBinaryConfig
from data_tools.nuclei.log_intensity import LogIntensityConfig
from data_tools.nuclei.matching import Matching, match_centres
from data_tools.nuclei.sized import SizedConfig

__all__ = [
    "NUCLEI",
    "FieldOfView",
    "FieldSurvey",
    "Image2OmicsTilesConfig",
    "IntensityPeaksConfig",
    "LabelsConfig",
    "LogBinaryConfig",
    "LogIntensityConfig",
    "Matching",
    "Nuclei",
    "NucleiConfig",
    "NucleusMethod",
    "SizedConfig",
    "find_nuclei",
    "match_centres",
    "nuclei_at",
]
