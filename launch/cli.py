"""The command ``wellstream``: one thin function a sub-command, errors as sentences, heavy rooms loaded when needed.

Every sub-command is also a Python call; its docstring names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from framework.errors import ConfigError, RunError
from framework.interpreter import python_on
from launch import feature_commands, show
from launch.entry import DEBUG_VARIABLE
from launch.entry import main as main  # where installations made before look for it

app = typer.Typer(
    name="wellstream",
    help="Cell images to trained models: simulate or ingest plates, train on tiles in bags, predict, evaluate, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
simulate = typer.Typer(no_args_is_help=True, help="Write a simulated experiment with known truth.")
app.add_typer(simulate, name="simulate")
feature_commands.register(app)


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error; may stand anywhere")] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="run plugins of the config that are files; may stand anywhere")
    ] = False,
) -> None:
    """Cell images to trained models: simulate or ingest plates, train on tiles in bags, predict, evaluate, report."""


Overrides = Annotated[list[str] | None, typer.Argument(metavar="[key=value]...", help="dotted overrides of the config")]
DatasetOption = Annotated[
    str | None, typer.Option("--data", help="dataset folder or URL; default: the one the run trained on")
]


def _room(name: str) -> Any:
    """Load a room when its command runs, so that --help answers at once."""
    return importlib.import_module(name)


def _simulate(kind: str, config_name: str, out: Path, config: Path | None, options: list[str] | None) -> None:
    """Read the options of a simulator, from a YAML or its defaults, run it and show what it wrote."""
    room, configs = _room("data_tools.simulate"), _room("framework.config")
    model = getattr(room, config_name)
    if config:
        settings = configs.load_config(config, model, options or [])
    else:
        settings = configs.parse_config("{}", model, f"simulate {kind}", options or [])
    write = getattr(room, f"simulate_{kind}")
    with show.progress() as report:
        summary = write(settings, out, progress=lambda done, total: report("simulate", done, total))
    show.summary(summary)


@simulate.command("plate")
def simulate_plate(
    out: Annotated[Path, typer.Argument(help="folder to write: Harmony export, plate map, omics tables, truth")],
    config: Annotated[Path | None, typer.Option(help="YAML with simulator options")] = None,
    options: Overrides = None,
) -> None:
    """Simulate a plate: a genuine Harmony export, omics tables and the truth behind both.

    Example: wellstream simulate plate demo/raw perturbations=12 size_px=540
    Python: data_tools.simulate.simulate_plate(PlateConfig(...), out)
    """
    _simulate("plate", "PlateConfig", out, config, options)


@simulate.command("ifc")
def simulate_ifc(
    out: Annotated[Path, typer.Argument(help="folder to write: IDEAS export, features, CITE-seq tables, truth")],
    config: Annotated[Path | None, typer.Option(help="YAML with simulator options")] = None,
    options: Overrides = None,
) -> None:
    """Simulate a pair of experiments: imaging flow cytometry, and sequencing of the same populations of cells.

    Example: wellstream simulate ifc ifc/raw cells=500 informative=0.8
    Python: data_tools.simulate.simulate_ifc(IfcConfig(...), out)
    """
    _simulate("ifc", "IfcConfig", out, config, options)


@simulate.command("crops")
def simulate_crops(
    out: Annotated[Path, typer.Argument(help="folder to write: crops of single cells, truth")],
    config: Annotated[Path | None, typer.Option(help="YAML with simulator options")] = None,
    options: Overrides = None,
) -> None:
    """Simulate a library of tagged proteins: crops of single cells with a structure and a protein channel.

    Example: wellstream simulate crops crops/raw proteins=8 cells_per_field=20
    Python: data_tools.simulate.simulate_crops(CropsConfig(...), out)
    """
    _simulate("crops", "CropsConfig", out, config, options)


@app.command()
def ingest(
    config: Annotated[Path, typer.Argument(help="ingest YAML; see experiments/*/ingest.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help="dataset folder to write")],
    options: Overrides = None,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler; default: a local cluster")] = None,
    workers: Annotated[int | None, typer.Option(help="local worker processes; default: one a core")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="list what would be read and written; write nothing")
    ] = False,
) -> None:
    """Turn raw exports into a dataset: flat-field, nuclei, tiles, shards, targets. Run again to continue after a stop.

    A config with ``kind: cells`` takes cells that are cropped already.

    Python: data_tools.pipeline.ingest(config, out)
    """
    pipeline = _room("data_tools.pipeline")
    settings = pipeline.load_ingest_config(config, options or [])
    with show.progress() as report:
        summary = pipeline.ingest(settings, out, scheduler=scheduler, workers=workers, progress=report, dry_run=dry_run)
    show.summary(summary)


@app.command()
def inspect(dataset: Annotated[str, typer.Argument(help="dataset folder or URL")]) -> None:
    """Show what a dataset holds: plates, bags, tiles, channels, targets, markers, and input that was left out.

    Python: framework.data.dataset.Dataset.open(folder)
    """
    show.dataset(_room("framework.data.dataset").Dataset.open(dataset))


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="run YAML; see experiments/*/*.yaml")],
    options: Overrides = None,
    nproc: Annotated[
        int, typer.Option(min=1, help="processes on this machine (one a GPU), reached from no other machine")
    ] = 1,
    resume: Annotated[
        str, typer.Option(help="auto: newest valid checkpoint of the run; none: start new; or a PATH")
    ] = "auto",
) -> None:
    """Train what a YAML describes. Over several machines: torchrun --nproc-per-node N -m launch.train CONFIG.

    Python: framework.run.train.fit(config)
    """
    arguments = [str(config), *(options or []), "--resume", resume]
    if nproc > 1:
        _room("framework.run").load_run_config(config, options or [])  # a mistake is said once, not by every rank
        ending = _room("framework.distributed").start_processes("launch.train", arguments, nproc)
        show.ending(ending, debug=bool(os.environ.get(DEBUG_VARIABLE)))
        raise typer.Exit(ending.code)
    raise typer.Exit(_room("launch.train").main(arguments))


@app.command()
def embed(
    run: Annotated[Path, typer.Argument(help="run folder")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write; with --layers a folder")],
    data: DatasetOption = None,
    level: Annotated[str, typer.Option(help="tile: one row a tile; bag: the mean of each bag")] = "tile",
    layers: Annotated[
        str | None, typer.Option(help="layers of the network instead, such as conv3,conv4: a file each, a row a tile")
    ] = None,
    pool: Annotated[str, typer.Option(help="how --layers are pooled over space: max or mean")] = "max",
    views: Annotated[
        str,
        typer.Option(help="with --layers: average over 4 mirror images, 8 symmetries, or the views image2omics"),
    ] = "1",
    untrained: Annotated[bool, typer.Option("--untrained", help="with the weights the run began with")] = False,
) -> None:
    """Write embeddings as AnnData. Tile embeddings can train heads: data.embeddings in a run YAML.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: framework.run.apply.embed(run, data, out, level), framework.run.apply.layers(run, data, out, layers, pool)
    """
    room = _room("framework.run")
    with show.progress() as report:
        if layers is None and views != "1":
            raise ConfigError("--views averages layers: name them with --layers")
        if layers is None:
            summary = room.embed(run, data=data, out=out, level=level, progress=report, untrained=untrained)
        elif level != "tile":
            raise ConfigError("--layers gives a row a tile: leave out --level")
        else:
            names = [name.strip() for name in layers.split(",") if name.strip()]
            summary = room.embed_layers(
                run, data=data, out=out, layers=names, pool=pool, untrained=untrained, views=views, progress=report
            )
    show.summary(summary)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="run folder")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write (a folder when there are several targets)")],
    data: DatasetOption = None,
    part: Annotated[str, typer.Option(help="train, val, test or all")] = "test",
    tiles: Annotated[int, typer.Option(min=1, help="tiles sampled a bag (Mehrizi 2023: 512)")] = 512,
    seeds: Annotated[int, typer.Option(min=1, help="draws averaged (Mehrizi 2023: 3)")] = 3,
    views: Annotated[
        str, typer.Option(help="average over 4 mirror images of a tile, all 8 symmetries, or the four of image2omics")
    ] = "1",
) -> None:
    """Write predictions as AnnData, with the measured values beside them where the dataset has them.

    Where the run's config.yaml says data.check: true, each block of pixels is compared with its checksum.

    Python: framework.run.apply.predict(run, data, out, part, tiles, seeds)
    """
    with show.progress() as report:
        summary = _room("framework.run").predict(
            run, data=data, out=out, part=part, tiles=tiles, seeds=seeds, views=views, progress=report
        )
    show.summary(summary)


@app.command()
def inpaint(
    run: Annotated[Path, typer.Argument(help="run folder of paired_inpainting")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="folder; default: inpainting in the run")] = None,
    data: DatasetOption = None,
    part: Annotated[str, typer.Option(help="train, val, test or all")] = "test",
    panels: Annotated[int, typer.Option(min=0, help="conditions to keep images of, for the report")] = 8,
) -> None:
    """Paint every cell after a source of its own protein and after one of another: does the network use its source?

    Python: framework.run.apply.inpaint(run, data, out, part, panels)
    """
    with show.progress() as report:
        summary = _room("framework.run").inpaint(run, data=data, out=out, part=part, panels=panels, progress=report)
    show.summary(summary)


@app.command()
def saliency(
    run: Annotated[Path, typer.Argument(help="run folder of a marker regression")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".npz to write; images.saliency of an expression YAML")],
    data: DatasetOption = None,
    part: Annotated[str, typer.Option(help="train, val, test or all")] = "test",
    tiles: Annotated[int, typer.Option(min=1, help="how many tiles, drawn by --seed")] = 256,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write guided backpropagation maps: which pixels of a cell its predicted markers are read from.

    Python: framework.run.apply.saliency(run, data, out, part, tiles, seed)
    """
    with show.progress() as report:
        summary = _room("framework.run").saliency(
            run, data=data, out=out, part=part, tiles=tiles, seed=seed, progress=report
        )
    show.summary(summary)


@app.command()
def evaluate(
    predictions: Annotated[
        list[Path], typer.Argument(help="prediction files (one a target and split) or folders of them")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for evaluation.json and per_gene tables")],
    data: DatasetOption = None,
    test: Annotated[str, typer.Option(help="wilcoxon (paired) or mann_whitney")] = "wilcoxon",
    unit: Annotated[str, typer.Option(help="what the test counts: well, or condition (averages its wells)")] = "well",
    correction: Annotated[str, typer.Option(help="none or benjamini_hochberg")] = "none",
    alpha: Annotated[float, typer.Option(help="level of significance, between 0 and 1")] = 0.05,
    interval: Annotated[
        str, typer.Option(help="of the share of genes: p_quantiles (as the authors') or split_shares")
    ] = "p_quantiles",
    ranked: Annotated[
        str, typer.Option(help="genes in the tables of best and worst: significant or all")
    ] = "significant",
    kind: Annotated[str | None, typer.Option(help="evaluation to make, where several take these files")] = None,
) -> None:
    """Score predictions on held-out bags or cells: r2, SMAPE, significance, Pearson with intervals, baselines.

    Python: framework.evaluate.evaluate(predictions, dataset, out, config)
    """
    room, configs = _room("framework.evaluate"), _room("framework.config")
    options = [f"test={test}", f"unit={unit}", f"correction={correction}", f"interval={interval}", f"ranked={ranked}"]
    options.append(f"alpha={alpha}")
    settings = configs.parse_config("{}", room.EvaluateConfig, "evaluate", options)
    evaluation = room.evaluate(predictions, dataset=data, out=out, config=settings, kind=kind)
    show.console.print(room.render(evaluation))
    show.console.print(f"wrote {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="run folder")],
    data: DatasetOption = None,
    evaluation: Annotated[Path | None, typer.Option(help="folder written by wellstream evaluate")] = None,
    embeddings: Annotated[Path | None, typer.Option(help="bag embeddings .h5ad for the map of wells")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="HTML file; default: report.html in the run")] = None,
) -> None:
    """Write a self-contained HTML report of a run.

    Python: framework.report.write_report(run, ...)
    """
    path = _room("framework.report").write_report(
        run, dataset=data, evaluation=evaluation, embeddings=embeddings, out=out
    )
    show.console.print(f"report: {path.resolve()}")


@app.command()
def prepare(
    config: Annotated[Path, typer.Argument(help="single-cell YAML; see experiments/ifc_seq/*.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write")],
    options: Overrides = None,
) -> None:
    """Prepare a CITE-seq experiment: filter cells and genes, log, gate populations, rank their marker genes.

    Python: data_tools.single_cell.prepare_cells(config, out)
    """
    room, configs = _room("data_tools.single_cell"), _room("framework.config")
    show.summary(room.prepare_cells(configs.load_config(config, room.SingleCellConfig, options or []), out))


@app.command()
def express(
    config: Annotated[Path, typer.Argument(help="expression YAML; see experiments/ifc_seq/*.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for tables, expression and report.html")],
    options: Overrides = None,
    scheduler: Annotated[str | None, typer.Option(help="address of a Dask scheduler to grow trees on")] = None,
) -> None:
    """Learn expression from surface markers on single cells, score it, and give it to imaged cells (IFC-seq).

    Python: framework.expression.express(config, out)
    """
    room, configs = _room("framework.expression"), _room("framework.config")
    settings = configs.load_config(config, room.ExpressionConfig, options or [])
    with show.progress() as tick, contextlib.ExitStack() as opened:
        pool = None
        if scheduler is not None:
            again = "run the same command again"
            pool = opened.enter_context(_room("data_tools.pipeline").open_runner(scheduler, None, 0, out, again))
        summary = room.express(settings, out, pool=pool, progress=tick)
    show.summary(dataclasses.replace(summary, table=()))
    shown = ("genes", "n", "method", "r", "spearman", "rmse", "better_than_mean", "above_0.3")
    show.rows([{name: row[name] for name in shown} for row in summary.table])
    page = _room("framework.report").write_expression_report(out)
    show.console.print(f"report: {page.resolve()}")


@app.command()
def verify(
    folder: Annotated[str, typer.Argument(help="dataset folder or run folder")],
    head: Annotated[
        str | None, typer.Option(help="of a run: head that an earlier verification printed; it must still be there")
    ] = None,
) -> None:
    """Prove that a dataset is undamaged, or that a run consumed every planned tile exactly once.

    Exit code 0: all is sound; 1: a dataset behind a URL is, but copies in this machine's cache were damaged, and are
    removed now; 2: it is not. SECURITY.md says what this proves, and against whom.

    Python: framework.data.verify.verify_dataset(folder), framework.run.verify_run(folder)
    """
    if (Path(folder) / "config.yaml").is_file():
        show.verdict(_room("framework.run").verify_run(folder, head))
    elif head is not None:
        raise RunError(f"{folder}: no config.yaml, so this is no run folder, and --head is of a run's checkpoint")
    else:
        with show.progress() as tick:
            found = _room("framework.data.verify").verify_dataset(folder, progress=tick)
        show.verdict(found)
        # A script must learn that what it read before may have been wrong.
        raise typer.Exit(int(found.removed > 0))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context, theme: Annotated[str, typer.Argument(help="theme, or all")]) -> None:
    """Measure this machine against the physical limit and the peers: python -m benchmarks THEME."""
    os.execv(sys.executable, python_on("benchmarks", [theme, *context.args]))  # noqa: S606 - our own interpreter


@app.command()
def doctor() -> None:
    """Say what this installation can do: versions, devices, memory, optional parts; exit 1 if something is broken."""
    raise typer.Exit(_room("launch.doctor").main())
