"""What decides the result of a step: the config that it reads, checked before the first step of a study begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from framework.config.load import apply_overrides
from framework.config.source import read_yaml
from framework.data.split import SplitConfig
from framework.errors import ConfigError, RunError
from framework.objectives import OBJECTIVES, Embeds, Predicts
from framework.run import RunConfig, load_run_config
from framework.study.config import StageConfig, StudyConfig
from framework.study.step import flat, override, with_contents

T = TypeVar("T")

_OUT = "{out}"
_NO_RESULT = ("run_dir", "debug", "tracking", "train.timeout_s")
"""Keys of a run that decide where it lies and what it tells, not what it finds."""
_HANDED = ("data.path", "data.embeddings", "objective.pretrained")
"""Keys that name results of earlier steps, which are known by their own settings."""


def stage_overrides(stage: str, asked: StageConfig, out: Path) -> dict[str, Any]:
    """Return the overrides of a step, ``{out}`` replaced.

    Raises:
        ConfigError: a key that the study sets itself.
    """
    own = {"pretrain": ("run_dir", "data.path"), "heads": ("run_dir", *_HANDED, "split.seed")}.get(stage, ())
    for key in asked.overrides:
        if key in own:
            raise ConfigError(f"{stage}.overrides: the study sets '{key}' itself; leave it out")
    return {key: _placed(value, out) for key, value in asked.overrides.items()}


def overrides_of(study: StudyConfig, stage: str, changes: Mapping[str, Any] | None = None) -> list[str]:
    """Return the overrides of a step as words of its command.

    Args:
        study: the config.
        stage: ``simulate``, ``ingest``, ``pretrain`` or ``heads``.
        changes: dotted key -> value that the study sets itself.
    """
    asked = stage_overrides(stage, getattr(study, stage), Path(study.out))
    return [override(key, value) for key, value in (asked | dict(changes or {})).items()]


def stage_settings(stage: str, asked: StageConfig, out: Path) -> dict[str, Any]:
    """Return what decides the result of simulate or ingest: its config as it is written, and files it names.

    ``{out}`` stays as it is, so that a study whose folder was moved is still the same.
    """

    def read() -> Any:
        words = [override(key, value) for key, value in asked.overrides.items()]
        return apply_overrides(read_yaml(asked.config), words).data

    return with_contents(dict(flat(_of(stage, read))), out)


def run_settings(study: StudyConfig, stage: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the result of a training, after checking that it is one this study can use.

    Args:
        study: the config.
        stage: ``pretrain`` or ``heads``.
        changes: what the study sets in its config.

    Raises:
        ConfigError: as ``load_run_config``; another objective than the step needs, or another split.
    """
    asked: StageConfig = getattr(study, stage)
    # What the study sets has no place in a config of another kind, which is to be told first.
    _check_role(stage, asked, _of(stage, lambda: load_run_config(asked.config, overrides_of(study, stage))))
    run = _of(stage, lambda: load_run_config(asked.config, overrides_of(study, stage, changes)))
    if stage == "heads":
        _check_splits(study, run.split)
    left_out = {*_NO_RESULT, *_HANDED}
    plain = {
        key: value
        for key, value in flat(run.plain())
        if key not in left_out and not any(key.startswith(f"{name}.") for name in left_out)
    }
    return with_contents(plain, Path(study.out))


def targets_of(study: StudyConfig) -> tuple[str, ...]:
    """Return the targets of the heads."""
    objective = load_run_config(study.heads.config, overrides_of(study, "heads")).objective
    targets: tuple[str, ...] = getattr(objective, "targets", ())
    return targets


def backbone_split(study: StudyConfig) -> SplitConfig:
    """Return the split that the config of the pretraining says."""
    return load_run_config(study.pretrain.config, overrides_of(study, "pretrain")).split


def _check_role(stage: str, asked: StageConfig, run: RunConfig) -> None:
    able = [name for name in OBJECTIVES.names() if _fits(stage, name)]
    if run.objective.name not in able:
        role = {"pretrain": "embeds without another run to build on", "heads": "predicts from a pretrained backbone"}
        raise ConfigError(
            f"{stage}.config: {asked.config} trains the objective '{run.objective.name}'; expected one that "
            f"{role[stage]}: {', '.join(able)}"
        )


def _fits(stage: str, objective: str) -> bool:
    entry = OBJECTIVES.get(objective)
    builds_on = "pretrained" in entry.config.model_fields
    if stage == "pretrain":
        return issubclass(entry.build, Embeds) and not builds_on
    return issubclass(entry.build, Predicts) and builds_on


def _check_splits(study: StudyConfig, split: SplitConfig) -> None:
    if split.fractions is None and len(study.split_seeds) > 1:
        raise ConfigError(
            f"split_seeds: {study.heads.config} names the values of each part, so all "
            f"{len(study.split_seeds)} splits would be equal; give it split.fractions, or list one seed only"
        )
    if study.backbone_per_split:
        theirs, ours = (part.model_copy(update={"seed": 0}) for part in (backbone_split(study), split))
        if theirs != ours:
            raise ConfigError(
                f"backbone_per_split: the splits of {study.pretrain.config} and {study.heads.config} differ "
                "in more than their seed, so a backbone would be trained on bags that its heads hold out; "
                "make them equal"
            )


def _placed(value: Any, out: Path) -> Any:
    if isinstance(value, str):
        return value.replace(_OUT, str(out))
    if isinstance(value, list):
        return [_placed(item, out) for item in value]
    return {key: _placed(item, out) for key, item in value.items()} if isinstance(value, dict) else value


def _of(stage: str, read: Callable[[], T]) -> T:
    """Read the config of a step; its mistakes are told as those of the step."""
    try:
        return read()
    except (ConfigError, RunError) as error:
        raise ConfigError(f"{stage}: {error}") from None
