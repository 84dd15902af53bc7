"""The order of events between loader threads, the side stream and the caller, on a lane that only writes them down."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from fixtures.late_stream import LateStream, Omission
from fixtures.tiny_dataset import make_dataset

from framework.data.augmentations import SymmetriesConfig
from framework.data.batch import LabelTable
from framework.data.dataset import Dataset
from framework.data.loading import loader as loader_module
from framework.data.loading import transfer
from framework.data.loading.loader import Loader
from framework.data.loading.transfer import Mark, SideStream, lane_to
from framework.data.plan import BagsConfig, Plan, PlanUniverse, build_plan
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore


class WrittenMark:
    def __init__(self) -> None:
        self.passed = False

    def synchronize(self) -> None:
        self.passed = True

    def wait(self, stream: torch.cuda.Stream | None = None) -> None:
        raise AssertionError("the lane orders streams, the loader does not")


class WrittenLane:
    """Says what was queued by whom; a mark counts as passed only when somebody waited for it."""

    def __init__(self) -> None:
        self.here = threading.local()
        self.marks: list[list[WrittenMark]] = []
        self.begun: set[str] = set()
        self.story: list[object] = []
        self.arrived: list[tuple[Mark, list[torch.Tensor]]] = []

    def begin_thread(self) -> None:
        self.begun.add(threading.current_thread().name)

    @contextmanager
    def queueing(self) -> Iterator[None]:
        assert threading.current_thread().name in self.begun
        self.here.marks = []
        yield
        self.marks.append(self.here.marks)
        del self.here.marks

    def mark(self) -> WrittenMark:
        self.here.marks.append(WrittenMark())
        return self.here.marks[-1]

    def arrive(self, ready: Mark, tensors: Iterable[torch.Tensor]) -> None:
        self.story.append("arrive")
        self.arrived.append((ready, list(tensors)))

    def finish_step(self) -> float:
        self.story.append("finish")
        return 0.25


class WatchingStore(TileStore):
    """Refuses to fill a buffer that a copy may still read."""

    def __init__(self, dataset: Dataset, lane: WrittenLane) -> None:
        super().__init__(dataset)
        self.lane = lane
        self.filled: dict[int, int] = {}
        self.copies: dict[int, WrittenMark] = {}
        self.guard = threading.Lock()

    def gather(self, tile_ids: npt.NDArray[np.int64], out: npt.NDArray[Any]) -> None:
        place = out.ctypes.data
        with self.guard:
            if place in self.copies and not self.copies[place].passed:
                raise AssertionError("filled again before its copy was waited for")
            self.filled[place] = self.filled.get(place, 0) + 1
        super().gather(tile_ids, out)
        self.lane.here.place = place


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("tiny"), size=8)


@pytest.fixture(scope="module")
def plan(dataset: Dataset) -> Plan:
    return build_plan(BagsConfig(bags=5, tiles=3), PlanUniverse.of(dataset, np.arange(6)), 0)


@pytest.mark.parametrize(("prefetch", "threads"), [(1, 1), (2, 2), (4, 3)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_lane_carries_the_same_batches_in_the_right_order(
    dataset: Dataset, plan: Plan, monkeypatch: pytest.MonkeyPatch, prefetch: int, threads: int, channels_last: bool
) -> None:
    options: dict[str, Any] = {
        "scale": ScaleProfile.fit("per_tile_standardise", TileStore(dataset), np.arange(6)),
        "augment": (SymmetriesConfig(flip=True, rotate90=True),),
        "labels": {"bag": LabelTable(per="bag", values=torch.arange(6))},
        "channels_last": channels_last,
        "prefetch": prefetch,
        "threads": threads,
    }
    plain = list(Loader(TileStore(dataset), plan, **options).batches(0, 20))
    lane = WrittenLane()
    store = WatchingStore(dataset, lane)
    mark = lane.mark

    def marked() -> WrittenMark:
        made = mark()
        if len(lane.here.marks) == 1:
            store.copies[lane.here.place] = made
        return made

    lane.mark = marked  # type: ignore[method-assign]
    monkeypatch.setattr(loader_module, "lane_to", lambda device: lane)
    sent, sending = [], Loader(store, plan, **options)
    for batch in sending.batches(0, 20):
        lane.story.append(batch.step)
        sent.append(batch)
    for ours, theirs in zip(sent, plain, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours.tensors(), theirs.tensors(), strict=True))
        assert ours.tiles.stride() == theirs.tiles.stride()
        assert ours.on_host is not None
        assert all(map(torch.equal, ours.on_host, (theirs.bags, theirs.tile_ids, theirs.weights)))
        assert theirs.on_host is None
    assert sending.wait_s >= 20 * 0.25
    # Every batch arrives before the caller has it, and its step is noted when the caller comes back.
    assert lane.story == [event for step in range(20) for event in ("arrive", step, "finish")]
    # Two points per batch: the buffer is read, the batch is made. The caller waits for the second.
    assert sorted(map(len, lane.marks)) == [2] * 20
    made = {id(marks[1]) for marks in lane.marks}
    assert {id(ready) for ready, _ in lane.arrived} == made
    for (_, tensors), batch in zip(lane.arrived, sent, strict=True):
        assert [id(tensor) for tensor in tensors] == [id(tensor) for tensor in batch.tensors()]
    assert len(store.filled) <= 2 * threads
    assert sum(store.filled.values()) == 20


def test_the_cpu_needs_no_lane() -> None:
    assert lane_to(torch.device("cpu")) is None


class Devices:
    """``torch.cuda`` as far as a side stream needs it, writing down what happens."""

    def __init__(self) -> None:
        self.story: list[tuple[str, ...]] = []
        self.made = self.streams = 0

    def Stream(self, device: torch.device) -> NamedStream:
        self.streams += 1
        return NamedStream("side", device)

    def Event(self, *, enable_timing: bool) -> NamedEvent:
        self.made += 1
        if enable_timing:
            return NamedEvent(f"time {self.made}", self.story)
        return NamedEvent(f"event {self.made}", self.story)

    def current_stream(self, device: torch.device) -> NamedStream:
        return NamedStream("caller", device)

    @contextmanager
    def stream(self, stream: NamedStream) -> Iterator[None]:
        self.story.append(("queueing on", stream.name))
        yield

    def _sleep(self, cycles: int) -> None:
        self.story.append(("spin",))


class NamedStream:
    def __init__(self, name: str, device: torch.device) -> None:
        self.name, self.device = name, device


class NamedEvent:
    def __init__(self, name: str, story: list[tuple[str, ...]]) -> None:
        self.name, self.story = name, story

    def record(self, stream: NamedStream) -> None:
        self.story.append((self.name, "recorded on", stream.name))

    def wait(self, stream: NamedStream) -> None:
        self.story.append((stream.name, "waits for", self.name))

    def synchronize(self) -> None:
        self.story.append(("thread", "waits for", self.name))

    def elapsed_time(self, other: NamedEvent) -> float:
        self.story.append(("milliseconds from", self.name, "to " + other.name))
        return 40.0


class NamedTensor:
    def __init__(self, story: list[tuple[str, ...]]) -> None:
        self.story = story

    def record_stream(self, stream: NamedStream) -> None:
        self.story.append(("memory", "kept for", stream.name))


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[Devices]:
    made = Devices()
    monkeypatch.setattr(transfer.torch, "cuda", made)
    transfer._stream_of.cache_clear()
    yield made
    transfer._stream_of.cache_clear()


def test_all_passes_through_the_data_share_one_side_stream_per_device(devices: Devices) -> None:
    for index in (0, 1, 0, 1, 0):
        SideStream(torch.device("cuda", index))
    assert devices.streams == 2


def test_a_side_stream_orders_the_callers(devices: Devices) -> None:
    lane = SideStream(torch.device("cuda", 1))
    tensor: Any = NamedTensor(devices.story)
    lane.arrive(lane.mark(), [tensor])
    assert devices.story == [
        ("event 1", "recorded on", "side"),
        ("time 2", "recorded on", "caller"),
        ("caller", "waits for", "event 1"),
        ("time 3", "recorded on", "caller"),
        ("memory", "kept for", "caller"),
    ]
    devices.story.clear()
    assert [lane.finish_step() for _ in range(3)] == [0.0, 0.0, 0.0]
    # The device always has one whole step queued beside the one it computes.
    assert devices.story == [
        ("event 4", "recorded on", "caller"),
        ("event 5", "recorded on", "caller"),
        ("thread", "waits for", "event 4"),
        ("event 6", "recorded on", "caller"),
        ("thread", "waits for", "event 5"),
    ]


def test_a_wait_of_the_device_is_read_when_its_step_is_done(devices: Devices) -> None:
    lane = SideStream(torch.device("cuda", 0))
    waited = []
    for _ in range(4):
        lane.arrive(lane.mark(), [])
        waited.append(lane.finish_step())
    assert waited == [0.0, 0.04, 0.04, 0.04]
    asked = [event for event in devices.story if event[0] == "milliseconds from"]
    # One behind: nobody asks for the time of a point that the device has not come to.
    first = devices.story.index(asked[0])
    assert ("thread", "waits for", "event 4") in devices.story[:first]
    assert asked[0] == ("milliseconds from", "time 2", "to time 3")


@pytest.mark.parametrize("without", ["", "copied", "ready", "memory"])
def test_the_late_stream_of_the_gpu_tests_leaves_out_one_event(devices: Devices, without: Omission) -> None:
    lane = LateStream(torch.device("cuda", 0), "copy", without)
    tensor: Any = NamedTensor(devices.story)
    with lane.queueing():
        copied, ready = lane.mark(), lane.mark()
    copied.synchronize()
    lane.arrive(ready, [tensor])
    events = {
        "copied": ("thread", "waits for", "event 1"),
        "ready": ("caller", "waits for", "event 2"),
        "memory": ("memory", "kept for", "caller"),
    }
    assert {name for name, event in events.items() if event not in devices.story} == {without} - {""}
    assert devices.story[:2] == [("queueing on", "side"), ("spin",)]
