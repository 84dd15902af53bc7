"""Section about predicted genes: evaluations of kind ``omics``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from framework.evaluate import Evaluation, headline_share, rank_genes, rankable
from framework.format import count, count_of, interval, number, significant
from framework.report.page import Block, Grid, Note, Section
from framework.report.run.figures_omics import error_scatter, gene_scatters, r2_violins, share_bars
from framework.report.sections import SCORES, SectionConfig

_GENES = 10


@SCORES.register("omics", SectionConfig)
def genes_section(evaluation: Evaluation) -> Section:
    """Return shares, ranks and scatter plots of genes."""
    rows, options = evaluation.summary["rows"], evaluation.summary["options"]
    genes, wells = evaluation.tables["per_gene"], evaluation.tables["per_well"]
    blocks: list[Block] = [share_bars(rows, float(options["alpha"])), _omics_headline(rows, options)]
    blocks += [
        Note(text=note, doubt=True) for note in _said_once(evaluation.summary["notes"], [row["target"] for row in rows])
    ]
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


def _said_once(notes: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Return notes, those that say the same of several targets as one: ``a, b: what``."""
    of_text: dict[str, list[str]] = {}
    for note in notes:
        target, colon, text = note.partition(": ")
        known = bool(colon) and target in targets
        of_text.setdefault(text if known else note, []).extend([target] if known else [])
    return [f"{', '.join(names)}: {text}" if names else text for text, names in of_text.items()]


def _ranked_genes(
    row: Mapping[str, Any], genes: pd.DataFrame, wells: pd.DataFrame, options: Mapping[str, Any]
) -> list[Block]:
    """Tables 1-4 of Image2Omics for one target: best and worst of the genes that ``options.ranked`` admits."""
    target, alpha = row["target"], options["alpha"]
    among = count_of(len(rankable(genes, options["ranked"])), "gene")
    if options["ranked"] == "significant":
        among += f" whose error and regression are both significant at {significant(alpha, 6)}"
    best, worst = rank_genes(genes, _GENES, options["ranked"])
    if not len(best):
        level = significant(alpha, 6)
        reason = f"none of its {count(len(genes))} genes is significant at {level} in both error and regression"
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
        headers=("target", "test wells", "genes", "significant", "share", "median r²", "SMAPE", "of train mean"),
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
        f"observation per {options['unit']}, alpha {significant(options['alpha'], 6)}); {spread}. "
        "SMAPE runs from 0 (perfect) to 100.",
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
