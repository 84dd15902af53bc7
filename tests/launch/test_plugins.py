"""A reader or an evaluation in a file of one's own, through the command: refused alone, run with leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import anndata
import cv2
import numpy as np
import pandas as pd

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


EVALUATION = """import pandas as pd
from framework.config import StrictModel
from framework.evaluate import EVALUATIONS, Scored, ScoresPredictions, ScoreTable
class BiasConfig(StrictModel):
    factor: float = 1.0
@EVALUATIONS.register("bias", BiasConfig)
class Bias(ScoresPredictions):
    def takes(self, predictions):
        return True
    def score(self, opened, dataset, options):
        bias = (opened[0].predicted - opened[0].measured).mean() * options.factor
        return Scored(rows=pd.DataFrame({"what": ["all"], "bias": [bias]}), tables={})
    def table(self, summary):
        rows = [(row["what"], f"{row['bias']:.3f}") for row in summary["rows"]]
        return ScoreTable(title="Bias", headers=("what", "bias"), rows=rows)
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


def test_an_evaluation_in_a_file_of_ones_own_has_its_options_and_its_place_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text(EVALUATION)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("objective: {name: omics_heads}\n")
    measured = np.arange(8.0).reshape(4, 2)
    names = ["A01", "A02", "A03", "A04"]
    obs = pd.DataFrame({"Metadata_Plate": "P", "Metadata_Well": names, "part": "test"}, index=names)
    var = pd.DataFrame({"train_mean": 1.0, "train_sd": 1.0}, index=["G1", "G2"])
    facts = {"kind": "predictions", "target": "rna", "split": {"by": "Metadata_Well", "seed": 0}}
    made = anndata.AnnData(measured + 0.5, obs, var, layers={"measured": measured}, uns={"wellstream": facts})
    made.write_h5ad(tmp_path / "p.h5ad")
    words = ("evaluate", "p.h5ad", "-o", "run/evaluation", "--kind", "bias", "--plugin", "./lab.py", "factor=3")
    refused = wellstream(tmp_path, *words)
    assert (refused.returncode, "add --allow-code to the command" in refused.stderr) == (2, True), refused.stderr
    wrong = wellstream(tmp_path, *words[:-1], "facto=3", "--allow-code")
    assert (wrong.returncode, "facto: unknown key" in wrong.stderr) == (2, True), wrong.stderr
    done = wellstream(tmp_path, *words, "--allow-code")
    assert done.returncode == 0, done.stderr
    assert "Bias" in done.stdout
    assert "1.500" in done.stdout
    alone = wellstream(tmp_path, "report", "run")
    assert (alone.returncode, "add --allow-code to the command" in alone.stderr) == (2, True), alone.stderr
    shown = wellstream(tmp_path, "report", "run", "--allow-code")
    assert shown.returncode == 0, shown.stderr
    assert "Bias" in (tmp_path / "run" / "report.html").read_text()
