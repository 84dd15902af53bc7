"""The tracker: metrics.jsonl always, Weights & Biases or TensorBoard beside it, whose failures never stop training."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from framework.config import StrictModel
from framework.durable import write_text
from framework.tracking.lines import Lines, read_lines
from framework.tracking.metrics import METRICS_NAME
from framework.tracking.places import Guarded, Place, TensorBoard, Wandb

ID_NAME = "wandb-id"
_LONGEST_ID = 128


class TrackingConfig(StrictModel):
    """The section ``tracking``."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    """``offline`` writes files into the run folder that ``wandb sync`` uploads; ``online`` needs a login."""
    project: str = "wellstream"
    """Project of wandb that the run belongs to."""
    tensorboard: bool = False
    """Whether to write files for TensorBoard into the folder ``tensorboard`` of the run; needs the package."""
    name: str | None = None
    """Name shown by wandb; default: the name of the run folder."""


class Tracker:
    """Writes what a run measures; on ranks other than the main one it does nothing.

    Attributes:
        wandb_id: the run's id at wandb, the same after every restart; empty where wandb is not used.
    """

    def __init__(
        self, lines: Lines | None, places: Sequence[Guarded], wandb_id: str, attempt: int, sent: int = -1
    ) -> None:
        self._lines = lines
        self._places = tuple(places)
        self._attempt = attempt
        self._sent = sent
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

        A restart does the steps after its checkpoint again, to the same numbers. Places were sent them already, and
        refuse to go back, so they get numbers of later steps alone; ``metrics.jsonl`` gets all.

        Args:
            run_dir: the run folder.
            config: section ``tracking``.
            is_main: whether this is rank 0, the only one that writes.
            attempt: number of this start of the run.
            start: step this attempt resumes from; what older attempts logged after it no longer counts.
            settings: the resolved config and what belongs to it, shown by the places.

        Raises:
            RunError: a place is asked for that is not installed.
        """
        folder = Path(run_dir)
        if not is_main:
            return cls(None, (), "", attempt)
        file = folder / METRICS_NAME
        lines = Lines(file)
        sent = max((int(each["step"]) for each in read_lines(file) if type(each.get("step")) is int), default=-1)
        wandb_id = "" if config.wandb == "disabled" else _stable_id(folder / ID_NAME)
        places = open_places(folder, config, settings or {}, wandb_id)
        lines.append({"attempt": attempt, "start": start})
        return cls(lines, places, wandb_id, attempt, sent)

    def log(self, step: int, values: Mapping[str, float | int | str]) -> None:
        """Record named values after ``step`` completed steps; non-finite numbers become null."""
        if self._lines is None:
            return
        clean = {name: finite(value) for name, value in values.items()}
        self._lines.append({"step": step, "attempt": self._attempt, **clean})
        if step > self._sent:
            self._do(lambda place: place.log(step, clean))

    def table(self, name: str, table: pd.DataFrame, step: int) -> None:
        """Show a table at the places."""
        self._do(lambda place: place.table(name, table, step))

    def sync(self) -> None:
        """Make everything logged so far survive a power cut."""
        if self._lines is not None:
            self._lines.sync()

    def close(self, exit_code: int = 0) -> None:
        """Close the files and end the places; nothing happens the second time."""
        if self._lines is not None:
            self._lines.close()
        self._do(lambda place: place.close(exit_code))
        self._places = ()

    def _do(self, act: Callable[[Place], None]) -> None:
        for place in self._places:
            place.do(act)


def open_places(
    folder: Path, config: TrackingConfig, settings: Mapping[str, Any], wandb_id: str, *, needed: bool = False
) -> list[Guarded]:
    """Open the places that a config asks for.

    Args:
        folder: folder of the run, which also holds the files of the places.
        config: section ``tracking``.
        settings: shown beside the curves.
        wandb_id: wandb id of the run at wandb.
        needed: whether a place that fails is an error, and not left out.

    Raises:
        RunError: a place that is not installed.
    """
    name, found = config.name or folder.resolve().name, []
    if config.tensorboard:
        found.append(Guarded("tensorboard", lambda: TensorBoard(folder / "tensorboard", settings), needed=needed))
    if config.wandb != "disabled":
        found.append(
            Guarded(
                "wandb",
                lambda: Wandb(
                    folder,
                    mode=config.wandb,
                    project=config.project,
                    name=name,
                    identifier=wandb_id,
                    settings=settings,
                ),
                needed=needed,
            )
        )
    return found


def _stable_id(file: Path) -> str:
    """Return the id in a file; one that is none, as after a crash, is replaced."""
    known = file.read_bytes()[:_LONGEST_ID].decode("latin-1").strip() if file.is_file() else ""
    if re.fullmatch(r"[A-Za-z0-9_-]+", known):
        return known
    made = secrets.token_hex(6)
    write_text(file, made + "\n")
    return made


def finite(value: float | int | str) -> float | int | str | None:
    """Return a value as JSON has it: a number that is none becomes None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
