"""Proofs and this installation: verify, bench, doctor, config."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from framework.errors import DatasetError, RunError
from framework.interpreter import ROOT, python_on
from launch import later, show
from launch.command import add

PANEL = "Proofs and this installation"
ORDER = 60
_THERE = "clone the repository of Wellstream and type there: python -m benchmarks"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, verify, panel=PANEL, runs_code=True)
    add(app, bench, panel=PANEL, extra_words=True)
    add(app, doctor, panel=PANEL)
    add(app, config, panel=PANEL)


def verify(
    folder: Annotated[str, typer.Argument(help="dataset folder or URL, or run folder")],
    head: Annotated[
        str | None,
        typer.Option(
            help="for a run: the head that an earlier verification printed; exactly that checkpoint is proved"
        ),
    ] = None,
) -> None:
    """Prove that a dataset is undamaged, or that a run consumed every planned tile exactly once.

    Exit code 0: all is sound. 1: a dataset behind a URL is sound, but copies in the cache of this machine were damaged
    and are removed now. 2: it is not sound. SECURITY.md says what this proves, and against whom.

    Python: wellstream.verify_dataset(folder), wellstream.verify_run(folder)
    """
    if (Path(folder) / "config.yaml").is_file():
        show.verdict(ws.verify_run(folder, head))
        return
    if head is not None:
        raise RunError(
            f"{folder}: no config.yaml, so this is not a run folder, and --head is for runs only; leave it out"
        )
    if "://" not in folder and not Path(folder).is_dir():
        raise DatasetError(
            f"{folder}: no such dataset folder, and no such run folder; make a dataset with: wellstream ingest "
            "CONFIG, a run with: wellstream train CONFIG"
        )
    with show.progress() as tick:
        found = ws.verify_dataset(folder, progress=tick)
    show.verdict(found)
    # A script must learn that what it read before may have been wrong.
    raise typer.Exit(int(found.removed > 0))


def bench(context: typer.Context, theme: Annotated[str, typer.Argument(help="theme, or all")]) -> None:
    """Measure the speed on this machine, compared with its physical limit and with other libraries."""
    if not (ROOT / "benchmarks" / "__main__.py").is_file():
        raise RunError(f"the benchmarks are not part of an installed package; {_THERE} {theme}")
    os.execv(sys.executable, python_on("benchmarks", [theme, *context.args]))  # noqa: S606 - our own interpreter


def config(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="kind of config, such as run; or one entry, such as objective.triplet_mil; nothing: list all kinds"
        ),
    ] = None,
    picks: Annotated[
        list[str] | None,
        typer.Argument(metavar="key=entry", help="which entries to write, such as objective=triplet_mil"),
    ] = None,
) -> None:
    """Write a config to fill in: every key with its default, type and meaning.

    ``...`` marks a value that you must give. Every other key may be left out.

    Example: wellstream config run objective=marker_regression plan=tiles > my.yaml
    Python: wellstream.config(kind), wellstream.config_kinds()
    """
    typer.echo(
        "\n".join(ws.config_kinds()) if kind is None else ws.config(kind, overrides=picks or ()), nl=kind is None
    )


def doctor() -> None:
    """Check this installation: versions, devices, memory, optional parts. Exits with 1 if something is broken."""
    raise typer.Exit(later.doctor())
