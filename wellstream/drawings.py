"""Figures as files: PNG, SVG and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anndata

from framework import report as pages
from framework.errors import ConfigError, did_you_mean
from framework.plugins import load_plugins
from framework.progress import OnProgress
from framework.report import FigureInputs, FiguresSummary


def list_figures(plugins: Sequence[str] = ()) -> list[dict[str, str]]:
    """Return one row per figure: ``figure`` (its name), ``paper``, ``shows``, and the inputs it ``takes``.

    Args:
        plugins: entry points, or files after ``framework.plugins.permit_code``, that add figures.
    """
    load_plugins(plugins)
    return pages.figure_rows()


def figure(
    name: str | Sequence[str],
    out: Path | str,
    *,
    predictions: Path | str | anndata.AnnData | Sequence[Path | str | anndata.AnnData] = (),
    saliency: Path | str | Sequence[Path | str] = (),
    plugins: Sequence[str] = (),
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **inputs: Any,
) -> FiguresSummary:
    """Draw figures of the paper from results: PNG, SVG and CSV of each.

    Args:
        name: entry of ``FIGURES``, several of them, or ``all``: each one whose inputs are given.
        out: folder to write.
        predictions: files of ``Run.predict`` or what it returned, one per split and target.
        saliency: files of ``Run.saliency``.
        plugins: entry points, or files after ``framework.plugins.permit_code``, that add figures.
        overrides: options of the figure as text, such as ``["top=8"]``.
        progress: called with (stage, done, total) while the work goes on.
        inputs: further files by name: ``evaluation``, ``data``, ``embeddings``, ``features``, ``locations``,
            ``pathways``, ``before``, ``after``, ``published``; see ``framework.report.FigureInputs``.

    Raises:
        WellstreamError: no such figure, input or option, or an input that cannot be read.
    """
    load_plugins(plugins)
    known = FigureInputs.__dataclass_fields__
    for each in inputs:
        if each not in known:
            raise ConfigError(
                f"figures take no input '{each}'; they take {', '.join(known)}" + did_you_mean(each, known)
            )
    given = FigureInputs(
        predictions=[predictions] if isinstance(predictions, Path | str | anndata.AnnData) else list(predictions),
        saliency=[saliency] if isinstance(saliency, Path | str) else list(saliency),
        **inputs,
    )
    return pages.draw_figures([name] if isinstance(name, str) else list(name), given, out, overrides, progress)
