"""Bulk omics: raw tables become normalised label vectors for the imaged wells of the same condition."""

from data_tools.omics.batch import Corrected, remove_batch
from data_tools.omics.config import LongForm, OmicsConfig
from data_tools.omics.labels import (
    Target,
    build_targets,
    draw_samples,
    join_notes,
    nothing_in_common,
    target_names,
)
from data_tools.omics.normalise import Normalised, normalise
from data_tools.omics.scaling import size_factors
from data_tools.omics.table import OmicsTable, read_omics
from data_tools.omics.vsn import VsnProfile, fit_vsn

__all__ = [
    "Corrected",
    "LongForm",
    "Normalised",
    "OmicsConfig",
    "OmicsTable",
    "Target",
    "VsnProfile",
    "build_targets",
    "draw_samples",
    "fit_vsn",
    "join_notes",
    "normalise",
    "nothing_in_common",
    "read_omics",
    "remove_batch",
    "size_factors",
    "target_names",
]
