"""Spoiled files of every format: a value or one sentence that names the file, never another error, never a crash.

Seeded: bytes flipped, cut off, zeroed, files of another format under the name. Each format is read in a process of its
own, because native code may end it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse

from framework.config.source import read_yaml
from framework.errors import WellstreamError
from framework.files.h5ad import read_h5ad
from framework.files.hdf5 import datasets, open_hdf5
from framework.files.json_file import read_json
from framework.files.npz import load_npy, load_npz
from framework.files.parquet import read_parquet
from framework.files.tensors import load_tensors, load_weights_only

MUTATIONS = 60


def _h5ad(file: Path) -> None:
    rng = np.random.default_rng(0)
    counts = sparse.random(12, 9, 0.3, "csr", rng=rng)
    obs = pd.DataFrame({"kind": pd.Categorical(["a", "b"] * 6)}, index=[f"c{i}" for i in range(12)])
    data = anndata.AnnData(X=counts, obs=obs, layers={"raw": counts.tocsc()}, obsm={"p": counts[:, :2].toarray()})
    data.write_h5ad(file)


def _hdf5(file: Path) -> None:
    with h5py.File(file, "w") as made:
        made.create_dataset("g/x", data=np.arange(400).reshape(20, 20), chunks=(5, 20), compression="gzip")
        made["text"] = ["a", "bc", "d"]


def _every_value(file: Path) -> None:
    with open_hdf5(file) as opened:
        for _, found in datasets(opened):
            found[()]


def _table(file: Path) -> None:
    pd.DataFrame({"a": range(50), "b": ["x", "yy"] * 25, "c": pd.Categorical(["u", "v"] * 25)}).to_parquet(file)


FORMATS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "json": (lambda file: file.write_text(json.dumps({"a": [1, 2.5, "x"], "b": {"c": None}})), read_json),
    "yaml": (lambda file: file.write_text("a: [1, 2]\nb: {c: &x text, d: *x}\n"), read_yaml),
    "parquet": (_table, read_parquet),
    "h5": (_hdf5, _every_value),
    "h5ad": (_h5ad, read_h5ad),
    "npy": (lambda file: np.save(file, np.arange(60.0).reshape(5, 12)), load_npy),
    "npz": (lambda file: np.savez_compressed(file, a=np.arange(60), b=np.array(["x", "y"])), load_npz),
    "safetensors": (lambda file: save_file({"w": torch.arange(40.0)}, file), load_tensors),
    "pt": (lambda file: torch.save({"w": torch.arange(40.0), "n": [1, "x"]}, file), load_weights_only),
}
OTHERS = (b"", b"\0" * 300, b"PK\x03\x04" + b"\xff" * 90, b"PAR1PAR1", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY", b"{" * 500)


def _spoiled(sound: bytes, rng: np.random.Generator, number: int) -> bytes:
    if number < len(OTHERS):
        return OTHERS[number]
    data, at = bytearray(sound), int(rng.integers(len(sound)))
    match number % 3:
        case 0:
            return bytes(data[:at])
        case 1:
            data[at : at + 16] = bytes(min(16, len(data) - at))
        case _:
            for place in rng.integers(0, len(sound), 3):
                data[place] = int(rng.integers(256))
    return bytes(data)


def _attempts(kind: str, folder: Path) -> None:
    make, read = FORMATS[kind]
    file = folder / f"file.{kind}"
    make(file)
    read(file)
    sound, rng = file.read_bytes(), np.random.default_rng(7)
    for number in range(MUTATIONS):
        file.write_bytes(_spoiled(sound, rng, number))
        try:
            read(file)
        except WellstreamError as error:
            said = str(error)
            assert str(file) in said, said
            assert "\n" not in said, said
            assert len(said) < 700, said


@pytest.mark.parametrize("kind", FORMATS)
def test_a_spoiled_file_gives_a_value_or_one_sentence(kind: str, tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).resolve().parents[3]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, kind, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


if __name__ == "__main__":
    _attempts(sys.argv[1], Path(sys.argv[2]))
