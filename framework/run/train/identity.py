"""What makes a run this run: the settings that it may not change when it goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framework.errors import CheckpointError, RunError
from framework.files.failures import reading
from framework.run.train.config import RunConfig
from framework.run.train.folder import RunFolder

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
``train.steps`` and ``train.epochs`` may change too unless the learning rate depends on them."""


def identity(config: RunConfig) -> dict[str, Any]:
    """Return dotted key -> value of everything that makes two runs different runs."""
    changeable = set(CHANGEABLE)
    if not config.optim.schedule.depends_on_steps:
        changeable |= {"train.steps", "train.epochs"}
    flat = _flat(config.plain(), ())
    return {key: value for key, value in flat if not any(_inside(key, name) for name in changeable)}


def facts_of_run(folder: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Return what makes a run this run, JSON-ready, for its checkpoints: settings, and checksum of the split."""
    return {"config": _settings(config), "split_sha256": _split_sha256(folder)}


def contradictions(folder: RunFolder, config: RunConfig, state: Mapping[str, Any]) -> list[str]:
    """Return a sentence about each file beside the checkpoints that is not what a checkpoint was made with.

    Args:
        folder: folder of the run.
        config: its ``config.yaml``.
        state: state of the checkpoint. What older checkpoints did not record is not compared.

    Raises:
        CheckpointError: what the checkpoint says of the run is not readable.
    """
    told, known = [], state.get("run")
    if known is not None:
        found = _settings(config)
        with reading(folder.checkpoints, CheckpointError, "the state of a checkpoint", "resume from an older one"):
            settings, split_sha256 = dict(known["config"]), str(known["split_sha256"])
        for key, value in settings.items():
            # A key that this version does not have any more can neither be checked nor change the run.
            if found.get(key, value) != value:
                told.append(f"{folder.config_file}: {key} is {found[key]}, the checkpoint was made with {value}")
        if not folder.split_file.is_file():
            told.append(f"{folder.split_file}: missing")
        elif _split_sha256(folder) != split_sha256:
            told.append(f"{folder.split_file}: not the split that the checkpoint was made with")
    if "objective" in state and state["objective"] != folder.objective_facts().plain():
        told.append(f"{folder.objective_file}: not what the checkpoint was made with")
    if "scale" in state and state["scale"] != folder.scale().plain():
        told.append(f"{folder.scale_file}: not the scaling that the checkpoint was made with")
    return told


def need_facts_of(path: Path, state: Mapping[str, Any], folder: RunFolder, config: RunConfig) -> None:
    """Check that the files of a run are those that its checkpoint ``path`` was made with.

    Raises:
        RunError: names each that is not.
    """
    told = contradictions(folder, config, state)
    if told:
        raise RunError(
            "\n".join(told)
            + f"\n{path.name} would mean something else with these files; restore what was changed, or train "
            f"again into another run_dir; see: wellstream verify {folder.root}"
        )


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


def _settings(config: RunConfig) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(identity(config)))
    return settings


def _split_sha256(folder: RunFolder) -> str:
    return hashlib.sha256(folder.split_file.read_bytes()).hexdigest()


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, (*path, str(key)))
    else:
        yield ".".join(path), value


def _inside(key: str, name: str) -> bool:
    return key == name or key.startswith(name + ".")
