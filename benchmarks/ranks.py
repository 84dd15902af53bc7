"""Training from disk on several ranks: ``launch`` starts them with torchrun, and this module is what each runs.

All ranks are on this machine and share its cores, as every report of them must say: one rank uses all of them with
threads, two ranks half of them each. What they show is what communication and a split batch cost, not what more
machines would bring.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.harness import Costs
from benchmarks.steps import Feed, Setting, Trainer
from framework.data.dataset import Dataset
from framework.distributed import Ranks, end_rank

LIMIT_S = 300.0


@dataclass(frozen=True, kw_only=True)
class RankFacts:
    """What one rank measured.

    Attributes:
        seconds: of each stretch of steps, until all ranks had finished it.
        waited_s: of it, waiting for data.
        cpu_s: CPU-seconds of each stretch.
        peak_mb: most memory that the process ever held.
        exchange_s: seconds of adding up a gradient of this network over the ranks, alone; empty for one rank.
    """

    seconds: list[float]
    waited_s: list[float]
    cpu_s: list[float]
    peak_mb: float
    exchange_s: list[float]


def launch(
    dataset: Path, setting: Setting, world: int, steps: int, repetitions: int, threads: int | None = None
) -> list[RankFacts]:
    """Train on ``world`` ranks of this machine and return what each measured.

    Args:
        dataset: a finished dataset folder.
        setting: what is trained; the batch is divided among the ranks.
        world: ranks.
        steps: of one stretch.
        repetitions: stretches.
        threads: that a rank computes with; None: the cores of this machine are dealt out.

    Raises:
        RuntimeError: a rank failed; with what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        out = Path(name) / "facts.json"
        told = [str(dataset), str(out), json.dumps(asdict(setting)), str(steps), str(repetitions), str(threads or 0)]
        on_ranks(__name__, told, world)
        return [RankFacts(**facts) for facts in json.loads(out.read_text(encoding="utf-8"))]


def on_ranks(module: str, words: Sequence[str], world: int, **variables: str) -> None:
    """Run ``python -m module words`` as ``world`` ranks of this machine, with these variables too.

    Raises:
        RuntimeError: a rank failed; with what it printed.
    """
    started = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}", "-m", module]
    done = subprocess.run(  # noqa: S603
        [sys.executable, *started, *words],
        env={**found_here(), **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} on {world} ranks failed:\n{_both_ends(done.stderr)}")


def _both_ends(text: str, most: int = 4000) -> str:
    """Return ``text`` without its middle: ranks speak first, and torchrun, at length, last."""
    return text if len(text) <= most else f"{text[: most // 2]}\n[...]\n{text[-most // 2 :]}"


def found_here() -> dict[str, str]:
    """Return the environment of a rank.

    It finds this package, whatever folder it starts in and is told to trust, and says where it was if it crashes.
    """
    places = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONFAULTHANDLER": "1"}


def rank_costs(facts: dict[int, list[list[RankFacts]]]) -> Costs:
    """Costs of each world size, from launches made in turn: seconds of rank 0, CPU-seconds of all ranks."""

    def each(read: Callable[[list[RankFacts]], list[float]]) -> dict[str, list[float]]:
        return {named(world): [one for ranks in found for one in read(ranks)] for world, found in facts.items()}

    return Costs(
        seconds=each(lambda ranks: ranks[0].seconds),
        cpu_seconds=each(lambda ranks: [sum(every) for every in zip(*(rank.cpu_s for rank in ranks), strict=True)]),
        peak_mb={
            named(world): max(sum(rank.peak_mb for rank in ranks) for ranks in found) for world, found in facts.items()
        },
    )


def named(world: int) -> str:
    """Name of the arm of a world size."""
    return f"{world} rank{'s' if world > 1 else ''}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as one rank; rank 0 writes what all measured."""
    parser = argparse.ArgumentParser(prog="torchrun -m benchmarks.ranks")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("setting", type=json.loads)
    parser.add_argument("steps", type=int)
    parser.add_argument("repetitions", type=int)
    parser.add_argument("threads", type=int)
    told = parser.parse_args(arguments)
    ranks = Ranks.open("cpu")
    torch.set_num_threads(told.threads or max(1, len(os.sched_getaffinity(0)) // ranks.world_size))
    try:
        found = ranks.gather_objects(asdict(_measured(told, ranks)))
    finally:
        ranks.close()
    if ranks.is_main:
        told.out.write_text(json.dumps(found), encoding="utf-8")


def _measured(told: argparse.Namespace, ranks: Ranks) -> RankFacts:
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        trainer = Trainer(Dataset.open(told.dataset), Setting(**told.setting), ranks, Path(name))
        feed = Feed(trainer, told.steps)
        seconds, cpu_s = [], []
        for _ in range(told.repetitions):
            feed.warm()
            ranks.barrier()
            began, cpu = time.perf_counter(), time.process_time()
            feed.run()
            cpu_s.append(time.process_time() - cpu)
            ranks.barrier()
            seconds.append(time.perf_counter() - began)
        feed.close()
        exchange_s = _exchanges(trainer, ranks, told.repetitions)
        trainer.close()
    # Linux counts in KiB.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return RankFacts(seconds=seconds, waited_s=feed.waited_s, cpu_s=cpu_s, peak_mb=peak_mb, exchange_s=exchange_s)


def _exchanges(trainer: Trainer, ranks: Ranks, repetitions: int) -> list[float]:
    if ranks.world_size == 1:
        return []
    gradient = torch.zeros(sum(value.numel() for value in trainer.objective.parameters() if value.requires_grad))
    taken = []
    for _ in range(repetitions + 1):
        ranks.barrier()
        began = time.perf_counter()
        ranks.sum(gradient)
        taken.append(time.perf_counter() - began)
    return taken[1:]


if __name__ == "__main__":
    main()
    end_rank()
