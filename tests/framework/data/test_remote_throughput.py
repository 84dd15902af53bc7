"""What a delay of 50 ms a request costs training whose shards are still being fetched; prints ratios."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import ROOT, environment
from fixtures.web import needs_nginx, serve

from framework.data.cache import CacheConfig
from framework.data.dataset import Dataset
from framework.data.loader import Loader
from framework.data.plan import BagsConfig, PlanUniverse, build_plan
from framework.data.prefetch import Prefetcher
from framework.data.store import TileStore
from framework.models import build_backbone
from framework.models.small import SmallCnnConfig

pytestmark = [needs_nginx, pytest.mark.slow]

PROXY = """
import sys, time
from fixtures.web import Proxy
proxy = Proxy(target=int(sys.argv[1]), delay_s=float(sys.argv[2]))
with proxy.running():
    print(proxy.port, flush=True)
    time.sleep(3600)
"""
BAGS, PER_STEP, WARM = 640, 4, 20


@contextmanager
def slowed(port: int, delay_s: float) -> Iterator[str]:
    """The proxy in a process of its own: its threads must not take turns with the trainer's."""
    env = environment() | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, "-c", PROXY, str(port), str(delay_s)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/data"
        process.kill()


def train(dataset: Dataset) -> tuple[float, float]:
    """Seconds of the steps after the first ones of an epoch, in which every bag is new; and a sum of what was seen."""
    torch.manual_seed(0)
    plan = build_plan(BagsConfig(name="bags", bags=PER_STEP, tiles=32), PlanUniverse.of(dataset, np.arange(BAGS)), 0)
    upcoming = None if dataset.remote is None else Prefetcher(dataset, plan.at)
    model = build_backbone(SmallCnnConfig(name="small_cnn", widths=(16, 32), dense=(8,)), 2)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    loader, seen, began = Loader(TileStore(dataset), plan, upcoming=upcoming), 0.0, 0.0
    for batch in loader.batches(0, plan.steps_per_epoch):
        if batch.step == WARM:
            began = time.perf_counter()
        loss = model.head(model.trunk(batch.tiles.flatten(0, 1) / 4096)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen += float(batch.tiles.sum(dtype=torch.float64))
    return time.perf_counter() - began, seen


def test_a_delay_hides_behind_the_prefetch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local = make_dataset(tmp_path / "site" / "data", bags=BAGS, tiles_per_bag=32, size=64, bags_per_shard=2)
    spent: dict[str, list[float]] = {"disk": [], "http": [], "http + 50 ms": []}
    with (
        serve(local.root.parent, tmp_path / "nginx") as web,
        slowed(web.port, 0.0) as direct,
        slowed(web.port, 0.05) as delayed,
    ):
        sums = set()
        for attempt in range(4):
            for name, url in (("disk", ""), ("http", direct), ("http + 50 ms", delayed)):
                cold = CacheConfig(folder=str(tmp_path / f"cache-{attempt}-{name}"))
                seconds, seen = train(Dataset.open(url or local.root, cold))
                spent[name].append(seconds)
                sums.add(seen)
    best = {name: min(seconds) for name, seconds in spent.items()}
    with capsys.disabled():
        print("\n" + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items()))
        print(f"50 ms against none: {best['http'] / best['http + 50 ms']:.3f} of the throughput")
        print(f"50 ms against disk: {best['disk'] / best['http + 50 ms']:.3f}")
    assert len(sums) == 1
    # Half of what is wanted (0.95), for noise.
    assert best["http"] / best["http + 50 ms"] > 0.9
