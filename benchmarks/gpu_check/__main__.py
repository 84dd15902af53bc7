"""``python -m benchmarks.gpu_check [--device cpu] [--only NAME]``: a JSON line per check.

The exit code is 1 if one fails. With ``--out FILE`` the lines are kept. ``make gpu-check`` does that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.gpu_check import endings, machine, memory, numbers, order, speed, waits
from benchmarks.gpu_check.check import Check, line_of
from benchmarks.gpu_check.scene import Scene
from framework.distributed import device_here
from framework.errors import ConfigError

CHECKS: tuple[Check, ...] = tuple(
    check for module in (machine, order, waits, numbers, memory, endings, speed) for check in module.CHECKS
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, and say how many passed."""
    names = [check.name for check in CHECKS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: a GPU if there is one"
    )
    parser.add_argument("--only", action="append", choices=names, help="a check by name; may be repeated")
    parser.add_argument("--out", type=Path, help="file for the lines")
    options = parser.parse_args(arguments)
    try:
        device = device_here(options.device)
    except ConfigError as error:
        parser.error(str(error))
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    failed = 0
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="wellstream-gpu-check-")))
        lines = held.enter_context(options.out.open("w")) if options.out else None
        scene = Scene(folder, device)
        for check in chosen:
            line, is_failure = line_of(check, scene)
            failed += is_failure
            print(line, flush=True)
            if lines:
                lines.write(line + "\n")
    print(f"{len(chosen)} checks on {device}, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
