from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.errors import InputError
from framework.evaluate import EvaluateConfig, evaluate_omics, rank_genes, significance
from framework.evaluate.metrics import column_mean, smape_terms


def test_one_split_equals_the_same_sums_by_hand(wells) -> None:
    data = wells(0)
    genes = evaluate_omics([data]).genes
    test = (data.obs["part"] == "test").to_numpy()
    predicted, measured = np.asarray(data.X)[test].astype(float), data.layers["measured"][test].astype(float)
    baseline = np.tile(data.var["train_mean"].to_numpy(), (test.sum(), 1))
    np.testing.assert_allclose(genes["smape"], column_mean(smape_terms(predicted, measured)))
    np.testing.assert_allclose(genes["smape_baseline"], column_mean(smape_terms(baseline, measured)))
    np.testing.assert_allclose(genes["r2"].iloc[3], stats.linregress(predicted[:, 3], measured[:, 3]).rvalue ** 2)
    one = stats.wilcoxon(
        smape_terms(predicted, measured)[:, 3], smape_terms(baseline, measured)[:, 3], alternative="less"
    )
    np.testing.assert_allclose(genes["p_wilcoxon"].iloc[3], one.pvalue)
    assert (genes["n_wells"] == test.sum()).all()


def test_good_genes_are_found_and_others_are_not(wells) -> None:
    result = evaluate_omics([wells(seed) for seed in range(3)])
    good = result.genes["gene"].isin([f"G{g}" for g in range(10)])
    assert result.genes.loc[good, "significant"].all()
    assert not result.genes.loc[~good, "significant"].any()
    row = result.targets.iloc[0]
    assert (row["significant"], row["not_significant"], row["genes"], row["n_splits"]) == (10, 10, 20, 3)
    assert row["share_low"] <= row["share"] == 0.5 <= row["share_high"]
    assert row["split_share_low"] <= row["split_share"] <= row["split_share_high"]


def test_medians_and_quantiles_over_splits(wells) -> None:
    result = evaluate_omics([wells(seed) for seed in range(4)])
    values = result.per_split.loc[result.per_split["gene"] == "G2", "smape"]
    row = result.genes.set_index("gene").loc["G2"]
    np.testing.assert_allclose(row["smape"], np.median(values))
    np.testing.assert_allclose([row["smape_low"], row["smape_high"]], np.quantile(values, [0.025, 0.975]))
    assert set(result.splits["seed"]) == {"0", "1", "2", "3"}


def many_splits(wells) -> list:
    """Five splits of 40 genes whose predictions are the truth under noise of very different size."""
    splits = []
    for seed in range(5):
        data = wells(seed, genes=40)
        noise = np.random.default_rng(50 + seed).normal(size=data.shape)
        data.X = (data.layers["measured"] + noise * np.linspace(0.5, 8, 40)).astype(np.float32)
        splits.append(data)
    return splits


@pytest.mark.parametrize("test", ["wilcoxon", "mann_whitney"])
@pytest.mark.parametrize("correction", ["none", "benjamini_hochberg"])
def test_the_authors_interval_counts_genes_by_their_quantiles_of_p(wells, test: str, correction: str) -> None:
    options = EvaluateConfig(test=test, correction=correction)
    result = evaluate_omics(many_splits(wells), options, {"rna_M1": 10})
    row = result.targets.iloc[0]
    column = {"wilcoxon": "p_wilcoxon", "mann_whitney": "p_mannwhitney"}[test]
    p = result.per_split.pivot(index="gene", columns="seed", values=column).to_numpy()

    def share(values: np.ndarray) -> float:
        q = stats.false_discovery_control(values) if correction == "benjamini_hochberg" else values
        return float((q < 0.05).sum() / 50)

    low, middle, high = (share(np.quantile(p, quantile, axis=1)) for quantile in (0.975, 0.5, 0.025))
    assert (row["share_low"], row["share"], row["share_high"]) == (low, middle, high)
    assert low < middle < high, "the test asks for a spread between splits"
    of_split = [share(p[:, split]) for split in range(5)]
    expected = [np.median(of_split), *np.quantile(of_split, [0.025, 0.975])]
    np.testing.assert_allclose(row[["split_share", "split_share_low", "split_share_high"]].tolist(), expected)


def test_the_interval_by_hand(wells, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three genes, five splits; p is given. Of five values the 2.5 and 97.5 % quantiles lie a tenth of a step in."""
    p = np.array([[0.01, 0.2, 0.3, 0.04, 0.5], [0.01, 0.01, 0.01, 0.01, 0.04], [0.04, 0.02, 0.03, 0.9, 0.01]])
    given = iter(p.T)
    monkeypatch.setattr(significance, "wilcoxon_less", lambda *_: next(given))
    row = evaluate_omics([wells(seed, genes=3) for seed in range(5)]).targets.iloc[0]
    # Medians .2, .01, .03: two of three. 97.5 %: .48, .037, .814: one. 2.5 %: .013, .01, .011: three.
    assert (row["share_low"], row["share"], row["share_high"]) == (1 / 3, 2 / 3, 1.0)
    # Splits call 3, 2, 2, 2 and 2 of three genes significant; the last 97.5 % quantile lies .1 below the highest step.
    assert row["split_share"] == pytest.approx(2 / 3)
    assert (row["split_share_low"], row["split_share_high"]) == pytest.approx((2 / 3, 2 / 3 + 0.9 / 3))


def test_one_split_has_no_interval(wells) -> None:
    row = evaluate_omics([wells()]).targets.iloc[0]
    assert row["share_low"] == row["share"] == row["share_high"] == row["split_share_low"] == row["split_share_high"]


def test_a_gene_that_one_split_lacks_is_filtered_in_that_split_alone(wells) -> None:
    row = evaluate_omics([wells(0), wells(1)[:, 1:].copy()], filtered={"rna_M1": 4}).targets.iloc[0]
    assert row["genes"] == 24
    # Ten good genes in split 0 and nine in split 1, of 24 each.
    assert row["split_share"] == pytest.approx(9.5 / 24)


def test_filtered_genes_count_in_the_denominator(wells) -> None:
    row = evaluate_omics([wells()], filtered={"rna_M1": 30}).targets.iloc[0]
    assert (row["genes"], row["filtered"], row["share"]) == (50, 30, 0.2)


def test_correction_and_unit_are_stricter(wells) -> None:
    plain = evaluate_omics([wells()]).genes
    by_condition = evaluate_omics([wells()], EvaluateConfig(unit="condition")).genes
    adjusted = evaluate_omics([wells()], EvaluateConfig(correction="benjamini_hochberg", test="mann_whitney"))
    # Ten conditions instead of twenty wells: p counts sign patterns of 2**10.
    patterns = by_condition["p_wilcoxon"] * 2.0**10
    np.testing.assert_allclose(patterns, patterns.round())
    assert by_condition["p_wilcoxon"].min() >= 2.0**-10 > plain["p_wilcoxon"].min()
    expected = significance.benjamini_hochberg(adjusted.genes["p_mannwhitney"])
    np.testing.assert_allclose(adjusted.genes["q_bh"], expected)
    assert (adjusted.genes["significant"] == (expected < 0.05)).all()
    assert adjusted.targets["significant"].iloc[0] == int((expected < 0.05).sum())


def test_one_file_may_hold_several_targets(wells) -> None:
    first, second = wells(0, target="rna_M1"), wells(0, target="protein_M1", genes=6)
    joined = anndata.concat([first, second], axis="var", merge="same", uns_merge="first")
    result = evaluate_omics([joined])
    assert result.targets["target"].tolist() == ["rna_M1", "protein_M1"]
    assert result.targets["genes"].tolist() == [20, 6]
    alone = evaluate_omics([second]).genes
    np.testing.assert_allclose(result.genes.loc[result.genes["target"] == "protein_M1", "smape"], alone["smape"])


def test_wells_of_another_stimulation_do_not_count(wells) -> None:
    data = wells()
    test = np.flatnonzero((data.obs["part"] == "test").to_numpy())
    data.layers["measured"][test[:4]] = np.nan
    assert evaluate_omics([data]).genes["n_wells"].unique().tolist() == [len(test) - 4]


def test_the_fold_trap(wells) -> None:
    with pytest.raises(InputError, match="second prediction file of target 'rna_M1' for split seed 0"):
        evaluate_omics([wells(0), wells(0)])
    leaky = wells(0)
    leaky.obs["part"] = np.where(np.arange(len(leaky.obs)) % 2, "train", "test")
    with pytest.raises(InputError, match="'KO0' stands in the parts test and train of split 0"):
        evaluate_omics([leaky])
    other = wells(1, target="protein_M1")
    other.uns["wellstream"]["split"]["seed"] = 0
    with pytest.raises(InputError, match="splits of the prediction files: expected one row for each"):
        evaluate_omics([wells(0), other])


def test_too_few_wells_are_said(wells) -> None:
    notes = evaluate_omics([wells(wells=16)], EvaluateConfig(unit="condition")).notes
    assert any("4 conditions in the test part; the smallest p" in note for note in notes)
    (note,) = evaluate_omics([wells()]).notes
    assert note.startswith("rna_M1: several test wells are of one condition and share its label")


def test_best_and_worst_share_no_gene(wells) -> None:
    genes = evaluate_omics([wells(genes=14)]).genes
    best, worst = rank_genes(genes, 10, "all")
    assert len(best) == 10
    assert len(worst) == 4
    assert not set(best["gene"]) & set(worst["gene"])
    assert worst["r2"].is_monotonic_increasing
    assert best["r2"].min() >= worst["r2"].max()


def ranked_table() -> pd.DataFrame:
    rows = [
        # gene, r2, error significant, regression significant
        ("A", 0.9, True, True),
        ("B", 0.8, False, True),
        ("C", 0.7, True, True),
        ("D", 0.3, True, True),
        ("E", 0.2, True, False),
        ("F", 0.1, False, False),
        ("G", np.nan, True, True),
    ]
    table = pd.DataFrame(rows, columns=["gene", "r2", "significant", "regression_significant"])
    return table.assign(smape=1.0)


def test_genes_are_ranked_as_in_the_papers_tables() -> None:
    best, worst = rank_genes(ranked_table(), 2)
    assert (best["gene"].tolist(), worst["gene"].tolist()) == (["A", "C"], ["D"])
    best, worst = rank_genes(ranked_table(), 2, "all")
    assert (best["gene"].tolist(), worst["gene"].tolist()) == (["A", "B"], ["F", "E"])
    none = ranked_table().assign(significant=False)
    assert [len(part) for part in rank_genes(none)] == [0, 0]


def test_both_tests_decide_what_is_ranked_and_whose_wells_are_shown(wells) -> None:
    data = wells(0)
    # Anti-correlated around the train mean of test wells: the regression is significant, the error is larger.
    measured = data.layers["measured"]
    data.X[:, 0] = 100.0 - measured[:, 0]
    for ranked in ("significant", "all"):
        result = evaluate_omics([data], EvaluateConfig(ranked=ranked))
        row = result.genes.set_index("gene").loc["G0"]
        assert row["r2"] == pytest.approx(1.0)
        assert row["p_regression"] < 1e-10
        assert (row["significant"], row["regression_significant"]) == (False, True)
        assert ("G0" in rank_genes(result.genes, 5, ranked)[0]["gene"].tolist()) == (ranked == "all")
        assert ("G0" in set(result.wells["gene"])) == (ranked == "all")
    # With nothing to rank the table of wells is empty, not absent.
    data.X = np.random.default_rng(0).normal(50, 30, data.shape).astype(np.float32)
    empty = evaluate_omics([data]).wells
    assert len(empty) == 0
    assert {"target", "gene", "measured", "predicted"} <= set(empty.columns)


def test_zero_of_zero_keeps_the_gene_where_the_authors_lose_it(wells) -> None:
    data = wells(0)
    test = np.flatnonzero((data.obs["part"] == "test").to_numpy())
    data.layers["measured"][test[0], 0] = data.X[test[0], 0] = 0.0
    row = evaluate_omics([data]).genes.iloc[0]
    assert np.isfinite(row["smape"])
    assert row["p_wilcoxon"] < 0.05
    predicted, measured = (np.asarray(x)[test, 0].astype(float) for x in (data.X, data.layers["measured"]))
    with np.errstate(invalid="ignore"):
        theirs = np.abs((predicted - measured) / (np.abs(measured) + np.abs(predicted))) * 100
    assert np.isnan(theirs.mean())
    assert row["smape"] == pytest.approx(np.nansum(theirs) / len(test))
