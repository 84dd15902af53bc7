"""What ranks say to each other in a training step, counted as it is said: every collective and its bytes.

Run under torchrun, as one rank: ``python -m benchmarks.traffic`` is what ``count`` starts. The bytes are those that a
rank hands in; how often they cross the network is the matter of the algorithm behind the collective.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.ranks import on_ranks
from framework.data.dataset import Dataset
from framework.distributed import Ranks, end_rank
from framework.run.train.config import RunConfig
from framework.run.train.rehearsal import first_steps, in_passing

WARM_UP = 3
"""Steps before the one that counts: gradients are put into their buckets."""


class Listening(TorchDispatchMode):
    """Writes down collectives while it is open.

    Attributes:
        said: collective -> bytes that this rank handed in.
        times: collective -> how often.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said: Counter[str] = Counter()
        self.times: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func.namespace == "c10d":
            name = func.overloadpacket.__name__.strip("_")
            # An all-gather names its outputs first.
            handed = args[1] if name.startswith("allgather") else args[0]
            tensors = [leaf for leaf in tree_leaves(handed) if isinstance(leaf, torch.Tensor)]
            self.said[name] += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
            self.times[name] += 1
        return func(*args, **(kwargs or {}))


def count(config: RunConfig, folder: Path, world: int = 2) -> dict[str, Any]:
    """Train a few steps on ``world`` ranks of this machine.

    Args:
        config: of the run, on the CPU.
        folder: for the files of the ranks.
        world: ranks, >= 2.

    Returns:
        ``gradient_bytes``: 4 per parameter that trains; ``said`` and ``times``: of one step of rank 0, by collective.

    Raises:
        RuntimeError: a rank failed; with what it printed.
    """
    file, out = folder / "traffic.yaml", folder / "traffic.json"
    file.write_text(yaml.safe_dump(config.plain()))
    on_ranks(__name__, [str(file), str(out)], world, OMP_NUM_THREADS="1")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def one_step(config: RunConfig, ranks: Ranks) -> Mapping[str, Any]:
    """Return what this rank says in a step; a collective."""
    dataset = Dataset.open(config.data.path)
    with in_passing(config, dataset, ranks) as (_, built):
        listening = Listening()
        for number, (_, step) in enumerate(first_steps(config, built, WARM_UP + 1)):
            with listening if number == WARM_UP else nullcontext():
                step().read()
        parameters = built.collaborators.objective.parameters()
        trains = [value for value in parameters if value.requires_grad]
    return {
        "gradient_bytes": sum(value.numel() * value.element_size() for value in trains),
        "said": dict(listening.said),
        "times": dict(listening.times),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as one rank; rank 0 writes what it said."""
    parser = argparse.ArgumentParser(prog="torchrun -m benchmarks.traffic")
    parser.add_argument("config", type=Path)
    parser.add_argument("out", type=Path)
    told = parser.parse_args(arguments)
    ranks = Ranks.open("cpu")
    try:
        found = one_step(RunConfig.from_plain(yaml.safe_load(told.config.read_text())).resolved(), ranks)
    finally:
        ranks.close()
    if ranks.is_main:
        told.out.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
    end_rank()
