"""Theme ``training``: the same step on batches that lie on the device, and fed by the loader from disk.

Limit: steps on resident batches. The fast arms compute in bf16 with channels_last, which leaves the loader least time.
A checkpoint after every step is compared with none (``benchmarks.saving``). On the CPU the same training runs on two
ranks as well. ``--device cuda`` runs all but the ranks on a GPU; ``--compile`` compiles the model of every arm.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

import torch

from benchmarks import saving, tables
from benchmarks.harness import Arm, Costs, Finding, Measured, Target, digest, measure
from benchmarks.ranks import RankFacts, launch, named, rank_costs
from benchmarks.steps import Feed, Setting, Trainer
from benchmarks.synthetic import draw_pixels, write_dataset
from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.distributed import Ranks
from framework.distributed.devices import prepare_cuda

WAIT_SHARE, OF_RESIDENT = 0.02, 0.95
FAST = ", bf16 and channels_last"
_ROOMY_BYTES = 20e9
"""Four networks in float32 and their batches of 720 tiles take about half of it."""


def run(*, quick: bool, device: str = "cpu", compiled: bool = False) -> list[Measured]:
    """Train on random tiles; quick: a narrow network, one process.

    Raises:
        WrongPixels: batches from disk are not the resident ones.
    """
    if device == "cuda":
        prepare_cuda(deterministic=False)  # as a run does
    setting, steps, n_bags, per_bag = _sizes(quick, device, compiled)
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        dataset = write_dataset(Path(name) / "tar", draw_pixels(n_bags * per_bag), per_bag)
        fed = _feeding(dataset, setting, device, steps, 3 if quick else 5)
        if quick:
            return [fed]
        saved = saving.measured(dataset, setting, device, Path(name), 5)
        if device == "cuda":
            return [fed, saved]
        tables.write(dataset)
        return [fed, saved, _ranks(dataset.root, setting, steps)]


def _sizes(quick: bool, device: str, compiled: bool) -> tuple[Setting, int, int, int]:
    """Setting, steps of a repetition, bags and tiles per bag."""
    if device == "cuda":
        # The paper's batch is 240 wells of 12 tiles on several GPUs; this is the share of one of four, or of one of 15
        # where the GPU is that of a laptop.
        is_small = torch.cuda.get_device_properties("cuda").total_memory < _ROOMY_BYTES
        setting = Setting(bags=16 if quick or is_small else 60, tiles=12, compiled=compiled)
        return setting, 8 if quick else 16, 64, 64
    if quick:
        return Setting(bags=4, tiles=4, width=16, compiled=compiled), 4, 16, 32
    return Setting(bags=8, tiles=4, compiled=compiled), 3, 16, 32


def _feeding(dataset: Dataset, setting: Setting, device: str, steps: int, repetitions: int) -> Measured:
    feeds: dict[str, Feed] = {}
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="wellstream-bench-")))

        def trainer(name: str, fast: bool) -> Trainer:
            chosen = Setting(**{**vars(setting), "fast": fast})
            ranks = Ranks.solo(device, "bf16" if fast else "fp32")
            made = Trainer(dataset, chosen, ranks, folder / name)
            held.callback(made.close)
            return made

        arms: list[Arm] = []
        for ending, fast in (("", False), (FAST, True)):
            feeds[ending] = Feed(trainer(f"disk{ending}", fast), steps)
            held.callback(feeds[ending].close)
            arms += [
                _resident(f"resident{ending}", trainer(f"resident{ending}", fast), feeds[ending].steps),
                _from_disk(f"from disk{ending}", feeds[ending]),
            ]
        costs = measure(arms, repetitions)
    case = f"ResNet-18 of width {setting.width}, {setting.bags} bags of {setting.tiles} tiles, {device}"
    return Measured(
        theme="training",
        case=case + (", compiled" if setting.compiled else ""),
        unit="tiles",
        items=setting.batch * steps,
        costs=costs,
        limit="resident",
        targets=tuple(
            Target(arm=f"from disk{ending}", over=f"resident{ending}", least=OF_RESIDENT) for ending in feeds
        ),
        findings=tuple(_findings(feeds, costs, device)),
        notes=tuple(_what_binds(feeds, costs)),
    )


def _resident(name: str, trainer: Trainer, steps: range) -> Arm:
    """The steps of the other arm, on batches made beforehand."""
    with ExitStack() as held:
        made = trainer.loader.batches(steps.start, steps.stop)
        held.callback(made.close)  # type: ignore[attr-defined]
        batches = list(made)
    return Arm(
        name=name,
        work=lambda: trainer.run(batches),
        before=lambda: trainer.run(islice(batches, 1)),
        result=lambda: _pixels(batches[-1]),
        is_limit=name == "resident",
    )


def _from_disk(name: str, feed: Feed) -> Arm:
    def first() -> None:
        batches = feed.trainer.new_loader().batches(0, 1)
        next(batches)
        feed.trainer.finish()

    return Arm(name=name, work=feed.run, before=feed.warm, first=first, result=lambda: _pixels(feed.last))


def _pixels(batch: Batch | None) -> str:
    return "nothing" if batch is None else digest(batch.tiles.contiguous().cpu().numpy())


def _findings(feeds: dict[str, Feed], costs: Costs, device: str) -> list[Finding]:
    found = []
    for ending, feed in feeds.items():
        # The first run was not measured.
        share = _share(feed.waited_s[1:], costs.seconds[f"from disk{ending}"])
        name = f"share of step time waiting for data{ending}"
        # A GPU in bf16 may well outrun two loader threads: there the bound is the rate, not the wait.
        most = WAIT_SHARE if device == "cpu" else None
        found.append(Finding(name=name, value=share, unit="share", most=most))
        if feed.device_s:
            share = _share(feed.device_s[1:], costs.seconds[f"from disk{ending}"])
            found.append(
                Finding(name=f"share of the GPU's time until batches lie there{ending}", value=share, unit="share")
            )
    if device == "cuda":
        found.append(Finding(name="peak memory of the GPU", value=torch.cuda.max_memory_allocated() / 1e6, unit="MB"))
    return found


def _share(parts: list[float], of: list[float]) -> float:
    return median(part / whole for part, whole in zip(parts, of, strict=True))


def _what_binds(feeds: dict[str, Feed], costs: Costs) -> list[str]:
    """A sentence for each pair of arms that misses its target."""
    found = []
    for ending, feed in feeds.items():
        disk, resident = costs.seconds[f"from disk{ending}"], costs.seconds[f"resident{ending}"]
        rate = _share(resident, disk)
        if rate >= OF_RESIDENT:
            continue
        waited = _share(feed.waited_s[1:], disk)
        lost = 1 - rate
        if waited > lost / 2:
            why = f"the loader's threads: {waited:.1%} of the time is waiting for them"
        elif feed.device_s:
            why = f"copying and scaling on the GPU, {_share(feed.device_s[1:], disk) - waited:.1%} of the time"
        else:
            why = "loader threads and the step sharing the cores: there is hardly any wait"
        found.append(f"from disk{ending} is {rate:.3f} of resident; what binds is {why}")
    return found


def _ranks(root: Path, setting: Setting, steps: int) -> Measured:
    """The same training on one rank and on two, started in turn."""
    worlds = (1, 2)
    facts: dict[int, list[list[RankFacts]]] = {world: [] for world in worlds}
    for _ in range(3):
        for world in worlds:
            facts[world].append(launch(root, setting, world, steps, 2))
    cores = len(os.sched_getaffinity(0))
    findings = []
    for world in worlds:
        every = [rank for ranks in facts[world] for rank in ranks]
        waited = max(_share(rank.waited_s, rank.seconds) for rank in every)
        findings += [
            Finding(
                name=f"share of step time waiting for data, {named(world)}", value=waited, unit="share", most=WAIT_SHARE
            ),
            Finding(name=f"peak memory of a process, {named(world)}", value=max(r.peak_mb for r in every), unit="MB"),
        ]
    return Measured(
        theme="training",
        case=f"ranks (gloo), the same batches of {setting.bags} bags of {setting.tiles} tiles from disk",
        unit="tiles",
        items=setting.batch * steps,
        costs=rank_costs(facts),
        limit=named(1),
        findings=tuple(findings),
        notes=(f"all ranks share {cores} cores, which {named(1)} uses with as many threads",),
    )
