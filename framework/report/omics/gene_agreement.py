"""Predictability across studies: are the genes that we predict well those that others predicted well?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pydantic import Field
from scipy.stats import rankdata

from framework.errors import InputError, did_you_mean, some_of
from framework.evaluate import RankAgreement, rank_agreement
from framework.files.delimited import MISSING, TextTable, read_text_table
from framework.report.canvas import PALETTE, SOFT, faint_grid, figure
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.chosen import OfTargets, chosen_targets, one_of
from framework.report.omics.panels import WIDTH, spoken

_GENE_COLUMNS = ("gene", "Gene", "gene_symbol", "symbol", "pr_gene_symbol", "probe", "l1000_gene")
_SEVERAL = "///"
"""Between the genes of a probe that measures several, as in tables of Affymetrix and of L1000."""
_COLUMNS = 2


class AgreementConfig(OfTargets):
    """Options of ``omics_agreement``."""

    gene: str | None = None
    """Column of the published table with the gene; none named: ``gene``, ``symbol`` and the like."""
    scores: tuple[str, ...] = ()
    """Columns of the published table with scores; none named: every column of numbers."""
    ours: str = "r2"
    """Which of our scores to use: a column of numbers in ``per_gene``, such as ``r2`` or ``smape``."""
    permutations: int = Field(default=10_000, ge=100)
    """Random pairings behind the range of chance, and resamples of genes."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn at random."""


@FIGURES.register("omics_agreement", AgreementConfig)
class Agreement(FigureKind[AgreementConfig]):
    """Ranks of genes in two studies."""

    shows = "whether genes that are predicted well here are those of a published per-gene table: agreement of ranks"
    takes = ("scores", "published")
    order = 150

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw one panel per target and published score: rank against rank, one dot per gene."""
        options = self.options
        published = read_published(Path(str(inputs.published)), options.gene, options.scores)
        numeric = [str(name) for name in inputs.genes.select_dtypes("number").columns]
        one_of(options.ours, numeric, "score of ours")
        pairs, rows, notes = [], [], []
        for target in chosen_targets(inputs, options.targets):
            mine = inputs.genes[inputs.genes["target"] == target]
            names = mine["gene"].astype(str).str.upper()
            for score in published.columns:
                ours, theirs = mine[options.ours].to_numpy(), published[score].reindex(names).to_numpy()
                known = ~(np.isnan(ours) | np.isnan(theirs))
                ours, theirs = ours[known], theirs[known]
                try:
                    found = rank_agreement(ours, theirs, permutations=options.permutations, seed=options.seed)
                except InputError as error:
                    notes.append(f"{target}, {score}: {error}")
                    continue
                pairs.append((f"{spoken(target)}, {score}", ours, theirs, found))
                rows.append(_row(target, str(score), len(mine), found))
        if not pairs:
            raise InputError(f"{inputs.published}: no gene to compare: {'; '.join(notes)}")
        made, axes = figure(WIDTH, 3.1 * -(-len(pairs) // _COLUMNS), -(-len(pairs) // _COLUMNS), _COLUMNS)
        for panel, (title, ours, theirs, found) in zip(axes.ravel(), pairs, strict=False):
            _scatter(panel, title, ours, theirs, found)
        for panel in axes.ravel()[len(pairs) :]:
            panel.set_axis_off()
        best = max(rows, key=lambda row: abs(float(str(row["rho"]))))
        return Drawn(
            canvas=made,
            numbers=pd.DataFrame(rows),
            title="Predictability across studies",
            caption=f"Rank of each gene by {options.ours} here against its rank in {Path(str(inputs.published)).name}, "
            "for genes that are in both; 1 is the highest score. Spearman's rho with its interval over genes; "
            f"chance: 95 % of {options.permutations} random pairings. Agreement says that predictability belongs to "
            "the gene; a rho inside chance says nothing.",
            alt="Rank agreement of genes: "
            + "; ".join(f"{title} rho {found.rho:.2f}" for title, _, _, found in pairs)
            + f"; strongest with {best['score']}",
            notes=tuple(notes),
        )


def read_published(file: Path, gene: str | None, scores: Sequence[str]) -> pd.DataFrame:
    """Read a published table of genes.

    Args:
        file: CSV or TSV, one row per gene; of a gene with several rows the mean counts, and a row of several genes
            (``CALM1///CALM2``) counts for each.
        gene: column with the gene; None: the first of the names that such columns usually have, or the first column
            where it has no name, as that of ``supplementary_D.csv`` (Haghighi et al. 2022).
        scores: columns with scores; none: every column of numbers.

    Returns:
        One row per gene, whose name in capital letters is the index, and one column per score; NaN where it has none.

    Raises:
        InputError: no such file or column, no column of numbers, or text in a named one; names its line.
    """
    table = read_text_table(file, what="a published table with one row per gene")
    name = gene if gene is not None else _gene_column(table)
    if name is None:
        known = some_of([each for each in table.names if each])
        raise InputError(f"{file}: it is not clear which column names the gene; it has {known}; write gene=COLUMN")
    names = list(scores) or [each for each in table.names if each not in (name, "") and _is_score(table, each)]
    for each in (name, *names):
        if each not in table.names:
            raise InputError(
                f"{file}: no column '{each}'; there are {some_of(table.names)}" + did_you_mean(each, table.names)
            )
    if not names:
        raise InputError(f"{file}: no column of numbers beside '{name}'; write scores=[COLUMN]")
    numbers = {each: table.numbers(each).to_numpy() for each in names}
    for each, values in numbers.items():
        if np.isnan(values).all():
            raise InputError(f"{file}: column '{each}' holds no number; write scores=[COLUMN]")
    # The names stay beside the table: one of its scores may be called as the column of genes, or as one of ours.
    genes = table.column(name).str.upper().str.split(_SEVERAL).reset_index(drop=True).explode().str.strip()
    genes = genes[genes != ""]
    return pd.DataFrame(numbers).iloc[genes.index].groupby(genes.to_numpy(), sort=True).mean()


def _gene_column(table: TextTable) -> str | None:
    """Return the column of genes: by its name, or the first one where it has words and no name (row names of R)."""
    named = next((each for each in _GENE_COLUMNS if each in table.names), None)
    unnamed = table.names[0] == "" and not _is_score(table, "")
    return named if named is not None else "" if unnamed else None


def _is_score(table: TextTable, name: str) -> bool:
    """Whether all that a column holds are numbers, and there is one."""
    return bool(table.is_number(name).all()) and not table.column(name).isin(MISSING).all()


def _row(target: str, score: str, genes: int, found: RankAgreement) -> dict[str, object]:
    return {
        "target": target,
        "score": score,
        "genes": genes,
        "shared": found.n,
        "rho": found.rho,
        "rho_low": found.low,
        "rho_high": found.high,
        "chance_low": found.chance_low,
        "chance_high": found.chance_high,
        "p": found.p,
    }


def _scatter(panel: Axes, title: str, ours: np.ndarray, theirs: np.ndarray, found: RankAgreement) -> None:
    panel.scatter(rankdata(-theirs), rankdata(-ours), s=6, color=PALETTE[0], alpha=0.5, linewidths=0)
    panel.invert_xaxis()
    panel.invert_yaxis()
    panel.set_xlabel("rank, published")
    panel.set_ylabel("rank, here")
    faint_grid(panel)
    # Dots fill the panel, so numbers stand above it, in the lines that the title keeps free.
    panel.set_title(f"{title}\n\n", fontsize=8.5)
    said = f"rho {found.rho:.2f} ({found.low:.2f} to {found.high:.2f}), {found.n} genes\n"
    said += f"chance {found.chance_low:.2f} to {found.chance_high:.2f}, p {found.p:.2g}"
    panel.annotate(said, (0, 1.02), xycoords="axes fraction", va="bottom", fontsize=8, color=SOFT)
