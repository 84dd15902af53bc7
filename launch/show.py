"""What the command line prints: progress with rate and time left, summaries, verdicts, errors."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.table import Table

from framework.format import byte_size, count_of, duration
from framework.progress import OnProgress, Pace
from framework.result import Result, first_of, long_facts, short_facts
from framework.terminal import Terminal, progress_bar, visible
from launch import later

if TYPE_CHECKING:
    from framework.data.dataset import Dataset
    from framework.data.verify import Verdict
    from framework.distributed import Ending
    from framework.evaluate import Evaluation

console = Terminal()
errors = Terminal(stderr=True)


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show one bar per stage; on a pipe, print a line as each stage begins, and at intervals how far it is."""
    bars: dict[str, Any] = {}
    paces: dict[str, Pace] = {}
    with progress_bar("{task.description}", errors, shown=errors.is_terminal) as shown:

        def report(stage: str, done: int, total: int) -> None:
            if stage not in bars:
                bars[stage] = shown.add_task(stage, total=total)
                paces[stage] = Pace(done)
                if not errors.is_terminal:
                    errors.print(f"{stage}: {total}")
            shown.update(bars[stage], completed=done, total=total)
            left_s = None if errors.is_terminal else paces[stage].due(done, total)
            if left_s is not None:
                errors.print(f"{stage}: {done} of {total}, about {duration(left_s)} left")

        yield report


def summary(value: Result) -> None:
    """Print a result as a two-column table; long lists by their length."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in short_facts(value):
        table.add_row(name, text)
    console.print(table)
    for name, lines in long_facts(value):
        sentences(name, lines)


def evaluation(made: Evaluation) -> None:
    """Print the answer of an evaluation, its headline, and what a reader of its numbers must know."""
    verdict = later.evaluation_kind(made.kind).verdict(made.summary)
    if verdict is not None:
        console.print(verdict.text, style="bold" if verdict.holds else "bold red")
    for beside in later.targets_beside_baselines(made.summary):
        console.print(beside.text, style="bold" if beside.holds else "bold red")
    console.print(later.render(made))
    baselines = later.render_baselines(made)
    if baselines is not None:
        console.print(baselines)
    for note in made.summary["notes"]:
        console.print(f"- {note}")


def rows(table: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of one table, one column per key; numbers to three digits, what is unknown as a dash."""
    if not table:
        return
    drawn = Table(box=None, pad_edge=False)
    for name, item in table[0].items():
        drawn.add_column(str(name), justify="left" if isinstance(item, str) else "right")
    for row in table:
        drawn.add_row(*(_cell(item) for item in row.values()))
    console.print(drawn)


def dataset(opened: Dataset) -> None:
    """Print what an opened dataset holds."""
    manifest, bags = opened.manifest, opened.bags
    tile = manifest.tile
    table = Table(show_header=False, box=None, pad_edge=False)
    size = sum(shard.bytes for shard in manifest.shards)
    per_bag = bags["n_tiles"]
    whence = count_of(manifest.n_sources, "plate" if later.of_plates(bags.columns.tolist()) else "export")
    rows = {
        "dataset": f"{manifest.name} ({opened.where})",
        "tiles": f"{manifest.n_tiles} of {len(tile.channels)} x {tile.height} x {tile.width} {tile.dtype}",
        "channels": ", ".join(tile.channels),
        "pixel size": f"{manifest.pixel_size_um} um" if manifest.pixel_size_um else "unknown",
        "bags": f"{manifest.n_bags} of {whence}; tiles per bag: "
        f"{per_bag.min()} to {per_bag.max()}, median {per_bag.median():.0f}",
        "conditions": str(len(bags[["Metadata_Perturbation", "Metadata_Stimulation"]].drop_duplicates())),
        "cells": f"{manifest.n_cells} found, of which {manifest.n_tiles} have a tile",
        "markers": ", ".join(manifest.markers) or "none",
        "targets": ", ".join(manifest.targets) or "none",
        "shards": f"{len(manifest.shards)}, {byte_size(size)}, layout {manifest.layout}",
        "left out": f"{len(manifest.skipped)} entries",
    }
    if opened.remote is not None:
        rows["cache"] = f"{opened.remote.cache.root}: {opened.remote.shards_here()} of these shards here"
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)
    if manifest.skipped:
        sentences("left out", [f"{item.reason}: {item.detail}" for item in manifest.skipped])
    if manifest.notes:
        sentences("notes", list(manifest.notes))


def sentences(title: str, lines: list[str]) -> None:
    """Print the first few of many sentences, one per line, and how many more there are."""
    console.print(f"{title}:")
    for line in first_of(lines):
        console.print(f"  {line}")


def verdict(result: Verdict) -> None:
    """Print the sentences of a verification."""
    for sentence in result.sentences:
        console.print(sentence)


def failure(error: object) -> None:
    """Print one error sentence on standard error."""
    errors.print(f"wellstream: {as_typed(str(error))}", style="bold red")


def as_typed(text: str) -> str:
    """Return a message with the files below this folder named as people type them: without the folder.

    What a run remembers are absolute paths. Somebody who typed one absolutely gets it back so.
    """
    try:
        here = os.getcwd() + os.sep
    except OSError:  # the folder has been removed
        return text
    if len(here) < 3 or any(here in word for word in sys.argv):
        return text
    return re.sub(rf"(?<![\w/.~-]){re.escape(here)}(?=\S)", "", text)


class _Lines(logging.Formatter):
    """What modules log, as the other messages are written."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(as_typed(super().format(record)))


def log_lines(level: int) -> None:
    """Print what modules log from ``level`` on, each message as a line on standard error."""
    logging.raiseExceptions = False  # a log of wandb on a full disk would print tracebacks of its own
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(message)s"))
    handler.addFilter(_is_for_people)
    logging.basicConfig(level=level, handlers=[handler])


def _is_for_people(record: logging.LogRecord) -> bool:
    """Whether a line says something to who typed the command.

    Dask sets the level of its own loggers when it is loaded, which is later than this; its nannies warn of workers that
    take some seconds to end, after all work is done.
    """
    least = logging.ERROR if record.name == "distributed.nanny" else logging.WARNING
    return record.levelno >= least or not record.name.startswith("distributed")


def ending(ended: Ending, *, debug: bool) -> None:
    """Print how the ranks of a run ended: the cause, what else failed, and the stack of a rank that stood still."""
    if debug and ended.details:
        errors.print(ended.details.rstrip())
    for sentence in ended.sentences:
        failure(sentence)
    if ended.trace:
        errors.print(ended.trace.rstrip())


def _cell(item: Any) -> str:
    if isinstance(item, float):
        return "–" if item != item else f"{item:.3f}"
    return str(item)
