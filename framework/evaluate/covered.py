"""Do intervals hold what they promise: coverage over all, per gene or marker, per plate, per condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.stats import binom

from framework.evaluate.conformal import INTERVALS, coverage
from framework.evaluate.predictions import TEST, Predictions
from framework.format import percent

COVERAGE = "coverage"
"""Of ``evaluation.json``, where predictions have intervals; also the name of their table."""


@dataclass(frozen=True, kw_only=True)
class Covered:
    """Coverage of the intervals of some files.

    Attributes:
        table: one row per target, split and ``of`` (all, column, plate, condition); see ``conformal.coverage``.
        summary: nominal level, and coverage per target over splits.
        notes: sentences on it.
    """

    table: pd.DataFrame
    summary: Mapping[str, Any]
    notes: tuple[str, ...]


def coverage_of(opened: Sequence[Predictions]) -> Covered | None:
    """Return the coverage of test rows; None where no file has intervals."""
    tables: list[pd.DataFrame] = []
    levels: set[float] = set()
    for item in opened:
        facts = item.facts.get(INTERVALS)
        if item.lower is None or item.upper is None or not isinstance(facts, Mapping):
            continue
        test = item.part(TEST)
        levels.add(float(facts["level"]))
        calibrated = frozenset(map(str, facts["sources"]))
        for target, columns in item.targets().items():
            ends = [each[test][:, columns] for each in (item.lower, item.upper, item.measured)]
            names = [item.genes()[column] for column in columns]
            rows = item.rows[test].reset_index(drop=True)
            table = coverage(ends[0], ends[1], ends[2], rows, names, calibrated)
            table.insert(0, "seed", item.split_key)
            table.insert(0, "target", target)
            tables.append(table.assign(level=float(facts["level"])))
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    targets = [_of_target(str(target), table) for target, table in whole.groupby("target", sort=False)]
    summary = {"levels": sorted(levels), "targets": targets}
    return Covered(table=whole, summary=summary, notes=tuple(sentence for each in targets for sentence in told(each)))


def _of_target(target: str, table: pd.DataFrame) -> dict[str, Any]:
    plates = table[table["of"] == "plate"]
    found: dict[str, Any] = {"target": target, "level": float(table["level"].iloc[0])}
    found["covered"] = _mean(table[table["of"] == "all"])
    for name, chosen in (("new_plates", plates["new_plate"]), ("known_plates", ~plates["new_plate"])):
        found[name] = _mean(plates[chosen]) if chosen.any() else None
    of_columns, conditions = table[table["of"] == "column"], table[(table["of"] == "condition") & (table["n"] > 0)]
    rows = int(of_columns.groupby("seed")["n"].max().sum())
    # Cells of one condition are rows like others: a single condition says nothing of chance.
    several = conditions["name"].nunique()
    found["units"] = {"conditions": several} if several > 1 else {"rows": rows}
    columns = of_columns.groupby("name", sort=False)["covered"].mean()
    found["columns"] = {"low": float(columns.quantile(0.025)), "high": float(columns.quantile(0.975))}
    return found


def binomial_limits(count: int, level: float) -> tuple[float, float]:
    """Return between which shares 95 % of counts lie, of ``count`` things that each happen with ``level``."""
    low, high = binom.interval(0.95, count, level)
    return float(low) / count, float(high) / count


def _mean(rows: pd.DataFrame) -> float:
    """Return the share over all pairs of row and column."""
    known = rows[rows["n"] > 0]
    return float((known["covered"] * known["n"]).sum() / known["n"].sum()) if len(known) else float("nan")


def told(target: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of the intervals of a target."""
    (unit, count), level = next(iter(target["units"].items())), target["level"]
    low, high = binomial_limits(count, level)
    said = [
        f"{target['target']}: intervals of nominal {percent(target['level'])} hold {percent(target['covered'])} of the "
        f"measured values ({percent(target['columns']['low'])} to {percent(target['columns']['high'])} for the middle "
        f"95 % of columns); a share of {count} {unit} that are each held with {percent(level)} lies between "
        f"{percent(low)} and {percent(high)} in 95 of 100 cases"
    ]
    if target["new_plates"] is not None:
        gap = target["new_plates"] - target["level"]
        known = "" if target["known_plates"] is None else f", {percent(target['known_plates'])} on the others"
        said.append(
            f"{target['target']}: plates without calibration rows are not exchangeable with those that have some, so "
            f"nothing is promised there: {percent(target['new_plates'])} are held ({100 * gap:+.1f} points){known}"
        )
    return said
