"""NumPy files: what headers declare against what is there, no objects, no archives that unpack without end."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.lib.format as npy_format
import pytest

from framework.errors import InputError
from framework.files import failures
from framework.files.npz import load_npy, load_npz, open_npz


def _npy(shape: tuple[int, ...], descr: object, data: bytes) -> bytes:
    stream = io.BytesIO()
    npy_format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


def test_arrays_come_back(tmp_path: Path) -> None:
    a, b = np.arange(6).reshape(2, 3), np.array(["x", "yz"])
    np.savez_compressed(tmp_path / "a.npz", a=a, b=b)
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "none.npy", a[:0])
    found = load_npz(tmp_path / "a.npz")
    assert found["a"].tolist() == a.tolist()
    assert found["b"].tolist() == ["x", "yz"]
    assert list(load_npz(tmp_path / "a.npz", ["b"])) == ["b"]
    assert load_npy(tmp_path / "a.npy").tolist() == load_npy(tmp_path / "a.npy", mapped=True).tolist() == a.tolist()
    assert load_npy(tmp_path / "none.npy", mapped=True).shape == (0, 3)
    with open_npz(tmp_path / "a.npz") as opened:
        assert opened.names == ["a", "b"]
        assert opened.header("a").shape == (2, 3)
        assert opened.is_packed("a")
    with pytest.raises(InputError, match="no array 'c'; it has a, b"):
        load_npz(tmp_path / "a.npz", ["c"], error=InputError)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (_npy((1 << 40,), "<f8", b"\0" * 8), "declares 8796093022208 bytes"),
        (_npy((2,), "<f8", b"\0" * 8), "declares 16 bytes .* 8 are there"),
        (_npy((1,), "<f8", b"\0" * 9), "declares 8 bytes .* 9 are there"),
        (_npy((-1,), "<f8", b""), "shape .-1,."),
        (_npy((1 << 40,), "<U0", b""), "an array of shape"),
        (_npy((2,), "|O", b""), "Python objects"),
        (b"\x93NUMPY\x01\x00\xff\xff", "EOF"),
        (b"PK", "magic"),
        (b"", "EOF"),
    ],
)
def test_headers_are_not_believed(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", data)
    for mapped in (False, True):
        with pytest.raises(InputError, match=said):
            load_npy(tmp_path / "a.npy", error=InputError, mapped=mapped)
    with pytest.raises(InputError, match=said):
        load_npz(tmp_path / "a.npz", error=InputError)


def test_archives_that_declare_too_much_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", bytes(10_000_000))
    with pytest.raises(InputError, match="other means than deflate"):
        load_npz(file, error=InputError)
    np.savez_compressed(file, a=np.zeros(10))
    data = file.read_bytes()
    at = data.rindex(b"PK\x01\x02") + 24
    file.write_bytes(data[:at] + (1 << 31).to_bytes(4, "little") + data[at + 4 :])
    with pytest.raises(InputError, match="declares 2147483648 bytes, which"):
        load_npz(file, error=InputError)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", b"2")
    with pytest.raises(InputError, match="two members of one name"):
        load_npz(file, error=InputError)


def test_more_than_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(100))
    monkeypatch.setattr(failures, "memory_bytes", lambda: 799)
    with pytest.raises(InputError, match="declares to hold"):
        load_npz(tmp_path / "a.npz", error=InputError)
