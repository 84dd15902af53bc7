"""Training: single runs, and whole studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from launch import later, show
from launch.command import add
from launch.elsewhere import Elsewhere
from launch.options import Nproc, Overrides
from launch.several import Machines, start

PANEL = "Training"
ORDER = 20
OUTPUT = "the run is written to the key run_dir of the config; type run_dir=FOLDER"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    instead = dict.fromkeys(("--out", "-o", "--output", "--run-dir"), OUTPUT)
    instead["--data"] = "the dataset is the key data.path of the config; type data.path=DATASET"
    add(app, train, panel=PANEL, runs_code=True, instead=instead)
    add(app, heads, panel=PANEL, runs_code=True, instead=instead)
    output = "the study is written to the key out of the config; type out=FOLDER"
    add(app, study, panel=PANEL, runs_code=True, instead=dict.fromkeys(("--out", "-o", "--output"), output))


def train(
    config: Annotated[Path, typer.Argument(help="run YAML; see experiments/*/*.yaml")],
    options: Overrides = None,
    nproc: Nproc = 1,
    resume: Annotated[
        str,
        typer.Option(
            help="auto: go on from the newest valid checkpoint of the run; none: start anew; or the PATH of a "
            "checkpoint"
        ),
    ] = "auto",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="make a few steps, and say what time and memory they need and what would need less; with --on: "
            "show the job",
        ),
    ] = False,
    machines: Machines = Machines(),  # noqa: B008 - frozen
    where: Elsewhere = Elsewhere(),  # noqa: B008 - frozen
) -> None:
    """Train the model that a YAML file describes.

    With several machines, type the same command on each, with the number of that machine. All must see the same
    run_dir:
    wellstream train CONFIG --nodes 2 --nproc 8 --node-rank 0 --master HOST
    As a job of a cluster:
    wellstream train CONFIG --nodes 2 --nproc 8 --on slurm --dry-run
    Without --nodes, processes listen on this machine only.

    Python: wellstream.fit(config), wellstream.rehearse(config)
    """
    if where.needed():
        later.config_to_train(config, options or [])
        words = [*(options or []), "--resume", resume]
        later.train_elsewhere(where, config, words, nodes=machines.nodes, nproc=nproc, dry_run=dry_run)
        return
    if dry_run:
        show.summary(ws.rehearse(config, overrides=options or ()))
        return
    arguments = [str(config), *(options or []), "--resume", resume]
    meeting = machines.meeting()
    if nproc == 1 and meeting is None:
        raise typer.Exit(later.train(arguments))
    later.config_to_train(config, options or [])  # a mistake is said once, not by every rank
    start("launch.train", arguments, nproc, meeting)


def study(
    config: Annotated[Path, typer.Argument(help="study YAML; see experiments/*/study.yaml")],
    options: Overrides = None,
    only: Annotated[
        str | None, typer.Option(help="do only this step, or this stage, such as heads", metavar="STEP")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="do this step or stage and all that it needs", metavar="STEP")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="do nothing; print the steps and which are done")] = False,
) -> None:
    """Run a whole study: ingest, pretrain, embed, heads of all splits, predict, evaluate, report. Run again to go on.

    Each step is printed as the command that it runs. If a setting changed, it is named, and the steps that depend on it
    are done again.

    Python: wellstream.study(config)
    """
    try:
        show.summary(ws.study(config, overrides=options or (), only=only, until=until, dry_run=dry_run))
    except later.StepFailed as error:
        show.failure(error)
        raise typer.Exit(error.code) from None


def heads(
    config: Annotated[Path, typer.Argument(help="run YAML of omics_heads with data.embeddings")],
    options: Overrides = None,
) -> None:
    """Train linear heads of many targets and splits at once, from cached tile embeddings.

    There is one model for each pair of a target (objective.targets) and a seed (heads.seeds), as in: wellstream heads
    CONFIG 'heads.seeds=[0, 1, 2]'. Each model gets a run folder in run_dir, with the weights that wellstream train
    would give it. If each split has its own backbone, write {seed} in objective.pretrained and data.embeddings.
    Finished models stay, so the same command goes on after a stop.

    Python: wellstream.fit_heads(config)
    """
    with show.progress() as report:
        summary = ws.fit_heads(config, overrides=options or [], progress=report)
    show.summary(summary)
