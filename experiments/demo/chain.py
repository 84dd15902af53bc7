"""``make demo``: Image2Omics end to end on a simulated plate, each step a command a person could type.

simulate -> ingest -> pretrain (triplet MIL, 2 ranks) -> cache embeddings -> omics heads and predictions for several
splits by perturbation -> evaluate -> compare with the simulator's truth -> report. Run again, it continues where it
stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from experiments.demo.steps import Protocol, carried_out, overrides
from experiments.demo.truth import check_one_split, check_over_splits
from framework.durable import write_json
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
SPLIT_SEEDS = (0, 1, 2, 3, 4)


def run(out: Path, protocol: Protocol, ranks: int) -> None:
    """Run every step below ``out``.

    Raises:
        StepFailed: a command failed.
    """
    raw, dataset, runs = out / "raw", out / "dataset", out / "runs"
    pretrain, tiles, wells = runs / "pretrain", out / "embeddings" / "tiles.h5ad", out / "embeddings" / "wells.h5ad"
    protocol.run("Simulate", "simulate", "plate", raw, "--config", CONFIGS / "simulate.yaml")
    protocol.run("Ingest", "ingest", CONFIGS / "ingest.yaml", "--out", dataset, *_raw_paths(raw))
    protocol.run(
        "Pretrain",
        "train",
        CONFIGS / "pretrain.yaml",
        f"--nproc={ranks}",
        *overrides(run_dir=pretrain, data__path=dataset),
    )
    protocol.run("Embed tiles", "embed", pretrain, "--out", tiles, "--level", "tile")
    protocol.run("Embed wells", "embed", pretrain, "--out", wells, "--level", "bag")
    for seed in SPLIT_SEEDS:
        heads = runs / f"heads-{seed}"
        settings = overrides(
            run_dir=heads,
            data__path=dataset,
            data__embeddings=tiles,
            objective__pretrained=pretrain,
            split__seed=seed,
        )
        protocol.run(f"Heads {seed}", "train", CONFIGS / "heads.yaml", *settings)
        protocol.run(
            f"Predict {seed}", "predict", heads, "--out", out / "predictions" / f"split-{seed}", "--part", "test"
        )
    folders = [out / "predictions" / f"split-{seed}" for seed in SPLIT_SEEDS]
    protocol.run("Evaluate", "evaluate", *folders, "--out", out / "evaluation", "--data", dataset)
    parts = ("--data", dataset, "--evaluation", out / "evaluation", "--embeddings", wells, "--out", out / "report.html")
    protocol.run("Report", "report", pretrain, *parts)


def _raw_paths(raw: Path) -> list[str]:
    return [
        f"plates.0.source.path={raw / 'DEMO'}",
        f"plates.0.platemap.path={raw / 'platemap.csv'}",
        f"omics.0.table={raw / 'omics' / 'transcripts.csv.gz'}",
        f"omics.1.table={raw / 'omics' / 'proteins.csv.gz'}",
    ]


def _compare_with_truth(out: Path, console: Console) -> bool:
    """Say, and write to ``truth.json``, how well significance agrees with the simulator.

    First comes the split whose held-out part nothing was trained on.
    """
    evaluation, truth = out / "evaluation", out / "raw" / "truth.parquet"
    unseen, over_splits = check_one_split(evaluation, truth, SPLIT_SEEDS[0]), check_over_splits(evaluation, truth)
    write_json(out / "truth.json", {"split_0": asdict(unseen), "over_splits": asdict(over_splits)})
    console.rule("Truth", align="left", style="dim")
    console.print(f"perturbations held out from backbone and heads (split {SPLIT_SEEDS[0]}): {unseen.sentence()}")
    console.print(
        f"median p over {len(SPLIT_SEEDS)} splits (held out from the heads; the one backbone was trained on split "
        f"{SPLIT_SEEDS[0]}): {over_splits.sentence()}",
        markup=False,
    )
    return unseen.holds and over_splits.holds


def main() -> int:
    """Run the demo; return 0 when its numbers are where they should be."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything the demo makes")
    parser.add_argument("--ranks", type=int, default=2, help="processes of the pretraining")
    options = parser.parse_args()
    console = Terminal()
    protocol = Protocol(console=console)
    status = carried_out(console, lambda: run(options.out, protocol, options.ranks))
    if status:
        return status
    holds = _compare_with_truth(options.out, console)
    console.print(protocol.times())
    console.print(f"report: {(options.out / 'report.html').resolve()}")
    return 0 if holds else 1
