"""What comes after training: embed, predict, inpaint, saliency, report, figure, track."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

import wellstream as ws
from framework.errors import ConfigError
from framework.result import Result
from launch import show
from launch.command import add
from launch.options import DatasetOfRun, Device, Part, Plugins, RunFolder, Views, given, listed

PANEL = "Results of a run"
ORDER = 30
_KEY = re.compile(r"[A-Za-z_][\w.]*=")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    for command in (embed, predict, inpaint, saliency, report, figure, track):
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
) -> None:
    """Write embeddings as AnnData. Tile embeddings can train heads: data.embeddings in a run YAML.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: wellstream.open_run(run).embed(), .write_embeddings(out), .write_layers(out, layers)
    """
    if options.layers is None and options.views != "1":
        raise ConfigError("--views averages layers: name them with --layers")
    if options.layers is not None and level != "tile":
        raise ConfigError("--layers gives one row per tile: leave out --level")
    opened = ws.Run(run, device)
    written: Result
    with show.progress() as report:
        if options.layers is None:
            written = opened.write_embeddings(out, data=data, level=level, untrained=untrained, progress=report)
        else:
            layers, pool, views = listed(options.layers), options.pool, options.views
            written = opened.write_layers(
                out, layers, data=data, pool=pool, views=views, untrained=untrained, progress=report
            )
    show.summary(written)


def predict(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write (a folder when there are several targets)")],
    data: DatasetOfRun = None,
    part: Part = "test",
    tiles: Annotated[int, typer.Option(min=1, help="tiles sampled per bag (Mehrizi 2023: 512)")] = 512,
    seeds: Annotated[int, typer.Option(min=1, help="draws averaged (Mehrizi 2023: 3)")] = 3,
    views: Views = "1",
    interval: Annotated[
        float | None,
        typer.Option("--interval", help="share of measured values that layers lower and upper shall hold, such as 0.9"),
    ] = None,
    interval_by: Annotated[
        str, typer.Option("--interval-by", help="columns whose values have intervals of their own: Metadata_Plate")
    ] = "",
    device: Device = None,
) -> None:
    """Write predictions as AnnData, with the measured values beside them where the dataset has them.

    A run whose pool has learned how much each tile counts also writes attention.parquet, one row per tile.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: wellstream.open_run(run).predict(), .write_predictions(out)
    """
    with show.progress() as report:
        summary = ws.Run(run, device).write_predictions(
            out,
            data=data,
            part=part,
            tiles=tiles,
            seeds=seeds,
            views=views,
            interval=interval,
            interval_by=listed(interval_by),
            progress=report,
        )
    show.summary(summary)


def inpaint(
    run: Annotated[Path, typer.Argument(help="run folder of paired_inpainting")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder; default: inpainting in the run")] = None,
    data: DatasetOfRun = None,
    part: Part = "test",
    panels: Annotated[int, typer.Option(min=0, help="conditions to keep images of, for the report")] = 8,
    device: Device = None,
) -> None:
    """Paint every cell after a source of its own protein and after one of another: does the network use its source?

    Python: wellstream.open_run(run).inpaint()
    """
    with show.progress() as report:
        summary = ws.Run(run, device).inpaint(out, data=data, part=part, panels=panels, progress=report)
    show.summary(summary)


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


def report(
    run: Annotated[str, typer.Argument(metavar="RUN or DATASET", help="run folder, or dataset folder or URL")],
    data: DatasetOfRun = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="folder written by wellstream evaluate; default: evaluation in the run")
    ] = None,
    embeddings: Annotated[Path | None, typer.Option(help="bag embeddings .h5ad for the map of wells")] = None,
    figures: Annotated[
        Path | None, typer.Option(help="folder written by wellstream figure; default: figures in the run")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="truth.parquet of a simulated plate: which genes follow the cells, and were they found"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file; default: report.html in the run")] = None,
    map_out: Annotated[
        Path | None,
        typer.Option("--map", help="HTML file: a map of --embeddings whose points show their cells and their well"),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a self-contained HTML report of a run, or of a finished dataset.

    Python: wellstream.report(run)
    """
    page = ws.report(
        run,
        data=data,
        evaluation=evaluation,
        embeddings=embeddings,
        figures=figures,
        truth=truth,
        out=out,
        map_out=map_out,
        plugins=plugin or (),
    )
    show.console.print(f"report: {page}")
    if map_out is not None:
        show.console.print(f"map: {map_out}")


@dataclass(frozen=True, kw_only=True)
class FigureFiles:
    """What figures are drawn from; ``wellstream figure --list`` says which takes what."""

    predictions: Annotated[
        list[str] | None,
        typer.Option("--predictions", help="files of wellstream predict, or folders of them; repeat for more"),
    ] = None
    evaluation: Annotated[Path | None, typer.Option(help="folder of wellstream evaluate, in place of them")] = None
    data: Annotated[str | None, typer.Option("--data", help="dataset folder or URL")] = None
    embeddings: Annotated[Path | None, typer.Option(help="embeddings .h5ad of wells or tiles")] = None
    features: Annotated[Path | None, typer.Option(help="features .h5ad of tiles")] = None
    saliency: Annotated[
        list[Path] | None, typer.Option("--saliency", help="maps .npz of wellstream saliency; repeat for more")
    ] = None
    locations: Annotated[Path | None, typer.Option(help="subcellular_location.tsv of the Human Protein Atlas")] = None
    pathways: Annotated[Path | None, typer.Option(help="gene sets .gmt, such as ReactomePathways.gmt")] = None
    before: Annotated[Path | None, typer.Option(help="omics of wells before batch correction")] = None
    after: Annotated[Path | None, typer.Option(help="omics of the same wells after batch correction")] = None
    published: Annotated[Path | None, typer.Option(help="published scores of genes: CSV, one row per gene")] = None


def figure(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|key=value",
            help="figures, or all: each whose inputs are given; key=value: an option of the one figure that is named",
        ),
    ] = None,
    *,
    files: FigureFiles,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for NAME.png, NAME.svg and NAME.csv")] = Path(
        "figures"
    ),
    listing: Annotated[
        bool, typer.Option("--list", help="say what each figure shows, and which inputs it takes")
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Draw figures and tables of the paper from results: PNG, SVG and CSV of each.

    wellstream report RUN --figures FOLDER shows them on the page of a run.

    Python: wellstream.figure(name, out, predictions=...)
    """
    if listing:
        show.rows(ws.list_figures(plugin or ()))
        return
    words = names or []
    overrides = [word for word in words if _KEY.match(word)]
    with show.progress() as report:
        made = ws.figure(
            [word for word in words if word not in overrides],
            out,
            plugins=plugin or (),
            overrides=overrides,
            progress=report,
            **given(files),
        )
    show.summary(made)


def track(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder for the files; default: tracked in the run folder")
    ] = None,
    to: Annotated[
        str, typer.Option(help="wandb, tensorboard, or both with a comma between", metavar="PLACE")
    ] = "wandb",
    online: Annotated[bool, typer.Option("--online", help="send to wandb now; needs: wandb login")] = False,
    project: Annotated[str, typer.Option(help="project of wandb")] = "wellstream",
    name: Annotated[str | None, typer.Option(help="name of the fresh run; default: that of the run folder")] = None,
) -> None:
    """Send curves, tables of evaluate and figures of a run folder to wandb or TensorBoard, as a fresh run.

    Python: wellstream.track(run)
    """
    places = listed(to)
    unknown = [place for place in places if place not in ("wandb", "tensorboard")]
    if unknown or not places:
        raise ConfigError(f"--to: expected wandb, tensorboard or both, found '{to}'")
    mode: Literal["offline", "online", "disabled"] = "online" if online else "offline"
    show.summary(
        ws.track(
            run,
            out,
            wandb=mode if "wandb" in places else "disabled",
            tensorboard="tensorboard" in places,
            project=project,
            name=name,
        )
    )
