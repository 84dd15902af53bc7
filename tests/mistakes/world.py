"""A plate, its dataset and a run, as the pages of the first ten minutes make them; every mistake begins with a copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from mistakes.mistake import Mistake

from launch import entry

SIMULATE = (
    "simulate plate raw perturbations=6 rows=4 columns=6 size_px=200 sites=1 cells_per_site=10 replicates=1 "
    "transcripts=40 proteins=20 omics_replicates=1"
)
MADE = (
    "ingest plate.yaml --out data --workers 0",
    "ingest plate.yaml --out other --workers 0 channels=[Hoechst]",
    "train run.yaml",
    "embed run --level bag --out wells.h5ad",
)
PLATE = """\
name: first
plates:
  - source: {name: harmony, path: raw/SIM}
    platemap: {path: platemap.csv}
channels: [Hoechst, MitoTracker, Phalloidin]
illumination: {method: none}
nuclei: {channel: Hoechst, diameter_um: 14.4}
tiles: {size_px: 48}
omics:
  - {name: rna, table: transcripts.csv, kind: counts}
"""
RUN = """\
run_dir: run
data: {path: data}
split: {by: Metadata_Perturbation, fractions: [0.5, 0.25, 0.25]}
plan: {name: balanced_bags, by: [Metadata_Perturbation], conditions: 3, bags: 2, tiles: 4}
objective:
  name: triplet_mil
  by: [Metadata_Perturbation]
  backbone: {name: small_cnn, widths: [4, 8], dense: [8]}
optim: {lr: 1.0e-3}
train: {steps: 2, device: cpu}
tracking: {wandb: disabled}
"""
CELLS = """\
kind: cells
name: crops
channels: [dna, actin]
sources:
  - name: mine
    reader: {name: crops, path: crops, pattern: '(?P<sample>\\w+)/(?P<cell>\\d+)_(?P<channel>\\w+)\\.tif'}
tiles: {size_px: 16, dtype: uint16}
bags: {by: [Metadata_Sample]}
"""


def make_world(folder: Path) -> Path:
    """Write ``raw``, ``data``, ``run``, the two configs, the plate map and an omics table below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert commanded(SIMULATE) == 0
        shutil.copy("raw/platemap.csv", "platemap.csv")
        _write_tables()
        for name, text in (("plate.yaml", PLATE), ("run.yaml", RUN), ("cells.yaml", CELLS)):
            Path(name).write_text(text)
        for words in MADE:
            assert commanded(words) == 0
    finally:
        os.chdir(before)
    return folder


def _write_tables() -> None:
    """Write the omics table, and what newcomers have in its place."""
    table = pd.read_csv("raw/omics/transcripts.csv.gz", dtype=str, keep_default_na=False)
    genes = [name for name in table if name.startswith("GENE")]
    table.to_csv("transcripts.csv", index=False)
    table.set_index("sample")[genes].T.rename_axis("gene").to_csv("turned.csv")
    table[genes].to_csv("bare.csv", index=False)
    table.assign(**{genes[0]: "3.25"}).to_csv("logged.csv", index=False)
    table.assign(**{genes[0]: ["high", *table[genes[0]][1:]]}).to_csv("worded.csv", index=False)
    renamed = table.assign(Metadata_Perturbation="sg" + table["Metadata_Perturbation"].str.lower())
    renamed.to_csv("renamed.csv", index=False)


def commanded(words: str) -> int:
    """Carry out a command of ``wellstream`` in this process, and return its exit code."""
    with patch.dict(os.environ):  # the command sets variables for its processes
        return entry._carried_out(shlex.split(words))


def spoilt(mistake: Mistake, world: Path, folder: Path) -> None:
    """Give a folder what the world has, with the mistake in it; large folders are links."""
    for item in world.iterdir():
        target = folder / item.name
        if item.is_dir() and item.name != "run":
            target.symlink_to(item)
        elif item.is_dir():
            shutil.copytree(item, target)
        else:
            shutil.copy(item, target)
    for name, (old, new) in mistake.changed.items():
        text = (folder / name).read_text()
        assert old in text, f"{mistake.done}: '{old}' does not stand in {name}"
        (folder / name).write_text(text.replace(old, new))
    for name, text in mistake.written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def answer(mistake: Mistake, out: str, err: str, folder: Path) -> str:
    """Return what was said, without the folder of the test and the width of the terminal."""
    if mistake.of_warning:
        lines = [line for line in (out + err).splitlines() if mistake.of_warning in line]
        text = "\n".join(lines)
    else:
        boxed = re.findall(r"^│ (.*?)\s*│$", err, re.MULTILINE)  # typing errors stand in a box
        text = "\n".join(boxed) or err
    text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
    return (
        re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).strip().removeprefix("wellstream: ").removeprefix("warning: ")
    )
