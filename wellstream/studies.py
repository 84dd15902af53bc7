"""Whole studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools import pipeline
from data_tools.simulate import PlateConfig
from framework import study as rooms
from framework.config import StrictModel, load_config
from framework.errors import ConfigError
from framework.study import StudyConfig, StudySummary


def study(
    config: Path | str | Mapping[str, Any] | StudyConfig,
    *,
    overrides: Sequence[str] = (),
    only: str | None = None,
    until: str | None = None,
    dry_run: bool = False,
) -> StudySummary:
    """Do a whole study: ingest, pretraining, embeddings, heads of every split, predictions, statistics, page.

    Each step is the command that is printed before it runs. What is done is recorded, so that the same call again
    goes on; a setting that changed is named, and the steps that depend on it are done again.

    Args:
        config: a YAML file, what it would hold as a mapping, or a config object.
        overrides: dotted, as ``["pretrain.nproc=8"]``; not with a config object.
        only: a step, or a stage such as ``heads``: nothing else is done.
        until: a step or a stage: it and all that it needs is done, nothing else.
        dry_run: print the steps and where they stand; do nothing.

    Raises:
        WellstreamError: a config that cannot be used, or a step that failed, in a sentence.
    """
    settings = config if isinstance(config, StudyConfig) else rooms.load_study_config(config, overrides)
    _check_data(settings)
    return rooms.carry_out(settings, only=only, until=until, dry_run=dry_run)


def _check_data(settings: StudyConfig) -> None:
    """Check the configs of the steps that make data before the first of them begins."""
    for name in ("simulate", "ingest"):
        stage = getattr(settings, name)
        if stage is None:
            continue
        words = rooms.overrides_of(settings, name)
        try:
            _ = _plate(stage.config, words) if name == "simulate" else pipeline.load_ingest_config(stage.config, words)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None


def _plate(config: str, words: Sequence[str]) -> StrictModel:
    return load_config(config, PlateConfig, words)
