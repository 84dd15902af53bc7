"""Spoil files of every kind the product reads, and look what happens: ``make fuzz``.

    make fuzz                                   2,000 inputs, about 20 minutes
    make fuzz ARGS="--inputs 200 --seed 7"      fewer, others
    make fuzz ARGS="--only stack"               targets whose name holds a word
    make fuzz ARGS="--replay 'omics/wide.csv:utf16:3'"

Every input is made from (seed, target, number) alone. It is read in a process of its own, with 20 s (or four
times what the valid input takes) and 3 GB. What may
come of it is a value or one sentence. A traceback, a crash, a hang, a sentence that names no file, and a value that
must not be (``silent``) are faults; each is kept below ``--keep`` and can be replayed. A sample is also given to the
real command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fuzz import (
    targets_cells,
    targets_counts,
    targets_expression,
    targets_images,
    targets_own,
    targets_runs,
    targets_scores,
    targets_tables,
    targets_yaml,
)
from fuzz.cases import Bench, Case, cases
from fuzz.judge import commanded, judged
from fuzz.places import FORBIDDEN
from fuzz.sandbox import isolated
from fuzz.target import Target

_MODULES = (
    targets_tables,
    targets_cells,
    targets_counts,
    targets_images,
    targets_own,
    targets_runs,
    targets_scores,
    targets_expression,
    targets_yaml,
)
TARGETS: tuple[Target, ...] = tuple(target for module in _MODULES for target in module.TARGETS)
SECONDS, MEMORY_BYTES = 20.0, 3 << 30
_MOST_KEPT_BYTES = 1 << 26
"""Of one file that is kept with a fault."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An input that led to what must not be."""

    case: Case
    what: str
    text: str


def run(
    targets: tuple[Target, ...], inputs: int, seed: int, keep: Path, every: int
) -> tuple[Counter[str], list[Fault]]:
    """Read all inputs; return how many ended how, and the faults."""
    counts: Counter[str] = Counter()
    faults: list[Fault] = []
    with _place() as place:
        bench = Bench(place)
        for number, case in enumerate(cases(targets, inputs, seed)):
            for what, text in _tried(bench, case, place / "input", seed, counts, case.number % every == every - 1):
                faults.append(Fault(case=case, what=what, text=text))
                _keep(keep, case, place / "input", what, text)
                print(f"  FAULT {case.name}: {what}", flush=True)
            if (number + 1) % 100 == 0:
                print(f"  {number + 1:,} of {inputs:,} inputs, {len(faults)} faults", flush=True)
            shutil.rmtree(place / "input", ignore_errors=True)
    return counts, faults


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    """A folder that also a user without rights may enter."""
    with tempfile.TemporaryDirectory(prefix="wellstream-fuzz-") as place:
        Path(place).chmod(0o711)
        yield Path(place)


def _tried(
    bench: Bench, case: Case, folder: Path, seed: int, counts: Counter[str], by_command: bool
) -> Iterator[tuple[str, str]]:
    sound, valid = bench.valid(case.target)
    differs, mapping = bench.spoil(case, folder, seed)
    if not differs:
        counts["unchanged"] += 1
        return
    without_rights = case.mutation == FORBIDDEN and os.geteuid() == 0
    if without_rights:
        for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            path.chmod(0o777)
    outcome = isolated(
        lambda: case.target.read(folder),
        seconds=max(SECONDS, 4 * valid.seconds),
        memory_bytes=MEMORY_BYTES,
        scratch=folder.parent,
        without_rights=without_rights,
    )
    names = {path.name for path in sound.rglob("*") if path.suffix}
    wrong = judged(case, outcome, valid, mapping, folder, names)
    counts[wrong.split(":")[0] if wrong else outcome.kind] += 1
    if wrong:
        yield wrong, outcome.text
    if by_command and case.target.command and not without_rights:
        counts["commands"] += 1
        bad = commanded(case, folder)
        if bad:
            yield bad.split("\n")[0], bad


def _keep(keep: Path, case: Case, folder: Path, what: str, text: str) -> None:
    """Keep an input but for pipes, devices and what is very large; ``--replay`` makes it again."""
    name = "".join(letter if letter.isalnum() else "_" for letter in case.name)
    shutil.rmtree(keep / name, ignore_errors=True)
    (keep / name).mkdir(parents=True)
    with contextlib.suppress(shutil.Error):
        shutil.copytree(folder, keep / name / "input", symlinks=True, ignore=_too_large)
    (keep / name / "fault.txt").write_text(f"{case.name}\n{what}\n\n{text}\n", encoding="utf-8")


def _too_large(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if os.lstat(Path(folder) / name).st_size > _MOST_KEPT_BYTES]


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
    parser.add_argument(
        "--commands-every", type=int, default=6, help="every n-th input of a target goes to the real command too"
    )
    options = parser.parse_args()
    if options.replay:
        return _replay(options.replay, options.seed, options.keep)
    chosen = tuple(target for target in TARGETS if options.only in target.name)
    if not chosen:
        parser.error(f"no target is called like '{options.only}'; there are {', '.join(one.name for one in TARGETS)}")
    print(f"{options.inputs:,} inputs over {len(chosen)} targets, seed {options.seed}; {SECONDS:g} s and 3 GB each")
    began = time.monotonic()
    counts, faults = run(chosen, options.inputs, options.seed, options.keep, options.commands_every)
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(counts.items())))
    for fault in faults:
        last = fault.text.strip().splitlines()[-1:] or [""]
        print(f"{fault.case.name}: {fault.what}\n    {last[0][:300]}")
    print(
        f"{len(faults)} faults in {time.monotonic() - began:.0f} s" + (f"; inputs in {options.keep}" if faults else "")
    )
    return 1 if faults else 0


def _replay(name: str, seed: int, keep: Path) -> int:
    target_name, mutation, number = name.rsplit(":", 2)
    target = next(one for one in TARGETS if one.name == target_name)
    case = Case(target=target, mutation=mutation, number=int(number))
    with _place() as place:
        bench, counts = Bench(place), Counter[str]()
        found = list(_tried(bench, case, place / "input", seed, counts, by_command=False))
        for what, text in found:
            _keep(keep, case, place / "input", what, text)
            print(f"{what}\n{text}")
    print(dict(counts))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
