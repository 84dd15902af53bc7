"""What a simulation knows of its genes beside what was found: joins and shares by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from framework.errors import InputError
from framework.evaluate import Evaluation, found_of_truth, read_truth


def truth_file(folder: Path, **changes: list[str]) -> Path:
    table = {"gene": ["a", "b", "c"], "modality": ["rna"] * 3, "stimulation": ["M1"] * 3}
    pd.DataFrame({**table, "class": ["strong", "weak", "independent"], **changes}).to_parquet(folder / "truth.parquet")
    return folder / "truth.parquet"


def evaluation() -> Evaluation:
    genes = pd.DataFrame({"target": "rna_M1", "gene": ["a", "c", "new"], "significant": [True, False, True]})
    splits = pd.DataFrame({"target": "rna_M1", "gene": ["a", "c"], "seed": ["1", "1"], "p_wilcoxon": [0.2, 0.01]})
    summary = {"options": {"test": "wilcoxon", "alpha": 0.05}}
    return Evaluation(kind="omics", summary=summary, tables={"per_gene": genes, "per_split": splits})


def test_genes_of_both_are_joined_with_their_class(tmp_path: Path) -> None:
    found = found_of_truth(evaluation(), read_truth(truth_file(tmp_path)))
    assert found[["gene", "class", "significant"]].values.tolist() == [
        ["a", "strong", True],
        ["c", "independent", False],
    ]


def test_one_split_is_called_by_its_own_p(tmp_path: Path) -> None:
    found = found_of_truth(evaluation(), read_truth(truth_file(tmp_path)), "1")
    assert found.set_index("gene")["significant"].to_dict() == {"a": False, "c": True}


def test_a_table_that_is_no_truth_or_of_another_plate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class 'loud' of a gene; expected one of strong, weak, independent"):
        read_truth(truth_file(tmp_path, **{"class": ["strong", "loud", "weak"]}))
    with pytest.raises(InputError, match=r"no such.*name the truth\.parquet of wellstream simulate plate"):
        read_truth(tmp_path / "nowhere.parquet")
    other = read_truth(truth_file(tmp_path, stimulation=["M2"] * 3))
    with pytest.raises(InputError, match="it has targets such as 'rna_M2', the evaluation such as 'rna_M1'"):
        found_of_truth(evaluation(), other)
