"""Weights: sound ones come back, damaged ones are a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from framework.errors import CheckpointError
from framework.files.safetensors_file import load_tensors


def test_tensors_come_back_and_a_cut_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"w": torch.arange(4.0)}, file)
    assert load_tensors(file)["w"].tolist() == [0, 1, 2, 3]
    for data in (file.read_bytes()[:-1], b"\xff" * 100, b""):
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"w\.safetensors: not readable as a file of weights"):
            load_tensors(file)
