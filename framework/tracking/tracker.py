"""The tracker: metrics.jsonl always, Weights & Biases beside it, and training never stops because of either's moods."""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import wandb

from framework.config import StrictModel
from framework.durable import write_text
from framework.tracking.lines import Lines
from framework.tracking.metrics import METRICS_NAME

log = logging.getLogger(__name__)

ID_NAME = "wandb-id"
_LONGEST_ID = 128


class TrackingConfig(StrictModel):
    """The section ``tracking``."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    """``offline`` writes files into the run folder that ``wandb sync`` uploads; ``online`` needs a login."""
    project: str = "wellstream"
    """Project of wandb that the run belongs to."""
    name: str | None = None
    """Name shown by wandb; default: the name of the run folder."""


class Tracker:
    """Writes what a run measures; on ranks other than the main one it does nothing.

    Attributes:
        wandb_id: the run's id at wandb, the same after every restart; empty where wandb is not used.
    """

    def __init__(self, lines: Lines | None, run: Any | None, wandb_id: str, attempt: int) -> None:
        self._lines = lines
        self._run = run
        self._attempt = attempt
        self.wandb_id = wandb_id

    @classmethod
    def open(
        cls,
        run_dir: Path | str,
        config: TrackingConfig,
        is_main: bool,
        *,
        attempt: int = 0,
        start: int = 0,
        settings: Mapping[str, Any] | None = None,
    ) -> Tracker:
        """Begin or continue the records of a run.

        Args:
            run_dir: the run folder.
            config: section ``tracking``.
            is_main: whether this is rank 0, the only one that writes.
            attempt: number of this start of the run.
            start: step this attempt resumes from; what older attempts logged after it no longer counts.
            settings: the resolved config, shown by wandb.
        """
        folder = Path(run_dir)
        if not is_main:
            return cls(None, None, "", attempt)
        lines = Lines(folder / METRICS_NAME)
        lines.append({"attempt": attempt, "start": start})
        if config.wandb == "disabled":
            return cls(lines, None, "", attempt)
        wandb_id = _stable_id(folder / ID_NAME)
        run = _guarded(lambda: _start(folder, config, wandb_id, settings or {}))
        return cls(lines, run, wandb_id, attempt)

    def log(self, step: int, values: Mapping[str, float | int | str]) -> None:
        """Record named values after ``step`` completed steps; non-finite numbers become null."""
        if self._lines is None:
            return
        clean = {name: _finite(value) for name, value in values.items()}
        self._lines.append({"step": step, "attempt": self._attempt, **clean})
        self._to_wandb(lambda run: run.log({"step": step, **clean}))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Show final values at wandb; the run folder has them in summary.json."""
        self._to_wandb(lambda run: run.summary.update(dict(values)))

    def sync(self) -> None:
        """Make everything logged so far survive a power cut."""
        if self._lines is not None:
            self._lines.sync()

    def close(self, exit_code: int = 0) -> None:
        """Close the files and end the wandb run; nothing happens the second time."""
        if self._lines is not None:
            self._lines.close()
        self._to_wandb(lambda run: run.finish(exit_code=exit_code))
        self._run = None

    def _to_wandb(self, act: Callable[[Any], Any]) -> None:
        run = self._run
        if run is not None and _guarded(lambda: act(run) or run) is None:
            self._run = None


def _guarded(act: Callable[[], Any]) -> Any | None:
    """Return what ``act`` returns; when wandb fails in whatever way, say so once and go on without it."""
    try:
        return act()
    except Exception as error:
        log.warning("wandb failed and is left out from here on: %s; metrics.jsonl is complete", error)
        return None


def _start(folder: Path, config: TrackingConfig, wandb_id: str, settings: Mapping[str, Any]) -> Any:
    os.environ.setdefault("WANDB_SILENT", "true")
    run = wandb.init(
        project=config.project,
        name=config.name or folder.resolve().name,
        id=wandb_id,
        dir=str(folder),
        mode="online" if config.wandb == "online" else "offline",
        # Offline, wandb joins the parts of one id when they are synced; asking it to resume there is an error.
        resume="allow" if config.wandb == "online" else None,
        config=dict(settings),
        settings=wandb.Settings(console="off", silent=True),
    )
    # A restart goes back to its checkpoint, which wandb's own step counter refuses; ours is the axis instead.
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _stable_id(file: Path) -> str:
    """Return the id in a file; one that is none, as after a crash, is replaced."""
    known = file.read_bytes()[:_LONGEST_ID].decode("latin-1").strip() if file.is_file() else ""
    if re.fullmatch(r"[A-Za-z0-9_-]+", known):
        return known
    made = secrets.token_hex(6)
    write_text(file, made + "\n")
    return made


def _finite(value: float | int | str) -> float | int | str | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value
