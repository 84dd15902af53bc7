"""``make first-hour DATA=FOLDER``: what three newcomers type in their first hour, with a stopwatch.

The commands are those of the pages that tell people to type them, read from these pages: *Ten minutes* on a real plate
of an Opera Phenix, the same on real files named as an ImageXpress names them, *Genes from images* on the plate that
*Ten minutes* simulates, and *Expression per imaged cell* on one TIFF per cell. Every command is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.demo.steps import Protocol, carried_out
from experiments.first_hour.inputs import imagexpress, phenix, three_things
from framework.durable import write_json
from framework.errors import ConfigError
from framework.terminal import Terminal

DOCS = Path(__file__).resolve().parents[2] / "docs"
START, GENES, EXPRESSION = "start.md", "howto/omics.md", "howto/expression.md"


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one newcomer does.

    Attributes:
        name: of its folder, and in the table.
        prepare: puts what the newcomer has into an empty folder; takes the folder of real data and that folder.
        commands: as typed there, without ``wellstream``.
    """

    name: str
    prepare: Callable[[Path, Path], object]
    commands: tuple[tuple[str, ...], ...]


def tasks() -> tuple[Task, ...]:
    """Return the four tasks, with the commands as the pages have them now."""
    simulate, *ten_minutes = typed(START)
    plate = {"export/SIM": "raw", "export/platemap.csv": "platemap.csv"}
    own = [_replaced(words, plate) for words in ten_minutes]
    init, *rest = own
    bare = _without(init, "--platemap")
    # Two wells make no map of wells.
    of_two_wells = [_without(words, "--map") for words in rest]
    return (
        Task(name="phenix", prepare=phenix, commands=((*init, "--omics", "test_l1000.gct"), *rest)),
        Task(name="genes", prepare=lambda data, folder: None, commands=(simulate, *typed(GENES))),
        Task(name="imagexpress", prepare=imagexpress, commands=(bare, *of_two_wells)),
        Task(
            name="expression",
            prepare=lambda data, folder: three_things(folder, blocks(EXPRESSION, "yaml")),
            commands=(("init", "cells", "--out", "first"), *typed(EXPRESSION)),
        ),
    )


def typed(page: str) -> list[tuple[str, ...]]:
    """Return the commands of a page of the documentation, without ``wellstream``.

    Args:
        page: its path in ``docs``.

    Raises:
        ConfigError: it has none.
    """
    lines = [shlex.split(line) for text in blocks(page, "console") for line in text.splitlines()]
    found = [tuple(words[1:]) for words in lines if words[:1] == ["wellstream"]]
    if not found:
        raise ConfigError(f"docs/{page}: no block ```console with a command 'wellstream ...'")
    return found


def blocks(page: str, kind: str) -> list[str]:
    """Return what stands in the blocks of one kind, such as ``yaml``, of a page of the documentation."""
    return re.findall(rf"```{kind}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def _replaced(words: tuple[str, ...], by: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(by.get(word, word) for word in words)


def _without(words: tuple[str, ...], option: str) -> tuple[str, ...]:
    """Return the words without an option and its value."""
    if option not in words:
        return words
    place = words.index(option)
    return words[:place] + words[place + 2 :]


def carry_out(data: Path, out: Path, console: Console) -> dict[str, Any]:
    """Do all tasks below ``out``, each in an empty folder.

    Returns:
        ``machine``, and ``commands``: task, command and seconds of each.

    Raises:
        WellstreamError: a command failed; it has said why.
    """
    rows = []
    for task in tasks():
        folder = out / task.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        task.prepare(data, folder)
        protocol, here = Protocol(console=console), Path.cwd()
        os.chdir(folder)
        try:
            for words in task.commands:
                protocol.run(f"{task.name}: {words[0]}", *words)
        finally:
            os.chdir(here)
        for words, (_, seconds) in zip(task.commands, protocol.seconds, strict=True):
            rows.append(
                {"task": task.name, "command": shlex.join(["wellstream", *words]), "seconds": round(seconds, 1)}
            )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"machine": f"{cores} cores, {platform.machine()}, {platform.system()}", "commands": rows}


def show(console: Console, found: Mapping[str, Any]) -> None:
    """Print what each command took, and the sum of each task."""
    table = Table("task", "command", "seconds", box=None)
    for row in found["commands"]:
        table.add_row(row["task"], row["command"], f"{row['seconds']:.0f}")
    console.print(table, soft_wrap=True)
    for name in dict.fromkeys(row["task"] for row in found["commands"]):
        whole = sum(row["seconds"] for row in found["commands"] if row["task"] == name)
        console.print(f"{name}: {whole:.0f} s in all")


def main() -> int:
    """Do the tasks and write ``OUT/first_hour.json``."""
    parser = argparse.ArgumentParser(prog="python -m experiments.first_hour", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with phenix-4i-round1, l1000-a375-plate, imagexpress-yokogawa"
    )
    parser.add_argument("--out", type=Path, default=Path("first_hour"), help="folder for everything this makes")
    options = parser.parse_args()
    console, out = Terminal(), options.out.resolve()

    def work() -> None:
        found = carry_out(options.data.resolve(), out, console)
        write_json(out / "first_hour.json", found)
        show(console, found)
        console.print(f"wrote {out / 'first_hour.json'}")

    return carried_out(console, work)
