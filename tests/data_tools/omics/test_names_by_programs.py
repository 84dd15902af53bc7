"""Names as programs write them: R's header without a name for row names, and genes with a number behind."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from fixtures.omics_frame import FRAME, read_counts

from framework.errors import InputError

_NO_NAME = "the header has no name for the column of row names"


@pytest.mark.parametrize("separator", [",", " ", "\t"])
def test_tables_of_r_whose_header_lacks_a_name_are_read_as_prepare_reads_them(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "t.txt"
    rows = [["drug", "g1", "g2"], ["S1", "x", "1", "2"], ["S2", "y", "3", "5"]]
    file.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    table = read_counts(file, perturbation="drug", stimulation=None, plate=None)
    assert (table.sample.tolist(), table.perturbation.tolist()) == (["S1", "S2"], ["x", "y"])
    assert (table.genes, table.values.tolist()) == (("g1", "g2"), [[1, 2], [3, 5]])
    assert f"{file}: {_NO_NAME}" in table.notes


def test_genes_in_rows_of_a_table_of_r(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("sample,drug\nS1,x\nS2,y\n")
    (tmp_path / "t.csv").write_text("S1,S2\nTP53,1,2\nEGFR,3,5\n")
    sheet = {"path": str(tmp_path / "sheet.csv")}
    table = read_counts(tmp_path / "t.csv", sheet=sheet, perturbation="drug", stimulation=None, plate=None)
    assert (table.genes, table.sample.tolist()) == (("TP53", "EGFR"), ["S1", "S2"])
    assert table.values.tolist() == [[1, 3], [2, 5]]
    assert f"{tmp_path / 't.csv'}: {_NO_NAME}" in table.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("drug,g1\nx,1,5\ny,2,5\n", "line 2 has 3 cells, the header .line 1. names 2; it begins with 'x'"),
        ("drug,g1,g2\nS1,x,1,2\ny,3,5\n", "line 3 has 3 cells, the header .line 1. names 3 beside the names of rows"),
        ("drug,g1,g2\nx,1,2\nS2,y,3,5\n", "line 3 has 4 cells, the header .line 1. names 3; it begins with 'S2'"),
    ],
)
def test_a_comma_in_a_number_and_rows_of_two_lengths_are_no_row_names(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_counts(tmp_path / "t.csv", perturbation="drug", stimulation=None, plate=None)


def test_genes_that_a_program_numbered_are_said(tmp_path: Path) -> None:
    FRAME.rename(columns={"g2": "g1.1"}).to_csv(tmp_path / "t.csv", index=False)
    (note,) = (note for note in read_counts(tmp_path / "t.csv").notes if "with a number behind" in note)
    assert note.startswith(f"{tmp_path / 't.csv'}: 1 genes are called as another with a number behind, as 'g1' and 'g1")
    FRAME.rename(columns={"g2": "h1.1"}).to_csv(tmp_path / "t.csv", index=False)
    assert not any("with a number behind" in note for note in read_counts(tmp_path / "t.csv").notes)


def test_a_column_without_a_name_that_is_not_the_first_is_not_taken_for_the_samples(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("Metadata_Perturbation,g1,,g2\na,1,remark,2\nb,4,another,5\n")
    table = read_counts(file, stimulation=None, plate=None)
    assert list(table.sample) == ["row 1", "row 2"]
    assert table.values.tolist() == [[1, 2], [4, 5]]
    assert table.notes == (f"{file}: the column behind 'g1' has no name in the header and is left out",)


def test_row_numbers_that_pandas_left_in_parquet_do_not_name_genes(tmp_path: Path) -> None:
    genes = pd.DataFrame({"gene": ["G1", "G2", "G3", "G4"], "s1": [0, 1, 2, 3], "s2": [0, 3, 4, 8]})
    genes[genes.s1 > 0].to_parquet(tmp_path / "t.parquet")
    (tmp_path / "sheet.csv").write_text("sample,Metadata_Perturbation\ns1,a\ns2,b\n")
    sheet = {"path": str(tmp_path / "sheet.csv")}
    table = read_counts(tmp_path / "t.parquet", sheet=sheet, stimulation=None, plate=None)
    assert table.genes == ("G2", "G3", "G4")
    assert table.values.tolist() == [[1, 2, 3], [3, 4, 8]]
