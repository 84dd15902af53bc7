"""How every theme is measured: interleaved arms on the same bytes, ratios to a limit, and a digest that they agree.

An arm does the work once; outside the clock it gives a digest of what it produced. Arms run A B C A B C ...;
the result of an arm is its median rate as a ratio to the limit arm of the same run. Absolute rates are notes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


class WrongPixels(Exception):
    """Two arms returned different pixels, so their times say nothing."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to do the work.

    Attributes:
        name: as printed.
        work: does it once.
        result: called after a run, outside the clock: a digest of what it produced; None for limits.
        is_limit: whether other arms are shown as a ratio to this one.
    """

    name: str
    work: Callable[[], object]
    result: Callable[[], str] | None = None
    is_limit: bool = False


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of each repetition of each arm, and what one repetition amounts to.

    Attributes:
        theme: name of the suite.
        unit: what ``items`` counts, as ``tiles``.
        items: units of work a repetition.
        seconds: arm -> seconds of each repetition.
        limit: name of the limit arm.
        absent: peers that could not run, with the reason.
        targets: arm -> least ratio to the limit that the design asks for.
    """

    theme: str
    unit: str
    items: int
    seconds: Mapping[str, list[float]]
    limit: str
    absent: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)

    def ratio(self, arm: str) -> float:
        """Median rate of ``arm`` over the median rate of the limit, 1.0 = at the limit."""
        return statistics.median(self.seconds[self.limit]) / statistics.median(self.seconds[arm])


def digest(pixels: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes, shape and type."""
    state = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest()


def measure(arms: list[Arm], repetitions: int) -> dict[str, list[float]]:
    """Run the arms interleaved, once unmeasured and then ``repetitions`` times.

    Raises:
        WrongPixels: two arms disagree; names them.
    """
    seconds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    seen: dict[str, str] = {}
    for repetition in range(repetitions + 1):
        for arm in arms:
            start = time.perf_counter()
            arm.work()
            elapsed = time.perf_counter() - start
            if repetition:
                seconds[arm.name].append(elapsed)
            elif arm.result is not None:
                seen[arm.name] = arm.result()
    if len(set(seen.values())) > 1:
        raise WrongPixels(f"arms returned different pixels: {seen}")
    return seconds


def show(result: Measured, console: Console) -> None:
    """Print one row an arm: ratio to the limit, its target, rate with range."""
    table = Table(title=f"{result.theme}: ratios to {result.limit}")
    for column in ("arm", "ratio", "target", f"{result.unit}/s (median)", "min", "max"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm, seconds in result.seconds.items():
        rates = sorted(result.items / value for value in seconds)
        target = f">= {result.targets[arm]:.2f}" if arm in result.targets else ""
        table.add_row(
            arm,
            f"{result.ratio(arm):.3f}",
            target,
            f"{statistics.median(rates):,.0f}",
            f"{rates[0]:,.0f}",
            f"{rates[-1]:,.0f}",
        )
    console.print(table)
    for name, reason in result.absent.items():
        console.print(f"absent: {name}: {reason}", markup=False)


def write(result: Measured, *, quick: bool) -> Path:
    """Write ``benchmarks/results/<theme>_<hardware>_<date>.json`` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    hardware = f"{psutil.cpu_count(logical=True)}cpu-{platform.machine()}"
    suffix = "_quick" if quick else ""
    path = RESULTS / f"{result.theme}_{hardware}_{date.today().isoformat()}{suffix}.json"
    facts: dict[str, Any] = {
        "theme": result.theme,
        "quick": quick,
        "unit": result.unit,
        "items": result.items,
        "limit": result.limit,
        "seconds": dict(result.seconds),
        "ratios": {arm: result.ratio(arm) for arm in result.seconds},
        "targets": dict(result.targets),
        "absent": dict(result.absent),
        "peak_rss_mb": psutil.Process().memory_info().rss / 1e6,
        "cpu": _cpu_name(),
        "commit": _commit(),
        "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch", "webdataset", "scipy")},
    }
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return path


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() or "unknown"
