"""``make ifc``: IFC-seq end to end on a simulated pair of experiments, each step a command a person could type.

simulate -> ingest the images -> train the label-free CNN on brightfield -> predict markers and score them -> map what
they are read from -> prepare the sequenced cells -> express, once more with full-grown trees -> compare both chains
with the truth (``truth.json``). Run again, it continues.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from experiments.demo.steps import Protocol, carried_out, overrides
from experiments.ifc_seq.truth import ChainCheck, check_chain
from framework.durable import write_json
from framework.evaluate.evaluation import SUMMARY_NAME
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
SCORED, EXPRESSED, FULL_GROWN = "markers", "expression", "expression_full_grown"


def run(out: Path, protocol: Protocol) -> None:
    """Run every step below ``out``.

    Raises:
        StepFailed: a command failed.
    """
    raw, dataset, trained = out / "raw", out / "dataset", out / "run"
    markers, maps, cells = out / "markers.h5ad", out / "saliency.npz", out / "cells.h5ad"
    protocol.run("Simulate", "simulate", "ifc", raw, "--config", CONFIGS / "simulate.yaml")
    images = overrides(sources__0__reader__path=raw / "images", sources__0__tables__0__table__path=raw / "features.txt")
    protocol.run("Ingest", "ingest", CONFIGS / "ingest_simulated.yaml", "--out", dataset, *images)
    places = overrides(run_dir=trained, data__path=dataset)
    protocol.run("Train", "train", CONFIGS / "train_simulated.yaml", *places)
    protocol.run("Predict", "predict", trained, "--part", "all", "--views", "4", "--out", markers)
    protocol.run("Evaluate", "evaluate", markers, "--data", dataset, "--out", out / SCORED)
    protocol.run("Saliency", "saliency", trained, "--out", maps)
    tables = overrides(genes=raw / "citeseq" / "rna_umi.csv.gz", proteins=raw / "citeseq" / "adt_umi.csv.gz")
    protocol.run("Prepare", "prepare", CONFIGS / "cells_simulated.yaml", "--out", cells, *tables)
    files = overrides(
        single_cell=cells,
        images__predictions=markers,
        images__saliency=maps,
        images__truth__path=raw / "truth_expression.h5ad",
    )
    config = CONFIGS / "express_simulated.yaml"
    protocol.run("Express", "express", config, "--out", out / EXPRESSED, *files)
    protocol.run("Express, full-grown trees", "express", config, "--out", out / FULL_GROWN, *files, "forest.min_leaf=1")


def compare(out: Path) -> ChainCheck:
    """Compare both chains with the truth, write ``truth.json``, and return the check of leaves of 20 cells.

    Raises:
        OSError: a file of the steps is missing.
    """
    genes = out / "raw" / "truth_genes.parquet"
    found = {folder: check_chain(out / folder / "truth.csv", genes) for folder in (EXPRESSED, FULL_GROWN)}
    scores = json.loads((out / SCORED / SUMMARY_NAME).read_text(encoding="utf-8"))["rows"]
    write_json(out / "truth.json", {**{name: asdict(check) for name, check in found.items()}, SCORED: scores})
    return found[EXPRESSED]


def main() -> int:
    """Run the chain; return 0 when the label-free chain lands between the mean predictor and measured markers."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ifc_seq", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("ifc"), help="folder for everything the chain makes")
    options = parser.parse_args()
    console = Terminal()
    protocol = Protocol(console=console)
    status = carried_out(console, lambda: run(options.out, protocol))
    if status:
        return status
    check = compare(options.out)
    console.rule("Truth", align="left", style="dim")
    console.print(check.sentence())
    console.print(protocol.times())
    console.print(f"report: {options.out / EXPRESSED / 'report.html'}")
    return 0 if check.holds else 1
