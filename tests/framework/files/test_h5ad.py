"""AnnData files: sound ones as anndata reads them, crafted matrices refused before scipy sees them."""

from __future__ import annotations

from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from framework.errors import InputError
from framework.files.h5ad import h5ad_files, numbers_of, read_h5ad


@pytest.fixture
def file(tmp_path: Path) -> Path:
    dense = np.array([[1.0, 0, 2], [0, 3, 0]])
    data = anndata.AnnData(
        X=sparse.csr_matrix(dense),
        obs=pd.DataFrame({"kind": pd.Categorical(["a", "b"])}, index=["c1", "c2"]),
        var=pd.DataFrame(index=["g1", "g2", "g3"]),
        layers={"raw": sparse.csc_matrix(dense)},
        obsm={"protein": sparse.csr_matrix(dense[:, :2])},
    )
    data.write_h5ad(tmp_path / "a.h5ad")
    return tmp_path / "a.h5ad"


def test_a_sound_file_reads(file: Path) -> None:
    data = read_h5ad(file, error=InputError)
    assert data.X.toarray().tolist() == data.layers["raw"].toarray().tolist() == [[1, 0, 2], [0, 3, 0]]
    assert data.obs["kind"].tolist() == ["a", "b"]
    assert data.obsm["protein"].toarray().tolist() == [[1, 0], [0, 3]]


@pytest.mark.parametrize("group", ["X", "layers/raw", "obsm/protein"])
@pytest.mark.parametrize(
    ("part", "values"), [("indptr", [0, 99999, 3]), ("indices", [0, 2**30, 1]), ("indices", [0, -7, 1])]
)
def test_wrong_positions_are_refused(file: Path, group: str, part: str, values: list[int]) -> None:
    with h5py.File(file, "r+") as store:
        size = len(store[group][part])
        store[group][part][:] = (values * 2)[:size]
    with pytest.raises(InputError, match=f"{file}: not readable as an AnnData file: '{group}' is '?{part}"):
        read_h5ad(file, error=InputError)


def test_a_code_without_category_is_refused(file: Path) -> None:
    with h5py.File(file, "r+") as store:
        store["obs/kind/codes"][:] = [0, 100]
    with pytest.raises(InputError, match="codes"):
        read_h5ad(file, error=InputError)


def test_another_format_under_the_name_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5ad", "w") as store:
        store["X"] = np.zeros((2, 2))
        store["obs"] = np.zeros(5)
    with pytest.raises(InputError, match=r"x\.h5ad: not readable as an AnnData file"):
        read_h5ad(tmp_path / "x.h5ad", error=InputError)


def test_files_of_a_folder_or_where_below_they_lie(file: Path, tmp_path: Path) -> None:
    assert h5ad_files(tmp_path, "make some") == [file]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError) as caught:
        h5ad_files(empty, "make some")
    assert str(caught.value) == f"{empty}: no .h5ad file in this folder; make some"
    for place in range(4):
        (empty / f"split-{place}").mkdir()
        (empty / f"split-{place}" / "a.h5ad").write_bytes(file.read_bytes())
    with pytest.raises(InputError) as caught:
        h5ad_files(empty, "make some")
    assert str(caught.value) == (
        f"{empty}: no .h5ad file in this folder, but in 4 folders inside it (split-0, split-1, split-2 ...); name one "
        f"of these, or all: {empty}/*"
    )


def test_numbers_are_dense_and_of_the_type_asked_for(file: Path) -> None:
    data = read_h5ad(file)
    for layer in (None, "raw"):
        found = numbers_of(data, file, layer, dtype=np.float32)
        assert (found.dtype, found.tolist()) == (np.float32, [[1, 0, 2], [0, 3, 0]])


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (None, "a.h5ad: no matrix X; expected numbers there (it has the layers: raw, words)"),
        ("row", "a.h5ad: no layer 'row'; it has raw, words; did you mean 'raw'?"),
        ("words", "a.h5ad: words holds object instead of numbers"),
    ],
)
def test_a_matrix_that_is_not_there_or_holds_no_numbers(file: Path, layer: str | None, sentence: str) -> None:
    data = read_h5ad(file)
    data.X, data.layers["words"] = None, np.full(data.shape, "a", dtype=object)
    with pytest.raises(InputError) as raised:
        numbers_of(data, "a.h5ad", layer)
    assert str(raised.value) == sentence
