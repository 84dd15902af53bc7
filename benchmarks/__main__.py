"""``python -m benchmarks THEME [--quick]``: run a suite, print its table, write its JSON."""

from __future__ import annotations

import argparse
import importlib
import sys

from rich.console import Console

from benchmarks.harness import WrongPixels, show, write

THEMES = ("stream", "tiling", "mil")


def main() -> int:
    """Run the themes named on the command line; return 1 when arms disagree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("theme", choices=(*THEMES, "all"))
    parser.add_argument("--quick", action="store_true", help="within a minute on 2 cores; a smoke test, not a result")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.quick:
        console.print("quick run: small inputs and few repetitions; use it to see that all arms agree, not as a result")
    for theme in THEMES if options.theme == "all" else (options.theme,):
        try:
            for result in importlib.import_module(f"benchmarks.{theme}").run(quick=options.quick):
                show(result, console)
                console.print(f"wrote {write(result, quick=options.quick)}", markup=False)
        except WrongPixels as error:
            console.print(f"{theme}: void: {error}", style="bold red", markup=False)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
