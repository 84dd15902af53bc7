"""``make demo``: Image2Omics end to end on a simulated plate, each step a command a person could type.

The study of ``study.yaml`` (simulate -> ingest -> pretrain on 2 ranks -> cache embeddings -> omics heads and
predictions for several splits by perturbation -> evaluate -> report), then a comparison with the simulator's truth. Run
again, it continues where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from experiments.demo.headline import headline
from experiments.demo.steps import carried_out
from experiments.demo.truth import check_one_split, check_over_splits
from framework.durable import write_json
from framework.files.csv_writing import write_csv
from framework.study import carry_out, load_study_config, override
from framework.terminal import Terminal

STUDY = Path(__file__).with_name("study.yaml")
UNSEEN = 0
"""The split that the backbone was trained on; see ``pretrain.yaml``."""


def usual_ranks() -> int:
    """Return 2, or 1 where there is one GPU: two processes would have to share it."""
    return min(2, torch.cuda.device_count()) if torch.cuda.is_available() else 2


def _compare_with_truth(out: Path, splits: int, console: Console) -> bool:
    """Say, and write to ``truth.json``, how well significance agrees with the simulator.

    First comes the split whose held-out part nothing was trained on.
    """
    evaluation, truth = out / "evaluation", out / "raw" / "truth.parquet"
    unseen, over_splits = check_one_split(evaluation, truth, UNSEEN), check_over_splits(evaluation, truth)
    write_json(out / "truth.json", {"split_0": asdict(unseen), "over_splits": asdict(over_splits)})
    console.rule("Truth", align="left", style="dim")
    console.print(f"perturbations held out from backbone and heads (split {UNSEEN}): {unseen.sentence()}")
    console.print(
        f"median p over {splits} splits (held out from the heads; the one backbone was trained on split "
        f"{UNSEEN}): {over_splits.sentence()}",
        markup=False,
    )
    return unseen.holds and over_splits.holds


def main() -> int:
    """Run the demo; return 0 when its numbers are where they should be."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything the demo makes")
    parser.add_argument(
        "--ranks", type=int, default=usual_ranks(), help="processes of the pretraining (default: 2, or 1 on one GPU)"
    )
    options = parser.parse_args()
    console = Terminal()
    study = load_study_config(STUDY, [override("out", str(options.out)), f"pretrain.nproc={options.ranks}"])
    holds: list[bool] = []

    def work() -> None:
        done = carry_out(study, console=console).done
        write_csv(options.out / "shares.csv", headline(options.out / "evaluation"))
        holds.append(_compare_with_truth(options.out, len(study.split_seeds), console))
        console.print(f"{', '.join(done) or 'nothing was left to do'}")
        console.print(f"report: {options.out / 'report.html'}")

    return carried_out(console, work) or int(not all(holds))
