"""Tensors of both formats: what is loaded, and what is refused."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from framework.errors import CheckpointError
from framework.files.tensors import load_tensors, load_weights_only, save_plain


def test_tensors_come_back_and_a_cut_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"w": torch.arange(4.0)}, file)
    assert load_tensors(file)["w"].tolist() == [0, 1, 2, 3]
    for data in (file.read_bytes()[:-1], b"\xff" * 100, b""):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"w\.safetensors: not readable as a file of weights"):
            load_tensors(file)


def test_weights_come_back_and_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"w": torch.ones(3), "n": 2}, file)
    assert load_weights_only(file)["w"].tolist() == [1, 1, 1]
    sound = file.read_bytes()
    torch.save({"path": tmp_path}, file)
    with pytest.raises(CheckpointError, match=r"w\.pt: not readable as a file of weights: it holds more than tensors"):
        load_weights_only(file)
    for data in (sound[: len(sound) // 2], b"", b"{}", b"\x80\x02}q\x00."[:4]):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"w\.pt: not readable"):
            load_weights_only(file)


def test_what_torch_saves_for_others_keeps_its_checksums(tmp_path: Path) -> None:
    """``save_plain`` leaves them out, and the option of the process as it was."""
    content = {"a": torch.arange(5.0)}
    save_plain(tmp_path / "ours.pt", content)
    torch.save(content, tmp_path / "theirs.pt")
    for name, is_checked in (("ours.pt", False), ("theirs.pt", True)):
        assert torch.equal(load_weights_only(tmp_path / name)["a"], content["a"])
        with zipfile.ZipFile(tmp_path / name) as archive:
            record = next(each for each in archive.infolist() if each.filename.endswith("/data/0"))
            assert (zlib.crc32(content["a"].numpy().tobytes()) == record.CRC) == is_checked
