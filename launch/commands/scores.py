"""Scores of predictions: ``evaluate``, which follows ``predict``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from framework.errors import ConfigError
from launch import show
from launch.command import add
from launch.commands.results import PANEL
from launch.options import BaselineOptions, Plugins, given, is_override

ORDER = 32


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``wellstream``."""
    add(app, evaluate, panel=PANEL, runs_code=True)
    add(app, intervals, panel=PANEL)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Options of the evaluations of Wellstream; None keeps the default of ``EvaluateConfig``."""

    test: Annotated[str | None, typer.Option(help="wilcoxon (paired) or mann_whitney; default: wilcoxon")] = None
    unit: Annotated[
        str | None,
        typer.Option(help="unit of the test: well, or condition (its wells are averaged); default: well"),
    ] = None
    correction: Annotated[str | None, typer.Option(help="none or benjamini_hochberg; default: none")] = None
    alpha: Annotated[float | None, typer.Option(help="level of significance, between 0 and 1; default: 0.05")] = None
    interval: Annotated[
        str | None,
        typer.Option(
            help="interval of the share of predictable genes: p_quantiles (as the authors do) or split_shares; "
            "default: p_quantiles"
        ),
    ] = None
    ranked: Annotated[
        str | None,
        typer.Option(
            help="genes that the tables of best and worst genes rank: significant or all; default: significant"
        ),
    ] = None


def evaluate(
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN|FILE|key=value",
            help="a run folder, or prediction files (one per target and split), or folders of them. key=value "
            "sets any other option of the evaluation",
        ),
    ],
    options: EvaluateOptions,
    beside: BaselineOptions,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="folder for evaluation.json and per_gene tables; default: in the run"),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="dataset folder or URL; default: the one that the predictions name")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="name of the evaluation; default: the only one that takes these files")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Score predictions on held-out bags or cells: r2, SMAPE, significance, Pearson with intervals, baselines.

    With --baselines the headline says whether the model is above, level with or below the best baseline.

    Python: wellstream.evaluate(predictions, out=out, baselines="all", alpha=0.01)
    """
    overrides = [word for word in predictions if is_override(word) and not Path(word).exists()]
    files = [word for word in predictions if word not in overrides]
    if out is None:
        if len(files) != 1 or not (Path(files[0]) / "config.yaml").is_file():
            raise ConfigError("expected --out FOLDER, unless a run folder is evaluated")
        out = Path(files[0]) / "evaluation"
    with show.progress() as report:
        evaluation = ws.evaluate(
            files,
            data=data,
            out=out,
            kind=kind,
            plugins=plugin or (),
            overrides=overrides,
            baselines=beside.baselines,
            run=beside.run,
            progress=report,
            **given(options),
        )
    show.evaluation(evaluation)
    show.console.print(f"wrote {out}")


def intervals(
    predictions: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|FOLDER",
            help="prediction files of several splits (one per target and split), or folders of them",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="folder for the predictions with layers lower and upper")],
    level: Annotated[float, typer.Option(help="share of measured values that the intervals hold")] = 0.9,
    new: Annotated[
        list[str] | None,
        typer.Option(help="predictions of the same runs on new data: these get the intervals instead; repeat for more"),
    ] = None,
) -> None:
    """Add prediction intervals, calibrated on the test parts of several splits (jackknife+).

    No extra part has to be set aside. Rows that a split held out calibrate the other rows that it held out, but never
    rows of the same perturbation.

    Example: wellstream intervals predictions/split-* --out predictions-with-intervals
    Python: wellstream.intervals(predictions, out, level=0.9)
    """
    with show.progress() as report:
        summary = ws.intervals(predictions, out, level=level, new=new or (), progress=report)
    show.summary(summary)
