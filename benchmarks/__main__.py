"""``python -m benchmarks THEME [--quick] [--device cuda]``: run suites, print their tables, write their JSON.

``python -m benchmarks table`` puts the newest results into README.md. The exit status is 1 when arms disagree about
pixels, or when a ratio lies below half of its target: never for an absolute time.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.harness import WrongPixels
from benchmarks.results import show, update_readme, write

THEMES = ("plans", "stream", "tiling", "mil", "training", "ingest", "knn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the themes named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("theme", choices=(*THEMES, "all", "table"))
    parser.add_argument("--quick", action="store_true", help="about a minute on 2 cores; a smoke test, not a result")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where theme training trains")
    parser.add_argument("--out", type=Path, help="folder for the JSON files; default benchmarks/results")
    options = parser.parse_args(arguments)
    console = Console(highlight=False)
    if options.theme == "table":
        update_readme(Path(__file__).parents[1] / "README.md")
        return 0
    if options.quick:
        console.print("quick run: small inputs and few repetitions; use it to see that all arms agree, not as a result")
    chosen = THEMES if options.theme == "all" else (options.theme,)
    return max([_theme(theme, options, console) for theme in chosen])


def _theme(theme: str, options: argparse.Namespace, console: Console) -> int:
    settings = {"device": options.device} if theme == "training" else {}
    device = settings.get("device", "cpu")
    try:
        results = importlib.import_module(f"benchmarks.{theme}").run(quick=options.quick, **settings)
    except WrongPixels as error:
        console.print(f"{theme}: void: {error}", style="bold red", markup=False)
        return 1
    for result in results:
        show(result, console)
    place = {"folder": options.out} if options.out else {}
    console.print(f"wrote {write(theme, results, quick=options.quick, device=device, **place)}", markup=False)
    far_off = [line for result in results for line in result.far_off()]
    for line in far_off:
        console.print(f"{theme}: below half of its target: {line}", style="bold red", markup=False)
    return 1 if far_off else 0


if __name__ == "__main__":
    sys.exit(main())
