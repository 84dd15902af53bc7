"""Features of single cells, and expression per cell: features, evaluate-features, prepare, express."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

import wellstream as ws
from framework.errors import ConfigError
from launch import show
from launch.command import add
from launch.options import BaselineOptions, Overrides, given, listed

PANEL = "Single cells"
ORDER = 40
_SHOWN = ("genes", "n", "method", "r", "spearman", "rmse", "better_than_mean", "above_0.3")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, features, panel=PANEL)
    add(app, evaluate_features, name="evaluate-features", panel=PANEL)
    add(app, prepare, panel=PANEL, runs_code=True)
    add(app, express, panel=PANEL, runs_code=True)


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """Which features of tiles are measured, and of what."""

    kind: Annotated[
        str,
        typer.Option(
            help="intensity: five statistics per channel; classic: intensity, correlation and Haralick texture of the "
            "protein; regions: shape of the object in the middle, intensity in and around it, Haralick texture; "
            "transfer: a ResNet-18 trained on ImageNet, needs --weights"
        ),
    ] = "intensity"
    protein: Annotated[list[str] | None, typer.Option(help="channel to describe; repeat for more; default: all")] = None
    structure: Annotated[
        list[str] | None,
        typer.Option(help="classic: channel to correlate the protein with; repeat for more; default: all others"),
    ] = None
    scale: Annotated[
        str,
        typer.Option(help="none: pixels as stored; per_tile_minmax: each channel of each crop is scaled to 0..1 first"),
    ] = "none"
    scales_px: Annotated[str, typer.Option(help="classic, regions: distances of the texture's pixel pairs")] = (
        "1,2,4,8,16"
    )
    outline: Annotated[
        str | None,
        typer.Option(help="regions: channel that shows the object; default: the channel nuclei were found in"),
    ] = None
    weights: Annotated[Path | None, typer.Option(help="transfer: .safetensors or a torch state dict")] = None
    layer: Annotated[str, typer.Option(help="transfer: layer1, layer2, layer3 or layer4")] = "layer3"
    device: Annotated[str, typer.Option(help="transfer: auto, cpu or cuda")] = "cpu"


def features(
    dataset: Annotated[str, typer.Argument(help="dataset folder or URL")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write, one row per tile")],
    options: FeatureOptions,
    split: Annotated[Path | None, typer.Option(help="split.csv of a run; adds the column 'part'")] = None,
) -> None:
    """Measure baseline features of every tile, to compare learned embeddings with.

    Example: wellstream features yeast --kind classic --protein gfp --scale per_tile_minmax --out classic.h5ad
    Python: wellstream.features(dataset, out, kind=...)
    """
    with show.progress() as report:
        summary = ws.features(
            dataset,
            out,
            kind=options.kind,
            protein=options.protein or (),
            structure=options.structure or (),
            scale=options.scale,
            scales_px=_distances(options.scales_px),
            outline=options.outline,
            weights=options.weights,
            layer=options.layer,
            device=options.device,
            parts=split,
            progress=report,
        )
    show.summary(summary)


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of a comparison of features; None keeps the default of ``FeatureEvaluateConfig``."""

    label: Annotated[str, typer.Option(help="column with the class of each cell, such as Metadata_Protein")]
    group: Annotated[
        str | None,
        typer.Option(help="columns that name a field, with commas; intervals resample fields; default: bag,site"),
    ] = None
    protocol: Annotated[
        str | None,
        typer.Option(
            help="leave_one_out, leave_group_out, train_test or auto (train_test if the column part has train and "
            "test); default: auto"
        ),
    ] = None
    test_where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE,VALUE: these cells are the test part, all others train")
    ] = None
    k: Annotated[int | None, typer.Option(min=1, help="neighbours that vote; default: 11")] = None
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="knn, logistic or forest (the last two take minutes); repeat for more; default: knn"),
    ] = None
    folds: Annotated[int | None, typer.Option(min=2, help="folds of logistic and forest; default: 5")] = None
    fold_by: Annotated[
        str | None,
        typer.Option(help="what goes into one fold as a whole: cell, or group (all cells of a field); default: cell"),
    ] = None
    drop_incomplete: Annotated[
        bool, typer.Option("--drop-incomplete", help="leave out cells without a label, and classes with one cell")
    ] = False
    cell_line: Annotated[
        str | None,
        typer.Option(
            help="column with the cell line: distances between images are measured with equal and with different "
            "values of it"
        ),
    ] = None
    protein: Annotated[
        str | None, typer.Option(help="column with the protein: maps average the cells of each protein")
    ] = None
    compartments: Annotated[
        list[str] | None,
        typer.Option(
            help="FIRST/SECOND, two labels: score whether a cell with one or both of them is nearer to FIRST or to "
            "SECOND; repeat for more"
        ),
    ] = None
    missing: Annotated[
        list[str] | None, typer.Option(help="NAME=REASON: add a row for features that could not be made")
    ] = None
    resamples: Annotated[int | None, typer.Option(min=100, help="number of bootstrap samples; default: 2000")] = None
    seed: Annotated[int | None, typer.Option(min=0, help="seed of all random draws; default: 0")] = None

    def plain(self) -> dict[str, Any]:
        """Return what ``FeatureEvaluateConfig`` is built from."""
        typed = given(self)
        if "classifier" in typed:
            typed["classifiers"] = typed.pop("classifier")
        if "group" in typed:
            typed["group"] = listed(typed["group"])
        if "missing" in typed:
            typed["missing"] = dict(_reason(text) for text in typed["missing"])
        return typed


def evaluate_features(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE[#KEY]",
            help="feature files (.h5ad, .csv, .parquet) of the same cells, or folders of them. All are compared "
            "with the first. #KEY takes a matrix of obsm instead of X",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for evaluation.json, tables, figures, report.html")],
    options: CompareOptions,
    beside: BaselineOptions,
    data: Annotated[
        str | None, typer.Option("--data", help="dataset folder or URL, for crops in the figures and for --baselines")
    ] = None,
    further: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="any other option of the comparison, such as trees=100"),
    ] = None,
    page: Annotated[
        bool, typer.Option("--report/--no-report", help="write figures and report.html; takes seconds")
    ] = True,
) -> None:
    """Compare feature sets of single cells: do cells of one class lie together?

    Nearest neighbours vote on the class of each cell (z-scored features, Euclidean distance, Lu 2019). The score is the
    balanced accuracy: the share of cells recognised in each class, averaged over classes. Intervals resample fields.
    The last column is the difference to the first file on the same cells. With --baselines the headline says whether
    each set is above, level with or below the best baseline.

    Example: wellstream evaluate-features conv4=trained/conv4.h5ad untrained=untrained/conv4.h5ad classic.h5ad
    --label Metadata_Protein --test-where Metadata_Field=4 --out compared
    Python: wellstream.evaluate_features(files, label=..., out=out)
    """
    with show.progress() as report:
        evaluation = ws.evaluate_features(
            files,
            out=out,
            data=data,
            page=page,
            baselines=beside.baselines,
            run=beside.run,
            overrides=further or (),
            progress=report,
            **options.plain(),
        )
    show.evaluation(evaluation)
    show.console.print(f"wrote {out / 'report.html' if page else out}")


def prepare(
    config: Annotated[Path, typer.Argument(help="single-cell YAML; see experiments/ifc_seq/*.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write")],
    options: Overrides = None,
) -> None:
    """Prepare a CITE-seq experiment: filter cells and genes, log, gate populations, rank their marker genes.

    Python: wellstream.prepare(config, out)
    """
    show.summary(ws.prepare(config, out, overrides=options or ()))


def express(
    config: Annotated[Path, typer.Argument(help="expression YAML; see experiments/ifc_seq/*.yaml")],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for tables, expression and report.html")],
    options: Overrides = None,
    scheduler: Annotated[
        str | None, typer.Option(help="address of a Dask scheduler to grow trees on; default: this process")
    ] = None,
) -> None:
    """Learn expression from surface markers of single cells, score it, and predict it for imaged cells (IFC-seq).

    Python: wellstream.express(config, out)
    """
    with show.progress() as report:
        summary = ws.express(config, out, overrides=options or (), scheduler=scheduler, progress=report)
    show.summary(dataclasses.replace(summary, table=()))
    show.rows([{name: row[name] for name in _SHOWN} for row in summary.table])
    show.console.print(f"report: {out / 'report.html'}")


def _distances(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in listed(text))
    except ValueError:
        raise ConfigError(f"--scales-px: expected whole numbers such as 1,2,4, found '{text}'") from None


def _reason(text: str) -> tuple[str, str]:
    name, equals, reason = text.partition("=")
    if not equals or not name.strip() or not reason.strip():
        raise ConfigError(f"--missing: expected NAME=REASON, found '{text}'")
    return name.strip(), reason.strip()
