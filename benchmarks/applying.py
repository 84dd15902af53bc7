"""Theme ``applying``: ``embed`` of a dataset on one rank and on two, each with one thread, from disk to the file.

Limit: one rank. Its loader threads have the other core for themselves, which those of two ranks share with the
networks; so a network that computes long per tile gains most. Each rank opens the run and the dataset, as the command
does; what starting Python takes is left out. The files of both must be the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.harness import Measured, Target, WrongPixels
from benchmarks.ranks import RankFacts, named, on_ranks, rank_costs
from benchmarks.synthetic import draw_pixels, write_dataset
from framework.distributed import Ranks, end_rank
from framework.run import RunConfig, embed, fit

LEAST = 1.8
"""Of two ranks over one, where there are two cores."""
WORLDS = (1, 2)


def run(*, quick: bool) -> list[Measured]:
    """Embed random tiles with ResNet-18; quick: a narrow one, few tiles.

    Raises:
        WrongPixels: ranks wrote another file than one alone.
    """
    tiles, width, repetitions = (512, 16, 1) if quick else (2048, 64, 3)
    facts: dict[int, list[list[RankFacts]]] = {world: [] for world in WORLDS}
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name)
        dataset = write_dataset(folder / "tar", draw_pixels(tiles, 64), 64)
        tables.write(dataset)
        _run(dataset.root, folder / "run", width)
        found: set[str] = set()
        # In turn, so that what slows the machine for a while slows all.
        for _ in range(1 if quick else 3):
            for world in WORLDS:
                out = folder / f"{world}.json"
                on_ranks(__name__, [str(folder / "run"), str(out), str(repetitions)], world)
                told = json.loads(out.read_text(encoding="utf-8"))
                facts[world].append([RankFacts(**each) for each in told["ranks"]])
                found.add(told["file"])
    if len(found) > 1:
        raise WrongPixels("two ranks wrote another file than one")
    cores = len(os.sched_getaffinity(0))
    return [
        Measured(
            theme="applying",
            case=f"embed {tiles} tiles of 3 x 64 x 64, ResNet-18 of width {width}, ranks of one thread (gloo)",
            unit="tiles",
            items=tiles,
            costs=rank_costs(facts),
            limit=named(1),
            targets=(Target(arm=named(2), over=named(1), least=LEAST, gates=cores > 1 and not quick),),
            notes=(f"all ranks share {cores} cores, each computes with one thread and loads with two",),
        )
    ]


def _run(data: Path, folder: Path, width: int) -> None:
    """Make a run of one step: embedding takes as long whatever the weights are."""
    plain = {
        "run_dir": str(folder),
        "data": {"path": str(data)},
        "split": {"fractions": [0.5, 0.25, 0.25]},
        "plan": {"name": "balanced_bags", "by": ["Metadata_Perturbation"], "conditions": 2, "bags": 2, "tiles": 2},
        "objective": {"name": "triplet_mil", "backbone": {"name": "resnet18", "width": width, "dense": [128]}},
        "optim": {"name": "adamw", "lr": 1e-3},
        "train": {"steps": 1, "device": "cpu"},
        "tracking": {"wandb": "disabled"},
    }
    fit(RunConfig.from_plain(plain))


def main(arguments: Sequence[str] | None = None) -> None:
    """Embed as one rank; rank 0 writes what all measured."""
    parser = argparse.ArgumentParser(prog="torchrun -m benchmarks.applying")
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("repetitions", type=int)
    told = parser.parse_args(arguments)
    ranks = Ranks.open("cpu")
    torch.set_num_threads(1)
    file = told.out.with_suffix(".h5ad")
    try:
        found = ranks.gather_objects(asdict(_measured(told.run, file, told.repetitions, ranks)))
    finally:
        ranks.close()
    if ranks.is_main:
        facts = {"ranks": found, "file": sha256(file.read_bytes()).hexdigest()}
        told.out.write_text(json.dumps(facts), encoding="utf-8")


def _measured(run: Path, file: Path, repetitions: int, ranks: Ranks) -> RankFacts:
    seconds, cpu_s = [], []
    for repetition in range(repetitions + 1):
        ranks.barrier()
        began, cpu = time.perf_counter(), time.process_time()
        embed(run, None, file, ranks=ranks)
        ranks.barrier()
        if repetition:  # the first one fills caches
            seconds.append(time.perf_counter() - began)
            cpu_s.append(time.process_time() - cpu)
    # Linux counts in KiB.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return RankFacts(seconds=seconds, waited_s=[], cpu_s=cpu_s, peak_mb=peak_mb, exchange_s=[])


if __name__ == "__main__":
    main()
    end_rank()
