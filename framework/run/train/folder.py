"""The run folder: what lies where, and how each file is written and read again.

``config.yaml`` is written after split, profile and scale, so a folder that has it has all of them. Until the first
checkpoint a run has nothing to lose, and the same folder may be begun again with another config.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from framework import checkpoint
from framework.config import StrictModel, to_yaml
from framework.data import split
from framework.data.format.schema import MANIFEST_NAME
from framework.data.scales import ScaleProfile, read_profile
from framework.data.split import Parts
from framework.durable import write_json, write_text
from framework.errors import RunError
from framework.files.failures import reading
from framework.files.json_file import read_mapping
from framework.models import Taken
from framework.objectives import OBJECTIVES
from framework.run.train.config import RunConfig, load_run_config

M = TypeVar("M", bound=StrictModel)

_ANEW = "train again into another run_dir"


class ObjectiveFacts(StrictModel):
    """``objective.json``: what the objective measured on the training part, and of which data."""

    objective: str
    dataset: str
    dataset_digest: str
    weights_of_embeddings: str | None = None
    """Checksum of the weights that made the cached embeddings this run trains on."""
    profile: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured on the training part, or decides which part that is.

    Attributes:
        parts: part of every bag.
        scale: how pixels are scaled.
        facts: the profile in plain form, and of which objective and data it is.
        profile: what the objective is built from.
    """

    parts: Parts
    scale: ScaleProfile
    facts: ObjectiveFacts
    profile: StrictModel


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """Paths inside a run folder."""

    root: Path

    @property
    def config_file(self) -> Path:
        """The resolved config; with it the folder is complete."""
        return self.root / "config.yaml"

    @property
    def split_file(self) -> Path:
        """The part of every bag."""
        return self.root / "split.csv"

    @property
    def objective_file(self) -> Path:
        """``ObjectiveFacts``."""
        return self.root / "objective.json"

    @property
    def scale_file(self) -> Path:
        """The ``ScaleProfile``."""
        return self.root / "scale.json"

    @property
    def weights_file(self) -> Path:
        """What was taken of published weights, where the run began with some."""
        return self.root / "weights.json"

    @property
    def summary_file(self) -> Path:
        """How the run ended."""
        return self.root / "summary.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.root / "checkpoints"

    @property
    def is_begun(self) -> bool:
        """Whether there is a checkpoint, valid or not."""
        return any(self.checkpoints.glob("step-*"))

    def config(self) -> RunConfig:
        """Read ``config.yaml``.

        Raises:
            RunError: this is no run folder.
            ConfigError: the file does not describe a run.
        """
        if not self.config_file.is_file():
            if (self.root / MANIFEST_NAME).is_file():
                raise RunError(
                    f"{self.root}: expected a run folder, found a dataset folder; train on it with: wellstream train "
                    "CONFIG"
                )
            raise RunError(
                f"{self.root}: no config.yaml, so this is no run folder; make one with: wellstream train CONFIG"
            )
        return load_run_config(self.config_file)

    def objective_facts(self) -> ObjectiveFacts:
        """Read ``objective.json``. Raises RunError when it is damaged."""
        return _read(self.objective_file, ObjectiveFacts.from_plain)

    def scale(self) -> ScaleProfile:
        """Read ``scale.json``. Raises RunError when it is damaged."""
        return _read(self.scale_file, read_profile)

    def profile(self, config: RunConfig) -> StrictModel:
        """Read what the objective measured. Raises RunError when it is damaged, or of another objective."""
        profile_type = OBJECTIVES.get(config.objective.name).build.profile_type
        plain = self.objective_facts().profile
        with reading(self.objective_file, RunError, f"what '{config.objective.name}' measured", _ANEW):
            return profile_type.from_plain(plain)

    def measured(self, config: RunConfig, bags: pd.DataFrame) -> Measured:
        """Read split, scaling and objective. Raises RunError when one is damaged."""
        return Measured(
            parts=split.read(self.split_file, bags),
            scale=self.scale(),
            facts=self.objective_facts(),
            profile=self.profile(config),
        )

    def write(self, config: RunConfig, measured: Measured, bags: pd.DataFrame) -> None:
        """Write everything but the config, which comes last."""
        self.root.mkdir(parents=True, exist_ok=True)
        split.write(self.split_file, bags, measured.parts, config.split.by)
        write_json(self.scale_file, measured.scale.plain())
        write_json(self.objective_file, measured.facts.plain())

    def write_taken(self, taken: Taken) -> None:
        """Write what was taken of published weights."""
        write_json(self.weights_file, taken.plain())

    def taken(self) -> dict[str, Any] | None:
        """Return what was taken of published weights; None where the run began with none."""
        return read_mapping(self.weights_file, error=RunError, then=_ANEW) if self.weights_file.exists() else None

    def write_config(self, config: RunConfig) -> None:
        """Replace ``config.yaml``, in one step."""
        write_text(self.config_file, to_yaml(config))

    def chosen_checkpoint(self) -> Path:
        """Return the checkpoint to use the run with: the best where patience chose one, else the newest valid.

        Raises:
            RunError: the run has no checkpoint.
            CheckpointError: the best one is damaged.
        """
        best = checkpoint.read_pointer(self.checkpoints, "best")
        chosen = best or checkpoint.newest_valid(self.checkpoints)
        if chosen is None:
            raise RunError(f"{self.root}: no valid checkpoint; train it with: wellstream train {self.config_file}")
        return chosen


def _read(file: Path, build: Callable[[dict[str, Any]], M]) -> M:
    if not file.exists():
        raise RunError(f"{file}: missing although config.yaml is there; {_ANEW}")
    plain = read_mapping(file, error=RunError, what="a file of a run", then=_ANEW)
    with reading(file, RunError, "a file of a run", _ANEW):
        return build(plain)
