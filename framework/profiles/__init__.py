"""Profiles of wells: normalised by controls, aggregated, and scored by what they retrieve."""

from framework.profiles.aggregate import AggregateConfig, Aggregated, aggregate
from framework.profiles.batch_scores import batch_scores
from framework.profiles.config import NormaliseConfig
from framework.profiles.kind import RetrievalKind
from framework.profiles.methods import METHODS
from framework.profiles.normalise import Normalised, apply_kept, normalise
from framework.profiles.retrieve import RetrieveConfig, retrieve

__all__ = [
    "METHODS",
    "AggregateConfig",
    "Aggregated",
    "NormaliseConfig",
    "Normalised",
    "RetrievalKind",
    "RetrieveConfig",
    "aggregate",
    "apply_kept",
    "batch_scores",
    "normalise",
    "retrieve",
]
