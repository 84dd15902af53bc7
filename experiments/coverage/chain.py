"""``make coverage``: how many measured values lie in intervals of nominal 90 %, where that can be counted.

On a simulation of 750 perturbations, held out by ten splits, calibrated by the splits and by the part ``val`` of each;
and on a second plate, whose images differ by a batch effect and whose labels are the same. With ``--field`` on the
strips of a Xenium field (one trains, one calibrates, one is counted), with ``--cells`` on Jurkat cells;
``--without-simulation`` on these alone. Run again, it continues.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from experiments.coverage.small_calibration import by_pairs
from experiments.demo.steps import Protocol, overrides, table_made
from framework.data.dataset import Dataset
from framework.data.format.schema import PERTURBATION, SOURCE
from framework.errors import InputError
from framework.evaluate.covered import binomial_limits
from framework.evaluate.intervals import quantile_interval
from framework.evaluate.predictions import TEST, Predictions, open_predictions
from framework.files.csv_writing import write_csv
from framework.study import carry_out, load_study_config, override
from framework.terminal import Terminal

HERE = Path(__file__).parent
LEVEL = 0.9
BLOCK = "Metadata_Block"
_RESAMPLES = 2_000
JURKAT_SEEDS = (0, 1, 2)
_COMPARED = 3
"""Splits whose part ``val`` calibrates too, on both plates; their test parts together hold most perturbations."""
Floats = npt.NDArray[np.float64]


def simulated(out: Path, protocol: Protocol) -> None:
    """Do the study below ``out``, and predict its plate and the second one with intervals that ``val`` calibrates.

    Raises:
        WellstreamError: a step failed; it has said why.
    """
    carry_out(load_study_config(HERE / "study.yaml", [override("out", str(out))]), console=Terminal())
    second = out / "second" / "dataset"
    tables = {f"omics.{place}.table": out / "raw" / "omics" / f"{name}.csv.gz" for place, name in enumerate(_OMICS)}
    paths = [f"plates.0.source.path={out / 'raw' / 'COV-02'}", f"plates.0.platemap.path={out / 'raw' / 'platemap.csv'}"]
    paths += [f"{key}={path}" for key, path in tables.items()]
    protocol.run("Ingest the second plate", "ingest", HERE / "ingest.yaml", "--out", second, *paths)
    for seed in _seeds(out)[:_COMPARED]:
        run = out / "runs" / f"heads-{seed}"
        for name, data, part in (("val", None, "test"), ("second", second, "all")):
            folder = out / name / f"split-{seed}"
            if not folder.is_dir():
                beside = () if data is None else ("--data", data)
                words = ("--part", part, "--interval", LEVEL, "--out", folder, *beside)
                protocol.run(f"Predict {name}, split {seed}", "predict", run, *words)


def strips(field: Path, out: Path, protocol: Protocol) -> None:
    """Train on one strip, calibrate by the next, predict the third, each in turn. Raises as ``simulated``."""
    configs = HERE.parent / "xenium_breast"
    reader, data = "sources.0.reader.", out / "data"
    files = (f"{reader}images.DAPI={field / 'morphology_mip.tif'}", f"{reader}table={field / 'transcripts.csv.gz'}")
    protocol.run("Ingest", "ingest", configs / "ingest.yaml", "--out", data, *files)
    names = sorted(str(name) for name in Dataset.open(data).bags[BLOCK])
    for place, name in enumerate(names):
        run, others = out / f"without-{name}", [names[(place + step) % len(names)] for step in (1, 2)]
        if (run / "predictions" / "expression.h5ad").is_file():
            continue
        split = f'split={{by: {BLOCK}, train: ["{others[0]}"], val: ["{others[1]}"], test: ["{name}"]}}'
        protocol.run(
            f"Train, strip {name}", "train", configs / "train.yaml", f"run_dir={run}", f"data.path={data}", split
        )
        protocol.run(f"Predict, strip {name}", "predict", run, "--interval", LEVEL, "--out", run / "predictions")


def jurkat(cells: Path, out: Path, protocol: Protocol) -> None:
    """Train as committed on three splits, predict what each holds out with intervals, which ``val`` calibrates.

    Then the splits calibrate each other. Raises as ``simulated``.
    """
    configs, data = HERE.parent / "ifc_seq", out / "data"
    source = overrides(
        sources__0__reader__path=cells / "exp1_a.npz", sources__0__tables__0__table__path=cells / "exp1_a_labels.csv"
    )
    protocol.run("Ingest", "ingest", configs / "jurkat_ingest.yaml", "--out", data, *source)
    for seed in JURKAT_SEEDS:
        run = out / f"run-{seed}"
        places = overrides(run_dir=run, data__path=data, split__seed=seed, tracking__wandb="disabled")
        protocol.run(f"Train, split {seed}", "train", configs / "jurkat_brightfield.yaml", *places)
        words = ("--views", 8, "--interval", LEVEL, "--out", out / f"split-{seed}" / "dna.h5ad")
        protocol.run(f"Predict, split {seed}", "predict", run, *words)
    folders = [out / f"split-{seed}" for seed in JURKAT_SEEDS]
    protocol.run("Intervals", "intervals", *folders, "--level", LEVEL, "--out", out / "by-splits")


def collect(out: Path, *, simulation: bool, field: bool, cells: bool) -> dict[str, Any]:
    """Count what was made.

    Returns:
        ``rows``: one per set of predictions and target, as ``counted`` gives it; beside them ``per_column.csv``. With
        Jurkat cells also what ``by_pairs`` gives.

    Raises:
        WellstreamError: predictions that cannot be read.
    """
    rows, columns, pairs = [], [], None
    sets = _of_simulation(out / "simulation") if simulation else []
    if field:
        sets += [
            ("Xenium, the strip calibrated by another strip", "expression", sorted((out / "xenium").glob(_OF_STRIPS)))
        ]
    if cells:
        for says, folder in _OF_JURKAT.items():
            files = [out / "jurkat" / folder / f"split-{seed}" / "dna.h5ad" for seed in JURKAT_SEEDS]
            sets.append((says, "DNA sum", files))
            sets += [
                (f"{says}, split {seed}", "DNA sum", [file]) for seed, file in zip(JURKAT_SEEDS, files, strict=True)
            ]
    tested: dict[str, list[npt.NDArray[np.object_]]] = {}
    for says, target, files in sets:
        opened = [open_predictions(file) for file in files]
        if says == _SETS["second"]:
            opened = [_only(item, names) for item, names in zip(opened, tested[target], strict=True)]
        elif says == _SETS["val"]:
            tested[target] = [item.rows[PERTURBATION][item.part(TEST)].unique() for item in opened]
        elif says == _BY_VAL:
            pairs = by_pairs(opened, LEVEL)
        row, of_columns = counted(opened)
        rows.append({"set": says, "target": target, **row})
        columns.append(of_columns.assign(set=says, target=target))
    write_csv(out / "per_column.csv", pd.concat(columns)[["set", "target", "column", "covered", "n"]])
    return {"level": LEVEL, "rows": rows} | ({} if pairs is None else {_PAIRS: pairs})


def _of_simulation(out: Path) -> list[tuple[str, str, list[Path]]]:
    """Return what each set is, its target and its files."""
    found = []
    for target in (f"{name}_M1" for name in _OMICS):
        for folder, says in _SETS.items():
            seeds = _seeds(out) if folder == "predictions-with-intervals" else _seeds(out)[:_COMPARED]
            found.append((says, target, [out / folder / f"split-{seed}" / f"{target}.h5ad" for seed in seeds]))
    return found


_OMICS = ("transcripts", "proteins")
_PAIRS = "jurkat_calibrated_by_any_two_groups"
_BY_VAL = "Jurkat, held-out third of three splits, calibrated by val"
_OF_JURKAT = {
    _BY_VAL: ".",
    "Jurkat, held-out third of three splits, calibrated by these splits (jackknife+)": "by-splits",
}
"""What is counted -> its folder."""
_OF_STRIPS = "without-*/predictions/expression.h5ad"
_SETS = {
    "predictions-with-intervals": "simulation, held-out perturbations, calibrated by ten splits (jackknife+)",
    "val": "simulation, held-out perturbations, calibrated by val",
    "second": "simulation, held-out perturbations on a new plate, calibrated by val of the first",
}
"""Folder of predictions -> what is counted in it."""


def _only(item: Predictions, names: npt.NDArray[np.object_]) -> Predictions:
    """Return predictions of a new plate without the perturbations that their split learned from."""
    rows = item.rows.assign(part=np.where(item.rows[PERTURBATION].isin(names), TEST, "train"))
    return Predictions(**{**item.__dict__, "rows": rows})


def counted(opened: Sequence[Predictions]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Count how many measured values of test rows intervals hold.

    Returns:
        ``covered`` with ``low`` and ``high``, 95 % over resampled units (perturbations, or cells); ``units``;
        ``binomial``: between which shares a count of that many things lies that each happen with ``LEVEL``;
        ``columns``: the middle 95 % of genes or markers; and the share per column.
    """
    of_units, of_columns = [], []
    for item in opened:
        test = item.part(TEST)
        if item.lower is None or item.upper is None:
            raise InputError(f"{item.name}: no intervals; remove it and run the same command again")
        measured, known = item.measured[test], np.isfinite(item.measured[test])
        held = known & (measured >= item.lower[test]) & (measured <= item.upper[test])
        rows = item.rows[test]
        # A cell that several splits hold out is one unit, as a perturbation is.
        names = [PERTURBATION] if item.level == "bag" else [SOURCE, "tile"]
        unit = rows[names].astype(str).agg(" ".join, axis=1)
        table = pd.DataFrame({"unit": unit.to_numpy(), "held": held.sum(axis=1), "known": known.sum(axis=1)})
        of_units.append(table)
        of_columns.append(pd.DataFrame({"column": item.genes(), "held": held.sum(axis=0), "n": known.sum(axis=0)}))
    units = pd.concat(of_units).groupby("unit").sum()
    columns = pd.concat(of_columns).groupby("column", sort=False).sum().reset_index()
    columns["covered"] = columns["held"] / columns["n"]
    low, high = quantile_interval(_resampled(units["held"].to_numpy(np.float64), units["known"].to_numpy(np.float64)))
    row = {
        "covered": float(units["held"].sum() / units["known"].sum()),
        "low": low,
        "high": high,
        "units": len(units),
        "binomial": binomial_limits(len(units), LEVEL),
        "columns": [float(columns["covered"].quantile(at)) for at in (0.025, 0.975)],
    }
    return row, columns


def _resampled(held: Floats, known: Floats) -> Floats:
    drawn = np.random.default_rng(0).integers(0, len(held), (_RESAMPLES, len(held)))
    return np.asarray(held[drawn].sum(axis=1) / known[drawn].sum(axis=1))


def _seeds(out: Path) -> tuple[int, ...]:
    return load_study_config(HERE / "study.yaml", [override("out", str(out))]).split_seeds


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the rows."""
    table = Table("set", "target", "held [95 %]", "units", "binomial limits of 90 %", "columns, middle 95 %", box=None)
    for row in found["rows"]:
        table.add_row(
            row["set"],
            row["target"],
            f"{row['covered']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
            str(row["units"]),
            "{:.3f} to {:.3f}".format(*row["binomial"]),
            "{:.3f} to {:.3f}".format(*row["columns"]),
        )
    console.print(table, soft_wrap=True)
    if _PAIRS in found:
        told = "Jurkat, calibrated by any two groups of held-out cells ({pairs}): {mean:.3f}; {low:.3f} to {high:.3f}"
        console.print(told.format_map(found[_PAIRS]), soft_wrap=True)


def main() -> int:
    """Make what is missing, count, print and write ``OUT/coverage.json``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.coverage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("covered"), help="folder for everything that is made")
    parser.add_argument("--field", type=Path, help="folder with morphology_mip.tif and transcripts.csv.gz (Xenium)")
    parser.add_argument("--cells", type=Path, help="folder with exp1_a.npz and exp1_a_labels.csv (Jurkat)")
    parser.add_argument("--without-simulation", action="store_true", help="only what --field and --cells name")
    options = parser.parse_args()
    if options.without_simulation and options.field is None and options.cells is None:
        parser.error("--without-simulation leaves nothing to count; add --field or --cells")

    def make(protocol: Protocol) -> None:
        if not options.without_simulation:
            simulated(options.out / "simulation", protocol)
        if options.field is not None:
            strips(options.field, options.out / "xenium", protocol)
        if options.cells is not None:
            jurkat(options.cells, options.out / "jurkat", protocol)

    return table_made(
        Terminal(),
        options.out / "coverage.json",
        make,
        lambda: collect(
            options.out,
            simulation=not options.without_simulation,
            field=options.field is not None,
            cells=options.cells is not None,
        ),
        show,
    )
