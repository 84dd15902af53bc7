"""Every kind of config there is, written out with its keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.simulate import CropsConfig, IfcConfig, PlateConfig
from data_tools.single_cell import SingleCellConfig
from framework.baselines import BaselinesConfig
from framework.cluster import ClusterConfig
from framework.config import StrictModel
from framework.config.describe import sections_of
from framework.config.template import template
from framework.errors import ConfigError, did_you_mean
from framework.evaluate import EvaluateConfig
from framework.expression import ExpressionConfig
from framework.features import FeatureEvaluateConfig
from framework.profiles.aggregate import AggregateConfig
from framework.profiles.config import NormaliseConfig
from framework.profiles.retrieve import RetrieveConfig
from framework.registry import Registry
from framework.report import FIGURES
from framework.run import HeadsConfig, RunConfig
from framework.study import StudyConfig

KINDS: Mapping[str, type[StrictModel]] = {
    "plates": IngestConfig,
    "cells": CellsIngestConfig,
    "run": RunConfig,
    "heads": HeadsConfig,
    "study": StudyConfig,
    "prepare": SingleCellConfig,
    "express": ExpressionConfig,
    "evaluate": EvaluateConfig,
    "baselines": BaselinesConfig,
    "evaluate-features": FeatureEvaluateConfig,
    "normalise": NormaliseConfig,
    "aggregate": AggregateConfig,
    "retrieve": RetrieveConfig,
    "cluster": ClusterConfig,
    "simulate-plate": PlateConfig,
    "simulate-ifc": IfcConfig,
    "simulate-crops": CropsConfig,
}
"""Kind -> its model. ``plates`` and ``cells`` are the two kinds of ``wellstream ingest``."""


def choices() -> dict[str, Registry[Any]]:
    """Return the registries that configs choose from, by kind of entry: ``objective``, ``reader``."""
    found: dict[str, Registry[Any]] = {"figure": FIGURES}
    waiting: list[type[Any]] = list(KINDS.values())
    while waiting:
        for picked in sections_of(waiting.pop()):
            if picked.registry.kind not in found:
                found[picked.registry.kind] = picked.registry
                waiting += [picked.registry.get(name).config for name in picked.registry.names()]
    return {kind.replace(" ", "-"): found[kind] for kind in sorted(found)}


def config_kinds() -> list[str]:
    """Return what ``config`` takes: kinds of files, and entries of them such as ``objective.triplet_mil``."""
    return [*KINDS, *(f"{kind}.{name}" for kind, registry in choices().items() for name in registry.names())]


def config(kind: str, *, overrides: Sequence[str] = ()) -> str:
    """Return a config with every key, its default, type and meaning, as YAML with comments.

    ``...`` marks a value that must be given. When these are filled in, the text means the same as a config with those
    keys only.

    Args:
        kind: a kind of file, such as ``run``, or one entry, such as ``objective.triplet_mil``; see ``config_kinds``.
        overrides: ``key=entry``: which entry is written for a key, such as ``objective=triplet_mil``.

    Raises:
        ConfigError: no such kind, or an override that chooses nothing.
        RegistryError: no such entry.
    """
    picks = {}
    for text in overrides:
        key, equals, name = text.partition("=")
        if not equals:
            raise ConfigError(f"'{text}': expected key=entry, as in objective=triplet_mil")
        picks[key] = name
    return template(_model(kind), picks)


def _model(kind: str) -> type[StrictModel]:
    if kind in KINDS:
        return KINDS[kind]
    of, _, name = kind.partition(".")
    registries = choices()
    if of in registries and name:
        model: type[StrictModel] = registries[of].get(name).config
        return model
    known = [*KINDS, *(f"{each}.NAME" for each in registries)]
    raise ConfigError(
        f"no kind of config is called '{kind}'; expected one of: {', '.join(known)}" + did_you_mean(kind, known)
    )
