"""``make truth``: the whole study on a simulation of the paper's shape, and what the simulation knows of its answers.

The study of ``study.yaml`` comes first. The model of split 0 is set beside every baseline. Then one linear head (ridge
regression on the mean embedding of a well) is put on the embeddings, on those of an untrained backbone, of a network of
ImageNet, on fewer tiles, on other labels, on cell counts and intensities alone and on the true state of the cells, so
that every effect is seen with the same head. 64 and 512 tiles are drawn on one more plate, which has 16 fields per well
and one stimulation. Last, images are shuffled across wells.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.demo.steps import carried_out
from experiments.image2omics.truth.arms import Experiment
from experiments.image2omics.truth.effects import arms_of, depths_of, null_of, study_of
from experiments.image2omics.truth.one_plate import ingest_words, simulate_words
from experiments.image2omics.truth.page import write_page
from framework.durable import write_json
from framework.evaluate import read_evaluation
from framework.evaluate.beside import KEY
from framework.study import StepFailed, called, carry_out, load_study_config, override
from framework.terminal import Terminal

STUDY = Path(__file__).with_name("study.yaml")
DEEP_STIMULATION = "M1"
"""Of the plate that many tiles are drawn on: one halves its fields, of which it has four times those of the study."""
_UNSEEN = "split-0"
"""The split whose held-out wells neither backbone nor heads were trained on."""
_BASELINE_TILES = 16
"""Tiles of each well that the baselines read."""


def run(out: Path, sites: int, deep_sites: int, shuffles: int, console: Console) -> dict[str, Any]:
    """Do the study below ``out``, then every comparison, and return what was found.

    Args:
        out: folder.
        sites: fields per well.
        deep_sites: fields per well of the plate that many tiles are drawn on; 0 leaves it out.
        shuffles: of the images.
        console: to tell what is done.

    Raises:
        WellstreamError: a step failed; it has said why.
    """
    settings = [override("out", str(out)), override("simulate.overrides", {"sites": sites})]
    study = load_study_config(STUDY, settings)
    carry_out(study, console=Terminal())
    backbone = out / "runs" / "pretrain"
    untrained = out / "embeddings" / "untrained.h5ad"
    _made(untrained, ["embed", backbone, "--level", "tile", "--untrained", "--out", untrained], console)
    beside = _beside(out, console)
    experiment = Experiment.open(out, study.split_seeds)
    deep = _deep(out / "deep", backbone, deep_sites, study.split_seeds, console) if deep_sites else None
    console.print("comparisons")

    def tell(name: str) -> None:
        console.print(f"  {name}")

    return {
        "sizes": experiment.sizes(),
        "study": study_of(experiment),
        "baselines": beside,
        "arms": arms_of(experiment, tell),
        "deep": None if deep is None else {"sizes": deep.sizes(), "arms": depths_of(deep, tell)},
        "null": null_of(experiment, shuffles),
    }


def _beside(out: Path, console: Console) -> dict[str, Any]:
    """Set the model of the split that nothing saw beside every baseline, and return what the evaluation says of it."""
    folder = out / "beside"
    words = ["evaluate", out / "predictions" / _UNSEEN, "--data", out / "dataset", "--out", folder]
    words += ["--baselines", "all", f"baselines.tiles_per_bag={_BASELINE_TILES}"]
    _made(folder / "evaluation.json", words, console)
    beside: dict[str, Any] = read_evaluation(folder).summary[KEY]
    return beside


def _deep(out: Path, backbone: Path, sites: int, seeds: Sequence[int], console: Console) -> Experiment:
    """Simulate a plate with many fields per well, under one stimulation, and embed its tiles with the same backbone."""
    raw, data, tiles = out / "raw", out / "dataset", out / "embeddings" / "tiles.h5ad"
    _made(raw / "truth.parquet", simulate_words(raw, f"sites={sites}", f"stimulations=[{DEEP_STIMULATION}]"), console)
    _made(data / "dataset.json", ingest_words(raw, data), console)
    _made(tiles, ["embed", backbone, "--data", data, "--level", "tile", "--out", tiles], console)
    return Experiment.open(out, seeds)


def _made(file: Path, words: Sequence[object], console: Console) -> None:
    """Run a command that writes ``file``, unless it is there."""
    if file.exists():
        return
    command = [str(word) for word in words]
    console.print(f"$ wellstream {shlex.join(command)}")
    code = called(command)
    if code:
        raise StepFailed(f"{file} was not made: the command ended with exit code {code}", code)


def main() -> int:
    """Run everything and write the page; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.image2omics.truth", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("truth"), help="folder for everything this makes")
    parser.add_argument("--sites", type=int, default=1, help="fields per well, of about 33 tiles each")
    parser.add_argument(
        "--deep-sites", type=int, default=16, help="fields per well of the plate with many tiles; 0 leaves it out"
    )
    parser.add_argument("--shuffles", type=int, default=40, help="how often images are shuffled across wells")
    options = parser.parse_args()
    console = Terminal()

    def work() -> None:
        found = run(options.out, options.sites, options.deep_sites, options.shuffles, console)
        results = options.out / "results"
        results.mkdir(parents=True, exist_ok=True)
        console.print(f"page: {write_page(results, found)}")
        genes = found["study"].pop("genes")  # each gene stands in the tables of the evaluation
        write_json(results / "truth.json", found | {"genes": len(genes["r2"])})

    return carried_out(console, work)
