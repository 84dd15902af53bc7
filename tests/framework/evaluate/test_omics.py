from __future__ import annotations

import anndata
import numpy as np
import pytest
from scipy import stats

from framework.errors import InputError
from framework.evaluate import EvaluateConfig, evaluate_omics, rank_genes, significance
from framework.evaluate.metrics import smape, smape_terms


def test_one_split_equals_the_same_sums_by_hand(wells) -> None:
    data = wells(0)
    genes = evaluate_omics([data]).genes
    test = (data.obs["part"] == "test").to_numpy()
    predicted, measured = np.asarray(data.X)[test].astype(float), data.layers["measured"][test].astype(float)
    baseline = np.tile(data.var["train_mean"].to_numpy(), (test.sum(), 1))
    np.testing.assert_allclose(genes["smape"], smape(predicted, measured))
    np.testing.assert_allclose(genes["smape_baseline"], smape(baseline, measured))
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


def test_medians_and_quantiles_over_splits(wells) -> None:
    result = evaluate_omics([wells(seed) for seed in range(4)])
    values = result.per_split.loc[result.per_split["gene"] == "G2", "smape"]
    row = result.genes.set_index("gene").loc["G2"]
    np.testing.assert_allclose(row["smape"], np.median(values))
    np.testing.assert_allclose([row["smape_low"], row["smape_high"]], np.quantile(values, [0.025, 0.975]))
    assert set(result.splits["seed"]) == {"0", "1", "2", "3"}


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
    assert evaluate_omics([wells()]).notes == ()


def test_best_and_worst_share_no_gene(wells) -> None:
    genes = evaluate_omics([wells(genes=14)]).genes
    best, worst = rank_genes(genes, 10)
    assert len(best) == 10
    assert len(worst) == 4
    assert not set(best["gene"]) & set(worst["gene"])
    assert worst["r2"].is_monotonic_increasing
    assert best["r2"].min() >= worst["r2"].max()
