"""The run folder: what lies where, and how each file is written and read again.

``config.yaml`` is written after split, profile and scale, so a folder that has it has all of them. Until the first
checkpoint a run has nothing to lose, and the same folder may be begun again with another config.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from framework import checkpoint
from framework.config import StrictModel, to_yaml
from framework.data import split
from framework.data.dataset import Dataset
from framework.data.format.schema import MANIFEST_NAME
from framework.data.remote.download import is_url
from framework.data.scales import ScaleProfile, read_profile
from framework.data.split import Parts
from framework.durable import sole_writer, write_json, write_text, write_with
from framework.errors import DatasetError, RunError
from framework.files.failures import check_regular, is_inside, near_name, reading
from framework.files.json_file import read_mapping
from framework.files.parquet import read_parquet
from framework.models import Taken
from framework.objectives import OBJECTIVES, ProfileWithTables
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
    """Without its tables."""
    tables: dict[str, str] = Field(default_factory=dict)
    """Table of the profile -> SHA-256 of its file ``<name>.parquet``."""

    @model_serializer(mode="wrap")
    def _without_an_empty_mapping(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # As it was before profiles had tables, so that the checkpoints of such runs still agree with it.
        plain: dict[str, Any] = handler(self)
        return plain if plain["tables"] else {key: value for key, value in plain.items() if key != "tables"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured on the training part, or decides which part that is.

    Attributes:
        parts: part of every bag.
        scale: how pixels are scaled.
        facts: the profile in plain form but for its tables, and of which objective and data it is.
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

    @contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Hold the folder, which is made when missing, against other processes that train.

        A killed torchrun leaves its workers behind for a while; the same run started again beside them would write
        the same files.

        Raises:
            RunError: another process trains in this folder.
        """
        self.root.mkdir(parents=True, exist_ok=True)

        def refused(owner: str) -> RunError:
            who = owner or "unknown"
            return RunError(f"{self.root}: another process trains in this folder ({who}); wait for it or end it")

        with sole_writer(self.root / ".lock", refused):
            yield

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
            RunError: this is not a run folder.
            ConfigError: the file does not describe a run.
        """
        self._need_own_files()
        if not self.config_file.is_file():
            if (self.root / MANIFEST_NAME).is_file():
                raise RunError(
                    f"{self.root}: expected a run folder, found a dataset folder; train on it with: wellstream train "
                    "CONFIG"
                )
            near = "" if self.root.exists() else near_name(self.root, {""})
            raise RunError(
                f"{self.root}: no config.yaml, so this is not a run folder{near}; make one with: wellstream train "
                "CONFIG"
            )
        return load_run_config(self.config_file)

    def dataset(self, config: RunConfig, then: str) -> Dataset:
        """Open the dataset that the run trained on.

        Args:
            config: config of the run.
            then: what to type where the dataset was moved.

        Raises:
            DatasetError: no dataset there; of a folder that is gone it says which file names it.
        """
        place = config.data.path
        try:
            return Dataset.open(place, config.data.cache)
        except DatasetError:
            if is_url(place) or Path(place).exists():
                raise
            raise DatasetError(
                f"{place}: no such folder; {self.config_file} names it as the dataset of the run (data.path). If it "
                f"was moved, {then}"
            ) from None

    def _need_own_files(self) -> None:
        """Refuse files that lie elsewhere (a run would mean what others write there), pipes, devices and folders.

        Folders may be links: those of checkpoints are large.
        """
        for file in (self.config_file, self.split_file, self.objective_file, self.scale_file, self.weights_file):
            if file.is_symlink() and not is_inside(file, self.root):
                raise RunError(f"{file}: a link that leads out of the run folder; put the file itself in its place")
            if os.path.lexists(file):
                check_regular(file, RunError, "a file of a run", _ANEW)

    def objective_facts(self) -> ObjectiveFacts:
        """Read ``objective.json``. Raises RunError when it is damaged."""
        return _read(self.objective_file, ObjectiveFacts.from_plain)

    def scale(self) -> ScaleProfile:
        """Read ``scale.json``. Raises RunError when it is damaged."""
        return _read(self.scale_file, read_profile)

    def profile(self, config: RunConfig) -> StrictModel:
        """Read what the objective measured. Raises RunError when it is damaged, or of another objective."""
        profile_type = OBJECTIVES.get(config.objective.name).build.profile_type
        facts = self.objective_facts()
        with reading(self.objective_file, RunError, f"what '{config.objective.name}' measured", _ANEW):
            if not facts.tables:
                return profile_type.from_plain(facts.profile)
            if not issubclass(profile_type, ProfileWithTables):
                raise ValueError(f"'{config.objective.name}' has no tables")
            return profile_type.with_tables(facts.profile, {name: self._table(name, facts) for name in facts.tables})

    def table_file(self, name: str) -> Path:
        """A table of the profile, where the objective has tables."""
        return self.root / f"{name}.parquet"

    def _table(self, name: str, facts: ObjectiveFacts) -> pd.DataFrame:
        """Read a table of the profile. Raises RunError when it is not the file that ``objective.json`` names."""
        if Path(name).name != name:
            raise RunError(f"{self.objective_file}: '{name}' is not a name of a table; {_ANEW}")
        file = self.table_file(name)
        if not file.is_file():
            raise RunError(f"{file}: missing although {self.objective_file.name} names it; {_ANEW}")
        if file_sha256(file) != facts.tables[name]:
            raise RunError(
                f"{file}: not the table that {self.objective_file.name} was written with (its SHA-256 differs); put "
                f"the former file back, or {_ANEW}"
            )
        return read_parquet(file, error=RunError, what="a table of a run", then=_ANEW)

    def measured(self, config: RunConfig, bags: pd.DataFrame) -> Measured:
        """Read split, scaling and objective. Raises RunError when one is damaged."""
        return Measured(
            parts=split.read(self.split_file, bags),
            scale=self.scale(),
            facts=self.objective_facts(),
            profile=self.profile(config),
        )

    def write(self, config: RunConfig, measured: Measured, bags: pd.DataFrame) -> ObjectiveFacts:
        """Write everything but the config, which comes last; return the facts as ``objective.json`` now has them."""
        self.root.mkdir(parents=True, exist_ok=True)
        split.write(self.split_file, bags, measured.parts, config.split.by)
        write_json(self.scale_file, measured.scale.plain())
        facts = measured.facts
        if isinstance(measured.profile, ProfileWithTables):
            for name, table in measured.profile.tables().items():
                write_with(self.table_file(name), partial(table.to_parquet, index=False))
            tables = {name: file_sha256(self.table_file(name)) for name in measured.profile.tables()}
            facts = facts.model_copy(update={"tables": tables})
        write_json(self.objective_file, facts.plain())
        return facts

    def write_taken(self, taken: Taken) -> None:
        """Write what was taken of published weights."""
        write_json(self.weights_file, taken.plain())

    def taken(self) -> dict[str, Any] | None:
        """Return what was taken of published weights; None where the run began with none."""
        return read_mapping(self.weights_file, error=RunError, then=_ANEW) if self.weights_file.exists() else None

    def write_config(self, config: RunConfig) -> None:
        """Replace ``config.yaml``, in one step."""
        write_text(self.config_file, to_yaml(config))

    def world_size(self) -> int:
        """Return the ranks of the last attempt that ended, 1 where none did."""
        found = read_mapping(self.summary_file, error=RunError).get("world_size") if self.summary_file.exists() else 1
        return found if type(found) is int else 1

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


def config_to_train(
    path: Path | str | Mapping[str, Any], overrides: Sequence[str] = (), *, debug: bool = False
) -> RunConfig:
    """Read a run's YAML to train with, as ``load_run_config``; one in a run folder goes on with the run of that folder.

    Raises:
        ConfigError: one sentence per mistake, with file and line.
        RunError: it lies in the folder of a begun run, but names another folder, as in a copy: what is trained would go
            there, and the steps in the copy would not count.
    """
    config = load_run_config(path, overrides, debug=debug)
    if isinstance(path, Mapping) or any(text.partition("=")[0].strip() == "run_dir" for text in overrides):
        return config
    folder = RunFolder(root=Path(path).parent)
    own = Path(path).name == folder.config_file.name and folder.is_begun
    if own and os.path.realpath(config.run_dir) != os.path.realpath(folder.root):
        raise RunError(
            f"{path}: lies in the run folder {folder.root}, but names {config.run_dir} (run_dir). To go on with the "
            f"run of this folder, add run_dir={folder.root}; to train in the other, add run_dir={config.run_dir}"
        )
    return config


def plain_profile(profile: StrictModel) -> dict[str, Any]:
    """Return what ``objective.json`` keeps of a profile: all of it but for its tables."""
    return profile.without_tables() if isinstance(profile, ProfileWithTables) else profile.plain()


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
