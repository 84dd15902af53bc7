from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from experiments.demo.chain import usual_ranks
from experiments.demo.headline import headline
from experiments.demo.truth import check_one_split, check_over_splits
from framework.evaluate import Evaluation, write_evaluation


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    genes = ["a", "b", "c", "d"]
    classes = ["strong", "strong", "independent", "weak"]
    truth = pd.DataFrame({"gene": genes, "modality": "rna", "stimulation": "M1", "class": classes})
    truth.to_parquet(tmp_path / "truth.parquet")
    per_gene = pd.DataFrame({"target": "rna_M1", "gene": genes, "significant": [True, True, False, True]})
    per_gene.to_parquet(tmp_path / "per_gene.parquet")
    rows = [("rna_M1", gene, seed, p) for seed, ps in (("0", (0.01, 0.2, 0.01, 0.9)), ("1", (0.01, 0.01, 0.9, 0.9)))
            for gene, p in zip(genes, ps, strict=True)]  # fmt: skip
    pd.DataFrame(rows, columns=["target", "gene", "seed", "p_wilcoxon"]).to_parquet(tmp_path / "per_split.parquet")
    return tmp_path


def test_shares_by_hand(folder: Path) -> None:
    zero = check_one_split(folder, folder / "truth.parquet", 0)
    assert (zero.strong, zero.independent, zero.n_strong, zero.n_independent) == (0.5, 1.0, 2, 1)
    assert not zero.holds
    one = check_one_split(folder, folder / "truth.parquet", 1)
    assert (one.strong, one.independent) == (1.0, 0.0)
    assert one.holds
    over = check_over_splits(folder, folder / "truth.parquet")
    assert over.holds
    assert "100.0% of 2 genes with strong true dependence" in over.sentence()


def test_the_headline_counts_the_genes_of_each_ranking(tmp_path: Path) -> None:
    # 24 genes with r2 of .01 to .24; the best 12 pass both tests, and gene 23 has no r2.
    r2 = [number / 100 for number in range(1, 25)]
    genes = pd.DataFrame({"target": "rna_M1", "gene": [f"g{number}" for number in range(24)], "r2": r2, "smape": 1.0})
    genes["significant"] = genes["regression_significant"] = genes["r2"] > 0.12
    genes.loc[23, "r2"] = float("nan")
    summary = {"rows": [{"target": "rna_M1", "share": 0.5}]}
    write_evaluation(tmp_path / "evaluation", Evaluation(kind="omics", summary=summary, tables={"per_gene": genes}))
    (row,) = headline(tmp_path / "evaluation").to_dict("records")
    assert (row["target"], row["share"]) == ("rna_M1", 0.5)
    assert (row["ranked"], row["of_all"], row["worst_shared"]) == (11, 23, 0)
    assert (row["ranked_best_r2_low"], row["ranked_best_r2_high"]) == (0.14, 0.23)
    # Eleven genes are ranked: ten are the best, so one is left to be the worst.
    assert (row["ranked_worst_r2_low"], row["ranked_worst_r2_high"]) == (0.13, 0.13)
    assert (row["of_all_worst_r2_low"], row["of_all_worst_r2_high"]) == (0.01, 0.1)


@pytest.mark.parametrize(("gpus", "ranks"), [(0, 2), (1, 1), (2, 2), (8, 2)])
def test_the_demo_starts_no_more_processes_than_there_are_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: int, ranks: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert usual_ranks() == ranks
