"""Files replaced in one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from framework.durable import write_arrays, write_json, write_text, write_with


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "latest", "one\n")
    write_text(tmp_path / "latest", "two\n")
    assert (tmp_path / "latest").read_text() == "two\n"
    assert [p.name for p in tmp_path.iterdir()] == ["latest"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "state.json", {"b": 1, "a": "µ"})
    with pytest.raises(TypeError):
        write_json(tmp_path / "state.json", {"a": object()})
    assert json.loads((tmp_path / "state.json").read_text()) == {"a": "µ", "b": 1}


def test_arrays_come_back_under_the_name_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "panels"  # NumPy by itself would make it panels.npz
    write_arrays(file, {"tile": np.arange(3), "names": np.array(["a", "b"])})
    with np.load(file, allow_pickle=False) as found:
        assert found["tile"].tolist() == [0, 1, 2]
        assert found["names"].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="allow_pickle"):
        write_arrays(file, {"objects": np.array([{}], dtype=object)})
    assert [p.name for p in tmp_path.iterdir()] == ["panels"]


def test_a_library_that_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "cells.bin"
    write_with(file, lambda path: path.write_bytes(b"old"))

    def fail(path: Path) -> None:
        path.write_bytes(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_with(file, fail)
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["cells.bin"]
