"""Spoil files of every kind the product reads, and look what happens: ``make fuzz``.

    make fuzz                                   2,000 inputs, some minutes
    make fuzz ARGS="--inputs 200 --seed 7"      fewer, others
    make fuzz ARGS="--only stack"               targets whose name holds a word
    make fuzz ARGS="--replay 'omics/wide.csv:utf16:3'"

Every input is made from (seed, target, number) alone. It is read in a process of its own, with 20 s and 3 GB. What may
come of it is a value or one sentence. A traceback, a crash, a hang, a sentence that names no file, and a value that
must not be (``silent``) are faults; each is kept below ``--keep`` and can be replayed. A sample is also given to the
real command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import targets_images, targets_own, targets_tables
from fuzz.mutations import DAMAGE, REFUSED, SAME, renamed
from fuzz.sandbox import Outcome, isolated
from fuzz.target import Target

TARGETS: tuple[Target, ...] = (*targets_tables.TARGETS, *targets_images.TARGETS, *targets_own.TARGETS)
SECONDS, MEMORY_BYTES = 20.0, 3 << 30
RENAMED = "renamed"
_LONGEST_SENTENCE = 3000
ROOT = Path(__file__).resolve().parents[2]


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


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An input that led to what must not be."""

    case: Case
    what: str
    text: str


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
            made = isolated(lambda: target.make(folder), seconds=120, memory_bytes=8 << 30, scratch=self._folder)
            if made.kind != "value":
                raise SystemExit(f"{target.name}: valid input cannot be made: {made.kind}\n{made.text}")
        if target.name not in self._values:
            found = isolated(lambda: target.read(folder), seconds=120, memory_bytes=8 << 30, scratch=self._folder)
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
        data, mapping = file.read_bytes(), dict[str, str]()
        if case.mutation == RENAMED:
            spoiled, mapping = renamed(data, case.target.names, rng)
        else:
            spoiled = (DAMAGE | SAME | REFUSED)[case.mutation](data, rng)
        file.write_bytes(spoiled)
        return spoiled != data, mapping


def cases(targets: tuple[Target, ...], inputs: int) -> Iterator[Case]:
    """Give every target its share of inputs; tables get every mutation of tables as well."""
    for place, target in enumerate(targets):
        share = inputs // len(targets) + (place < inputs % len(targets))
        names = list(DAMAGE)
        if target.table:
            names = [*SAME, *REFUSED, *([RENAMED] * 2 if target.names else []), *names]
        for number in range(share):
            yield Case(target=target, mutation=names[number % len(names)], number=number)


def judged(case: Case, outcome: Outcome, valid: Outcome, mapping: dict[str, str], folder: Path) -> str | None:
    """Return what is wrong with an outcome, or None."""
    if outcome.kind in ("traceback", "crash", "hang"):
        return outcome.kind
    if outcome.kind == "refused":
        return _bad_sentence(outcome.text, folder)
    if case.mutation in REFUSED:
        return "silent: read although it has no one right reading"
    expected = valid.text
    if case.mutation == RENAMED:
        expected = json.dumps(_mapped(json.loads(valid.text), mapping), sort_keys=True)
    must_be_equal = case.target.checked or case.mutation in SAME or case.mutation == RENAMED
    if must_be_equal and not _equal(json.loads(outcome.text), json.loads(expected)):
        return "silent: another value was read"
    return None


def _equal(first: Any, second: Any) -> bool:
    return _canonical(first) == _canonical(second)


def _canonical(value: Any) -> Any:
    """Rows may come in another order once names changed; lists are compared as they are, sorted where they are rows."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


def _mapped(value: Any, mapping: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, mapping) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, mapping) for item in value]
    return mapping.get(value, value) if isinstance(value, str) else value


def _bad_sentence(text: str, folder: Path) -> str | None:
    names = {path.name for path in folder.rglob("*") if path.suffix}
    if str(folder) not in text and not any(name in text for name in names):
        return "sentence names no file"
    if len(text) > _LONGEST_SENTENCE:
        return f"sentence of {len(text)} characters"
    if "codec can't" in text or "Traceback" in text:
        return "sentence in the words of a library"
    return None


def commanded(case: Case, folder: Path) -> str | None:
    """Give the input to the real command; return what is wrong, or None."""
    words = [word.format(folder=folder) for word in case.target.command]
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "launch", *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return "hang of the command"
    said = ran.stdout + ran.stderr
    if ran.returncode < 0:
        return f"command ended by signal {-ran.returncode}\n{said[-2000:]}"
    return f"traceback of the command\n{said[-2000:]}" if "Traceback (most recent call last)" in said else None


def run(
    targets: tuple[Target, ...], inputs: int, seed: int, keep: Path, every: int
) -> tuple[Counter[str], list[Fault]]:
    """Read all inputs; return how many ended how, and the faults."""
    counts: Counter[str] = Counter()
    faults: list[Fault] = []
    with tempfile.TemporaryDirectory(prefix="wellstream-fuzz-") as place:
        bench = Bench(Path(place))
        for number, case in enumerate(cases(targets, inputs)):
            for what, text in _tried(bench, case, Path(place) / "input", seed, counts, number % every == 0):
                faults.append(Fault(case=case, what=what, text=text))
                _keep(keep, case, Path(place) / "input", what, text)
                print(f"  FAULT {case.name}: {what}", flush=True)
            if (number + 1) % 100 == 0:
                print(f"  {number + 1:,} of {inputs:,} inputs, {len(faults)} faults", flush=True)
            shutil.rmtree(Path(place) / "input", ignore_errors=True)
    return counts, faults


def _tried(
    bench: Bench, case: Case, folder: Path, seed: int, counts: Counter[str], by_command: bool
) -> Iterator[tuple[str, str]]:
    _, valid = bench.valid(case.target)
    differs, mapping = bench.spoil(case, folder, seed)
    if not differs:
        counts["unchanged"] += 1
        return
    outcome = isolated(
        lambda: case.target.read(folder), seconds=SECONDS, memory_bytes=MEMORY_BYTES, scratch=folder.parent
    )
    wrong = judged(case, outcome, valid, mapping, folder)
    counts[wrong.split(":")[0] if wrong else outcome.kind] += 1
    if wrong:
        yield wrong, outcome.text
    if by_command and case.target.command:
        counts["commands"] += 1
        bad = commanded(case, folder)
        if bad:
            yield bad.split("\n")[0], bad


def _keep(keep: Path, case: Case, folder: Path, what: str, text: str) -> None:
    name = "".join(letter if letter.isalnum() else "_" for letter in case.name)
    shutil.rmtree(keep / name, ignore_errors=True)
    shutil.copytree(folder, keep / name / "input", symlinks=True, dirs_exist_ok=True)
    (keep / name / "fault.txt").write_text(f"{case.name}\n{what}\n\n{text}\n", encoding="utf-8")


def main() -> int:
    """Run, print a summary, return 1 where there are faults."""
    parser = argparse.ArgumentParser(
        prog="make fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default 0)")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--replay", default="", help="one case, as a fault names it")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for inputs that led to faults")
    parser.add_argument("--commands-every", type=int, default=25, help="every n-th input goes to the real command too")
    options = parser.parse_args()
    if options.replay:
        return _replay(options.replay, options.seed, options.keep)
    chosen = tuple(target for target in TARGETS if options.only in target.name)
    print(f"{options.inputs:,} inputs over {len(chosen)} targets, seed {options.seed}; {SECONDS:g} s and 3 GB each")
    counts, faults = run(chosen, options.inputs, options.seed, options.keep, options.commands_every)
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
    for fault in faults:
        last = fault.text.strip().splitlines()[-1:] or [""]
        print(f"{fault.case.name}: {fault.what}\n    {last[0][:300]}")
    print(f"{len(faults)} faults" + (f"; inputs in {options.keep}" if faults else ""))
    return 1 if faults else 0


def _replay(name: str, seed: int, keep: Path) -> int:
    target_name, mutation, number = name.rsplit(":", 2)
    target = next(one for one in TARGETS if one.name == target_name)
    case = Case(target=target, mutation=mutation, number=int(number))
    with tempfile.TemporaryDirectory(prefix="wellstream-fuzz-") as place:
        bench, counts = Bench(Path(place)), Counter[str]()
        found = list(_tried(bench, case, Path(place) / "input", seed, counts, by_command=False))
        for what, text in found:
            _keep(keep, case, Path(place) / "input", what, text)
            print(f"{what}\n{text}")
    print(dict(counts))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
