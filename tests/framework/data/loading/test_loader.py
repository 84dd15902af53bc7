"""The loader against the slow way: whatever threads, ranks and buffers do, step t holds the pixels the plan names."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from fixtures.late_stream import LateStream, Omission
from fixtures.tiny_dataset import make_dataset, stored_tiles

from framework.data.augmentations import SymmetriesConfig
from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.data.loading import loader as loader_module
from framework.data.loading.loader import Loader
from framework.data.plan import BagsConfig, PairsConfig, Plan, PlanUniverse, build_plan
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore
from framework.errors import RunError

BOTH = SymmetriesConfig(flip=True, rotate90=True)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("tiny"), size=8)


@pytest.fixture(scope="module")
def pixels(dataset: Dataset) -> npt.NDArray[np.generic]:
    return stored_tiles(dataset)


@pytest.fixture(scope="module")
def plan(dataset: Dataset) -> Plan:
    """Five rows of three tiles; six bags, so the second step of an epoch is mostly padding."""
    return build_plan(BagsConfig(bags=5, tiles=3), PlanUniverse.of(dataset, np.arange(6)), 0)


def standardise(dataset: Dataset) -> ScaleProfile:
    return ScaleProfile.fit("per_tile_standardise", TileStore(dataset), np.arange(len(dataset.index)))


class SlowStore:
    """A tile store whose gathers take a moment and are counted."""

    def __init__(self, dataset: Dataset, delay_s: float = 0.0, fail_after: int | None = None) -> None:
        self._inner = TileStore(dataset)
        self.sample_shape, self.dtype = self._inner.sample_shape, self._inner.dtype
        self._delay_s, self._fail_after = delay_s, fail_after
        self._lock = threading.Lock()
        self.begun = 0

    def __len__(self) -> int:
        return len(self._inner)

    def gather(self, tile_ids: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
        with self._lock:
            self.begun += 1
            number = self.begun
        if self._fail_after is not None and number > self._fail_after:
            raise OSError(f"disk gone at gather {number}")
        # The first gathers are the slowest, so that later steps are ready before earlier ones.
        time.sleep(self._delay_s * (2 if number % 2 else 1))
        self._inner.gather(tile_ids, out)


def loader_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("wellstream-loader")]


@pytest.mark.parametrize(("prefetch", "threads"), [(1, 1), (2, 2), (4, 3), (2, 8)])
def test_batches_hold_what_the_plan_names_in_order(
    dataset: Dataset, plan: Plan, pixels: npt.NDArray[np.generic], prefetch: int, threads: int
) -> None:
    loader = Loader(SlowStore(dataset, 0.002), plan, prefetch=prefetch, threads=threads)
    batches = list(loader.batches(3, 15))
    assert [batch.step for batch in batches] == list(range(3, 15))
    for batch in batches:
        rows = plan.at(batch.step)
        assert batch.epoch == rows.epoch
        assert torch.equal(batch.bags, torch.from_numpy(rows.bags))
        assert torch.equal(batch.tile_ids, torch.from_numpy(rows.tiles))
        assert torch.equal(batch.weights, torch.from_numpy(rows.weights))
        assert np.array_equal(batch.tiles.numpy(), pixels[rows.tiles].astype(np.float32))
    assert not loader_threads()


def test_a_batch_is_never_overwritten(dataset: Dataset, plan: Plan) -> None:
    """Batches kept for long equal batches looked at once, and share no memory."""
    loader = Loader(TileStore(dataset), plan, scale=standardise(dataset), augment=(BOTH,), prefetch=3, threads=3)
    snapshots = [batch.tiles.clone() for batch in loader.batches(0, 20)]
    kept = list(loader.batches(0, 20))
    assert all(torch.equal(batch.tiles, copy) for batch, copy in zip(kept, snapshots, strict=True))
    assert len({batch.tiles.data_ptr() for batch in kept}) == 20


@pytest.mark.parametrize("options", [{}, {"as_stored": True}, {"channels_last": True}])
def test_memory_of_dropped_batches_is_used_again(dataset: Dataset, plan: Plan, options: dict[str, Any]) -> None:
    """Every other batch is kept by a view of one tile: it keeps its values, and the dropped ones give their memory."""
    loader = Loader(TileStore(dataset), plan, **options)
    kept, copies, places = [], [], set()
    for batch in loader.batches(0, 40):
        if batch.step % 10 == 0:
            kept.append(batch.tiles[1, 2])
            copies.append(batch.tiles[1, 2].clone())
        else:
            places.add(batch.tiles.data_ptr())
        del batch
    assert all(torch.equal(tile, copy) for tile, copy in zip(kept, copies, strict=True))
    assert len(places) <= 12


def test_batches_as_stored(dataset: Dataset, plan: Plan, pixels: npt.NDArray[np.generic]) -> None:
    loader = Loader(TileStore(dataset), plan, as_stored=True)
    for batch in loader.batches(0, 4):
        assert batch.tiles.dtype == torch.uint16
        assert np.array_equal(batch.tiles.numpy(), pixels[batch.tile_ids.numpy()])
    with pytest.raises(ValueError, match="as_stored gives tiles as they are stored"):
        Loader(TileStore(dataset), plan, as_stored=True, scale=standardise(dataset))


def test_blocks_make_the_same_batch(dataset: Dataset, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"scale": standardise(dataset), "augment": (BOTH,), "channels_last": True}
    whole = list(Loader(TileStore(dataset), plan, **options).batches(0, 4))
    monkeypatch.setattr(loader_module, "_BLOCK_BYTES", 1)
    parts = list(Loader(TileStore(dataset), plan, **options).batches(0, 4))
    assert all(torch.equal(a.tiles, b.tiles) for a, b in zip(whole, parts, strict=True))


def test_threads_of_the_caller_stay_as_they_are(dataset: Dataset, plan: Plan) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        list(Loader(TileStore(dataset), plan).batches(0, 4))
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert [torch.get_num_threads(), *seen] == [3, 3]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_world_size_sees_the_same_pixels(dataset: Dataset, plan: Plan, world: int) -> None:
    options: dict[str, Any] = {"scale": standardise(dataset), "augment": (BOTH,), "seed": 4}
    whole = list(Loader(TileStore(dataset), plan, **options).batches(0, 6))
    parts = [
        list(Loader(TileStore(dataset), plan, rank=rank, world_size=world, **options).batches(0, 6))
        for rank in range(world)
    ]
    for step, batch in enumerate(whole):
        shares = [rank[step] for rank in parts]
        assert len({len(share.bags) for share in shares}) == 1
        weights = torch.cat([share.weights for share in shares])
        assert torch.equal(torch.cat([share.tiles for share in shares])[weights > 0], batch.tiles[batch.weights > 0])


def test_a_resumed_loader_continues_with_the_same_pixels(dataset: Dataset, plan: Plan) -> None:
    options: dict[str, Any] = {"scale": standardise(dataset), "augment": (BOTH,)}
    through = list(Loader(TileStore(dataset), plan, **options).batches(0, 8))
    resumed = list(Loader(TileStore(dataset), plan, prefetch=1, threads=1, **options).batches(5, 8))
    assert all(torch.equal(a.tiles, b.tiles) for a, b in zip(through[5:], resumed, strict=True))
    other = next(iter(Loader(TileStore(dataset), plan, seed=1, **options).batches(5, 6)))
    assert not torch.equal(other.tiles, through[5].tiles)


def test_source_and_target_are_flipped_independently(dataset: Dataset) -> None:
    pairs = build_plan(PairsConfig(pairs=24), PlanUniverse.of(dataset, np.arange(6)), 0)
    loader = Loader(TileStore(dataset), pairs, augment=(SymmetriesConfig(flip=True),))
    plain = next(iter(Loader(TileStore(dataset), pairs).batches(0, 1))).tiles
    turned = next(iter(loader.batches(0, 1))).tiles
    kept = (plain == turned).flatten(2).all(2)
    assert kept.any(0).all()
    assert not torch.equal(kept[:, 0], kept[:, 1])


def test_labels_are_looked_up_by_bag_and_by_tile(dataset: Dataset, plan: Plan) -> None:
    n = len(dataset.index)
    labels = {
        "bag": LabelTable(per="bag", values=torch.arange(6) * 10),
        "marker": LabelTable(per="tile", values=torch.arange(2 * n).reshape(n, 2)),
    }
    batch = next(iter(Loader(TileStore(dataset), plan, labels=labels).batches(2, 3)))
    assert torch.equal(batch.labels["bag"], batch.bags * 10)
    assert torch.equal(batch.labels["marker"], torch.stack([2 * batch.tile_ids, 2 * batch.tile_ids + 1], dim=-1))
    with pytest.raises(RunError, match=rf"label 'marker': expected {n} rows, one per tile, found 6"):
        Loader(TileStore(dataset), plan, labels={"marker": LabelTable(per="tile", values=torch.arange(6))})


def test_channels_last_is_a_format_not_a_shape(dataset: Dataset, plan: Plan) -> None:
    plain = next(iter(Loader(TileStore(dataset), plan).batches(0, 1)))
    last = next(iter(Loader(TileStore(dataset), plan, channels_last=True).batches(0, 1)))
    assert torch.equal(plain.tiles, last.tiles)
    flat = last.tiles.flatten(0, 1)
    assert flat.is_contiguous(memory_format=torch.channels_last)
    assert flat.data_ptr() == last.tiles.data_ptr()


@pytest.mark.parametrize("fail_after", [0, 4])
def test_an_error_in_a_thread_is_raised_at_its_step(dataset: Dataset, plan: Plan, fail_after: int) -> None:
    steps: list[int] = []
    with pytest.raises(OSError, match=f"disk gone at gather {fail_after + 1}"):
        collect(Loader(SlowStore(dataset, fail_after=fail_after), plan, threads=1), steps)
    assert steps == list(range(fail_after))
    assert not loader_threads()


def collect(loader: Loader, steps: list[int]) -> None:
    for batch in loader.batches(0, 100):
        steps.append(batch.step)


def test_leaving_early_joins_the_threads(dataset: Dataset, plan: Plan) -> None:
    store = SlowStore(dataset, 0.005)
    for batch in Loader(store, plan, prefetch=4, threads=3).batches(0, 10**9):
        if batch.step == 2:
            break
    assert not loader_threads()
    begun = store.begun
    assert begun <= 3 + 4
    time.sleep(0.05)
    assert store.begun == begun


class GatedStore(SlowStore):
    """The first gather passes; the others wait for the gate."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.gate = threading.Event()

    def gather(self, tile_ids: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
        super().gather(tile_ids, out)
        if self.begun > 1:
            self.gate.wait()


def test_leaving_early_drops_what_has_not_begun(dataset: Dataset, plan: Plan) -> None:
    store = GatedStore(dataset)
    timer = threading.Timer(0.1, store.gate.set)
    for _ in Loader(store, plan, prefetch=6, threads=1).batches(0, 100):
        timer.start()
        break
    timer.join()
    assert store.begun <= 2


def test_an_interrupt_in_the_loop_joins_the_threads(dataset: Dataset, plan: Plan) -> None:
    def interrupted(loader: Loader) -> None:
        for _ in loader.batches(0, 10**9):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted(Loader(SlowStore(dataset, 0.005), plan))
    # The generator ended with its frame; nothing is left that could keep the process alive.
    assert not loader_threads()


def test_no_more_is_prepared_than_asked(dataset: Dataset, plan: Plan) -> None:
    """While the consumer sits on batch t, exactly ``prefetch`` later ones are begun, never more."""
    store = SlowStore(dataset)
    for batch in Loader(store, plan, prefetch=3, threads=3).batches(0, 8):
        expected = min(batch.step + 1 + 3, 8)
        while store.begun < expected:
            time.sleep(0.001)
        time.sleep(0.01)
        assert store.begun == expected


class Clock:
    """Time that passes only when told; reading it before a wait (every other time) lets the store begin."""

    def __init__(self) -> None:
        self.now, self.reads, self.waiting = 0.0, 0, threading.Semaphore(0)

    def __call__(self) -> float:
        self.reads += 1
        if self.reads % 2:
            self.waiting.release()
        return self.now


class ClockedStore(SlowStore):
    """Each gather takes 5 seconds of the clock, which begin when the consumer waits for it."""

    def __init__(self, dataset: Dataset, clock: Clock) -> None:
        super().__init__(dataset)
        self._clock = clock

    def gather(self, tile_ids: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
        self._clock.waiting.acquire()
        self._clock.now += 5
        super().gather(tile_ids, out)


def test_waiting_is_measured_and_only_waiting(dataset: Dataset, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(loader_module.time, "perf_counter", clock)
    loader = Loader(ClockedStore(dataset, clock), plan, prefetch=1, threads=1)
    for done, _ in enumerate(loader.batches(0, 4)):
        assert loader.wait_s == 5 * (done + 1)
        clock.now += 100  # a training step
    assert loader.wait_s == 20


def test_rows_for_the_audit_are_this_ranks(dataset: Dataset, plan: Plan) -> None:
    loader = Loader(TileStore(dataset), plan, rank=1, world_size=2)
    assert loader.rows_at(4).bags.tolist() == plan.at(4).for_rank(1, 2).bags.tolist()


class Vectors:
    """An in-memory stand-in for cached embeddings."""

    sample_shape = (3,)
    dtype = np.dtype(np.float32)

    def __init__(self, count: int) -> None:
        self._rows = np.arange(3 * count, dtype=np.float32).reshape(count, 3)

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, tile_ids: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
        out[...] = self._rows[tile_ids]


def test_cached_embeddings_stay_vectors(dataset: Dataset, plan: Plan) -> None:
    store = Vectors(len(dataset.index))
    batches: list[Batch] = list(Loader(store, plan).batches(0, 4))
    for batch in batches:
        assert batch.tiles.shape == (5, 3, 3)
        assert torch.equal(batch.tiles[..., 0], 3.0 * batch.tile_ids)
    with pytest.raises(RunError, match="cached embeddings are vectors"):
        Loader(store, plan, augment=(BOTH,))


def test_impossible_options(dataset: Dataset, plan: Plan) -> None:
    for options in ({"prefetch": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="expected prefetch >= 1 and threads >= 1"):
            Loader(TileStore(dataset), plan, **options)  # type: ignore[arg-type]
    assert list(Loader(TileStore(dataset), plan).batches(4, 4)) == []


@pytest.mark.gpu
@pytest.mark.parametrize("channels_last", [False, True])
def test_cuda_batches_equal_those_on_the_cpu(tmp_path: Path, channels_last: bool) -> None:
    """Page-locked buffers are reused while copies are in flight; 200 steps of the same pixels prove the events."""
    dataset = make_dataset(tmp_path, size=64, tiles_per_bag=20)
    plan = build_plan(BagsConfig(bags=5, tiles=12), PlanUniverse.of(dataset, np.arange(6)), 0)
    labels = {"bag": LabelTable(per="bag", values=torch.arange(6))}
    options: dict[str, Any] = {"scale": standardise(dataset), "augment": (BOTH,), "channels_last": channels_last}
    on_cpu = Loader(TileStore(dataset), plan, labels=labels, **options).batches(0, 200)
    on_gpu = Loader(TileStore(dataset), plan, labels=labels, device="cuda", **options).batches(0, 200)
    kept = [(batch.tiles, batch.labels["bag"], batch.weights) for batch in on_gpu]
    for (tiles, bags, weights), batch in zip(kept, on_cpu, strict=True):
        assert tiles.is_cuda
        torch.testing.assert_close(tiles.cpu(), batch.tiles, rtol=1e-5, atol=1e-5)
        assert torch.equal(bags.cpu(), batch.labels["bag"])
        assert torch.equal(weights.cpu(), batch.weights)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("late", "without"),
    [("copy", ""), ("copy", "copied"), ("copy", "ready"), ("step", ""), ("step", "memory")],
)
def test_events_order_late_copies_and_late_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: Literal["copy", "step"], without: Omission
) -> None:
    """Batches ahead fill each page-locked buffer again long before its copy; without an event, pixels are wrong."""
    dataset = make_dataset(tmp_path, size=64, tiles_per_bag=20)
    plan = build_plan(BagsConfig(bags=5, tiles=12), PlanUniverse.of(dataset, np.arange(6)), 0)
    options: dict[str, Any] = {"scale": standardise(dataset), "augment": (BOTH,), "prefetch": 6, "threads": 1}
    expected = [batch.tiles.clone() for batch in Loader(TileStore(dataset), plan, **options).batches(0, 12)]
    # New memory, page-locked or of the GPU, would wait for the GPU: after this both streams have enough of both.
    warm = Loader(TileStore(dataset), plan, device="cuda", **options)
    kept = [(batch, batch.tiles.clone()) for batch in warm.batches(0, 12)]
    small = [torch.empty(1 << power, dtype=torch.uint8, pin_memory=True) for power in range(12) for _ in range(60)]
    torch.cuda.synchronize()
    del kept, small
    monkeypatch.setattr(loader_module, "lane_to", lambda device: LateStream(device, late, without))
    # A gather that takes a moment takes its memory on the device when the batch before has been let go.
    loader = Loader(SlowStore(dataset, 0.02), plan, device="cuda", **options)
    found = [batch.tiles.clone() for batch in loader.batches(0, 12)]
    torch.cuda.synchronize()
    right = [
        torch.allclose(ours.cpu(), theirs, rtol=1e-5, atol=1e-5) for ours, theirs in zip(found, expected, strict=True)
    ]
    assert all(right) is (not without), right
