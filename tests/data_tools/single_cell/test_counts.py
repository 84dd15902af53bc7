"""Readers of counts: one table, every format; and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from data_tools.single_cell.counts import GENE, PROTEIN, read_counts
from framework.errors import InputError

VALUES = np.array([[0, 2, 0], [1, 0, 3]], dtype=np.float32)
CELLS, GENES = ["c1", "c2"], ["CD3E", "CD8A", "ACTB"]


def write(folder: Path, form: str) -> Path:
    table = pd.DataFrame(VALUES.T.astype(int), index=GENES, columns=CELLS)
    if form in ("csv", "csv.gz", "tsv"):
        table.to_csv(folder / f"t.{form}", sep="\t" if form == "tsv" else ",")
        return folder / f"t.{form}"
    if form == "h5ad":
        data = anndata.AnnData(VALUES, pd.DataFrame(index=CELLS), pd.DataFrame(index=GENES))
        data.write_h5ad(folder / "t.h5ad")
        return folder / "t.h5ad"
    if form == "10x folder":
        with gzip.open(folder / "matrix.mtx.gz", "wb") as stream:
            io.mmwrite(stream, sparse.coo_matrix(VALUES.T))
        with gzip.open(folder / "features.tsv.gz", "wt") as stream:
            stream.writelines(f"ENSG{i}\t{gene}\tGene Expression\n" for i, gene in enumerate(GENES))
        with gzip.open(folder / "barcodes.tsv.gz", "wt") as stream:
            stream.writelines(f"{cell}\n" for cell in CELLS)
        return folder
    by_column = sparse.csc_matrix(VALUES.T)
    with h5py.File(folder / "t.h5", "w") as store:
        matrix = store.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            matrix[name] = getattr(by_column, name)
        matrix["shape"] = by_column.shape
        matrix["barcodes"] = np.array(CELLS, dtype="S")
        matrix["features/name"] = np.array(GENES, dtype="S")
        matrix["features/feature_type"] = np.array([GENE, GENE, PROTEIN], dtype="S")
    return folder / "t.h5"


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "h5ad", "10x folder", "10x h5"])
def test_every_format_gives_the_same_table(tmp_path: Path, form: str) -> None:
    counts = read_counts(write(tmp_path, form))
    assert list(counts.cells) == CELLS
    assert list(counts.features) == GENES
    np.testing.assert_array_equal(counts.values.toarray(), VALUES)


def test_a_10x_file_says_which_features_are_proteins(tmp_path: Path) -> None:
    counts = read_counts(write(tmp_path, "10x h5"))
    assert list(counts.of_kind(PROTEIN).features) == ["ACTB"]


def test_genes_that_share_a_symbol_stay_apart(tmp_path: Path) -> None:
    write(tmp_path, "10x folder")
    with gzip.open(tmp_path / "features.tsv.gz", "wt") as stream:
        stream.write("E1\tMATR3\nE2\tACTB\nE3\tMATR3\n")
    assert list(read_counts(tmp_path).features) == ["MATR3", "ACTB", "MATR3-1"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (",c1,c2\nA,1,2\nA,0,1\n", "the feature 'A' stands twice"),
        (",c1,c2\nA,1,x\nB,0,1\n", "column 'c2' holds 'x' for 'A'; expected a number"),
        (",c1,c2\nA,1,-2\n", "cell 'c2' has -2 of 'A'; expected finite counts of at least 0"),
        (",c1,c2\nA,1,\n", "cell 'c2' has nan of 'A'"),
        (",c1,c2\n", "holds no row"),
    ],
)
def test_damaged_tables_are_refused_with_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_counts(tmp_path / "t.csv")
    assert sentence in str(caught.value)


def test_a_truncated_gzip_is_a_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(b",c1\n" + b"".join(b"gene%d,%d\n" % (i, i) for i in range(2000)))
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as counts"):
        read_counts(tmp_path / "t.csv.gz")


def test_an_unknown_format_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"")
    with pytest.raises(InputError, match=r"expected \.csv"):
        read_counts(tmp_path / "t.xlsx")
    with pytest.raises(InputError, match="no such file"):
        read_counts(tmp_path / "none.csv")


def test_a_10x_folder_whose_parts_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path, "10x folder")
    with gzip.open(tmp_path / "barcodes.tsv.gz", "wt") as stream:
        stream.write("c1\n")
    with pytest.raises(InputError, match="3 features x 2 cells, but 3 features and 1 barcodes"):
        read_counts(tmp_path)
