"""Genes and proteins of one experiment: kinds apart, cells matched and counted, nothing predicted from itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from data_tools.single_cell import SingleCellConfig
from data_tools.single_cell.experiment import Experiment, read_experiment
from framework.errors import InputError

CELLS = [f"BC{i:02d}-1" for i in range(12)]
GENES = [f"G{i}" for i in range(6)] + ["CD4"]
PANEL = ["CD4", "CD19"]
RNA = np.random.default_rng(0).integers(1, 50, (12, 7)).astype(np.float32)
ADT = np.random.default_rng(1).integers(1, 900, (12, 2)).astype(np.float32)


def text(file: Path, values: np.ndarray, features: list[str], cells: list[str]) -> str:
    """Features x cells."""
    pd.DataFrame(values.T.astype(int), index=features, columns=cells).to_csv(file)
    return str(file)


def both(file: Path, extra: tuple[str, ...] = ()) -> str:
    """An AnnData file with genes, proteins and features of further kinds."""
    kinds = ["Gene Expression"] * 7 + ["Antibody Capture"] * 2 + ["Multiplexing Capture"] * len(extra)
    values = np.concatenate([RNA, ADT, np.ones((12, len(extra)), np.float32)], axis=1)
    var = pd.DataFrame({"feature_types": kinds}, index=[*GENES, *PANEL, *extra])
    anndata.AnnData(values, pd.DataFrame(index=CELLS), var).write_h5ad(file)
    return str(file)


def read(**options: Any) -> Experiment:
    return read_experiment(SingleCellConfig.from_plain({"name": "x", **options}))


def test_kinds_are_separated_and_others_left_out_by_name(tmp_path: Path) -> None:
    found = read(genes=both(tmp_path / "t.h5ad", ("CMO301", "CMO302")))
    assert list(found.genes.features) == GENES
    assert list(found.proteins.features) == PANEL
    np.testing.assert_array_equal(found.proteins.values.toarray(), ADT)
    assert found.notes == (
        f"{tmp_path / 't.h5ad'}: 2 features of type 'Multiplexing Capture', as 'CMO301', are left out",
    )


def test_antibodies_do_not_stay_among_the_genes_beside_a_table_of_proteins(tmp_path: Path) -> None:
    """As genes they would be predicted from themselves."""
    table = text(tmp_path / "adt.csv", ADT[::-1], PANEL, CELLS[::-1])
    found = read(genes=both(tmp_path / "t.h5ad"), proteins=table)
    assert list(found.genes.features) == GENES
    np.testing.assert_array_equal(found.proteins.values.toarray(), ADT)
    assert any("its 2 surface proteins, as 'CD4', are left out" in note for note in found.notes)


def test_of_a_file_named_as_proteins_the_genes_are_left_out(tmp_path: Path) -> None:
    genes = text(tmp_path / "rna.csv", RNA, GENES, CELLS)
    found = read(genes=genes, proteins=both(tmp_path / "t.h5ad"))
    assert list(found.proteins.features) == PANEL
    assert any("its 7 genes, as 'G0', are left out" in note for note in found.notes)


def test_genes_that_are_named_as_proteins_are_refused(tmp_path: Path) -> None:
    genes = text(tmp_path / "rna.csv", RNA, GENES, CELLS)
    with pytest.raises(InputError, match="the gene 'G0' has the counts of the protein 'G0'"):
        read(genes=genes, proteins=genes)
    many = text(tmp_path / "many.csv", np.ones((12, 1200)), [f"H{i}" for i in range(1200)], CELLS)
    with pytest.raises(InputError, match="1200 proteins, as 'H0'; a panel of antibodies has some hundreds"):
        read(genes=genes, proteins=many)
    merged = text(tmp_path / "merged.csv", np.concatenate([RNA, ADT[:, :1]], axis=1), [*GENES, "ADT_CD4"], CELLS)
    with pytest.raises(InputError, match="the gene 'ADT_CD4' has the counts of the protein 'CD4'"):
        read(genes=merged, proteins=text(tmp_path / "adt.csv", ADT, PANEL, CELLS))


def test_both_sides_of_a_join_are_counted(tmp_path: Path) -> None:
    genes = text(tmp_path / "rna.csv", RNA[:10], GENES, CELLS[:10])
    found = read(genes=genes, proteins=text(tmp_path / "adt.csv", ADT[3:], PANEL, CELLS[3:]))
    assert list(found.genes.cells) == CELLS[3:10]
    np.testing.assert_array_equal(found.proteins.values.toarray(), ADT[3:10])
    assert found.notes == (
        f"{genes}: 7 of 10 cells have proteins in {tmp_path / 'adt.csv'}; 3 have none and are left out, as 'BC00-1'; 2 "
        f"cells of {tmp_path / 'adt.csv'} have no genes, as 'BC10-1'",
    )


def test_cells_that_would_get_their_neighbours_row_are_refused(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(13)]
    genes = text(tmp_path / "rna.csv", RNA, GENES, numbers[:12])
    proteins = text(tmp_path / "adt.csv", ADT, PANEL, numbers[1:])
    with pytest.raises(InputError, match=r"adt\.csv: .*one off \(0 to 11 and 1 to 12\): 11 match, 12 would"):
        read(genes=genes, proteins=proteins)
    right = text(tmp_path / "adt.csv", ADT, PANEL, numbers[:12])
    assert list(read(genes=genes, proteins=right).genes.cells) == numbers[:12]
    labels = tmp_path / "labels.csv"
    labels.write_text("cell,type\n" + "".join(f"{number},t{number}\n" for number in numbers[1:]))
    with pytest.raises(InputError, match=r"labels\.csv: .*one off \(0 to 11 and 1 to 12\)"):
        read(genes=genes, proteins=right, labels=str(labels))


def test_no_match_names_both_sides_and_why(tmp_path: Path) -> None:
    genes = text(tmp_path / "rna.csv", RNA, GENES, CELLS)
    proteins = text(tmp_path / "adt.csv", ADT, PANEL, [name.removesuffix("-1") for name in CELLS])
    with pytest.raises(InputError) as caught:
        read(genes=genes, proteins=proteins)
    assert "('BC00-1', ...) has proteins ('BC00', ...)" in str(caught.value)
    assert "without a number at the end, as '-1' 12 would match" in str(caught.value)


def test_transposed_tables_are_said(tmp_path: Path) -> None:
    genes = text(tmp_path / "rna.csv", RNA, GENES, CELLS)
    proteins = text(tmp_path / "adt.csv", ADT, PANEL, CELLS)
    turned = text(tmp_path / "turned.csv", ADT.T, CELLS, PANEL)
    with pytest.raises(InputError, match=r"turned\.csv: 12 of its features are cells of .*transpose it"):
        read(genes=genes, proteins=turned)
    rna = text(tmp_path / "rna_turned.csv", RNA.T, CELLS, GENES)
    with pytest.raises(InputError, match=r"rna_turned\.csv: 12 of its features are cells of"):
        read(genes=rna, proteins=proteins)
    with pytest.raises(InputError, match=r"share 12 features, as 'BC00-1', and 1 cells.*transpose both"):
        read(genes=rna, proteins=turned)


def labels(file: Path, lines: list[str]) -> str:
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_labels_stay_text_and_their_join_is_counted(tmp_path: Path) -> None:
    lines = ["cell;sample;stim", *(f"{cell};00{i};None" for i, cell in enumerate(CELLS[:11])), "other;007;NA"]
    found = read(genes=both(tmp_path / "t.h5ad"), labels=labels(tmp_path / "l.csv", lines))
    assert found.labels.loc[CELLS[3]].tolist() == ["003", "None"]
    assert found.labels.loc[CELLS[11]].isna().all()
    assert any(
        "11 of 12 cells have one of its 12 rows; 1 cells have none, as 'BC11-1'; 1 rows have no cell, as 'other'"
        in note
        for note in found.notes
    )


def test_labels_without_a_header_or_a_match(tmp_path: Path) -> None:
    genes = both(tmp_path / "t.h5ad")
    with pytest.raises(InputError, match="its first line names the cell 'BC00-1', so it has no header"):
        read(genes=genes, labels=labels(tmp_path / "l.csv", [f"{cell},T" for cell in CELLS]))
    with pytest.raises(InputError, match=r"none of its 1 rows \('x', ...\) is a cell of"):
        read(genes=genes, labels=labels(tmp_path / "l.csv", ["cell,type", "x,T"]))


def test_names_that_a_program_made_distinct_are_said(tmp_path: Path) -> None:
    """Lanes joined in another order give the same names, so a swap cannot be seen, only its possibility."""
    lanes = [*CELLS[:6], *(f"{cell}.1" for cell in CELLS[:6])]
    adt = text(tmp_path / "adt.csv", ADT, PANEL, lanes)
    found = read(genes=text(tmp_path / "rna.csv", RNA, GENES, lanes), proteins=adt)
    (note,) = (note for note in found.notes if "number behind" in note)
    assert note.startswith(f"{tmp_path / 'rna.csv'}: 6 of 12 cells are called as another")
    assert "'BC00-1' and 'BC00-1.1'" in note
    assert "put the lane before each name" in note
    distinct = text(tmp_path / "b.csv", ADT, PANEL, CELLS)
    assert read(genes=text(tmp_path / "a.csv", RNA, GENES, CELLS), proteins=distinct).notes == ()


def test_one_file_is_not_both_and_cells_may_stand_in_another_column(tmp_path: Path) -> None:
    rna = text(tmp_path / "rna.csv", RNA, GENES, CELLS)
    few = text(tmp_path / "few.csv", RNA[:3], GENES, CELLS[:3])
    with pytest.raises(InputError, match="'genes' and 'proteins' name one file"):
        read(genes=few, proteins=few)
    (tmp_path / "labels.csv").write_text(",cell\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(CELLS)))
    adt = text(tmp_path / "adt.csv", ADT, PANEL, CELLS)
    with pytest.raises(InputError, match="its column 'cell' holds cells: make it the first"):
        read(genes=rna, proteins=adt, labels=str(tmp_path / "labels.csv"))


def test_a_file_with_both_may_be_named_twice(tmp_path: Path) -> None:
    file = both(tmp_path / "t.h5ad")
    once, twice = read(genes=file), read(genes=file, proteins=file)
    assert twice.notes == once.notes
    assert list(twice.genes.features) == GENES
    np.testing.assert_array_equal(twice.proteins.values.toarray(), ADT)
    np.testing.assert_array_equal(twice.proteins.values.toarray(), once.proteins.values.toarray())


@pytest.mark.parametrize("name", ["CD4_TotalSeqB", "ADT_CD4", "CD4-ADT", "anti-human CD4"])
def test_genes_that_are_called_as_antibodies_are_refused(tmp_path: Path, name: str) -> None:
    """Their counts may be those of another table, scaled otherwise: the name alone says it."""
    table = text(tmp_path / "adt.csv", ADT, PANEL, CELLS)
    genes = text(tmp_path / "rna.csv", RNA, [*GENES[:-1], name], CELLS)
    with pytest.raises(InputError, match=f"1 genes have names like antibodies, such as '{name}'"):
        read(genes=genes, proteins=table)


def test_a_column_of_labels_without_a_name_is_left_out_and_said(tmp_path: Path) -> None:
    """It ended the writing of the result within a library."""
    file = tmp_path / "labels.csv"
    file.write_text("cell,,type\n" + "".join(f"{cell},x,T\n" for cell in CELLS))
    found = read(genes=both(tmp_path / "t.h5ad"), labels=str(file))
    assert list(found.labels.columns) == ["type"]
    assert f"{file}: the column behind 'cell' has no name in the header and is left out" in found.notes
