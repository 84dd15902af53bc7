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
        typer.Option(help="layers of the network instead, such as conv3,conv4: one file each, one row per tile"),
    ] = None
    pool: Annotated[str, typer.Option(help="how --layers are pooled over space: max or mean")] = "max"
    views: Annotated[
        str, typer.Option(help="with --layers: average over 4 mirror images, 8 symmetries, or the views image2omics")
    ] = "1"


def embed(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write; with --layers a folder")],
    options: LayerOptions,
    data: DatasetOfRun = None,
    level: Annotated[str, typer.Option(help="tile: one row per tile; bag: the mean of each bag")] = "tile",
    untrained: Annotated[bool, typer.Option("--untrained", help="with the weights the run began with")] = False,
    device: Device = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> None:
    """Write embeddings as AnnData. Tile embeddings can train heads: data.embeddings in a run YAML.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: wellstream.open_run(run).embed(), .write_embeddings(out), .write_layers(out, layers)
    """
    if options.layers is None and options.views != "1":
        raise ConfigError("--views averages layers: name them with --layers")
    if options.layers is not None and level != "tile":
        raise ConfigError("--layers gives one row per tile: leave out --level")
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
    """What is averaged, and how sure of it one may be."""

    tiles: Annotated[int, typer.Option(min=1, help="tiles sampled per bag (Mehrizi 2023: 512)")] = 512
    seeds: Annotated[int, typer.Option(min=1, help="draws averaged (Mehrizi 2023: 3)")] = 3
    views: Views = "1"
    interval: Annotated[
        float | None,
        typer.Option("--interval", help="share of measured values that layers lower and upper shall hold, such as 0.9"),
    ] = None
    interval_by: Annotated[
        str, typer.Option("--interval-by", help="columns whose values have intervals of their own: Metadata_Plate")
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
    """Write predictions as AnnData, with the measured values beside them where the dataset has them.

    A run whose pool has learned how much each tile counts also writes attention.parquet, one row per tile.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

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
    panels: Annotated[int, typer.Option(min=0, help="conditions to keep images of, for the report")] = 8,
    device: Device = None,
    processes: Processes = Processes(),  # noqa: B008 - frozen
) -> None:
    """Paint every cell after a source of its own protein and after one of another: does the network use its source?

    Python: wellstream.open_run(run).inpaint()
    """
    with processes.opened(run, device) as (opened, report):
        summary = opened.inpaint(out, data=data, part=part, panels=panels, progress=report)
    several.summary(summary)


@dataclass(frozen=True, kw_only=True)
class SaliencyOptions:
    """Of runs that predict bags."""

    outputs: Annotated[
        str | None, typer.Option(help="of bags: genes, such as GENE1,transcripts_M1/GENE2; all where they are few")
    ] = None
    bags: Annotated[str, typer.Option(help="of bags: how many are drawn, or names, such as A01,plate-2/B03")] = "4"
    samples: Annotated[int, typer.Option(min=1, help="of bags: noisy copies that SmoothGrad averages over")] = 25
    noise: Annotated[
        float, typer.Option(min=0, help="of bags: their standard deviation, as a share of the range of a tile")
    ] = 0.15


def saliency(
    run: RunFolder,
    out: Annotated[
        Path, typer.Option("--out", "-o", help=".npz to write; images.saliency of an expression YAML, or of a figure")
    ],
    bag_options: SaliencyOptions,
    data: DatasetOfRun = None,
    part: Part = "test",
    tiles: Annotated[
        int | None, typer.Option(min=1, help="how many tiles, drawn by --seed; default: 256, or 9 per bag")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = None,
) -> None:
    """Write which pixels of a cell a prediction is read from.

    Guided backpropagation for a run that predicts tiles; SmoothGrad for one that predicts bags, and beside it a table
    of what each tile of those bags says, and a picture of the tiles that raise and lower the prediction most
    (NAME.figures/tile_votes.png), which wellstream report RUN --figures NAME.figures shows.

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
