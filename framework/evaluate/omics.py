"""How well genes are predicted from wells: Image2Omics' evaluation, over one split or many.

Prediction files go in, one per split (and target). One row per gene comes out, with errors, tests and their intervals
over splits, and one row per target with the share of significantly predictable genes.

Differences from the authors' code that are meant: 0/0 in SMAPE counts 0 (theirs is NaN and drops the gene of that
split); the train mean is taken in float64 (theirs in float32, which breaks ties of errors and moves p by about 1e-4); a
split is part of the key of every row (they merge predictions with folds on plate, well and gene alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.errors import InputError
from framework.evaluate import intervals, metrics, significance
from framework.evaluate.backbone import backbone_notes
from framework.evaluate.config import EvaluateConfig
from framework.evaluate.metrics import Floats
from framework.evaluate.predictions import TEST, Predictions, open_all

_SCORES = ("r2", "smape", "smape_baseline", "p_wilcoxon", "p_mannwhitney", "p_regression")
_WELL_COLUMNS = ("target", "seed", "gene", "measured", "predicted")
_SHOWN_GENES = 5


@dataclass(frozen=True, kw_only=True)
class OmicsEvaluation:
    """Result of ``evaluate_omics``.

    Attributes:
        genes: one row a (target, gene): r2, smape, smape_baseline, p_wilcoxon, p_mannwhitney, p_regression (medians
            over splits, each with ``_low`` and ``_high`` quantiles), q_bh, significant (error below that of the train
            mean), regression_significant (r2 above zero), n_wells, n_splits.
        per_split: one row a (target, seed, gene) before the medians.
        targets: one row per target, the headline: counts of genes, ``share`` of those whose median p is below alpha and
            ``split_share``, the median of the shares of splits, each with ``_low`` and ``_high``.
        wells: measured and predicted values of the best and worst genes of each target, a row a (split, well, gene).
        splits: (seed, value, part): which perturbation lay in which part.
        notes: sentences a reader of the numbers must know.
    """

    genes: pd.DataFrame
    per_split: pd.DataFrame
    targets: pd.DataFrame
    wells: pd.DataFrame
    splits: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Scored:
    table: pd.DataFrame
    wells: pd.DataFrame
    predicted: Floats
    measured: Floats
    observations: int


def evaluate_omics(
    sources: Sequence[Predictions | anndata.AnnData | Path | str],
    config: EvaluateConfig | None = None,
    filtered: Mapping[str, int] | None = None,
) -> OmicsEvaluation:
    """Score predictions of genes for wells against the train-mean predictor, on test rows only.

    Args:
        sources: prediction files; several of one target must come from splits with different seeds;
            a folder stands for the files in it.
        config: test, correction, alpha, unit of observation.
        filtered: target -> genes that no file predicts (low expression, measured in no training well); they count in
            the denominator of the share.

    Raises:
        InputError: a bad file, two files of one (target, seed), or a split that leaks.
    """
    options = config or EvaluateConfig()
    opened = open_all(sources)
    scored: dict[tuple[str, str], _Scored] = {}
    for item in opened:
        for target, columns in item.targets().items():
            key = (target, item.split_key)
            if key in scored:
                raise InputError(
                    f"{item.name}: is a second prediction file of target '{target}' for split seed "
                    f"{item.split_key}; expected one for each seed"
                )
            scored[key] = _score(item, target, columns, options)
    per_split = pd.concat([part.table for part in scored.values()], ignore_index=True)
    intervals.check_one_row_per_key(per_split, ["target", "seed", "gene"], "scores")
    genes = _over_splits(per_split, options)
    return OmicsEvaluation(
        genes=genes,
        per_split=per_split,
        targets=_headline(genes, per_split, options, filtered or {}),
        wells=_shown_wells(genes, scored, options),
        splits=_splits(opened),
        notes=(*backbone_notes(opened), *_notes(scored, options)),
    )


def _splits(opened: Sequence[Predictions]) -> pd.DataFrame:
    tables = []
    for item in opened:
        column = item.split_column if item.split_column in item.rows.columns else PERTURBATION
        if column in item.rows.columns:
            tables.append(intervals.split_table(item.split_key, item.rows[column], item.rows["part"], item.name))
    if not tables:
        return pd.DataFrame({"seed": [], "value": [], "part": []}, dtype=str)
    table = pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)
    # Files of one seed may hold different targets, but must agree about the split.
    intervals.check_one_row_per_key(table, ["seed", "value"], "splits of the prediction files")
    return table


def _score(item: Predictions, target: str, columns: npt.NDArray[np.int64], options: EvaluateConfig) -> _Scored:
    measured = item.measured[:, columns]
    rows = np.flatnonzero(item.part(TEST) & ~np.isnan(measured).all(axis=1))
    if not len(rows):
        raise InputError(f"{item.name}: target '{target}' has no measured test wells; predict on a dataset that has it")
    measured, predicted = measured[rows], item.predicted[np.ix_(rows, columns)]
    baseline = np.broadcast_to(item.train_mean()[columns], measured.shape)
    wells = item.rows.iloc[rows].reset_index(drop=True)
    ours = metrics.smape_terms(predicted, measured)
    theirs = metrics.smape_terms(baseline, measured)
    tested_ours, tested_theirs = (_by_unit(terms, wells, options) for terms in (ours, theirs))
    genes = np.asarray(item.genes(), dtype=object)[columns]
    table = pd.DataFrame(
        {
            "gene": genes,
            "target": target,
            "seed": item.split_key,
            "r2": metrics.r2(predicted, measured),
            "smape": metrics.column_mean(ours),
            "smape_baseline": metrics.column_mean(theirs),
            "p_wilcoxon": significance.wilcoxon_less(tested_ours, tested_theirs),
            "p_mannwhitney": significance.mann_whitney_less(tested_ours, tested_theirs),
            "p_regression": significance.regression_p(
                *(_by_unit(values, wells, options) for values in metrics.paired(predicted, measured))
            ),
            "train_mean": item.train_mean()[columns],
            "n_wells": (~np.isnan(measured)).sum(axis=0),
        }
    )
    return _Scored(table=table, wells=wells, predicted=predicted, measured=measured, observations=len(tested_ours))


def _by_unit(terms: Floats, wells: pd.DataFrame, options: EvaluateConfig) -> Floats:
    if options.unit == "well":
        return terms
    by = [column for column in (PERTURBATION, STIMULATION) if column in wells.columns]
    if not by:
        raise InputError(f"unit 'condition' needs the column '{PERTURBATION}' in obs; use unit 'well'")
    keys = [wells[column].astype(str).to_numpy() for column in by]
    return pd.DataFrame(terms).groupby(keys, sort=True).mean().to_numpy(dtype=np.float64)


def _p_column(options: EvaluateConfig) -> str:
    return {"wilcoxon": "p_wilcoxon", "mann_whitney": "p_mannwhitney"}[options.test]


def _adjusted(p: pd.Series, options: EvaluateConfig) -> Floats:
    values = p.to_numpy(dtype=np.float64)
    return significance.benjamini_hochberg(values) if options.correction == "benjamini_hochberg" else values


def _over_splits(per_split: pd.DataFrame, options: EvaluateConfig) -> pd.DataFrame:
    genes = intervals.over_splits(per_split, ["target", "gene"], _SCORES)
    counts = per_split.groupby(["target", "gene"], sort=False).agg(
        train_mean=("train_mean", "median"), n_wells=("n_wells", "median"), n_splits=("seed", "size")
    )
    genes = genes.merge(counts, left_on=["target", "gene"], right_index=True, validate="one_to_one")
    by_target = genes.groupby("target", sort=False)
    genes["q_bh"] = by_target[_p_column(options)].transform(significance.benjamini_hochberg)
    for name, column in (("significant", _p_column(options)), ("regression_significant", "p_regression")):
        genes[name] = by_target[column].transform(lambda p: _adjusted(p, options)) < options.alpha
    return genes


def _share_over_splits(genes: pd.DataFrame, options: EvaluateConfig, filtered: int) -> tuple[float, float]:
    """Return the ends of the authors' interval; the share lies between them, as each p lies between its quantiles."""
    column = _p_column(options)
    low, high = (
        significance.count_shares(_adjusted(genes[column + end], options), options.alpha, filtered).share
        for end in ("_high", "_low")
    )
    return low, high


def _shares_of_splits(per_split: pd.DataFrame, options: EvaluateConfig, genes: int, filtered: int) -> list[float]:
    """Return the share of significant genes of each split; a gene that only other splits have counts as filtered."""
    return [
        significance.count_shares(
            _adjusted(split[_p_column(options)], options), options.alpha, filtered + genes - len(split)
        ).share
        for _, split in per_split.groupby("seed", sort=False)
    ]


def _headline(
    genes: pd.DataFrame, per_split: pd.DataFrame, options: EvaluateConfig, filtered: Mapping[str, int]
) -> pd.DataFrame:
    rows = []
    for target, table in genes.groupby("target", sort=False):
        removed = int(filtered.get(str(target), 0))
        shares = significance.count_shares(_adjusted(table[_p_column(options)], options), options.alpha, removed)
        low, high = _share_over_splits(table, options, removed)
        of_split = _shares_of_splits(per_split[per_split["target"] == target], options, len(table), removed)
        split_low, split_high = intervals.quantile_interval(of_split)
        rows.append(
            {
                "target": str(target),
                "n_splits": len(of_split),
                "n_test_wells": int(table["n_wells"].max()),
                "genes": shares.total,
                "significant": shares.significant,
                "not_significant": shares.not_significant,
                "filtered": shares.filtered,
                "share": shares.share,
                "share_low": low,
                "share_high": high,
                "split_share": float(np.median(of_split)),
                "split_share_low": split_low,
                "split_share_high": split_high,
                "r2": metrics.median_of_known(table["r2"]),
                "smape": metrics.median_of_known(table["smape"]),
                "smape_baseline": metrics.median_of_known(table["smape_baseline"]),
            }
        )
    return pd.DataFrame(rows)


def rankable(table: pd.DataFrame, ranked: Literal["significant", "all"] = "significant") -> pd.DataFrame:
    """Return the genes of one target that ``ranked`` admits (see ``EvaluateConfig``), best r2 first."""
    known = table[table["r2"].notna()]
    if ranked == "significant":
        known = known[known["significant"] & known["regression_significant"]]
    return known.sort_values(["r2", "smape", "gene"], ascending=[False, True, True], kind="stable")


def rank_genes(
    table: pd.DataFrame, count: int = 10, ranked: Literal["significant", "all"] = "significant"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ``count`` best and worst genes of one target by median r2, as in Tables 1-4 of Image2Omics.

    Args:
        table: rows of ``OmicsEvaluation.genes``.
        count: count of genes in each.
        ranked: which genes take part, see ``EvaluateConfig.ranked``.

    Returns:
        Best first, worst first; they never share a gene, so that both are shorter where few genes take part.
    """
    known = rankable(table, ranked)
    best = known.head(count)
    worst = known.iloc[max(len(best), len(known) - count) :]
    return best, worst.iloc[::-1]


def _shown_wells(
    genes: pd.DataFrame, scored: Mapping[tuple[str, str], _Scored], options: EvaluateConfig
) -> pd.DataFrame:
    parts = []
    for target, table in genes.groupby("target", sort=False):
        best, worst = rank_genes(table, _SHOWN_GENES, options.ranked)
        shown = [*best["gene"], *worst["gene"]]
        for (name, seed), item in scored.items():
            if name != target:
                continue
            position = {gene: column for column, gene in enumerate(item.table["gene"])}
            keys = [key for key in (SOURCE, BAG, PERTURBATION, STIMULATION) if key in item.wells.columns]
            for gene in (gene for gene in shown if gene in position):
                part = item.wells[keys].astype(str)
                part.insert(0, "gene", gene)
                part.insert(0, "seed", seed)
                part.insert(0, "target", name)
                part["measured"] = item.measured[:, position[gene]]
                part["predicted"] = item.predicted[:, position[gene]]
                parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_WELL_COLUMNS))


def _notes(scored: Mapping[tuple[str, str], _Scored], options: EvaluateConfig) -> tuple[str, ...]:
    notes = []
    for target in dict.fromkeys(name for name, _ in scored):
        splits = {seed: item for (name, seed), item in scored.items() if name == target}
        notes += _target_notes(target, splits, options)
    return tuple(notes)


def _target_notes(target: str, splits: Mapping[str, _Scored], options: EvaluateConfig) -> list[str]:
    notes = []
    for seed, item in splits.items():
        smallest = 0.5**item.observations
        if options.test == "wilcoxon" and smallest >= options.alpha:
            notes.append(
                f"{target}, split {seed}: {item.observations} {options.unit}s in the test part; the smallest p the "
                f"signed-rank test can give is {smallest:.3g}, so no gene can be significant at {options.alpha:g}"
            )
    if options.unit == "well" and any(_has_replicates(item.wells) for item in splits.values()):
        notes.append(
            f"{target}: several test wells are of one condition and share its label, so tests per well call more genes "
            f"than {options.alpha:g} of them where nothing is predicted; only tests per condition (unit condition) "
            "keep that level"
        )
    negative = sum(int((item.measured < 0).sum()) for item in splits.values())
    if negative:
        share = negative / sum(item.measured.size for item in splits.values())
        notes.append(
            f"{target}: {share:.1%} of the measured values are negative; SMAPE then reaches 100 for any prediction of "
            "the other sign, so judge this target by r2"
        )
    return notes


def _has_replicates(wells: pd.DataFrame) -> bool:
    by = [column for column in (PERTURBATION, STIMULATION) if column in wells.columns]
    return PERTURBATION in by and bool(wells.duplicated(by).any())
