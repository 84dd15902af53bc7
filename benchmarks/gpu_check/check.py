"""What a check is, and what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu_check.scene import Scene
from framework.errors import is_of_memory


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: None where there is nothing to pass: it is measured only, or does not apply to this machine.
        expected: in words, with the numbers.
        found: numbers and sentences, JSON-ready.
    """

    passed: bool | None
    expected: str
    found: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question to a machine.

    Attributes:
        name: unique, in words joined by ``_``.
        work: answers it.
        cuda: whether it says nothing without a CUDA device.
        measures: whether it has nothing to pass; a device that is too small for it is then no failure.
    """

    name: str
    work: Callable[[Scene], Verdict]
    cuda: bool = False
    measures: bool = False


def line_of(check: Check, scene: Scene) -> tuple[str, bool]:
    """Run a check; return its JSON line, and whether it failed. What it raises is a failure with its words."""
    began = time.perf_counter()
    if check.cuda and scene.device.type != "cuda":
        verdict = Verdict(passed=None, expected="a CUDA device", found={"note": "does not apply to the CPU"})
    else:
        try:
            verdict = check.work(scene)
        except Exception as error:  # the other checks still have their say
            passed = None if check.measures and is_of_memory(error) else False
            verdict = Verdict(passed=passed, expected="an answer", found={"error": f"{type(error).__name__}: {error}"})
    facts = {
        "check": check.name,
        "passed": verdict.passed,
        "expected": verdict.expected,
        "found": dict(verdict.found),
        "seconds": round(time.perf_counter() - began, 2),
    }
    return json.dumps(facts), verdict.passed is False
