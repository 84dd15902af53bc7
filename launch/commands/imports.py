"""Published data and networks: import-release, import-checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from launch import show
from launch.command import add
from launch.options import listed

PANEL = "Published data and networks"
ORDER = 50


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, import_release, panel=PANEL)
    add(app, import_checkpoint, panel=PANEL)


def import_release(
    data: Annotated[Path, typer.Argument(help="the published data of Image2Omics: folder with ICF, TILES and GT")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder to write plate map, targets and ingest.yaml to")],
    value: Annotated[
        str | None, typer.Option(help="column of GT with the labels, if it has another name than the usual ones")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(help="column of GT with train, val and test, if it has another name")
    ] = None,
) -> None:
    """Prepare the published data of Image2Omics: plate map, targets, and a config for wellstream ingest.

    Example: wellstream import-release image2omics/data --out image2omics/prepared
    Python: wellstream.import_release(data, out)
    """
    show.summary(ws.import_release(data, out, value=value, fold=fold))


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="checkpoint of the authors of Image2Omics, for one target")],
    data: Annotated[str, typer.Option("--data", help="the dataset made after import-release")],
    target: Annotated[str, typer.Option(help="target that the checkpoint predicts, such as transcriptomics_m1")],
    out: Annotated[Path, typer.Option("--out", "-o", help="run folder to write")],
    channels: Annotated[
        str | None,
        typer.Option(
            help="names of channels in the order that the network was trained with; default: the order of the dataset"
        ),
    ] = None,
    split_by: Annotated[
        str | None, typer.Option(help="column of the wells with train, val and test; default: Metadata_Fold_TARGET")
    ] = None,
    aggregate: Annotated[
        str, typer.Option(help="where tiles are averaged: backbone (the authors' code) or tile_embedding (the paper)")
    ] = "backbone",
    scale: Annotated[str, typer.Option(help="how pixels are scaled")] = "per_tile_standardise",
) -> None:
    """Make a run folder from a published checkpoint of Image2Omics, for embed, predict, evaluate and export.

    Example: wellstream import-checkpoint m1.ckpt --data DATASET --target transcriptomics_m1 --out RUN
    Python: wellstream.import_checkpoint(file, data, target, out)
    """
    names = tuple(listed(channels)) if channels else None
    made = ws.import_checkpoint(
        file, data, target, out, channels=names, split_by=split_by, aggregate=aggregate, scale=scale
    )
    show.summary(made)
