"""Sections about the scores: genes of wells, markers of cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from framework.evaluate import Evaluation, headline_share, rank_genes, rankable
from framework.report.features.sections import scores as feature_scores
from framework.report.format import count, interval, number
from framework.report.page import Block, Grid, Note, Section
from framework.report.run.figures_markers import marker_bars, marker_scatters
from framework.report.run.figures_omics import error_scatter, gene_scatters, r2_violins, share_bars

_GENES = 10


def scores(evaluation: Evaluation) -> Section:
    """Return the section that fits the evaluation."""
    if evaluation.kind == "features":
        return feature_scores(evaluation)
    return _omics(evaluation) if evaluation.kind == "omics" else _markers(evaluation)


def _omics(evaluation: Evaluation) -> Section:
    rows, options = evaluation.summary["rows"], evaluation.summary["options"]
    genes, wells = evaluation.tables["per_gene"], evaluation.tables["per_well"]
    blocks: list[Block] = [Note(text=note) for note in evaluation.summary["notes"]]
    blocks += [share_bars(rows, float(options["alpha"])), _omics_headline(rows, options)]
    violins = r2_violins(genes)
    if violins is not None:
        blocks += [violins, error_scatter(genes, wide=violins.width == "full")]
    for row in rows:
        blocks += _ranked_genes(row, genes[genes["target"] == row["target"]], wells, options)
    return Section(
        anchor="genes",
        title="Predicted genes",
        lead="Which abundances can be read from the images of perturbations the model never saw?",
        blocks=blocks,
    )


def _ranked_genes(
    row: Mapping[str, Any], genes: pd.DataFrame, wells: pd.DataFrame, options: Mapping[str, Any]
) -> list[Block]:
    """Tables 1-4 of Image2Omics for one target: best and worst of the genes that ``options.ranked`` admits."""
    target, alpha = row["target"], options["alpha"]
    among = f"{count(len(rankable(genes, options['ranked'])))} genes"
    if options["ranked"] == "significant":
        among += f" whose error and regression are both significant at {alpha:g}"
    best, worst = rank_genes(genes, _GENES, options["ranked"])
    if not len(best):
        reason = f"none of its {count(len(genes))} genes is significant at {alpha:g} in both error and regression"
        text = f"{target}: no table of best and worst genes, because {reason}. All genes are in per_gene.csv."
        return [Note(text=text if options["ranked"] == "significant" else f"{target}: no gene has an r².")]
    spread = "median and 95 % interval over splits" if row["n_splits"] > 1 else "one split"
    better = "better: significantly better than the train mean"
    tables: list[Block] = [_gene_table(best, f"{target}: best r² among {among} ({spread}; {better}).")]
    if len(worst):
        told = f"{target}: lowest r² among the same genes. All genes are in per_gene.csv of the evaluation."
        tables.append(_gene_table(worst, told))
    scatter = gene_scatters(wells, best["gene"].head(5).tolist(), target)
    return tables if scatter is None else [*tables, scatter]


def _omics_headline(rows: list[Mapping[str, Any]], options: Mapping[str, Any]) -> Grid:
    test = {"wilcoxon": "paired Wilcoxon signed-rank", "mann_whitney": "Mann-Whitney"}[options["test"]]
    adjusted = ", Benjamini-Hochberg adjusted" if options["correction"] == "benjamini_hochberg" else ", not adjusted"
    splits = max((row["n_splits"] for row in rows), default=1)
    share, meaning = headline_share(options)
    spread = f"share over {splits} splits: {meaning}" if splits > 1 else "one split, so no interval over splits"
    return Grid(
        headers=("target", "test wells", "genes", "significant", "share", "median r²", "SMAPE", "SMAPE of train mean"),
        rows=[
            (
                row["target"],
                count(row["n_test_wells"]),
                count(row["genes"]),
                count(row["significant"]),
                interval(row, share, ".1%"),
                number(row["r2"]),
                number(row["smape"], ".1f"),
                number(row["smape_baseline"], ".1f"),
            )
            for row in rows
        ],
        numeric=frozenset(range(1, 8)),
        caption=f"Each gene is tested one-sided for a smaller error than its train mean ({test}{adjusted}, one "
        f"observation a "
        f"{options['unit']}, alpha {options['alpha']:g}); {spread}. SMAPE runs from 0 (perfect) to 100.",
    )


def _gene_table(genes: pd.DataFrame, caption: str) -> Grid:
    rows = [
        (
            str(row["gene"]),
            interval(row, "r2"),
            interval(row, "smape", ".1f"),
            number(row["smape_baseline"], ".1f"),
            "yes" if row["significant"] else "no",
        )
        for row in genes.to_dict(orient="records")
    ]
    return Grid(
        headers=("gene", "r²", "SMAPE", "of mean", "better"),
        rows=rows,
        numeric=frozenset({1, 2, 3, 4}),
        caption=caption,
        width="half",
    )


def _markers(evaluation: Evaluation) -> Section:
    markers, cells = evaluation.tables["per_marker"], evaluation.tables["per_cell"]
    blocks: list[Block] = [Note(text=note) for note in evaluation.summary["notes"]]
    blocks.append(_marker_table(markers))
    if markers["r"].notna().any():
        blocks += [marker_bars(markers), marker_scatters(cells, markers)]
    return Section(
        anchor="markers",
        title="Predicted markers",
        lead="Which markers of single cells can be read from tiles of wells the model never saw?",
        blocks=blocks,
    )


def _marker_table(markers: pd.DataFrame) -> Grid:
    ordered = markers.sort_values("r", ascending=False, kind="stable", na_position="last").to_dict(orient="records")
    return Grid(
        headers=(
            "marker",
            "cells",
            "r (95 %)",
            "linear r (95 %)",
            "Spearman",
            "RMSE",
            "linear",
            "train mean",
            "MAE",
            "linear",
            "train mean",
        ),
        rows=[
            (
                str(row["marker"]),
                count(int(row["n"])),
                interval(row, "r"),
                interval(row, "r_linear"),
                number(row["spearman"]),
                *(number(row[f"{name}{of}"], ".3g") for name in ("rmse", "mae") for of in ("", "_linear", "_mean")),
            )
            for row in ordered
        ],
        numeric=frozenset(range(1, 11)),
        caption="Held-out cells. r with its bootstrap interval; linear: least squares on the mean intensity of each "
        "channel, "
        "fitted on the train cells; train mean: one number for all cells (its r is undefined). Look for markers whose "
        "interval lies above the linear one.",
    )
