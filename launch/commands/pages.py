"""Pages and pictures: report, figure, track."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

import wellstream as ws
from framework.errors import ConfigError
from launch import show
from launch.command import add
from launch.commands.results import PANEL
from launch.options import DatasetOfRun, Plugins, RunFolder, given, is_override, listed

ORDER = 33


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    for command in (report, figure, track):
        add(app, command, panel=PANEL, runs_code=True)


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Files that a page shows in addition to the run."""

    evaluation: Annotated[
        Path | None, typer.Option(help="folder written by wellstream evaluate; default: evaluation in the run")
    ] = None
    embeddings: Annotated[Path | None, typer.Option(help="bag embeddings .h5ad for the map of wells")] = None
    figures: Annotated[
        Path | None, typer.Option(help="folder written by wellstream figure; default: figures in the run")
    ] = None
    truth: Annotated[
        Path | None,
        typer.Option(
            help="truth.parquet of a simulated plate: shows whether the genes that follow the cells were found"
        ),
    ] = None


def report(
    run: Annotated[str, typer.Argument(metavar="RUN or DATASET", help="run folder, or dataset folder or URL")],
    files: ReportFiles,
    data: DatasetOfRun = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file; default: report.html in the run")] = None,
    map_out: Annotated[
        Path | None,
        typer.Option(
            "--map", help="second HTML file: a map of --embeddings whose points show their cells and their well"
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a self-contained HTML report of a run, or of a finished dataset.

    Python: wellstream.report(run)
    """
    page = ws.report(run, data=data, out=out, map_out=map_out, plugins=plugin or (), **given(files))
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
    evaluation: Annotated[Path | None, typer.Option(help="folder of wellstream evaluate, instead of --predictions")] = (
        None
    )
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
            help="names of figures; all: every figure whose inputs are given. key=value: an option, if one figure "
            "is named",
        ),
    ] = None,
    *,
    files: FigureFiles,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for NAME.png, NAME.svg and NAME.csv")] = Path(
        "figures"
    ),
    listing: Annotated[
        bool, typer.Option("--list", help="list the figures: what each shows and which inputs it takes")
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
    overrides = [word for word in words if is_override(word)]
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
    to: Annotated[str, typer.Option(help="wandb, tensorboard, or wandb,tensorboard", metavar="PLACE")] = "wandb",
    online: Annotated[bool, typer.Option("--online", help="send to wandb now; needs: wandb login")] = False,
    project: Annotated[str, typer.Option(help="project of wandb")] = "wellstream",
    name: Annotated[str | None, typer.Option(help="name of the new run; default: the name of the run folder")] = None,
) -> None:
    """Send curves, evaluation tables and figures of a run folder to wandb or TensorBoard, as a new run.

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
