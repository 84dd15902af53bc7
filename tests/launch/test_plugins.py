"""A reader in a file of one's own, through the command: refused alone, run with leave, also in Dask workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
READER = """from pathlib import Path
from typing import Literal
from data_tools.readers.plates import READERS
from data_tools.readers.plates.filenames import FilenamesConfig, read_filenames
class MineConfig(FilenamesConfig):
    name: Literal["mine"] = "mine"
@READERS.register("mine", MineConfig)
def read_mine(config):
    return read_filenames(config)
"""
INGEST = """
plugins: [./my_reader.py]
name: mine
plates:
  - source:
      name: mine
      path: raw
      plate: P1
      pattern: '(?P<well>[A-Z]\\d+)_(?P<site>\\d)_(?P<channel>.+)\\.tif'
    platemap: {path: map.csv}
channels: [DNA]
nuclei: {channel: DNA, diameter_px: 10}
illumination: {method: none}
tiles: {size_px: 16}
"""


def wellstream(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "launch", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def test_a_reader_in_a_file_of_ones_own(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    (tmp_path / "raw").mkdir()
    lab.mkdir()
    for well in ("A1", "A2"):
        image = np.full((64, 64), 100, np.uint16)
        cv2.circle(image, (32, 30), 5, 5000, -1)
        cv2.imwrite(str(tmp_path / "raw" / f"{well}_1_DNA.tif"), image)
    (tmp_path / "map.csv").write_text("Metadata_Well,Metadata_Perturbation,Metadata_Stimulation\nA1,a,M1\nA2,b,M1\n")
    (lab / "my_reader.py").write_text(READER)
    (lab / "ingest.yaml").write_text(INGEST)
    refused = wellstream(tmp_path, "ingest", "lab/ingest.yaml", "--out", "data", "--workers", "1")
    assert (refused.returncode, "add --allow-code to the command" in refused.stderr) == (2, True), refused.stderr
    made = wellstream(tmp_path, "ingest", "lab/ingest.yaml", "--out", "data", "--workers", "1", "--allow-code")
    assert made.returncode == 0, made.stderr
    source = json.loads((tmp_path / "data" / "dataset.json").read_text())["source"]
    assert source["plugins"][0].startswith(f"{lab}/my_reader.py#sha256=")
    whole = wellstream(tmp_path, "inspect", "data")
    assert (whole.returncode, "plugin" in whole.stderr) == (0, False)
    (lab / "my_reader.py").write_text(READER + "\n")
    changed = wellstream(tmp_path, "inspect", "data")
    assert changed.returncode == 0
    assert "my_reader.py was changed since this was made with it" in changed.stderr
