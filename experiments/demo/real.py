"""``make demo-real EXPORT=<folder>``: a real Harmony export with a table of cells -> markers of cells from images.

The folder holds ``images/`` (Harmony), ``platemap.csv`` and ``measurements/`` as the configs of
``experiments/marker_regression`` describe them; for another export copy and edit those two files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.demo.steps import Protocol, carried_out, overrides
from framework.terminal import Terminal

CONFIGS = Path(__file__).parents[1] / "marker_regression"


def run(export: Path, out: Path, protocol: Protocol) -> None:
    """Ingest, train, predict the held-out well, evaluate against both baselines, report.

    Raises:
        StepFailed: a command failed.
    """
    dataset, trained, evaluation = out / "dataset", out / "runs" / "markers", out / "evaluation"
    tables = {
        f"plates.0.cells.tables.{well}": export / "measurements" / f"Round1_{short}_site1_Measurements.csv.gz"
        for well, short in (("B02", "B2"), ("B03", "B3"), ("B04", "B4"))
    }
    paths = [f"{key}={path}" for key, path in tables.items()]
    paths += [f"plates.0.source.path={export / 'images'}", f"plates.0.platemap.path={export / 'platemap.csv'}"]
    protocol.run("Ingest", "ingest", CONFIGS / "ingest.yaml", "--out", dataset, *paths)
    settings = overrides(run_dir=trained, data__path=dataset)
    protocol.run("Train", "train", CONFIGS / "train.yaml", *settings)
    protocol.run("Predict", "predict", trained, "--out", out / "predictions.h5ad", "--part", "test", "--views", 8)
    beside = ("--data", dataset, "--baselines", "all")
    protocol.run("Evaluate", "evaluate", out / "predictions.h5ad", "--out", evaluation, *beside)
    page = out / "report.html"
    protocol.run("Report", "report", trained, "--data", dataset, "--evaluation", evaluation, "--out", page)
    protocol.console.print(protocol.times())


def main() -> int:
    """Run the protocol; return 0 when every step succeeded."""
    parser = argparse.ArgumentParser(prog="python -m experiments.demo.real", description=__doc__)
    parser.add_argument("export", type=Path, help="folder with images/, measurements/ and platemap.csv")
    parser.add_argument("--out", type=Path, default=Path("demo-real"), help="folder for everything this makes")
    options = parser.parse_args()
    console = Terminal()
    if not options.export.is_dir():
        console.print(
            f"{options.export}: no such folder; expected one with images/, measurements/ and platemap.csv",
            style="bold red",
        )
        return 2
    return carried_out(console, lambda: run(options.export, options.out, Protocol(console=console)))


if __name__ == "__main__":
    sys.exit(main())
