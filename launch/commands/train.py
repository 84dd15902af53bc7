"""Training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from launch import later, show
from launch.command import add
from launch.entry import DEBUG_VARIABLE
from launch.options import Overrides

PANEL = "Training"
OUTPUT = "a run is written to run_dir of its config, which an override sets: run_dir=FOLDER"


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``wellstream``."""
    instead = dict.fromkeys(("--out", "-o", "--output", "--run-dir"), OUTPUT)
    instead["--data"] = "the dataset is a key of the config, which an override sets: data.path=DATASET"
    add(app, train, panel=PANEL, runs_code=True, instead=instead)


def train(
    config: Annotated[Path, typer.Argument(help="run YAML; see experiments/*/*.yaml")],
    options: Overrides = None,
    nproc: Annotated[
        int, typer.Option(min=1, help="processes on this machine (one per GPU), reached from no other machine")
    ] = 1,
    resume: Annotated[
        str, typer.Option(help="auto: newest valid checkpoint of the run; none: start new; or a PATH")
    ] = "auto",
) -> None:
    """Train what a YAML describes. Over several machines: torchrun --nproc-per-node N -m launch.train CONFIG.

    Python: wellstream.fit(config)
    """
    arguments = [str(config), *(options or []), "--resume", resume]
    if nproc == 1:
        raise typer.Exit(later.train(arguments))
    later.load_run_config(config, options or [])  # a mistake is said once, not by every rank
    ending = later.start_processes("launch.train", arguments, nproc)
    show.ending(ending, debug=bool(os.environ.get(DEBUG_VARIABLE)))
    raise typer.Exit(ending.code)
