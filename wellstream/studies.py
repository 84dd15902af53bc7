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
    """Run a whole study: ingest, pretraining, embeddings, heads of every split, predictions, statistics, page.

    Each step is a command, which is printed before it runs. Finished steps are recorded, so the same call goes on after
    a stop. If a setting changed, it is named, and the steps that depend on it are done again.

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        overrides: keys with dots and their values, such as ``["pretrain.nproc=8"]``; not with a config object.
        only: do only this step, or this stage, such as ``heads``.
        until: do this step or stage and all that it needs.
        dry_run: do nothing; print the steps and which are done.

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
