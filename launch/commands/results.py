"""What comes after training: embed, predict, inpaint, saliency."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from framework.errors import ConfigError
from framework.result import Result
from launch import several, show
from launch.command import add
from launch.options import DatasetOfRun, Device, Part, RunFolder, Views, listed
from launch.several import Processes

PANEL = "Results of a run"
ORDER = 30


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    for command in (embed, predict, inpaint, saliency):
        add(app, command, panel=PANEL, runs_code=True)


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """Layers of the network instead of its embeddings."""

    layers: Annotated[
        str | None,
        typer.Option(
            help="write these layers of the network instead, such as conv3,conv4: one file per layer, one row per tile"
        ),
    ] = None
    pool: Annotated[str, typer.Option(help="how --layers are pooled over space: max or mean")] = "max"
    views: Annotated[
        str,
        typer.Option(
            help="with --layers: average over views: 4 (mirror images), 8 (all symmetries) or image2omics (its four)"
        ),
    ] = "1"


def embed(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write; with --layers a folder")],
    options: LayerOptions,
    data: DatasetOfRun = None,
    level: Annotated[str, typer.Option(help="tile: one row per tile; bag: the mean of each bag")] = "tile",
    untrained: Annotated[bool, typer.Option("--untrained", help="use the weights that the run began with")] = False,
    device: Device = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> None:
    """Write embeddings as AnnData. Heads can be trained on tile embeddings (data.embeddings in a run YAML).

    If the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: wellstream.open_run(run).embed(), .write_embeddings(out), .write_layers(out, layers)
    """
    if options.layers is None and options.views != "1":
        raise ConfigError("--views works only with --layers; name layers with --layers conv4")
    if options.layers is not None and level != "tile":
        raise ConfigError("--layers always writes one row per tile; leave out --level")
    written: Result
    with processes.opened(run, device) as (opened, report):
        if options.layers is None:
            written = opened.write_embeddings(out, data=data, level=level, untrained=untrained, progress=report)
        else:
            layers, pool, views = listed(options.layers), options.pool, options.views
            written = opened.write_layers(
                out, layers, data=data, pool=pool, views=views, untrained=untrained, progress=report
            )
    several.summary(written)


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What is averaged, and which intervals are added."""

    tiles: Annotated[int, typer.Option(min=1, help="tiles sampled per bag (Mehrizi 2023: 512)")] = 512
    seeds: Annotated[int, typer.Option(min=1, help="random draws of tiles to average over (Mehrizi 2023: 3)")] = 3
    views: Views = "1"
    interval: Annotated[
        float | None,
        typer.Option(
            "--interval",
            help="add layers lower and upper: intervals that hold this share of measured values, such as 0.9",
        ),
    ] = None
    interval_by: Annotated[
        str, typer.Option("--interval-by", help="columns whose values get separate intervals, such as Metadata_Plate")
    ] = ""


def predict(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write (a folder when there are several targets)")],
    options: PredictOptions,
    data: DatasetOfRun = None,
    part: Part = "test",
    device: Device = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> None:
    """Write predictions as AnnData, with the measured values if the dataset has them.

    If the pool of the run has learned weights of tiles, attention.parquet holds them, one row per tile.

    If the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: wellstream.open_run(run).predict(), .write_predictions(out)
    """
    with processes.opened(run, device) as (opened, report):
        summary = opened.write_predictions(
            out,
            data=data,
            part=part,
            tiles=options.tiles,
            seeds=options.seeds,
            views=options.views,
            interval=options.interval,
            interval_by=listed(options.interval_by),
            progress=report,
        )
    several.summary(summary)


def inpaint(
    run: Annotated[Path, typer.Argument(help="run folder of paired_inpainting")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder; default: inpainting in the run")] = None,
    data: DatasetOfRun = None,
    part: Part = "test",
    panels: Annotated[int, typer.Option(min=0, help="number of conditions whose images are kept for the report")] = 8,
    device: Device = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> None:
    """Paint each cell twice, from a source of its own protein and of another: does the network use its source?

    Python: wellstream.open_run(run).inpaint()
    """
    with processes.opened(run, device) as (opened, report):
        summary = opened.inpaint(out, data=data, part=part, panels=panels, progress=report)
    several.summary(summary)


@dataclass(frozen=True, kw_only=True)
class SaliencyOptions:
    """Options for runs that predict bags."""

    outputs: Annotated[
        str | None,
        typer.Option(
            help="runs on bags: genes to explain, such as GENE1,transcripts_M1/GENE2; if none are named: all, if "
            "they are few"
        ),
    ] = None
    bags: Annotated[
        str, typer.Option(help="runs on bags: how many bags to draw, or their names, such as A01,plate-2/B03")
    ] = "4"
    samples: Annotated[
        int, typer.Option(min=1, help="runs on bags: number of noisy copies that SmoothGrad averages over")
    ] = 25
    noise: Annotated[
        float,
        typer.Option(min=0, help="runs on bags: standard deviation of that noise, as a share of the range of a tile"),
    ] = 0.15


def saliency(
    run: RunFolder,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help=".npz to write; wellstream figure --saliency takes it, and images.saliency of an expression YAML",
        ),
    ],
    bag_options: SaliencyOptions,
    data: DatasetOfRun = None,
    part: Part = "test",
    tiles: Annotated[
        int | None, typer.Option(min=1, help="how many tiles to explain, drawn at random; default: 256, or 9 per bag")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
) -> None:
    """Write which pixels of a cell a prediction depends on.

    A run that predicts tiles is explained by guided backpropagation, one that predicts bags by SmoothGrad. For bags
    there is also a table of the contribution of each tile, and a picture of the tiles that raise and lower the
    prediction most (NAME.figures/tile_votes.png). To show it in the report: wellstream report RUN --figures
    NAME.figures

    Python: wellstream.open_run(run).saliency(out)
    """
    told = bag_options
    bags = int(told.bags) if told.bags.isdigit() else listed(told.bags)
    outputs = listed(told.outputs or "")
    with show.progress() as report:
        summary = ws.Run(run, device).saliency(
            out,
            data=data,
            part=part,
            tiles=tiles,
            seed=seed,
            outputs=outputs,
            bags=bags,
            samples=told.samples,
            noise=told.noise,
            progress=report,
        )
    show.summary(summary)
    if summary.bags is not None:
        made = ws.figure("tile_votes", out.with_suffix(".figures"), saliency=out)
        show.console.print(f"picture: {made.files[0]}")
