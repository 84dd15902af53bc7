"""Commands about features of single cells: measure baselines, compare feature sets."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from framework.errors import ConfigError
from launch import show


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    app.command()(features)
    app.command("evaluate-features")(evaluate_features)


def features(
    dataset: Annotated[Path, typer.Argument(help="dataset folder")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write, one row a tile")],
    kind: Annotated[
        str,
        typer.Option(
            help="intensity: five statistics a channel; classic: intensity, correlation and Haralick texture of the "
            "protein; transfer: a ResNet-18 trained on ImageNet, needs --weights"
        ),
    ] = "intensity",
    protein: Annotated[
        list[str] | None, typer.Option(help="channel to describe; repeat for more; default: all")
    ] = None,
    structure: Annotated[
        list[str] | None, typer.Option(help="classic: channel the protein is correlated with; default: all others")
    ] = None,
    scale: Annotated[
        str, typer.Option(help="none: stored units; per_tile_minmax: each channel of each crop to 0..1 first")
    ] = "none",
    scales_px: Annotated[str, typer.Option(help="classic: distances of the texture's pixel pairs")] = "1,2,4,8,16",
    weights: Annotated[Path | None, typer.Option(help="transfer: .safetensors or a torch state dict")] = None,
    layer: Annotated[str, typer.Option(help="transfer: layer1, layer2, layer3 or layer4")] = "layer3",
    split: Annotated[Path | None, typer.Option(help="split.csv of a run, for the column 'part'")] = None,
) -> None:
    """Measure baseline features of every tile, to compare learned embeddings with.

    Example: wellstream features yeast --kind classic --protein gfp --scale per_tile_minmax --out classic.h5ad
    Python: framework.run.features(dataset, out, kind=...)
    """
    with show.progress() as report:
        summary = importlib.import_module("framework.run").features(
            dataset,
            out,
            kind=kind,
            protein=tuple(protein or ()),
            structure=tuple(structure or ()),
            scale=scale,
            scales_px=_distances(scales_px),
            weights=weights,
            layer=layer,
            parts=split,
            progress=report,
        )
    show.summary(summary)


def evaluate_features(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE[#KEY]...",
            help="feature files (.h5ad, .csv) or folders of them, of the same cells; the first is compared with; #KEY "
            "takes a matrix of obsm instead of X",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for evaluation.json, tables, figures, report.html")],
    label: Annotated[str, typer.Option(help="column with the class of each cell, such as Metadata_Protein")],
    group: Annotated[
        str, typer.Option(help="columns that name a field, with commas: what intervals resample; default: bag,site")
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="leave_one_out, leave_group_out, train_test; auto: train_test where part names both")
    ] = "auto",
    test_where: Annotated[
        list[str] | None, typer.Option(help="COLUMN=VALUE,VALUE: these cells are the test part, all others train")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="neighbours that vote")] = 11,
    classifier: Annotated[
        list[str] | None, typer.Option(help="knn; also logistic, forest (minutes each); repeatable")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="folds of logistic and forest")] = 5,
    fold_by: Annotated[str, typer.Option(help="cell, or group: cells of a field are never in two folds")] = "cell",
    drop_incomplete: Annotated[
        bool, typer.Option("--drop-incomplete", help="leave out cells without a label and classes of one cell")
    ] = False,
    cell_line: Annotated[str | None, typer.Option(help="column held equal, then different, for distances")] = None,
    protein: Annotated[str | None, typer.Option(help="column to average cells over, for maps of proteins")] = None,
    compartments: Annotated[
        list[str] | None, typer.Option(help="FIRST/SECOND: labels whose cells are scored between the two")
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="NAME=REASON: a row for features that could not be made")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="dataset folder, for crops in the figures")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="of the bootstrap")] = 2000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    page: Annotated[bool, typer.Option("--report/--no-report", help="figures and report.html; needs seconds")] = True,
) -> None:
    """Compare feature sets of single cells: do cells of one class lie together?

    Nearest neighbours vote on the class of each cell (z-scored features, Euclidean, Lu 2019); the score is the balanced
    accuracy, the mean share of cells recognised in each class. Intervals resample fields, and the last column is the
    difference to the first file on the same cells.

    Example: wellstream evaluate-features conv4=trained/conv4.h5ad untrained=untrained/conv4.h5ad classic.h5ad
    --label Metadata_Protein --test-where Metadata_Field=4 --out compared
    Python: framework.features.evaluate_features(files, FeatureEvaluateConfig(label=...), out)
    """
    options = {
        "label": label,
        "group": _listed(group),
        "protocol": protocol,
        "test_where": test_where or [],
        "k": k,
        "classifiers": classifier or ["knn"],
        "folds": folds,
        "fold_by": fold_by,
        "drop_incomplete": drop_incomplete,
        "cell_line": cell_line,
        "protein": protein,
        "compartments": compartments or [],
        "resamples": resamples,
        "seed": seed,
        "missing": dict(_reason(text) for text in missing or []),
    }
    _compare(files, out, options, data, page=page)


def _compare(files: list[str], out: Path, options: dict[str, Any], data: Path | None, *, page: bool) -> None:
    room, configs = importlib.import_module("framework.features"), importlib.import_module("framework.config")
    config = configs.parse_config(json.dumps(options), room.FeatureEvaluateConfig, "evaluate-features", [])
    with show.progress() as report:
        tables = room.open_same_cells(files)
        evaluation = room.evaluate_features(tables, config, out, progress=report)
        if page:
            write = importlib.import_module("framework.report").write_feature_report
            file = write(out, tables, dataset=data, progress=report)
    show.console.print(importlib.import_module("framework.evaluate").render(evaluation))
    for note in evaluation.summary["notes"]:
        show.console.print(f"- {note}")
    show.console.print(f"wrote {file.resolve() if page else out}")


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _distances(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in _listed(text))
    except ValueError:
        raise ConfigError(f"--scales-px: expected whole numbers such as 1,2,4, found '{text}'") from None


def _reason(text: str) -> tuple[str, str]:
    name, equals, reason = text.partition("=")
    if not equals or not name.strip() or not reason.strip():
        raise ConfigError(f"--missing: expected NAME=REASON, found '{text}'")
    return name.strip(), reason.strip()
