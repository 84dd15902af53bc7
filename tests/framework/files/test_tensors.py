"""Tensors of both formats: what is loaded, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from framework.errors import CheckpointError
from framework.files.tensors import load_tensors, load_weights_only


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
