"""What one call passes on its way: which modules of ours it enters, from which, and where it comes back up.

``python -m architecture.test_ways FOLDER``, in ``tests``, draws the ways of a plate and of a training.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import CO_GENERATOR
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OURS = ("wellstream", "framework", "data_tools", "launch", "experiments")


@dataclass(frozen=True)
class Call:
    """A function of one module that was called by a function of another."""

    caller: str
    function: str
    module: str
    called: str


@dataclass
class Way:
    """What was entered, in the order it was entered first.

    Attributes:
        modules: dotted names.
        calls: from module to module, each once.
        up: those of them into a module that was waiting for the caller: calls that go back up. A generator that is
            asked for its next value is none, since what it gives goes down.
    """

    modules: dict[str, None] = field(default_factory=dict)
    calls: dict[Call, None] = field(default_factory=dict)
    up: dict[Call, None] = field(default_factory=dict)

    def below(self, *packages: str) -> list[str]:
        """Return the modules that lie in one of these packages, in order."""
        return [name for name in self.modules if any(f"{name}.".startswith(f"{each}.") for each in packages)]

    def times_entered(self, package: str) -> dict[str, int]:
        """Return for each module of a package how many functions of its other modules call into it."""
        callers: dict[str, set[tuple[str, str]]] = {name: set() for name in self.below(package)}
        for call in self.calls:
            if call.module in callers and call.caller in callers:
                callers[call.module].add((call.caller, call.function))
        return {name: len(found) for name, found in callers.items()}

    def tree(self) -> Iterator[str]:
        """Yield the way as a tree: each module below the one that entered it first."""
        place = {name: number for number, name in enumerate(self.modules)}
        parents: dict[str, str] = {}
        for call in self.calls:
            # A module that was entered before its caller has another above it, or none.
            if place[call.caller] < place[call.module]:
                parents.setdefault(call.module, call.caller)
        children: dict[str, list[str]] = {}
        for name in self.modules:
            children.setdefault(parents.get(name, ""), []).append(name)

        def lines(name: str, level: int) -> Iterator[str]:
            yield "  " * level + name
            for child in children.get(name, ()):
                yield from lines(child, level + 1)

        for name in children.get("", ()):
            yield from lines(name, 0)


@contextmanager
def traced() -> Iterator[Way]:
    """Follow every call of a function of ours, in all threads; not what runs while a module is imported."""
    way, seen = Way(), set[tuple[CodeType, CodeType | None]]()
    names: dict[str, str] = {}

    def module_of(frame: FrameType) -> str:
        file = frame.f_code.co_filename
        if file not in names:
            names[file] = _module(file)
        return names[file]

    def follow(frame: FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        pair = frame.f_code, None if frame.f_back is None else frame.f_back.f_code
        if pair in seen:
            return
        seen.add(pair)
        module = module_of(frame)
        if not module or frame.f_code.co_name == "<module>":
            return
        waiting = _waiting(frame.f_back, module_of)
        if waiting is None:
            return
        way.modules.setdefault(module)
        if waiting and waiting[0][0] != module:
            call = Call(*waiting[0], module, frame.f_code.co_name)
            way.calls.setdefault(call)
            if any(name == module for name, _ in waiting) and not frame.f_code.co_flags & CO_GENERATOR:
                way.up.setdefault(call)

    threading.setprofile(follow)
    sys.setprofile(follow)
    try:
        yield way
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def _waiting(frame: FrameType | None, module_of: Callable[[FrameType], str]) -> list[tuple[str, str]] | None:
    """Return (module, function) of ours that wait, nearest first; None while a module is being imported."""
    found: list[tuple[str, str]] = []
    while frame is not None:
        if module := module_of(frame):
            if frame.f_code.co_name == "<module>":
                return None
            found.append((module, frame.f_code.co_name))
        frame = frame.f_back
    return found


def _module(file: str) -> str:
    if not file.startswith(f"{ROOT}/"):
        return ""
    parts = Path(file).relative_to(ROOT).with_suffix("").parts
    if parts[0] not in OURS:
        return ""
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
