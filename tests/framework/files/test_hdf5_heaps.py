"""Global heaps of HDF5 files: a whole one passes, one that would hold the library for ever is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from framework.errors import InputError
from framework.files.hdf5 import open_hdf5
from framework.files.hdf5_heaps import check_heaps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "text.h5", "w") as store:
        store.create_dataset("names", data=["one", "a much longer name", "x" * 3000], dtype=h5py.string_dtype())
        store.attrs["encoding-type"] = "anndata"
    return tmp_path / "text.h5"


def test_a_whole_file_passes(file: Path) -> None:
    check_heaps(file)
    with open_hdf5(file) as opened:
        assert opened["names"].asstr()[:].tolist() == ["one", "a much longer name", "x" * 3000]


def test_zeros_inside_a_heap_are_refused_before_the_library_reads_it(file: Path) -> None:
    data = bytearray(file.read_bytes())
    place = data.index(b"GCOL") + 16
    data[place : place + 512] = bytes(512)
    file.write_bytes(data)
    with (
        pytest.raises(InputError, match=r"text\.h5: .*object of the heap at byte \d+ declares 0 bytes"),
        open_hdf5(file, error=InputError),
    ):
        pass


def test_an_object_larger_than_its_heap_is_refused(file: Path) -> None:
    data = bytearray(file.read_bytes())
    place = data.index(b"GCOL") + 16 + 8
    data[place : place + 8] = (1 << 40).to_bytes(8, "little")
    file.write_bytes(data)
    with pytest.raises(ValueError, match=f"declares {1 << 40} bytes"):
        check_heaps(file)


def test_an_empty_file_has_no_heaps(tmp_path: Path) -> None:
    (tmp_path / "empty.h5").write_bytes(b"")
    check_heaps(tmp_path / "empty.h5")
