"""Commands on embeddings: align, correlate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import wellstream as ws
from launch import show
from launch.command import add
from launch.commands.results import PANEL

ORDER = 35


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``wellstream``."""
    add(app, align, panel=PANEL)
    add(app, correlate, panel=PANEL)


def align(
    embeddings: Annotated[Path, typer.Argument(help="embeddings .h5ad of wells, or of tiles, which are averaged")],
    out: Annotated[Path, typer.Option("--out", "-o", help=".h5ad to write, one row per well")],
    by: Annotated[
        str,
        typer.Option(
            help="plates: each plate gets mean and covariance of the controls of its stimulation; authors: each "
            "stimulation gets the covariance of all controls"
        ),
    ] = "plates",
) -> None:
    """Align embeddings of wells by CORAL, fitted on the negative controls (Metadata_Control_Type negcon).

    Example: wellstream embed RUN --level bag --out wells.h5ad; wellstream align wells.h5ad --out aligned.h5ad
    Python: wellstream.align(embeddings, out, by=...)
    """
    show.summary(ws.align(embeddings, out, by=by))


def correlate(
    learned: Annotated[Path, typer.Argument(help="embeddings .h5ad of wells or tiles")],
    measured: Annotated[
        Path, typer.Argument(help="features .h5ad, written by wellstream features for the same dataset")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="folder for correlations.csv, loadings.csv and similarity.csv")
    ],
    pairs: Annotated[
        int, typer.Option(min=1, help="number of pairs of canonical variates that the similarity uses")
    ] = 3,
    shuffles: Annotated[
        int, typer.Option(min=1, help="number of shuffles of the wells, which show what chance gives")
    ] = 200,
    seed: Annotated[int, typer.Option(min=0, help="seed of the shuffles")] = 0,
) -> None:
    """Explain learned features by interpretable features of the same wells (canonical correlation analysis).

    Example: wellstream features DATASET --kind regions --out regions.h5ad; wellstream correlate wells.h5ad
    regions.h5ad --out correlated
    Python: wellstream.correlate(learned, measured, out, pairs=...)
    """
    show.summary(ws.correlate(learned, measured, out, pairs=pairs, shuffles=shuffles, seed=seed))
