"""Nuclei: where they are in an image, and how well that agrees with known centres."""

from data_tools.nuclei.config import NucleiConfig
from data_tools.nuclei.detect import Nuclei, find_nuclei
from data_tools.nuclei.matching import Matching, match_centres

__all__ = ["Matching", "Nuclei", "NucleiConfig", "find_nuclei", "match_centres"]
