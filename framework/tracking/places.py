"""Where curves go besides the run folder: Weights & Biases, TensorBoard. Where one fails, training goes on without."""

from __future__ import annotations

import importlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from framework.durable import naming
from framework.errors import RunError, sentence_of

log = logging.getLogger(__name__)

Value = float | int | str | None


class Place(Protocol):
    """One of them."""

    name: str

    def log(self, step: int, values: Mapping[str, Value]) -> None:
        """Record numbers after ``step`` completed steps."""
        ...

    def table(self, name: str, table: pd.DataFrame, step: int) -> None:
        """Show a table."""
        ...

    def figure(self, name: str, file: Path, step: int) -> None:
        """Show a PNG."""
        ...

    def close(self, exit_code: int) -> None:
        """Write everything down."""
        ...


class Wandb:
    """A run of Weights & Biases.

    Its steps are those of training, so that the parts of a run that was restarted join.
    """

    name = "wandb"

    def __init__(
        self,
        folder: Path,
        *,
        mode: str,
        project: str,
        name: str,
        identifier: str,
        settings: Mapping[str, Any],
    ) -> None:
        os.environ.setdefault("WANDB_SILENT", "true")
        # Loaded here: it takes longer than many commands, and most have nothing to track.
        self._wandb = importlib.import_module("wandb")
        self._run = self._wandb.init(
            project=project,
            name=name,
            id=identifier,
            dir=str(folder),
            mode="online" if mode == "online" else "offline",
            # Offline, wandb joins the parts of one id when they are synced; asking it to resume there is an error.
            resume="allow" if mode == "online" else None,
            config=dict(settings),
            settings=self._wandb.Settings(console="off", silent=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, Value]) -> None:
        """Record numbers after ``step`` completed steps."""
        self._run.log({"step": step, **values}, step=step)

    def table(self, name: str, table: pd.DataFrame, step: int) -> None:
        """Show a table."""
        self._run.log({name: self._wandb.Table(dataframe=table)}, step=step)

    def figure(self, name: str, file: Path, step: int) -> None:
        """Show a PNG."""
        self._run.log({name: self._wandb.Image(str(file))}, step=step)

    def close(self, exit_code: int) -> None:
        """End the run."""
        self._run.finish(exit_code=exit_code)


class TensorBoard:
    """Files for TensorBoard in a folder; an attempt adds a file, and the folder is one run.

    Raises:
        RunError: the package tensorboard is not installed.
    """

    name = "tensorboard"

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        try:
            writer = importlib.import_module("torch.utils.tensorboard")
        except ImportError as error:
            raise RunError(
                "tracking.tensorboard: the package tensorboard is not installed; install it with: pip install "
                "'wellstream[tensorboard]', or leave tracking.tensorboard out"
            ) from error
        _hush_writers()
        self._folder = folder
        with naming(folder):
            self._writer = writer.SummaryWriter(log_dir=str(folder))
            self._writer.add_text("config", _code(json.dumps(settings, indent=1, sort_keys=True, default=str)), 0)

    def log(self, step: int, values: Mapping[str, Value]) -> None:
        """Record numbers after ``step`` completed steps."""
        with naming(self._folder):
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name, value, step)

    def table(self, name: str, table: pd.DataFrame, step: int) -> None:
        """Show a table as text."""
        with naming(self._folder):
            self._writer.add_text(name, _code(table.to_string(index=False)), step)

    def figure(self, name: str, file: Path, step: int) -> None:
        """Show a PNG."""
        reader = importlib.import_module("matplotlib.image")
        picture = reader.imread(file)
        with naming(self._folder):
            self._writer.add_image(name, picture, step, dataformats="HWC")

    def close(self, exit_code: int) -> None:
        """Write everything down."""
        with naming(self._folder):
            # Closing alone does not say what its thread could not write.
            self._writer.flush()
            self._writer.close()


class Guarded:
    """A place that is left out, with a warning, once it fails in whatever way.

    Args:
        name: name of the place.
        opened: makes it. Errors with a sentence of ours are raised, because they are mistakes of the config.
        needed: whether the place is what the work is for; then its failure is raised, as RunError.
    """

    def __init__(self, name: str, opened: Callable[[], Place], *, needed: bool = False) -> None:
        self._name, self._needed = name, needed
        self._place: Place | None = None
        try:
            self._place = opened()
        except RunError:
            raise
        except Exception as error:
            self._left_out(error)

    def do(self, act: Callable[[Place], None]) -> None:
        """Let the place act, where it is still there."""
        if self._place is None:
            return
        try:
            act(self._place)
        except Exception as error:
            self._left_out(error)

    def _left_out(self, error: Exception) -> None:
        self._place = None
        reason = sentence_of(error) if isinstance(error, OSError) and error.errno is not None else str(error)
        if self._needed:
            raise RunError(f"{self._name} failed, so it holds only a part of the run: {reason}") from error
        log.warning("%s failed and is left out from here on: %s; metrics.jsonl is complete", self._name, reason)


def _hush_writers() -> None:
    """Leave out the traceback of TensorBoard's thread: what it met is raised at the next call of its writer."""
    before = threading.excepthook
    if getattr(before, "hushes_writers", False):
        return

    def shown(found: threading.ExceptHookArgs) -> None:
        if not type(found.thread).__module__.startswith("tensorboard."):
            before(found)

    shown.hushes_writers = True  # type: ignore[attr-defined]
    threading.excepthook = shown


def _code(text: str) -> str:
    """Return text as TensorBoard shows it in letters of one width."""
    return "\n".join(f"    {line}" for line in text.splitlines())
