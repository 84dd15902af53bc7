"""Runs and datasets as files for other programs: export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from framework.errors import ConfigError
from launch import show
from launch.command import add
from launch.options import given, listed

PANEL = "Results of a run"
ORDER = 31


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, export, panel=PANEL, runs_code=True)


@dataclass(frozen=True, kw_only=True)
class OfRuns:
    """Options of an export of a run."""

    data: Annotated[
        str | None,
        typer.Option("--data", help="for a run: dataset with tiles of its size; default: the one the run trained on"),
    ] = None
    licence: Annotated[str | None, typer.Option(help="for a run: licence of the weights, such as CC-BY-4.0")] = None
    no_program: Annotated[
        bool, typer.Option("--no-program", help="for a run: leave out model.pt2, the program for torch.export.load")
    ] = False


@dataclass(frozen=True, kw_only=True)
class OfDatasets:
    """Options of an export of a dataset."""

    to: Annotated[
        str | None,
        typer.Option(help="for a dataset: the format, omezarr, h5sc (scPortrait), tiff (OME-TIFF) or webdataset"),
    ] = None
    channels: Annotated[str | None, typer.Option(help="for a dataset: only these channels, such as DNA,Actin")] = None


def export(
    source: Annotated[str, typer.Argument(metavar="RUN|DATASET", help="run folder; or dataset folder or URL")],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="key=value", help="for a dataset: options of the format, such as per=bag for tiff"),
    ] = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder to write; an exported run that is there is replaced")
    ],
    of_runs: OfRuns,
    of_datasets: OfDatasets,
) -> None:
    """Write files for other programs: the network of a run, or with --to the cells of a dataset.

    For a run: weights, model.json, a model card, and a program that needs only torch. Another run can begin with these
    weights: backbone: {name: ..., weights: FOLDER}. For a dataset: all its cells, with their labels.

    Python: wellstream.export(run, out), wellstream.export_dataset(dataset, out, to="tiff")
    """
    named = given(of_datasets)
    if ws.is_dataset(source) or named or options:
        _export_dataset(source, out, options or [], of_datasets, of_runs)
        return
    told = of_runs
    show.summary(ws.export(source, out, data=told.data, licence=told.licence, program=not told.no_program))


def _export_dataset(source: str, out: Path, options: list[str], told: OfDatasets, of_runs: OfRuns) -> None:
    if not ws.is_dataset(source):
        raise ConfigError(
            f"{source}: not a dataset, but --to, --channels and key=value are for datasets; name a folder "
            "with a dataset.json, or leave these options out to export a run"
        )
    if told.to is None:
        raise ConfigError(f"{source}: this is a dataset; name a format with --to: {', '.join(ws.EXPORTS.names())}")
    if of_runs != OfRuns():
        raise ConfigError(
            f"{source}: this is a dataset, but --data, --licence and --no-program are for runs; leave them out"
        )
    with show.progress() as report:
        made = ws.export_dataset(
            source, out, to=told.to, channels=listed(told.channels or ""), overrides=options, progress=report
        )
    show.summary(made)
