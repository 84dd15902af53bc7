"""``make ifc``: IFC-seq end to end on a simulated pair of experiments, each step a command a person could type.

simulate -> ingest the images -> train the label-free CNN on brightfield -> predict markers -> map what they are
read from -> prepare the sequenced cells -> express -> compare both chains with the truth. Run again, it continues.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from experiments.demo.steps import Protocol, carried_out, overrides
from experiments.ifc_seq.truth import check_chain

CONFIGS = Path(__file__).parent


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
    protocol.run("Saliency", "saliency", trained, "--out", maps)
    tables = overrides(genes=raw / "citeseq" / "rna_umi.csv.gz", proteins=raw / "citeseq" / "adt_umi.csv.gz")
    protocol.run("Prepare", "prepare", CONFIGS / "cells_simulated.yaml", "--out", cells, *tables)
    files = overrides(
        single_cell=cells,
        images__predictions=markers,
        images__saliency=maps,
        images__truth__path=raw / "truth_expression.h5ad",
    )
    protocol.run("Express", "express", CONFIGS / "express_simulated.yaml", "--out", out / "expression", *files)


def main() -> int:
    """Run the chain; return 0 when the label-free chain lands between the mean predictor and measured markers."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ifc_seq", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("ifc"), help="folder for everything the chain makes")
    options = parser.parse_args()
    console = Console(highlight=False)
    protocol = Protocol(console=console)
    status = carried_out(console, lambda: run(options.out, protocol))
    if status:
        return status
    check = check_chain(options.out / "expression" / "truth.csv", options.out / "raw" / "truth_genes.parquet")
    console.rule("Truth", align="left", style="dim")
    console.print(check.sentence(), markup=False)
    console.print(protocol.times(), markup=False)
    console.print(f"report: {(options.out / 'expression' / 'report.html').resolve()}", markup=False, soft_wrap=True)
    return 0 if check.holds else 1


if __name__ == "__main__":
    sys.exit(main())
