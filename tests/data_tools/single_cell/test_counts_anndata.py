"""Counts in AnnData and MuData files: zeros that are stored, layers, raw, proteins beside genes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from data_tools.single_cell.count_files import read_counts
from data_tools.single_cell.counts import GENE, PROTEIN
from framework.errors import InputError

VALUES = np.array([[0, 2, 0], [1, 0, 3]], dtype=np.float32)
CELLS, GENES = ["c1", "c2"], ["CD4", "CD8A", "ACTB"]


def data(**more: Any) -> anndata.AnnData:
    plain: dict[str, Any] = {"X": VALUES, "obs": pd.DataFrame(index=CELLS), "var": pd.DataFrame(index=GENES)}
    return anndata.AnnData(**{**plain, **more})


def written(file: Path, found: anndata.AnnData) -> Path:
    found.write_h5ad(file)
    return file


def test_zeros_that_are_stored_are_no_counts(tmp_path: Path) -> None:
    stored = sparse.csr_matrix(np.ones_like(VALUES))
    stored.data[:] = VALUES.ravel()
    counts = read_counts(written(tmp_path / "t.h5ad", data(X=stored)))
    assert counts.values.nnz == 3
    assert np.diff(counts.values.indptr).tolist() == [1, 2]
    np.testing.assert_array_equal(counts.values.toarray(), VALUES)


def test_counts_of_a_layer_or_of_raw(tmp_path: Path) -> None:
    found = data(X=np.log1p(VALUES), layers={"counts": VALUES})
    found.raw = data(X=VALUES * 2)
    file = written(tmp_path / "t.h5ad", found)
    with pytest.raises(InputError, match=r"'c1' has 1\.09861 of 'CD8A'; expected whole numbers.*Set 'layer'"):
        read_counts(file)
    np.testing.assert_array_equal(read_counts(file, layer="counts").values.toarray(), VALUES)
    np.testing.assert_array_equal(read_counts(file, layer="raw").values.toarray(), VALUES * 2)
    np.testing.assert_allclose(read_counts(file, fractional=True).values.toarray(), np.log1p(VALUES))
    with pytest.raises(InputError, match="no counts in layer 'count'; set 'layer' to one of: counts, raw; did"):
        read_counts(file, layer="count")


def test_a_file_without_x_says_which_layers_there_are(tmp_path: Path) -> None:
    file = written(tmp_path / "t.h5ad", data(X=None, layers={"counts": VALUES}))
    with pytest.raises(InputError, match="no counts in X; set 'layer' to one of: counts"):
        read_counts(file)


def test_features_say_what_they_are_and_may_share_a_name(tmp_path: Path) -> None:
    var = pd.DataFrame({"feature_types": ["Gene Expression", "rna", "Antibody Capture"]}, index=["CD4", "CD8A", "CD4"])
    counts = read_counts(written(tmp_path / "t.h5ad", data(var=var)))
    assert list(counts.of_kind(GENE).features) == ["CD4", "CD8A"]
    assert counts.of_kind(PROTEIN).values.toarray().ravel().tolist() == [0, 3]


def test_proteins_in_obsm_follow_the_genes(tmp_path: Path) -> None:
    table = pd.DataFrame({"CD4": [7.0, 0.0], "CD19": [1.0, 2.0]}, index=CELLS)
    file = written(tmp_path / "t.h5ad", data(obsm={"markers": table}))
    for kind in (GENE, PROTEIN):  # X of such a file holds genes, whatever it is named as
        counts = read_counts(file, kind)
        assert list(counts.of_kind(GENE).features) == GENES
        np.testing.assert_array_equal(counts.of_kind(PROTEIN).values.toarray(), table)
    assert counts.notes == (f"{file}: 2 proteins from obsm['markers']",)
    file = written(tmp_path / "a.h5ad", data(obsm={"markers": table.to_numpy()}))
    with pytest.raises(InputError, match=r"obsm\['markers'\] has no names of proteins"):
        read_counts(file)


def test_proteins_in_obsm_whose_rows_are_called_otherwise_are_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"CD4": [7.0, 0.0]}, index=CELLS)
    file = written(tmp_path / "t.h5ad", data(obsm={"markers": table}))
    with h5py.File(file, "a") as store:
        names = store["obsm/markers"][store["obsm/markers"].attrs["_index"]]
        names[...] = names[:][::-1]
    with pytest.raises(
        InputError, match=rf"row 1 of obsm\['markers'\] is called '{CELLS[1]}', the cell there '{CELLS[0]}'"
    ):
        read_counts(file)


@pytest.mark.parametrize("key", ["markers_names", "protein_names", "anything"])
@pytest.mark.parametrize("packed", [False, True])
def test_names_of_an_array_in_obsm_may_stand_in_uns(tmp_path: Path, key: str, packed: bool) -> None:
    values = np.array([[5, 0], [1, 7]])
    array = sparse.csr_matrix(values) if packed else values
    uns: dict[str, Any] = {key: np.array(["CD4", "CD8"]), "three": np.array(["a", "b", "c"]), "other": "text"}
    file = written(tmp_path / "t.h5ad", data(obsm={"markers": array}, uns=uns))
    counts = read_counts(file)
    assert counts.of_kind(PROTEIN).features.tolist() == ["CD4", "CD8"]
    np.testing.assert_array_equal(counts.of_kind(PROTEIN).values.toarray(), values)
    assert counts.notes == (f"{file}: 2 proteins from obsm['markers'], called as uns['{key}'] says",)


def test_names_in_uns_are_never_guessed(tmp_path: Path) -> None:
    array = np.array([[5, 0], [1, 7]])
    for uns, sentence in (
        ({"a": np.array(["x", "y"]), "b": np.array(["p", "q"])}, r"several lists of 2 names \(a, b\)"),
        ({"a": np.array(["x"])}, r"has no names of proteins; store .* as uns\['markers_names'\]"),
    ):
        file = written(tmp_path / "t.h5ad", data(obsm={"markers": array}, uns=uns))
        with pytest.raises(InputError, match=sentence):
            read_counts(file)
    file = written(tmp_path / "t.h5ad", data(obsm={"markers": np.ones((2, 2, 2))}))
    with pytest.raises(InputError, match=r"obsm\['markers'\] is not a matrix of numbers"):
        read_counts(file)


@pytest.mark.parametrize(
    ("bad", "then"), [("", "each cell$"), ("nan", "each cell; write the id of a cell that is really called so$")]
)
def test_a_cell_needs_a_name(tmp_path: Path, bad: str, then: str) -> None:
    with pytest.raises(InputError, match=f"a cell is called '{bad}'; expected a name for {then}"):
        read_counts(written(tmp_path / "t.h5ad", data(obs=pd.DataFrame(index=["c1", bad]))))


def mudata(file: Path, cells_of_proteins: list[str]) -> Path:
    """A MuData file as mudata writes it: an AnnData per modality."""
    proteins = anndata.AnnData(
        X=np.array([[5, 6], [7, 8]], dtype=np.float32),
        obs=pd.DataFrame(index=cells_of_proteins),
        var=pd.DataFrame(index=["CD4", "CD19"]),
    )
    with h5py.File(file, "w") as store:
        for name, part in (("rna", data()), ("prot", proteins), ("atac", data())):
            anndata.io.write_elem(store, f"mod/{name}", part)
    return file


def test_genes_and_proteins_of_a_mudata_file_in_shared_cells(tmp_path: Path) -> None:
    file = mudata(tmp_path / "t.h5mu", ["c2", "x"])
    counts = read_counts(file)
    assert list(counts.cells) == ["c2"]
    assert counts.of_kind(GENE).values.toarray().tolist() == [[1, 0, 3]]
    assert counts.of_kind(PROTEIN).values.toarray().tolist() == [[5, 6]]
    assert any("1 of 2 cells of 'rna' are in 'prot' too; 1 are not, as 'c1'" in note for note in counts.notes)
    assert any("the modalities atac are left out" in note for note in counts.notes)
    with pytest.raises(InputError, match="no cell of 'rna'"):
        read_counts(mudata(tmp_path / "u.h5mu", ["x", "y"]))


def test_a_layer_that_no_modality_has_is_refused(tmp_path: Path) -> None:
    file = mudata(tmp_path / "t.h5mu", ["c2", "x"])
    with pytest.raises(InputError, match=r"no layer 'counts' in rna, prot; they have none"):
        read_counts(file, layer="counts")
    with h5py.File(file, "a") as store:
        anndata.io.write_elem(store, "mod/rna/layers/counts", store["mod/rna/X"][:] * 3)
    counts = read_counts(file, layer="counts")
    assert f"{file}: 'counts' is a layer of rna; prot gives X" in counts.notes
    plain = read_counts(file)
    np.testing.assert_array_equal(counts.of_kind(GENE).values.toarray(), 3 * plain.of_kind(GENE).values.toarray())
    np.testing.assert_array_equal(counts.of_kind(PROTEIN).values.toarray(), plain.of_kind(PROTEIN).values.toarray())


@pytest.mark.parametrize("place", ["", "mod/rna/"])
def test_more_rows_than_cells_are_refused(tmp_path: Path, place: str) -> None:
    file = mudata(tmp_path / "t.h5mu", ["c2", "x"]) if place else written(tmp_path / "t.h5ad", data())
    with h5py.File(file, "a") as store:
        del store[f"{place}X"]
        anndata.io.write_elem(store, f"{place}X", np.vstack([VALUES, VALUES]))
    with pytest.raises(
        InputError, match=f"{place}X holds 4 x 3 numbers, but obs names 2 cells and {place}var 3 features"
    ):
        read_counts(file)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["c1", "c1"], "the cell 'c1' appears twice in the modality 'rna'"),
        ([], "the modality 'rna' holds no cell"),
    ],
)
def test_modalities_that_cannot_be_joined_by_name_are_refused(tmp_path: Path, cells: list[str], words: str) -> None:
    file = mudata(tmp_path / "t.h5mu", ["c2", "x"])
    with h5py.File(file, "a") as store:
        for name, part in (("obs", pd.DataFrame(index=pd.Index(cells, dtype=object))), ("X", VALUES[: len(cells)])):
            del store[f"mod/rna/{name}"]
            anndata.io.write_elem(store, f"mod/rna/{name}", part)
    with pytest.raises(InputError, match=words):
        read_counts(file)
