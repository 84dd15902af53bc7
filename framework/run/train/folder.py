"""The run folder: what lies where, what a run may change when it resumes, and how one is opened again later.

``config.yaml`` is written after split, profile and scale, so a folder that has it has all of them. Until the first
checkpoint a run has nothing to lose, and the same folder may be begun again with another config.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from framework import checkpoint
from framework.config import StrictModel, to_yaml
from framework.data.loading.transform import ScaleProfile
from framework.data.remote.download import is_url
from framework.durable import write_json, write_text
from framework.errors import RunError
from framework.files.failures import reading
from framework.files.json_file import read_mapping
from framework.objectives import OBJECTIVES, Objective
from framework.run.train.config import RunConfig, load_run_config

M = TypeVar("M", bound=StrictModel)

_ANEW = "train again into another run_dir"

CHANGEABLE = (
    "run_dir",
    "debug",
    "tracking",
    "data.path",
    "data.cache",
    "data.check",
    "data.embeddings",
    "train.device",
    "train.threads",
    "train.prefetch",
    "train.timeout_s",
    "train.save_every",
    "train.keep",
    "train.log_every",
    "train.evaluate_every",
    "train.patience",
)
"""What a resumed run may do otherwise without becoming another run. The data may move; their digest may not change.
``train.steps`` may change too unless the learning rate depends on it."""


class ObjectiveFacts(StrictModel):
    """``objective.json``: what the objective measured on the training part, and of which data."""

    objective: str
    dataset: str
    dataset_digest: str
    weights_of_embeddings: str | None = None
    """Checksum of the weights that made the cached embeddings this run trains on."""
    profile: dict[str, Any]


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
            raise RunError(
                f"{self.root}: no config.yaml, so this is no run folder; make one with: wellstream train CONFIG"
            )
        return load_run_config(self.config_file)

    def objective_facts(self) -> ObjectiveFacts:
        """Read ``objective.json``. Raises RunError when it is damaged."""
        return _read(self.objective_file, ObjectiveFacts)

    def scale(self) -> ScaleProfile:
        """Read ``scale.json``. Raises RunError when it is damaged."""
        return _read(self.scale_file, ScaleProfile)

    def objective(self, config: RunConfig) -> Objective:
        """Build the run's objective with fresh weights, drawn from torch's current random state."""
        entry = OBJECTIVES.get(config.objective.name)
        plain = self.objective_facts().profile
        with reading(self.objective_file, RunError, f"what '{config.objective.name}' measured", _ANEW):
            profile = entry.build.profile_type.from_plain(plain)
        return entry.build(config.objective, profile)

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


def resolved(config: RunConfig) -> RunConfig:
    """Return ``config`` with absolute paths, so that its copy means the same from any folder."""
    data = config.data.model_copy(
        update={
            "path": absolute(config.data.path),
            "embeddings": config.data.embeddings and absolute(config.data.embeddings),
        }
    )
    objective = config.objective.located(absolute)
    changes = {"run_dir": absolute(config.run_dir), "data": data, "objective": objective}
    return config.model_copy(update=changes)


def identity(config: RunConfig) -> dict[str, Any]:
    """Return dotted key -> value of everything that makes two runs different runs."""
    changeable = set(CHANGEABLE)
    if config.optim.schedule == "constant":
        changeable.add("train.steps")
    flat = _flat(config.plain(), ())
    return {key: value for key, value in flat if not any(_inside(key, name) for name in changeable)}


def facts_of_run(folder: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Return what makes a run this run, JSON-ready, for its checkpoints: settings, and checksum of the split."""
    return {
        "config": json.loads(json.dumps(identity(config))),
        "split_sha256": hashlib.sha256(folder.split_file.read_bytes()).hexdigest(),
    }


def need_same_run(folder: RunFolder, config: RunConfig) -> None:
    """Check that ``config`` may continue the run in ``folder``.

    Raises:
        RunError: names each key that differs.
    """
    stored, asked = identity(folder.config()), identity(config)
    differing = sorted(key for key in stored.keys() | asked.keys() if stored.get(key) != asked.get(key))
    if differing:
        told = "; ".join(f"{key}: {stored.get(key)} there, {asked.get(key)} here" for key in differing[:5])
        raise RunError(
            f"{folder.root} holds a run of another config: {told}{' ...' if len(differing) > 5 else ''}. Choose "
            "another run_dir, or remove that folder"
        )


def write_json_model(file: Path, model: StrictModel) -> None:
    """Replace ``file`` by a section as JSON, in one step."""
    write_json(file, model.plain())


def write_config(folder: RunFolder, config: RunConfig) -> None:
    """Replace ``config.yaml``, in one step."""
    write_text(folder.config_file, to_yaml(config))


def _read(file: Path, model: type[M]) -> M:
    if not file.exists():
        raise RunError(f"{file}: missing although config.yaml is there; {_ANEW}")
    plain = read_mapping(file, error=RunError, what="a file of a run", then=_ANEW)
    with reading(file, RunError, "a file of a run", _ANEW):
        return model.from_plain(plain)


def absolute(path: str) -> str:
    """Return a path as it is from any folder; a URL is that already."""
    return path if is_url(path) else str(Path(path).expanduser().absolute())


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, (*path, str(key)))
    else:
        yield ".".join(path), value


def _inside(key: str, name: str) -> bool:
    return key == name or key.startswith(name + ".")
