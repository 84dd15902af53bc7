"""``python -m benchmarks THEME [--quick] [--device cuda]``: run suites, print their tables, write their JSON.

``python -m benchmarks table`` puts the newest results into docs/performance.md, and the projection into
docs/scaling.md. The exit status is 1 when arms disagree about pixels, or when a ratio lies below half of its target
(when quick: in each of three measurements): never for an absolute time, and never for a peer that is not installed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.gate import ROUNDS, judged
from benchmarks.harness import WrongPixels
from benchmarks.results import picture_of, show, update_page, write
from benchmarks.scaling import update_projection
from framework.terminal import Terminal

THEMES = (
    "plans",
    "growth",
    "stream",
    "tiling",
    "mil",
    "training",
    "scaling",
    "applying",
    "heads",
    "scores",
    "remote",
    "ingest",
    "cells",
    "forest",
    "knn",
    "verify",
)
_WIDTH = 160
"""Columns of a table that goes into a file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the themes named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("theme", choices=(*THEMES, "all", "table"))
    parser.add_argument("--quick", action="store_true", help="seconds a theme on 2 cores; a smoke test, not a result")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where theme training trains")
    parser.add_argument("--compile", action="store_true", help="train with torch.compile")
    parser.add_argument("--out", type=Path, help="folder for the JSON files; default benchmarks/results")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch finds no CUDA device here; leave the option out to train on the CPU")
    console = Terminal(width=None if sys.stdout.isatty() else _WIDTH)
    if options.theme == "table":
        update_page(Path(__file__).parents[1] / "docs" / "performance.md")
        update_projection()
        return 0
    if options.quick:
        console.print("quick run: small inputs and few repetitions; use it to see that all arms agree, not as a result")
    chosen = THEMES if options.theme == "all" else (options.theme,)
    return max([_theme(theme, options, console) for theme in chosen])


def _theme(theme: str, options: argparse.Namespace, console: Console) -> int:
    module = importlib.import_module(f"benchmarks.{theme}")
    settings: dict[str, Any] = {"quick": options.quick}
    if theme == "training":
        settings |= {"device": options.device, "compiled": options.compile}
    rounds = ROUNDS if options.quick else 1
    began = time.perf_counter()
    try:
        results, far_off = judged(lambda: module.run(**settings), rounds)
    except WrongPixels as error:
        console.print(f"{theme}: void: {error}", style="bold red")
        return 1
    for result in results:
        show(result, console)
    place = {"folder": options.out} if options.out else {}
    file = write(theme, results, quick=options.quick, device=settings.get("device", "cpu"), **place)
    if not options.quick and hasattr(module, "draw"):
        module.draw(results, picture_of(file))
    console.print(f"{theme}: {time.perf_counter() - began:.0f} s; wrote {file}")
    times = f", in each of {rounds} measurements" if rounds > 1 else ""
    for line in far_off:
        console.print(f"{theme}: below half of its target{times}: {line}", style="bold red")
    return 1 if far_off else 0


if __name__ == "__main__":
    sys.exit(main())
