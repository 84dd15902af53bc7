"""Theme ``remote``: training on a dataset behind HTTP whose every request waits 50 ms, against the same files on disk.

Limit: the same steps on the local folder. nginx serves the folder; a proxy in a process of its own delays. Two sizes of
the node's cache: one that holds all shards, and one of two fifths of them, where each epoch fetches anew and the
prefetch has to be ahead of every step. Time counts after some steps, and no arm fetches while another is timed.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from benchmarks import tables
from benchmarks.harness import Costs, Finding, Measured, Target, WrongPixels
from benchmarks.servers import NGINX, NO_NGINX, serve, slowed
from benchmarks.synthetic import CHANNELS, draw_pixels, write_dataset
from framework.data.dataset import Dataset
from framework.data.loading.loader import Loader
from framework.data.loading.prefetch import Prefetcher
from framework.data.plan import BagsConfig, PlanUniverse, build_plan
from framework.data.remote.cache import CacheConfig
from framework.data.store import TileStore
from framework.models import ResNet18Config, build_backbone

PER_BAG, BAGS, TILES = 32, 4, 6
DELAY_S = 0.05
CACHED, NO_DELAY, STREAMED = "50 ms, all cached", "no delay, 0.4 cached", "50 ms, 0.4 cached"
_OF_LOCAL = 0.95
_AHEAD = 8
"""Steps an arm could still go on when its time is taken, so that its last steps fetch ahead as the others do."""


class Training:
    """One arm: a dataset and a model; each ``run`` continues where the last one ended.

    Attributes:
        waited: share of each run that its steps waited for data.
        seen: sum of the pixels of the last run.
    """

    def __init__(self, dataset: Dataset, width: int, warm: int, steps: int) -> None:
        torch.manual_seed(0)
        self._model = build_backbone(ResNet18Config(width=width, dense=(64,)), len(CHANNELS))
        self._optimiser = torch.optim.SGD(self._model.parameters(), lr=1e-4)
        universe = PlanUniverse.of(dataset, np.arange(len(dataset.bags)))
        plan = build_plan(BagsConfig(name="bags", bags=BAGS, tiles=TILES), universe, 0)
        upcoming = None if dataset.remote is None else Prefetcher(dataset, plan.at)
        self._loader = Loader(TileStore(dataset), plan, upcoming=upcoming)
        self._warm, self._steps, self._next = warm, steps, 0
        self.waited: list[float] = []
        self.seen = 0.0

    def run(self) -> float:
        """Return the seconds of the steps after the first ones."""
        self.seen, began, waited, end = 0.0, 0.0, 0.0, self._next + self._warm + self._steps
        batches = self._loader.batches(self._next, end + _AHEAD)
        for batch in batches:
            if batch.step == self._next + self._warm:
                began, waited = time.perf_counter(), self._loader.wait_s
            loss = self._model.head(self._model.trunk(batch.tiles.flatten(0, 1) / 400)).square().mean()
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
            self.seen += float(batch.tiles.sum(dtype=torch.float64))
            if batch.step == end - 1:
                break
        spent = time.perf_counter() - began
        self.waited.append((self._loader.wait_s - waited) / spent)
        self._next = end
        batches.close()  # type: ignore[attr-defined]
        _await_prefetch()
        return spent


def run(*, quick: bool) -> list[Measured]:
    """Train on random tiles from disk and over HTTP; quick: a narrow network and few steps."""
    n_bags, warm, steps, repetitions, width = (24, 1, 3, 1, 16) if quick else (64, 2, 6, 8, 64)
    absent = {} if NGINX else {"http": NO_NGINX}
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name, ExitStack() as stack:
        local = publish(Path(name) / "site" / "data", n_bags)
        shards = sum(record.bytes for record in local.manifest.shards)
        arms = {"disk": Training(local, width, warm, steps)}
        if NGINX:
            web = stack.enter_context(serve(local.root.parent, Path(name) / "nginx"))
            slow = stack.enter_context(slowed(web.port, DELAY_S))
            quick_one = stack.enter_context(slowed(web.port, 0.0))
            for arm, url, share in (
                (CACHED, slow, 1.5),
                (NO_DELAY, quick_one, 0.4),
                (STREAMED, slow, 0.4),
            ):
                place = CacheConfig(folder=str(Path(name) / arm), limit_gb=share * shards / 1e9)
                arms[arm] = Training(_opened(f"{url}/data", place, whole=share > 1), width, warm, steps)
        costs = _interleaved(arms, repetitions)
        fetched = len(web.requests(".tar")) if NGINX else 0
    # Three quick steps of a narrow network are over before fetching ahead has caught up: of an arm that fetches while
    # it trains they prove the pixels, not the rate.
    targets = (
        Target(arm=STREAMED, over="disk", least=_OF_LOCAL, gates=not quick),
        Target(arm=STREAMED, over=NO_DELAY, least=_OF_LOCAL, gates=not quick),
        Target(arm=CACHED, over="disk", least=_OF_LOCAL),
    )
    rate = BAGS * local.manifest.shards[0].bytes / 1e6 * steps / statistics.median(costs.seconds["disk"])
    return [
        Measured(
            theme="remote",
            case=f"training, ResNet-18 of width {width}, {BAGS} bags of {TILES} tiles per step",
            unit="tiles",
            items=steps * BAGS * TILES,
            costs=costs,
            limit="disk",
            absent=absent,
            targets=targets if NGINX else (),
            findings=tuple(
                Finding(
                    name=f"waiting for data, {arm}",
                    value=statistics.median(training.waited[1:]),
                    unit="share",
                    most=1 - _OF_LOCAL,
                    gates=not quick or arm in ("disk", CACHED),
                )
                for arm, training in arms.items()
            ),
            notes=(
                f"{len(local.manifest.shards)} shards of {local.manifest.shards[0].bytes / 1e6:.1f} MB, one per bag; "
                f"where 0.4 of them fit, a step needs {BAGS} that are seldom there, {rate:.0f} MB/s at the rate of the "
                f"disk, moved by the cores that train, nginx and the proxy; {fetched} were fetched in all",
            ),
        )
    ]


def _interleaved(arms: dict[str, Training], repetitions: int) -> Costs:
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    order = deque(arms)
    for repetition in range(repetitions + 1):
        for arm in order:
            spent = arms[arm].run()
            # The first one fills caches.
            if repetition:
                seconds[arm].append(spent)
        order.rotate()  # what one arm leaves to be written to the disk falls on another each time
        seen = {arm: training.seen for arm, training in arms.items()}
        if len(set(seen.values())) > 1:
            raise WrongPixels(f"arms saw different pixels: {seen}")
    return Costs(seconds=seconds)


def _opened(url: str, cache: CacheConfig, *, whole: bool) -> Dataset:
    dataset = Dataset.open(url, cache)
    if whole and dataset.remote is not None:
        for number in range(len(dataset.manifest.shards)):
            dataset.remote.fetch_shard(number)
    return dataset


def _await_prefetch() -> None:
    while any(thread.name == "wellstream-prefetch" for thread in threading.enumerate()):
        time.sleep(0.01)


def publish(folder: Path, n_bags: int) -> Dataset:
    """Write random tiles, one shard per bag, with all that a dataset needs to be opened by its URL."""
    tables.write(write_dataset(folder, draw_pixels(n_bags * PER_BAG), PER_BAG))
    return Dataset.open(folder)
