"""``wellstream track``: the records of a run folder as a fresh run at Weights & Biases or TensorBoard."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.errors import RunError
from framework.files.outputs import check_output_folder
from framework.files.parquet import read_parquet
from framework.result import Result
from framework.tracking.metrics import read_metrics
from framework.tracking.places import Guarded
from framework.tracking.tracker import TrackingConfig, finite, open_places

_FOLDERS = ("tensorboard", "wandb")
"""What places make in their folder."""
_TABLES, _FIGURES = ("evaluation", "figures"), ("figures", "evaluation")
_MOST_ROWS = 10_000


@dataclass(frozen=True, kw_only=True, repr=False)
class ReplaySummary(Result):
    """What was sent.

    Attributes:
        folder: where the files of the new run lie.
        steps: logged steps.
        values: numbers of these steps.
        tables: names of the tables, those of evaluations.
        figures: names of the figures.
        left_out: tables with more rows than a page shows.
    """

    folder: Path
    steps: int
    values: int
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    left_out: tuple[str, ...]


def replay_run(
    run_dir: Path | str, out: Path | str, config: TrackingConfig, settings: Mapping[str, Any]
) -> ReplaySummary:
    """Send what a run folder holds to the places of ``config``, as a new run.

    Of a step that several attempts made the last one counts, as ``read_metrics`` has it.

    Args:
        run_dir: the run folder.
        out: folder for the files of the new run.
        config: section ``tracking``.
        settings: shown beside the curves.

    Raises:
        RunError: no place, or no metrics; a place that is not installed, or that fails.
    """
    folder = Path(run_dir)
    if config.wandb == "disabled" and not config.tensorboard:
        raise RunError("nowhere to send the run to: choose wandb (offline or online), tensorboard, or both")
    check_output_folder(out)
    table = read_metrics(folder)
    tables, left_out = _tables(folder)
    figures = _found(folder, _FIGURES, "*.png")
    with _nothing_left(Path(out)):
        Path(out).mkdir(parents=True, exist_ok=True)
        named = config.model_copy(update={"name": config.name or folder.resolve().name})
        places = open_places(Path(out), named, settings, secrets.token_hex(6), needed=True)
        sent = _send(places, table, tables, figures)
    return ReplaySummary(
        folder=Path(out),
        steps=len(table),
        values=sent,
        tables=tuple(tables),
        figures=tuple(figures),
        left_out=left_out,
    )


@contextmanager
def _nothing_left(out: Path) -> Iterator[None]:
    """Remove what places made in ``out`` if the block ends with an error: a part of a run would be shown as one."""
    was_there, before = out.exists(), set(_of_places(out))
    try:
        yield
    except BaseException:
        for path in sorted(set(_of_places(out)) - before, reverse=True):
            with suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        if not was_there:
            with suppress(OSError):
                out.rmdir()
        raise


def _of_places(out: Path) -> Iterator[Path]:
    """Yield the folders of places and all below them; whatever else lies or comes beside them is not ours."""
    for folder in (out / name for name in _FOLDERS):
        if folder.exists():
            yield from (folder, *folder.rglob("*"))


def _send(
    places: Sequence[Guarded], metrics: pd.DataFrame, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Path]
) -> int:
    """Send all to each place and end it; return how many values of the curves there were."""
    last = int(metrics["step"].max()) if len(metrics) else 0
    sent = 0
    for row in metrics.to_dict("records"):
        step = int(row.pop("step"))
        values = {str(name): finite(value) for name, value in row.items() if not _is_missing(value)}
        sent += len(values)
        for place in places:
            place.do(lambda each, step=step, values=values: each.log(step, values))  # type: ignore[misc]
    for name, content in tables.items():
        for place in places:
            place.do(lambda each, name=name, content=content: each.table(name, content, last))  # type: ignore[misc]
    for name, file in figures.items():
        for place in places:
            place.do(lambda each, name=name, file=file: each.figure(name, file, last))  # type: ignore[misc]
    for place in places:
        place.do(lambda each: each.close(0))
    return sent


def _tables(folder: Path) -> tuple[dict[str, pd.DataFrame], tuple[str, ...]]:
    """Return name -> table of those that an evaluation wrote, and the names of those that are too long."""
    found = {name: read_parquet(file, error=RunError) for name, file in _found(folder, _TABLES, "*.parquet").items()}
    short = {name: table for name, table in found.items() if len(table) <= _MOST_ROWS}
    return short, tuple(sorted(found.keys() - short.keys()))


def _found(folder: Path, inside: tuple[str, ...], pattern: str) -> dict[str, Path]:
    files = [file for name in inside for file in sorted((folder / name).rglob(pattern))]
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _is_missing(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
