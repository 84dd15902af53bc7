"""HDF5 on a full disk, each in a process of its own, whose files may not grow beyond a limit."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from framework.errors import InputError
from framework.files.h5_writing import write_h5ad, writing_hdf5


def table() -> anndata.AnnData:
    """300 x 50, with text, categories, a sparse layer and facts: about 110 kB."""
    obs = pd.DataFrame({"bag": range(300), "kind": ["x", "y"] * 150}, index=[f"row{row}" for row in range(300)])
    data = anndata.AnnData(np.random.default_rng(0).normal(size=(300, 50)).astype(np.float32), obs)
    data.layers["counts"] = scipy.sparse.csr_matrix(np.eye(300, 50, dtype=np.float32))
    data.uns["wellstream"] = {"kind": "test", "names": np.array(["a", "b"])}
    return data


def test_what_is_written_is_what_anndata_writes(tmp_path: Path) -> None:
    write_h5ad(tmp_path / "ours.h5ad", table(), compression="gzip")
    table().write_h5ad(tmp_path / "theirs.h5ad", compression="gzip")
    ours, theirs = anndata.read_h5ad(tmp_path / "ours.h5ad"), anndata.read_h5ad(tmp_path / "theirs.h5ad")
    assert np.array_equal(ours.X, theirs.X)
    pd.testing.assert_frame_equal(ours.obs, theirs.obs)
    assert ours.uns["wellstream"]["names"].tolist() == theirs.uns["wellstream"]["names"].tolist()
    assert (ours.layers["counts"] != theirs.layers["counts"]).nnz == 0
    with h5py.File(tmp_path / "ours.h5ad") as one, h5py.File(tmp_path / "theirs.h5ad") as other:
        assert dict(one.attrs) == dict(other.attrs)
        assert one["X"].compression == other["X"].compression == "gzip"
    again = tmp_path / "again.h5ad"
    write_h5ad(again, table(), compression="gzip")
    assert again.read_bytes() == (tmp_path / "ours.h5ad").read_bytes()


@pytest.mark.parametrize("room", [0, 100, 4096, 30_000, 60_000, 75_000, 90_000])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path, room: int) -> None:
    file = tmp_path / "out.h5ad"
    child = os.fork()
    if not child:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        code = 1
        try:
            write_h5ad(file, table())
        except OSError as error:
            code = 0 if (error.errno, error.filename) == (errno.EFBIG, str(file)) else 2
        sys.stdout.flush()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_writer_passes_as_it_is(tmp_path: Path) -> None:
    def fails() -> None:
        with writing_hdf5(tmp_path / "x.h5") as (file, check):
            file["a"] = np.arange(3)
            check()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fails()


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["CD66a/c", "CD66a"], "the columns 'CD66a' and 'CD66a/c', of which HDF5 takes one for a folder of the other"),
        (["_index"], "a column '_index', a name that HDF5 keeps for itself"),
        (["/x"], "a column '/x', a name that HDF5 keeps for itself"),
        ([""], "a column '', a name that HDF5 keeps for itself"),
    ],
)
def test_columns_that_hdf5_would_lose_are_refused(tmp_path: Path, names: list[str], sentence: str) -> None:
    """``CD66a/c`` before ``CD66a`` made a file that nobody could read."""
    cells = pd.Index(["c1", "c2"])
    markers = pd.DataFrame(np.ones((2, len(names))), index=cells, columns=names)
    data = anndata.AnnData(np.ones((2, 1)), pd.DataFrame(index=cells), obsm={"markers": markers})
    with pytest.raises(InputError) as caught:
        write_h5ad(tmp_path / "t.h5ad", data)
    assert str(caught.value) == (
        f"{tmp_path / 't.h5ad'}: cannot be written, because obsm['markers'] would have {sentence}; rename the column "
        "in the file it comes from"
    )
    assert not list(tmp_path.iterdir())


def test_a_bar_in_a_name_is_no_fault(tmp_path: Path) -> None:
    names = ["TCR a/b", "HLA-DR/DP", "TCR"]
    markers = pd.DataFrame(np.arange(6.0).reshape(2, 3), index=["c1", "c2"], columns=names)
    data = anndata.AnnData(np.ones((2, 1)), pd.DataFrame(index=markers.index), obsm={"markers": markers})
    write_h5ad(tmp_path / "t.h5ad", data)
    pd.testing.assert_frame_equal(anndata.read_h5ad(tmp_path / "t.h5ad").obsm["markers"], markers)
