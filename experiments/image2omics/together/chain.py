"""Backbone and heads trained together beside linear heads on a frozen backbone: same splits, same targets.

    python -m experiments.image2omics.together --field FOLDER --out together

A simulated plate (90 perturbations x 2 stimulations x 2 wells, three splits by perturbation) and, with ``--field``, a
real one: squares of a Xenium field, whose cells have images and transcripts (three strips held out in turn, three
seeds). ``FOLDER`` holds ``morphology_mip.tif`` and ``transcripts.csv.gz``. Models that begin from scratch pass as many
tiles forward and back as pretraining and training of the others do together. Run again, it continues. Writes
``OUT/results/together.md`` and ``together.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from experiments.demo.steps import Protocol, carried_out
from experiments.image2omics.together.models import FROZEN, blocks_of, costs_of, train_all
from experiments.image2omics.together.page import write_page
from experiments.image2omics.together.scores import compare
from experiments.image2omics.together.settings import Setting, simulated, squares
from framework.durable import write_json
from framework.terminal import Terminal


def found_of(setting: Setting) -> dict[str, Any]:
    """Return the scores of all rows, what each model took, and how large the data are.

    Raises:
        WellstreamError: predictions that cannot be read.
    """
    dataset = setting.opened()
    repeats, missing = blocks_of(setting)
    counts = dataset.bags["n_tiles"]
    return {
        "title": setting.title,
        "bags": int((counts > 0).sum()),
        "tiles_per_bag": float(counts[counts > 0].median()),
        "genes": sum(block.measured.shape[1] for block in repeats[0] if block.split == repeats[0][0].split),
        "test_bags": {f"{block.split} {block.target}": len(block.measured) for block in repeats[0]},
        "rows": compare(repeats, FROZEN),
        "cost": costs_of(setting),
        "missing": missing,
    }


def main() -> int:
    """Make what is missing, compare, and write the page; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.image2omics.together",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("together"), help="folder for everything that is made")
    parser.add_argument("--field", type=Path, help="folder with morphology_mip.tif, transcripts.csv.gz")
    options = parser.parse_args()
    console = Terminal()

    def work() -> None:
        out = options.out.absolute()
        protocol = Protocol(console=console)
        settings = [] if options.field is None else [squares(out, options.field, protocol)]
        settings.append(simulated(out, protocol))
        found = []
        for setting in settings:
            train_all(setting, console)
            found.append(found_of(setting))
        results = out / "results"
        results.mkdir(parents=True, exist_ok=True)
        write_json(results / "together.json", {"settings": found})
        console.print(f"page: {write_page(results, found)}")

    return carried_out(console, work)
