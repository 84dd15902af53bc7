"""The race between copies and computation, with delays on either side: events must order the two streams.

A check that finds nothing when an event is removed is blind. So each race is run twice, with the event and without it,
and passes only where the first is right and the second is wrong. Delays are spins of the GPU, far longer than a copy.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.gpu_check.check import Check, Verdict
from benchmarks.gpu_check.scene import Scene
from framework.data.loading.transfer import SideStream

_SPIN = 200_000_000
"""Cycles, about 0.1 s."""
_NUMBERS = 1 << 22


def late_copy(scene: Scene) -> Verdict:
    """The side stream is late: who computes must wait until a batch is there."""

    def arrives(ordered: bool) -> bool:
        lane = SideStream(scene.device)
        there = torch.zeros(_NUMBERS, device=scene.device)
        source = torch.ones(_NUMBERS).pin_memory()
        scene.wait()
        with lane.queueing():
            torch.cuda._sleep(_SPIN)
            there.copy_(source, non_blocking=True)
            ready = lane.mark()
        if ordered:
            lane.arrive(ready, [there])
        seen = there.sum()
        scene.wait()
        return float(seen) == _NUMBERS

    return _judged(arrives, "a batch is read only when it is there")


def early_refill(scene: Scene) -> Verdict:
    """The copy is late: a page-locked buffer must not be filled again before it has been read."""

    def is_kept(ordered: bool) -> bool:
        lane = SideStream(scene.device)
        buffer = torch.ones(_NUMBERS).pin_memory()
        there = torch.zeros(_NUMBERS, device=scene.device)
        scene.wait()
        with lane.queueing():
            torch.cuda._sleep(_SPIN)
            there.copy_(buffer, non_blocking=True)
            copied = lane.mark()
        if ordered:
            copied.synchronize()
        buffer.fill_(2)
        scene.wait()
        return float(there.sum()) == _NUMBERS

    return _judged(is_kept, "a buffer is filled again only when its copy has been made")


def late_step(scene: Scene) -> Verdict:
    """The step is late: memory of a batch that Python has let go must not serve the next one before it was read."""

    def is_kept(ordered: bool) -> bool:
        lane = SideStream(scene.device)
        with lane.queueing():
            first = torch.full((_NUMBERS,), 1.0, device=scene.device)
            ready = lane.mark()
        if ordered:
            lane.arrive(ready, [first])
        else:
            ready.wait(torch.cuda.current_stream(scene.device))
        torch.cuda._sleep(_SPIN)
        seen = first.sum()
        del first
        with lane.queueing():
            # Memory of the same size: the allocator would hand out what was let go.
            second = torch.full((_NUMBERS,), 2.0, device=scene.device)
        scene.wait()
        del second
        return float(seen) == _NUMBERS

    return _judged(is_kept, "memory of a batch serves another only when its step is done")


def _judged(race: Callable[[bool], bool], expected: str) -> Verdict:
    torch.cuda.empty_cache()
    found = {"with_event": race(True), "without_event": race(False)}
    passed = found["with_event"] and not found["without_event"]
    return Verdict(passed=passed, expected=f"{expected}; right with the event, wrong without it", found=found)


CHECKS = (
    Check(name="race_late_copy", work=late_copy, cuda=True),
    Check(name="race_early_refill", work=early_refill, cuda=True),
    Check(name="race_late_step", work=late_step, cuda=True),
)
