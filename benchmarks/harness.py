"""How every theme is measured: interleaved arms on the same bytes, ratios to a limit, and a digest that they agree.

An arm does the work once; outside the clock it gives a digest of what it produced. Arms run A B C A B C ...; the result
of an arm is the median, over repetitions, of its rate as a ratio to another arm of the same repetition, most often the
physical limit: what slows the machine for a while slows both. Absolute rates are notes. What is not a rate of an arm
(memory, a share of waiting) is a ``Finding`` beside its bound.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import psutil

_SAMPLE_S = 0.005
_EFFORT: ContextVar[int] = ContextVar("effort", default=1)


class WrongPixels(Exception):
    """Two arms returned different pixels, so their times say nothing."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to do the work.

    Attributes:
        name: as printed.
        work: does it once.
        result: called after a run, outside the clock: a digest of what it produced; None for limits.
        first: does only as much as gives the first batch, from nothing opened; None where that says nothing.
        before: called before each run, outside the clock, to bring the work into its steady state.
        is_limit: whether other arms are shown as a ratio to this one.
    """

    name: str
    work: Callable[[], object]
    before: Callable[[], object] | None = None
    result: Callable[[], str] | None = None
    first: Callable[[], object] | None = None
    is_limit: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """The rate of ``arm`` is to be at least ``least`` times the rate of ``over``.

    Attributes:
        gates: False where a target is known to be missed: it is still measured and shown as missed, but a run does not
            fail on it, and a note of the table says why it is missed.
        clock: what a run may fail on. ``cpu``, the CPU-seconds of both, where neither arm waits for anything and both
            use as many threads: other programs on the machine then change little. The ratio shown is always of wall
            time.
    """

    arm: str
    over: str
    least: float
    gates: bool = True
    clock: Literal["wall", "cpu"] = "wall"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A number that is not a rate of an arm, with the bound the design asks for.

    Attributes:
        name: as printed.
        value: what was measured.
        unit: ``x`` or ``share`` for numbers without a unit, which a run may fail on; ``s``, ``MB`` and so on for notes.
        least, most: bounds; None for none.
        gates: as of ``Target``.
    """

    name: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    gates: bool = True

    @property
    def met(self) -> bool:
        """Whether the value lies within its bounds."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def far_off(self) -> bool:
        """Whether a number without a unit is below half of its lower bound, or above twice the upper."""
        if not self.gates or self.unit not in ("x", "share"):
            return False
        too_low = self.least is not None and self.value < self.least / 2
        return too_low or (self.most is not None and self.value > self.most * 2)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the repetitions of the arms took.

    Attributes:
        seconds: arm -> seconds of each repetition.
        cpu_seconds: arm -> CPU-seconds of each repetition, of all threads and ended child processes.
        first_s: arm -> median seconds to the first batch, where it was asked for.
        peak_mb: arm -> memory in use above the start, of this process and its children, in the unmeasured repetition.
    """

    seconds: Mapping[str, list[float]]
    cpu_seconds: Mapping[str, list[float]] = field(default_factory=dict)
    first_s: Mapping[str, float] = field(default_factory=dict)
    peak_mb: Mapping[str, float] = field(default_factory=dict)

    def without(self, *arms: str) -> Costs:
        """Return the costs of the other arms."""
        return Costs(
            seconds={arm: spent for arm, spent in self.seconds.items() if arm not in arms},
            cpu_seconds={arm: spent for arm, spent in self.cpu_seconds.items() if arm not in arms},
            first_s={arm: spent for arm, spent in self.first_s.items() if arm not in arms},
            peak_mb={arm: used for arm, used in self.peak_mb.items() if arm not in arms},
        )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One table of a theme.

    Attributes:
        theme: name of the suite.
        case: what was measured, in words; distinct within a theme.
        unit: what ``items`` counts, as ``tiles``.
        items: units of work a repetition.
        item_bytes: bytes of one item, 0 where that says nothing.
        costs: of each arm.
        limit: name of the limit arm.
        absent: peers that could not run, with the reason.
        targets: ratios that the design asks for.
        findings: numbers that are not rates.
        notes: sentences a reader of the numbers needs.
    """

    theme: str
    case: str
    unit: str
    items: int
    costs: Costs
    limit: str
    item_bytes: int = 0
    absent: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def ratio(self, arm: str, over: str | None = None, clock: Literal["wall", "cpu"] = "wall") -> float:
        """Rate of ``arm`` over that of another arm, by default of the limit: the median over repetitions.

        Arms that were measured apart, with other numbers of repetitions, are compared by their medians.
        """
        seconds = self.costs.seconds if clock == "wall" else self.costs.cpu_seconds
        theirs, mine = seconds[over or self.limit], seconds[arm]
        if len(theirs) != len(mine):
            return statistics.median(theirs) / statistics.median(mine)
        return statistics.median(a / b for a, b in zip(theirs, mine, strict=True))

    def far_off(self) -> dict[str, str]:
        """Sentences about ratios below half of their target, by a name that is the same in every run."""
        found = {}
        for target in self.targets:
            if not target.gates or target.over not in self.costs.seconds:
                continue
            judged = self.ratio(target.arm, target.over, self._clock(target))
            if judged < target.least / 2:
                name = f"{self.case}: {target.arm} / {target.over}"
                found[name] = f"{name} = {judged:.3g}, target {target.least:g}"
        for item in self.findings:
            if item.far_off:
                name = f"{self.case}: {item.name}"
                found[name] = f"{name} = {item.value:.3g} {item.unit}"
        return found

    def _clock(self, target: Target) -> Literal["wall", "cpu"]:
        """CPU-seconds only where both arms used enough of them to be measured."""
        used = [self.costs.cpu_seconds.get(name, [0.0]) for name in (target.arm, target.over)]
        return "cpu" if target.clock == "cpu" and min(min(values) for values in used) > 0 else "wall"


@contextmanager
def effort(times: int) -> Iterator[None]:
    """Inside, ``measure`` makes ``times`` as many repetitions."""
    token = _EFFORT.set(times)
    try:
        yield
    finally:
        _EFFORT.reset(token)


def digest(pixels: npt.NDArray[np.generic]) -> str:
    """Return the SHA-256 of an array's bytes, shape and type."""
    state = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def measure(arms: list[Arm], repetitions: int) -> Costs:
    """Run the arms interleaved, once unmeasured and then ``repetitions`` times, or more often inside ``effort``.

    Raises:
        WrongPixels: two arms disagree; names them.
    """
    seconds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    cpu: dict[str, list[float]] = {arm.name: [] for arm in arms}
    first: dict[str, list[float]] = {arm.name: [] for arm in arms if arm.first is not None}
    seen: dict[str, str] = {}
    peak: dict[str, float] = {}
    for arm in arms:
        with PeakMemory() as memory:
            _prepare(arm)
            arm.work()
        peak[arm.name] = memory.above_start_mb
        if arm.result is not None:
            seen[arm.name] = arm.result()
    if len(set(seen.values())) > 1:
        raise WrongPixels(f"arms returned different results: {seen}")
    for _ in range(repetitions * _EFFORT.get()):
        for arm in arms:
            if arm.first is not None:
                first[arm.name].append(_timed(arm.first)[0])
            _prepare(arm)
            elapsed, spent = _timed(arm.work)
            seconds[arm.name].append(elapsed)
            cpu[arm.name].append(spent)
    medians = {name: statistics.median(values) for name, values in first.items()}
    return Costs(seconds=seconds, cpu_seconds=cpu, first_s=medians, peak_mb=peak)


class PeakMemory:
    """Samples resident memory of this process and its children while a block runs.

    Attributes:
        above_start_mb: the most that was in use, less what was in use at the start.
        child_mb: the most that any one child used.
    """

    def __init__(self) -> None:
        self.above_start_mb = self.child_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._start = self._now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.above_start_mb = max(self.above_start_mb, self._now() - self._start)

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self.above_start_mb = max(self.above_start_mb, self._now() - self._start)

    def _now(self) -> float:
        process = psutil.Process()
        total = process.memory_info().rss
        for child in process.children(recursive=True):
            try:
                used = child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            self.child_mb = max(self.child_mb, used / 1e6)
            total += used
        return total / 1e6


def _prepare(arm: Arm) -> None:
    if arm.before is not None:
        arm.before()


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds."""
    cpu, start = _cpu_s(), time.perf_counter()
    work()
    elapsed = time.perf_counter() - start
    return elapsed, _cpu_s() - cpu


def _cpu_s() -> float:
    """CPU-seconds so far, of all threads and of child processes that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
