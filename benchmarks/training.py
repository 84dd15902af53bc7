"""Theme ``training``: the same step on batches already on the device, and fed by the loader from disk.

Limit: steps on resident batches. Further arms give indicative costs of memory format and precision; findings say how
the time of a step grows with tiles and bags. ``--device cuda`` runs all of it on a GPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.harness import Arm, Costs, Finding, Measured, Target, measure
from benchmarks.results import RESULTS
from benchmarks.synthetic import CHANNELS, RandomBags, draw_pixels, write_dataset
from framework.data.batch import Batch
from framework.data.loader import Loader
from framework.data.store import TileStore
from framework.data.transform import AugmentConfig, ScaleProfile
from framework.models import BagEncoder, ResNet18Config, build_backbone
from framework.objectives.triplets import RowFacts, sample_digest, triplet_sums

PER_BAG, N_BAGS = 32, 16
_WAIT_SHARE, _OF_RESIDENT = 0.02, 0.95


class Trainer:
    """A model and its optimiser; ``step`` is forward, triplet loss, backward and update."""

    def __init__(self, device: str, *, width: int, channels_last: bool, bf16: bool) -> None:
        torch.manual_seed(0)
        backbone = build_backbone(ResNet18Config(width=width, dense=(128,)), len(CHANNELS))
        self.model = BagEncoder(backbone).to(device)
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.device, self.channels_last, self.bf16 = device, channels_last, bf16
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self, batch: Batch) -> None:
        """Train on one batch; bags are conditions in pairs."""
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bf16):
            embedding = self.model(batch.tiles).float()
        rows = torch.arange(len(embedding), device=embedding.device)
        facts = RowFacts(
            condition=rows // 2, bag=rows, sample=sample_digest(batch.tile_ids), counted=torch.ones_like(rows)
        )
        sums = triplet_sums(embedding, facts, embedding, facts, margin=0.2, mining="semi_hard", same_bag_positives=True)
        self.optimiser.zero_grad(set_to_none=True)
        (sums.total / sums.pairs.clamp_min(1)).backward()
        self.optimiser.step()

    def run(self, batches: Iterable[Batch]) -> None:
        """Train on all; wait until a GPU is done."""
        for batch in batches:
            self.step(batch)
        if self.device == "cuda":
            torch.cuda.synchronize()


def run(*, quick: bool, device: str = "cpu") -> list[Measured]:
    """Train on random tiles; quick: a narrow network and small batches."""
    rows, tiles, steps = (4, 4, 3) if quick else (8, 4, 2)
    if device == "cuda":
        rows, tiles, steps = 16, 16, 8 if quick else 32
    width = 16 if quick and device == "cpu" else 64
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        store = TileStore(write_dataset(Path(name) / "tar", draw_pixels(N_BAGS * PER_BAG), PER_BAG))
        main, share = _feeding(store, device, width, (rows, tiles, steps), 2 if quick else 3)
        growth = _growth(store, device, width, quick=quick)
    if not quick:
        _plot(growth, RESULTS / f"training_growth_{device}.svg")
    findings = [Finding(name=f"seconds a step, {what}", value=value, unit="s") for what, value in growth.items()]
    if device == "cpu":
        findings.append(
            Finding(name="share of step time waiting for data", value=share, unit="share", most=_WAIT_SHARE)
        )
    main_case = f"ResNet-18 of width {width}, {rows} bags of {tiles} tiles, {device}"
    return [
        Measured(
            theme="training",
            case=main_case,
            unit="tiles",
            items=rows * tiles * steps,
            costs=main,
            limit="resident",
            targets=(Target(arm="from disk", over="resident", least=_OF_RESIDENT),) if device == "cuda" else (),
            findings=tuple(findings),
        )
    ]


def _loader(store: TileStore, device: str, rows: int, tiles: int, *, channels_last: bool = False) -> Loader:
    profile = ScaleProfile.fit("plate_standardise", store, np.arange(len(store)))
    plan = RandomBags.draw(N_BAGS, PER_BAG, 8, rows, tiles)
    augment = AugmentConfig(flip=True, rotate90=True)
    return Loader(store, plan, device=device, scale=profile, augment=augment, channels_last=channels_last)


def _feeding(
    store: TileStore, device: str, width: int, sizes: tuple[int, int, int], repetitions: int
) -> tuple[Costs, float]:
    """Costs of all arms, and the share of the time "from disk" that its steps waited for data."""
    rows, tiles, steps = sizes
    waited: list[float] = []

    def resident(name: str, *, channels_last: bool = False, bf16: bool = False, is_limit: bool = False) -> Arm:
        trainer = Trainer(device, width=width, channels_last=channels_last, bf16=bf16)
        batches = list(_loader(store, device, rows, tiles, channels_last=channels_last).batches(0, steps))
        return Arm(name=name, work=lambda: trainer.run(batches), is_limit=is_limit)

    fed = Trainer(device, width=width, channels_last=False, bf16=False)
    loader = _loader(store, device, rows, tiles)

    # One iterator for all repetitions: a training of thousands of steps, of which each repetition sees some.
    batches = loader.batches(0, steps * (repetitions + 1) + 1)
    next(batches)

    def from_disk() -> None:
        before = loader.wait_s
        fed.run(islice(batches, steps))
        waited.append(loader.wait_s - before)

    arms = [
        resident("resident", is_limit=True),
        Arm(name="from disk", work=from_disk),
        resident("resident, channels_last", channels_last=True),
        resident("resident, bf16", bf16=True),
        resident("resident, channels_last and bf16", channels_last=True, bf16=True),
    ]
    costs = measure(arms, repetitions)
    return costs, float(np.median(waited[1:])) / float(np.median(costs.seconds["from disk"]))


def _growth(store: TileStore, device: str, width: int, *, quick: bool) -> dict[str, float]:
    """Median seconds of a step on resident batches, over bags and over tiles a bag."""
    sizes = [(2, 4), (4, 4), (4, 8)] if quick else [(2, 4), (4, 4), (8, 4), (4, 8), (4, 12)]
    found = {}
    trainer = Trainer(device, width=width, channels_last=False, bf16=False)
    for rows, tiles in sizes:
        batches = list(_loader(store, device, rows, tiles).batches(0, 1))
        costs = measure([Arm(name="step", work=lambda batches=batches: trainer.run(batches))], 2 if quick else 3)
        found[f"{rows} bags of {tiles} tiles"] = float(np.median(costs.seconds["step"]))
    return found


def _plot(growth: dict[str, float], path: Path) -> None:
    """Write seconds a step against tiles a step; a straight line through 0 means the cost is that of the tiles."""
    matplotlib.rcParams["svg.hashsalt"] = "wellstream"
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.subplots()
    counts = [(int(text.split()[0]), int(text.split()[3])) for text in growth]
    for chosen, label in ((lambda _, n: n == 4, "more bags of 4 tiles"), (lambda b, _: b == 4, "4 bags of more tiles")):
        points = [(b * n, s) for (b, n), s in zip(counts, growth.values(), strict=True) if chosen(b, n)]
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=label)
    axes.set(xlabel="tiles a step", ylabel="seconds a step", xlim=(0, None), ylim=(0, None))
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
