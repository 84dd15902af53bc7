"""HDF5: nothing from other files, nothing that was never written, no size that cannot be."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from framework.errors import DatasetError, InputError
from framework.files.hdf5 import open_hdf5, top_names


def _refused(file: Path, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught, open_hdf5(file, error=InputError):
        pass
    assert str(caught.value).startswith(f"{file}: ")


def test_a_sound_file_opens_and_what_goes_wrong_inside_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as made:
        made["a/b"] = np.arange(6).reshape(2, 3)
        made["empty"] = np.zeros((0, 3))
        made["null"] = h5py.Empty("f4")
        made["text"] = ["x", "yz"]
        made["a/again"] = made["a"]  # a hard link in a circle
        made["soft"] = h5py.SoftLink("/a/b")
        made["round"] = h5py.SoftLink("/round")
        made.create_dataset("packed", data=np.zeros((100, 100)), chunks=(7, 30), compression="gzip")
    with open_hdf5(file, error=InputError) as opened:
        assert opened["soft"][1].tolist() == [3, 4, 5]
    for name in ("none", "round"):
        with (
            pytest.raises(InputError, match="not readable as an HDF5 file"),
            open_hdf5(file, error=InputError) as opened,
        ):
            opened[name]


def test_data_of_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789")
    with h5py.File(tmp_path / "external.h5", "w") as made:
        made.create_dataset("x", (10,), "u1", external=[(str(tmp_path / "secret"), 0, 10)])
    _refused(tmp_path / "external.h5", "'x' keeps its data in another file .*secret")
    with h5py.File(tmp_path / "link.h5", "w") as made:
        made["g/x"] = h5py.ExternalLink("secret.h5", "/y")
    _refused(tmp_path / "link.h5", "'g/x' is a link to another file .secret.h5.")
    for name, source, said in (
        ("v", "other.h5", "takes its data from another file .other.h5."),
        ("w", ".", "not a plain"),
    ):
        layout = h5py.VirtualLayout((4,), "i4")
        layout[:] = h5py.VirtualSource(source, "y", (4,))
        with h5py.File(tmp_path / f"{name}.h5", "w") as made:
            made.create_virtual_dataset("x", layout)
        _refused(tmp_path / f"{name}.h5", said)


def test_a_virtual_dataset_of_the_file_itself_reads_when_it_is_whole(tmp_path: Path) -> None:
    for name, edge in (("whole", 4), ("part", 5)):
        layout = h5py.VirtualLayout((edge,), "i4")
        layout[:4] = h5py.VirtualSource(".", "y", (4,))
        with h5py.File(tmp_path / f"{name}.h5", "w") as made:
            made["y"] = np.arange(4, dtype="i4")
            made.create_virtual_dataset("x", layout)
    with open_hdf5(tmp_path / "whole.h5", error=InputError) as opened:
        assert opened["x"][:].tolist() == [0, 1, 2, 3]
    _refused(tmp_path / "part.h5", "'x' was never written whole: 4 of 5 values")


def test_what_was_never_written_is_no_zeros(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as made:
        made.create_dataset("x", (4, 5), "u2")
    _refused(tmp_path / "plain.h5", "'x' was never written: 0 of 40 bytes")
    with h5py.File(tmp_path / "chunks.h5", "w") as made:
        made.create_dataset("x", (4, 5), "u2", chunks=(1, 5))[:3] = 7
    _refused(tmp_path / "chunks.h5", "3 of 4 chunks")


def test_more_than_a_file_can_hold_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as made:
        made.create_dataset("x", (1 << 40,), "u1", chunks=(1 << 20,), compression="gzip")[:10] = 1
    _refused(tmp_path / "x.h5", "'x' declares 1099511627776 bytes, but")


def test_what_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
    _refused(tmp_path / "x.h5", "not readable as an HDF5 file")
    _refused(tmp_path / "none.h5", "no such file")
    _refused(tmp_path, "a folder")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"gene,c1\nA,1\n", "found text; name it with the suffix .csv"),
        (b"\x1f\x8b\x08\x00junk", "found a file packed with gzip; unpack it"),
        (b"PAR1\x00\x01", "found a Parquet file"),
        (b"", "found nothing, as it is empty"),
        (b"\x00\x01\x02", "found other bytes"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    _refused(tmp_path / "x.h5", f"not readable as an HDF5 file: {found}")


def test_the_names_in_the_root_of_a_file_and_none_of_a_damaged_one(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as made:
        made["obs"], made["var"] = 1, 2
    assert top_names(file) == {"obs", "var"}
    file.write_bytes(file.read_bytes()[:-100])
    assert top_names(file) == frozenset()
    assert top_names(tmp_path) == top_names(tmp_path / "nowhere") == frozenset()


def test_a_file_whose_first_byte_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    file.symlink_to("/proc/self/mem")  # it opens, and reading it is an error of the disk
    with pytest.raises(DatasetError) as caught, open_hdf5(file):
        pass
    assert str(caught.value) == f"{file}: not readable as an HDF5 file: Input/output error; copy or export it again"
