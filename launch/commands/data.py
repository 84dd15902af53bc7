"""From raw exports to a dataset: simulate, init, ingest, inspect, convert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from launch import later, show
from launch.command import add
from launch.elsewhere import Elsewhere
from launch.options import ConfigOption, Overrides, Scheduler

PANEL = "From raw exports to a dataset"
ORDER = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    simulate = typer.Typer(no_args_is_help=True, help="Write a simulated experiment with known truth.")
    app.add_typer(simulate, name="simulate", rich_help_panel=PANEL)
    add(simulate, simulate_plate, name="plate")
    add(simulate, simulate_ifc, name="ifc")
    add(simulate, simulate_crops, name="crops")
    add(app, init, panel=PANEL)
    add(app, ingest, panel=PANEL, runs_code=True)
    add(app, update, panel=PANEL, runs_code=True)
    add(app, inspect, panel=PANEL)
    add(app, convert, panel=PANEL)


def simulate_plate(
    out: Annotated[Path, typer.Argument(help="folder to write: Harmony export, plate map, omics tables, truth")],
    config: ConfigOption = None,
    options: Overrides = None,
) -> None:
    """Simulate a plate: a genuine Harmony export, omics tables and the truth behind both.

    Example: wellstream simulate plate demo/raw perturbations=12 size_px=540
    Python: wellstream.simulate_plate(out, perturbations=12)
    """
    with show.progress() as report:
        show.summary(ws.simulate_plate(out, config, overrides=options or (), progress=report))


def simulate_ifc(
    out: Annotated[Path, typer.Argument(help="folder to write: IDEAS export, features, CITE-seq tables, truth")],
    config: ConfigOption = None,
    options: Overrides = None,
) -> None:
    """Simulate a pair of experiments: imaging flow cytometry, and sequencing of the same populations of cells.

    Example: wellstream simulate ifc ifc/raw cells=500 informative=0.8
    Python: wellstream.simulate_ifc(out, cells=500)
    """
    with show.progress() as report:
        show.summary(ws.simulate_ifc(out, config, overrides=options or (), progress=report))


def simulate_crops(
    out: Annotated[Path, typer.Argument(help="folder to write: crops of single cells, truth")],
    config: ConfigOption = None,
    options: Overrides = None,
) -> None:
    """Simulate a library of tagged proteins: crops of single cells with a structure and a protein channel.

    Example: wellstream simulate crops crops/raw proteins=8 cells_per_field=20
    Python: wellstream.simulate_crops(out, proteins=8)
    """
    with show.progress() as report:
        show.summary(ws.simulate_crops(out, config, overrides=options or (), progress=report))


def init(
    export: Annotated[Path, typer.Argument(help="folder of a microscope's export, or a file in it")],
    platemap: Annotated[
        Path | None, typer.Option(help="table of what was done to each well; default: a template is written")
    ] = None,
    omics: Annotated[Path | None, typer.Option(help="table of gene values for the same conditions")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="folder to write; default: the name of the plate")
    ] = None,
    reader: Annotated[str | None, typer.Option(help="reader to use, if several recognise the export")] = None,
) -> None:
    """Recognise an export, look at some of its images, and write the configs to ingest and to train on it.

    Example: wellstream init exports/plate-7 --platemap platemap.csv
    Python: wellstream.init(export)
    """
    show.summary(ws.init(export, out, platemap=platemap, omics=omics, reader=reader))


def ingest(
    config: Annotated[Path, typer.Argument(help="ingest YAML; see experiments/*/ingest.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help="dataset folder to write")],
    options: Overrides = None,
    scheduler: Scheduler = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="worker processes on this machine (0: no others, work in this process). With --scheduler: how "
            "many workers to wait for, for up to a minute. With --on: workers per machine; default: one per "
            "core",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="build nothing: check every input and write OUT.preview.html; with --on: show the job"
        ),
    ] = False,
    nodes: Annotated[
        int, typer.Option(min=1, help="with --on: number of machines of the job", rich_help_panel="On a cluster")
    ] = 1,
    where: Elsewhere = Elsewhere(),  # noqa: B008 - frozen
) -> None:
    """Turn raw exports into a dataset: flat-field, nuclei, tiles, shards, targets. Run again to continue after a stop.

    A config with kind: cells takes cells that are cropped already. To use workers on all machines of a Slurm job:
    wellstream ingest CONFIG -o DATASET --nodes 4 --on slurm --dry-run

    Python: wellstream.ingest(config, out)
    """
    if where.needed():
        later.ingest_elsewhere(where, config, out, options or [], nodes=nodes, workers=workers, dry_run=dry_run)
        return
    if dry_run:
        _preview(config, out, options or ())
        return
    with show.progress() as report:
        summary = ws.ingest(
            config,
            out,
            overrides=options or (),
            scheduler=scheduler,
            workers=workers,
            progress=report,
        )
    show.summary(summary)


def _preview(config: Path, out: Path, overrides: Sequence[str]) -> None:
    with show.progress() as report:
        found = ws.preview(config, out, overrides=overrides, progress=report)
    show.summary(found.summary)
    if found.warnings:
        show.sentences(f"look at these first ({len(found.warnings)})", list(found.warnings))
    if found.page is not None:
        show.console.print(f"preview: {found.page}")


def update(
    dataset: Annotated[Path, typer.Argument(help="folder of a finished dataset")],
    config: Annotated[Path, typer.Argument(help="its ingest YAML, with changed omics, plate maps or tables")],
    options: Overrides = None,
) -> None:
    """Replace omics, plate-map columns, tables or labels of cells in a finished dataset. Pixels stay as they are.

    Python: wellstream.update(dataset, config)
    """
    with show.progress() as report:
        show.summary(ws.update(dataset, config, overrides=options or (), progress=report))


def inspect(dataset: Annotated[str, typer.Argument(help="dataset folder or URL")]) -> None:
    """Show what a dataset holds: plates, bags, tiles, channels, targets, markers, and input that was left out.

    Python: wellstream.Dataset(folder)
    """
    show.dataset(later.Dataset.open(dataset))


def convert(
    dataset: Annotated[Path, typer.Argument(help="dataset folder of version 2")],
    out: Annotated[Path, typer.Option("--out", "-o", help="dataset folder to write; shards are linked, not copied")],
) -> None:
    """Make a dataset of the current version from one of version 2. Run again to continue after a stop.

    Pixels are not changed, and the old dataset stays. If both are on one disk, they share the files of their shards.

    Python: wellstream.convert(dataset, out)
    """
    with show.progress() as report:
        show.summary(ws.convert(dataset, out, progress=report))
