"""Facts of omics targets: they survive being kept as a table, and a table of other targets is refused."""

from __future__ import annotations

import numpy as np
import pytest

from framework.models import SmallCnnConfig
from framework.objectives.omics_heads import OmicsHeadsProfile
from framework.objectives.omics_targets import TargetFacts


def profile() -> OmicsHeadsProfile:
    rna = TargetFacts(target="rna", genes=("G1", "G3"), train_mean=(0.1, -2.5), train_sd=(1.0, 1 / 3), excluded=("G2",))
    protein = TargetFacts(target="protein", genes=("G1",), train_mean=(7.0,), train_sd=(2.0,), excluded=())
    return OmicsHeadsProfile(
        channels=("A", "B"), backbone=SmallCnnConfig(widths=(4,)), aggregate="backbone", pool="mean",
        l2_normalise=True, targets=(rna, protein),
    )  # fmt: skip


def test_genes_are_rows_of_a_table_and_nothing_is_lost() -> None:
    table = profile().tables()["genes"]
    assert list(table.columns) == ["target", "gene", "train_mean", "train_sd", "excluded"]
    assert table["gene"].tolist() == ["G1", "G3", "G2", "G1"]
    assert table["excluded"].tolist() == [False, False, True, False]
    assert np.isnan(table["train_mean"][2])
    plain = profile().without_tables()
    assert plain["targets"] == [
        {"target": "rna", "genes": 2, "excluded": 1},
        {"target": "protein", "genes": 1, "excluded": 0},
    ]
    assert OmicsHeadsProfile.with_tables(plain, {"genes": table}) == profile()


def test_a_table_of_other_genes_is_refused() -> None:
    plain, table = profile().without_tables(), profile().tables()["genes"]
    with pytest.raises(ValueError, match="target 'rna' has 1 genes in the table of genes, expected 2"):
        OmicsHeadsProfile.with_tables(plain, {"genes": table.iloc[1:]})
    with pytest.raises(ValueError, match="no column 'gene'"):
        OmicsHeadsProfile.with_tables(plain, {"genes": table.drop(columns="gene")})
