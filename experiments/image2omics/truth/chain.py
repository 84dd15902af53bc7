"""``make truth``: the whole study on a simulation of the paper's shape, and what the simulation knows of its answers.

The study of ``study.yaml`` comes first. Then one linear head (ridge regression on the mean embedding of a well) is put
on the embeddings, on those of an untrained backbone, on fewer tiles, on other labels, on cell counts and intensities
alone and on the true state of the cells, so that every effect is seen with the same head. Last, images are shuffled
across wells.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.demo.steps import carried_out
from experiments.image2omics.truth.arms import Experiment
from experiments.image2omics.truth.effects import arms_of, null_of, study_of
from experiments.image2omics.truth.page import write_page
from framework.durable import write_json
from framework.study import StepFailed, called, carry_out, load_study_config, override
from framework.terminal import Terminal

STUDY = Path(__file__).with_name("study.yaml")


def run(out: Path, sites: int, shuffles: int, imagenet: Path | None, console: Console) -> dict[str, Any]:
    """Do the study below ``out``, then every comparison, and return what was found.

    Args:
        out: folder.
        sites: fields per well.
        shuffles: of the images.
        imagenet: weights of a ResNet-18 that was trained on ImageNet; None to leave it out.
        console: to tell what is done.

    Raises:
        WellstreamError: a step failed; it has said why.
    """
    settings = [override("out", str(out)), override("simulate.overrides", {"sites": sites})]
    study = load_study_config(STUDY, settings)
    carry_out(study, console=Terminal())
    words = ["embed", str(out / "runs" / "pretrain"), "--level", "tile", "--untrained"]
    _made(out / "embeddings" / "untrained.h5ad", words, console)
    if imagenet is not None:
        words = [
            "features",
            str(out / "dataset"),
            "--kind",
            "transfer",
            "--layer",
            "layer4",
            "--weights",
            str(imagenet),
        ]
        _made(out / "embeddings" / "imagenet.h5ad", words, console)
    experiment = Experiment.open(out, study.split_seeds)
    console.print("comparisons")
    return {
        "sizes": experiment.sizes(),
        "study": study_of(experiment),
        "arms": arms_of(experiment, lambda name: console.print(f"  {name}")),
        "null": null_of(experiment, shuffles),
    }


def _made(file: Path, words: list[str], console: Console) -> None:
    """Run a command that writes ``file``, unless it is there."""
    if file.exists():
        return
    command = [*words, "--out", str(file)]
    console.print(f"$ wellstream {' '.join(command)}")
    code = called(command)
    if code:
        raise StepFailed(f"{file.name} was not made: the command ended with exit code {code}", code)


def main() -> int:
    """Run everything and write the page; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.image2omics.truth", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("truth"), help="folder for everything this makes")
    parser.add_argument("--sites", type=int, default=1, help="fields per well, of about 33 tiles each")
    parser.add_argument("--shuffles", type=int, default=40, help="how often images are shuffled across wells")
    parser.add_argument("--imagenet", type=Path, help="weights of torchvision's resnet18, to compare with")
    options = parser.parse_args()
    console = Terminal()

    def work() -> None:
        found = run(options.out, options.sites, options.shuffles, options.imagenet, console)
        results = options.out / "results"
        results.mkdir(parents=True, exist_ok=True)
        console.print(f"page: {write_page(results, found)}")
        genes = found["study"].pop("genes")  # each gene stands in the tables of the evaluation
        write_json(results / "truth.json", found | {"genes": len(genes["r2"])})

    return carried_out(console, work)
