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

from data_tools.single_cell.count_files import read_counts
from data_tools.single_cell.counts import GENE, PROTEIN, Counts, check_counts, counts_of, distinct
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
        (",c1,c2\nA,1,2\nA,0,1\n", "the feature 'A' appears twice"),
        (",c1,c2\nA,1,x\nB,0,1\n", "line 2 ('A'): column 'c2' reads 'x', expected a number"),
        (",c1,c2\nA,1,-2\n", "cell 'c2' has -2 of 'A'; expected finite counts of at least 0"),
        (",c1,c2\nA,1,\n", "cell 'c2' has nan of 'A'"),
        (",c1,c2\nA,1,1e20\n", "cell 'c2' has 1e+20 of 'A'; expected counts of molecules, at most 16,777,216"),
        (",c1,c2\nA,1,16777218\n", "cell 'c2' has 1.67772e+07 of 'A'; expected counts of molecules"),
        (",c1,c2\nA,1,0.5\n", "cell 'c2' has 0.5 of 'A'; expected whole numbers"),
        (",c1,c1\nA,1,2\n", "the column 'c1' appears twice in the header (columns 2 and 3)"),
        (",c1,c2,c1,c2\nA,1,2,3,4\n", "(columns 2 and 4), and so do 1 more; where lanes or samples were joined"),
        (",CD4,CD8\nACGTACGTACGTACGT-1,1,2\nTTTTACGTACGTACGT-1,1,2\n", "transpose it"),
        (",c1,c2\n", "holds a header but no rows"),
    ],
)
def test_damaged_tables_are_refused_with_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_counts(tmp_path / "t.csv")
    assert sentence in str(caught.value)


def test_barcodes_of_joined_lanes_are_told_apart_in_every_format(tmp_path: Path) -> None:
    twice = anndata.AnnData(VALUES, pd.DataFrame(index=["BC", "BC"]), pd.DataFrame(index=GENES))
    twice.write_h5ad(tmp_path / "t.h5ad")
    write(tmp_path, "10x folder")
    with gzip.open(tmp_path / "barcodes.tsv.gz", "wt") as stream:
        stream.write("BC\nBC\n")
    for place in (tmp_path / "t.h5ad", tmp_path):
        with pytest.raises(InputError, match=r"the cell 'BC' appears twice; .* put the lane before each name, as L1_"):
            read_counts(place)


@pytest.mark.parametrize(("form", "name"), [("h5ad", "t.h5"), ("h5ad", "t.csv"), ("10x h5", "t.h5ad")])
def test_hdf5_is_known_by_what_it_holds(tmp_path: Path, form: str, name: str) -> None:
    made = write(tmp_path, form)
    other = tmp_path / "other" / name
    other.parent.mkdir()
    made.rename(other)
    np.testing.assert_array_equal(read_counts(other).values.toarray(), VALUES)


def test_a_truncated_gzip_is_a_sentence(tmp_path: Path) -> None:
    whole = gzip.compress(b",c1\n" + b"".join(b"gene%d,%d\n" % (i, i) for i in range(2000)))
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="the gzip file is cut off or damaged"):
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


def test_semicolons_are_found_and_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene;c1;c2\nA;1;2\nB;0;3\n")
    counts = read_counts(tmp_path / "t.csv")
    np.testing.assert_array_equal(counts.values.toarray(), [[1, 0], [2, 3]])
    assert counts.notes == (f"{tmp_path / 't.csv'}: cells are separated by semicolon",)


@pytest.mark.parametrize("suffix", ["xlsx", "rds", "loom", "gct", "parquet", "mtx"])
def test_other_formats_are_named_as_what_they_are(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"t.{suffix}"
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=rf"t\.{suffix}: an? .*; expected \.csv"):
        read_counts(file)


def test_a_matrix_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "10x folder")
    (tmp_path / "matrix.mtx.gz").unlink()
    head = "%%MatrixMarket matrix coordinate integer general\n"
    (tmp_path / "matrix.mtx").write_text(head + "3 2 999999999\n1 1 1\n")
    with pytest.raises(InputError, match="declares 999999999 values"):
        read_counts(tmp_path)
    (tmp_path / "matrix.mtx").write_text(head + "2 3 1\n1 1 5\n")
    with pytest.raises(InputError, match="2 cells x 3 features; expected features x cells"):
        read_counts(tmp_path)


def test_a_prefix_before_the_names_of_a_10x_folder(tmp_path: Path) -> None:
    write(tmp_path, "10x folder")
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / f"GSM1_{file.name}")
    np.testing.assert_array_equal(read_counts(tmp_path).values.toarray(), VALUES)


def test_10x_files_of_version_2_hold_a_group_per_genome(tmp_path: Path) -> None:
    by_column = sparse.csc_matrix(VALUES.T)
    with h5py.File(tmp_path / "t.h5", "w") as store:
        for genome in ("hg19", "mm10"):
            matrix = store.create_group(genome)
            for name in ("data", "indices", "indptr"):
                matrix[name] = getattr(by_column, name)
            matrix["shape"] = by_column.shape
            matrix["barcodes"] = np.array(CELLS, dtype="S")
            matrix["gene_names"] = np.array([f"{genome}_{gene}" for gene in GENES], dtype="S")
            matrix["genes"] = np.array(GENES, dtype="S")
    counts = read_counts(tmp_path / "t.h5")
    assert list(counts.features) == [f"{genome}_{gene}" for genome in ("hg19", "mm10") for gene in GENES]
    np.testing.assert_array_equal(counts.values.toarray(), np.hstack([VALUES, VALUES]))


def test_names_are_made_distinct_within_their_kind_alone() -> None:
    names = ["CD4", "A", "A", "A-1", "A", "CD4"]
    kinds = ["RNA", "RNA", "RNA", "RNA", "RNA", "Antibody Capture"]
    assert distinct(names, kinds) == ["CD4", "A", "A-2", "A-1", "A-3", "CD4"]


def test_reads_without_a_gene_are_no_feature(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,c1,c2\nA,1,2\n__no_feature,100,200\nN_ambiguous,3,4\n")
    with pytest.raises(InputError, match="remove the 2 rows of this kind: __no_feature, N_ambiguous"):
        read_counts(tmp_path / "t.csv")


def test_genes_that_a_spreadsheet_changed_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,c1,c2\n02. Sep,1,2\n2024-03-01,3,4\nMARCH1,5,6\n")
    (note,) = read_counts(tmp_path / "t.csv").notes
    assert "2 genes are called as spreadsheets change them ('02. Sep', '2024-03-01'" in note


HEAD = "%%MatrixMarket matrix coordinate {} general\n3 2 1\n1 1 5{}\n"


@pytest.mark.parametrize(("field", "rest"), [("complex", " 1"), ("pattern", "")])
def test_matrices_of_other_than_counts_are_refused(tmp_path: Path, field: str, rest: str) -> None:
    write(tmp_path, "10x folder")
    (tmp_path / "matrix.mtx.gz").unlink()
    text = HEAD.format(field, rest) if rest else HEAD.format(field, rest).replace("1 1 5", "1 1")
    (tmp_path / "matrix.mtx").write_text(text)
    with pytest.raises(InputError, match=f"a Matrix Market file of the kind '{field}'"):
        read_counts(tmp_path)


@pytest.mark.parametrize(
    ("name", "lines", "sentence"),
    [
        ("features", "id\tname\n1\ta\n2\tb\n3\tc\n", "remove the header of its features"),
        ("barcodes", "cell\nc1\nc2\n", "remove the header of its barcodes"),
        ("features", "1 a Gene\n2 b Gene\n3 c Gene\n", "no tab in a line such as '1 a Gene'"),
    ],
)
def test_headers_and_blanks_in_10x_files_are_named(tmp_path: Path, name: str, lines: str, sentence: str) -> None:
    write(tmp_path, "10x folder")
    with gzip.open(tmp_path / f"{name}.tsv.gz", "wt") as stream:
        stream.write(lines)
    with pytest.raises(InputError, match=sentence):
        read_counts(tmp_path)


def test_quoted_names_and_a_10x_folder_within_a_folder(tmp_path: Path) -> None:
    inner = tmp_path / "filtered"
    inner.mkdir()
    write(inner, "10x folder")
    with gzip.open(inner / "features.tsv.gz", "wt") as stream:
        stream.write("".join(f'"E{i}"\t"{gene}"\t"Gene Expression"\n' for i, gene in enumerate(GENES)))
    with pytest.raises(InputError, match="name the folder in it: filtered"):
        read_counts(tmp_path)
    assert list(read_counts(inner).features) == GENES


def test_a_matrix_that_ends_in_zeros_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "barcodes.tsv").write_text("c1\n")
    (tmp_path / "features.tsv").write_text("g1\n")
    file = tmp_path / "matrix.mtx"
    file.write_text("%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 5\n")
    with file.open("rb+") as stream:
        stream.truncate(4 << 30)
    with pytest.raises(InputError, match=r"matrix\.mtx: the file ends with zero bytes"):
        read_counts(tmp_path)


def checked(file: Path) -> Counts:
    counts = read_counts(file)
    return check_counts(counts, file, fractional=False, way_out="")


@pytest.mark.parametrize("axis", ["feature", "cell"])
def test_a_row_or_column_of_sums_is_refused_by_name(tmp_path: Path, axis: str) -> None:
    table = pd.DataFrame(
        np.random.default_rng(0).poisson(4, (6, 5)), index=[f"G{n}" for n in range(6)], columns=[*"abcde"]
    )
    table.to_csv(tmp_path / "t.csv")
    assert checked(tmp_path / "t.csv").values.shape == (5, 6)
    if axis == "feature":
        table.loc["all"] = table.sum(axis=0)
    else:
        table["all"] = table.sum(axis=1)
    table.to_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match=rf"t\.csv: the {axis} 'all' is the sum of all others; remove it"):
        checked(tmp_path / "t.csv")


def test_values_of_one_place_are_added_and_said_and_ones_alone_are_asked_about(tmp_path: Path) -> None:
    made = counts_of(sparse.csr_array(([2, 3, 1], [0, 0, 1], [0, 3]), shape=(1, 2)), ["c"], ["G1", "G2"], [GENE] * 2)
    assert made.values.toarray().tolist() == [[5, 1]]
    said = ("1 values stand at a place of another one (same cell, same feature) and were added to it",)
    assert made.notes == said
    triples = sparse.coo_array(([2, 3, 1], ([0, 0, 0], [0, 0, 1])), shape=(1, 2))
    made = counts_of(triples, ["c"], ["G1", "G2"], [GENE] * 2)
    assert (made.values.toarray().tolist(), made.notes) == ([[5, 1]], said)
    detected = pd.DataFrame(np.eye(60, dtype=int), index=[f"G{n}" for n in range(60)])
    detected.to_csv(tmp_path / "t.csv")
    assert "all 60 values above 0 are 1: is this a table of what was detected" in checked(tmp_path / "t.csv").notes[-1]


@pytest.mark.parametrize(
    ("part", "names", "what"),
    [
        ("barcodes", ["c1"], "1 barcodes"),
        ("barcodes", ["c1", "c2", "c3"], "3 barcodes"),
        ("features/name", ["CD3E", "CD8A"], "2 ids of features"),
        ("features/feature_type", [GENE, PROTEIN], "2 types of features"),
    ],
)
def test_a_10x_file_with_other_names_than_its_matrix_has_is_refused(
    tmp_path: Path, part: str, names: list[str], what: str
) -> None:
    file = write(tmp_path, "10x h5")
    with h5py.File(file, "a") as store:
        del store[f"matrix/{part}"]
        store[f"matrix/{part}"] = np.array(names, dtype="S")
    with pytest.raises(InputError, match=f"its matrix has 2 barcodes x 3 features, beside it stand {what}; expected"):
        read_counts(file)


def test_features_that_share_a_name_are_said(tmp_path: Path) -> None:
    file = write(tmp_path, "10x h5")
    with h5py.File(file, "a") as store:
        store["matrix/features/name"][1] = "CD3E"
    counts = read_counts(file)
    assert list(counts.features) == ["CD3E", "CD3E-1", "ACTB"]
    assert f"{file}: 1 features have the name of another and get a number behind it, as 'CD3E-1'" in counts.notes


def test_genes_that_a_program_numbered_are_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("gene,c1,c2\nCD3E,1,2\nCD3E.1,3,4\nACTB,1,1\nENSG01.12,1,0\n")
    counts = read_counts(tmp_path / "t.csv")
    (note,) = (note for note in counts.notes if "with a number behind" in note)
    assert "1 genes are called as another with a number behind, as 'CD3E' and 'CD3E.1'" in note
