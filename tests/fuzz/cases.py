"""Which inputs are tried, and how each is made: from (seed, target, mutation, number) alone."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz.mutations import DAMAGE
from fuzz.mutations_formats import FORMATS, of_file
from fuzz.mutations_tables import CHANGED, REFUSED, SAME, renamed
from fuzz.places import NOT_READABLE, PLACES
from fuzz.sandbox import Outcome, isolated
from fuzz.target import Target

RENAMED = "renamed"
_BYTES = DAMAGE | SAME | REFUSED | CHANGED | FORMATS


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input: what is done to the file of a target, and with which random numbers."""

    target: Target
    mutation: str
    number: int

    @property
    def name(self) -> str:
        """How ``--replay`` names it."""
        return f"{self.target.name}:{self.mutation}:{self.number}"

    @property
    def must_be_refused(self) -> bool:
        """Whether no value is right."""
        if self.mutation in NOT_READABLE:
            return self.target.needed
        return self.mutation in {*REFUSED, *self.target.refuses} - set(self.target.takes)

    @property
    def must_be_equal(self) -> bool:
        """Whether the value that is read, if any, must be that of the valid input, but for names."""
        return self.target.checked or self.mutation in SAME or self.mutation == RENAMED


def cases(targets: tuple[Target, ...], inputs: int, seed: int) -> Iterator[Case]:
    """Give every target its share of inputs, each another mutation until all had their turn."""
    weights = np.cumsum([1 if target.costly else 8 for target in targets])
    ends = np.round(inputs * weights / weights[-1]).astype(int)
    for target, share in zip(targets, np.diff(ends, prepend=0), strict=True):
        rng = np.random.default_rng([seed, zlib.crc32(target.name.encode())])
        names: list[str] = []
        for number in range(int(share)):
            names = names or _in_turn(target, rng)
            yield Case(target=target, mutation=names.pop(), number=number)


def _in_turn(target: Target, rng: np.random.Generator) -> list[str]:
    """Return the mutations of a target in random order: of tables mostly those of tables, of formats their own."""
    names = [*DAMAGE, *NOT_READABLE, *PLACES.keys() - NOT_READABLE.keys(), *of_file(target.file) * 3]
    if target.table:
        names = [*SAME, *REFUSED, *CHANGED, *([RENAMED] * 3 if target.names else []), *sorted(names)[::2]]
    return [str(name) for name in rng.permutation(sorted(names))]


_PATIENCE_S = 600
"""For valid input, which has to be made and read whatever else the machine does."""


class Bench:
    """Valid inputs of the targets, made once each in a process of their own, and what is read from them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Any, Path] = {}
        self._values: dict[str, Outcome] = {}

    def valid(self, target: Target) -> tuple[Path, Outcome]:
        """Return the folder of valid input, and its value."""
        folder = self._made.get(target.make)
        if folder is None:
            folder = self._made[target.make] = self._folder / f"valid-{len(self._made)}"
            folder.mkdir()
            made = isolated(
                lambda: target.make(folder), seconds=_PATIENCE_S, memory_bytes=8 << 30, scratch=self._folder
            )
            if made.kind != "value":
                raise SystemExit(f"{target.name}: valid input cannot be made: {made.kind}\n{made.text}")
        if target.name not in self._values:
            copy = self._folder / "read"
            shutil.copytree(folder, copy, symlinks=True)
            found = isolated(lambda: target.read(copy), seconds=_PATIENCE_S, memory_bytes=8 << 30, scratch=self._folder)
            shutil.rmtree(copy)
            if found.kind != "value":
                raise SystemExit(f"{target.name}: valid input is not read: {found.kind}\n{found.text}")
            self._values[target.name] = found
        return folder, self._values[target.name]

    def spoil(self, case: Case, into: Path, seed: int) -> tuple[bool, dict[str, str]]:
        """Write the input of a case into ``into``; return whether it differs, and which names were changed."""
        folder, _ = self.valid(case.target)
        shutil.copytree(folder, into, symlinks=True)
        rng = np.random.default_rng([seed, zlib.crc32(case.name.encode()), case.number])
        files = sorted(file for file in into.glob(case.target.file) if file.is_file())
        if not files:
            raise SystemExit(f"{case.target.name}: no file {case.target.file} in the valid input")
        file = files[int(rng.integers(0, len(files)))]
        if case.mutation in PLACES:
            PLACES[case.mutation](file)
            return True, {}
        data, mapping = file.read_bytes(), dict[str, str]()
        if case.mutation == RENAMED:
            spoiled, mapping = renamed(data, case.target.names, rng)
        else:
            spoiled = _BYTES[case.mutation](data, rng)
        file.write_bytes(spoiled)
        return spoiled != data, mapping
