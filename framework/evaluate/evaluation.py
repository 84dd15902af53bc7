"""An evaluation as a folder: ``evaluation.json`` for programs, tables for people, a rich table for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from framework.durable import write_text
from framework.errors import InputError
from framework.files.json_file import read_mapping
from framework.files.parquet import read_parquet

SUMMARY_NAME = "evaluation.json"
FORMAT_VERSION = 2
_ALSO_CSV = {"per_gene", "per_marker", "per_set", "per_class", "per_k", "confusion", "distances", "spread"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        kind: ``omics`` (genes of wells), ``markers`` (markers of cells) or ``features`` (feature sets of cells).
        summary: JSON-shaped headline: options, prediction files, ``rows`` (one a target or marker), ``notes``.
        tables: name -> table; omics: ``per_gene``, ``per_split``, ``per_well``, ``splits``; markers: ``per_marker``,
            ``per_cell``; features: see ``compare_features``.
    """

    kind: Literal["omics", "markers", "features"]
    summary: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]


def write_evaluation(folder: Path | str, evaluation: Evaluation) -> Path:
    """Write ``evaluation.json`` (last) and each table as parquet; those a person reads as CSV, too.

    Returns:
        The folder.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / SUMMARY_NAME).unlink(missing_ok=True)
    for name, table in evaluation.tables.items():
        table.to_parquet(target / f"{name}.parquet", index=False)
        if name in _ALSO_CSV:
            table.to_csv(target / f"{name}.csv", index=False, lineterminator="\n")
    summary = {
        "format": FORMAT_VERSION,
        "kind": evaluation.kind,
        **evaluation.summary,
        "tables": sorted(evaluation.tables),
    }
    text = json.dumps(_plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(target / SUMMARY_NAME, text)
    return target


def read_evaluation(folder: Path | str) -> Evaluation:
    """Read what ``write_evaluation`` wrote.

    Raises:
        InputError: no evaluation there, or one this version cannot read.
    """
    source = Path(folder)
    file = source / SUMMARY_NAME
    if not file.is_file():
        raise InputError(f"{source}: no {SUMMARY_NAME}; make one with: wellstream evaluate PREDICTIONS --out {source}")
    summary = read_mapping(file, error=InputError, what="the summary of an evaluation", then="evaluate again")
    if summary.get("format") != FORMAT_VERSION:
        raise InputError(f"{file}: expected format {FORMAT_VERSION}; evaluate again with this version")
    if summary.get("kind") not in {"omics", "markers", "features"}:
        raise InputError(f"{file}: expected kind 'omics', 'markers' or 'features', found '{summary.get('kind')}'")
    names = summary.get("tables", [])
    if not isinstance(names, list):
        raise InputError(f"{file}: expected a list of tables, found '{names}'; evaluate again")
    tables = {str(name): _table(source, str(name)) for name in names}
    return Evaluation(kind=summary["kind"], summary=summary, tables=tables)


def render(evaluation: Evaluation | Mapping[str, Any]) -> Table:
    """Return the headline (of an evaluation or its summary) as a rich table: a row a target or a marker."""
    summary = evaluation.summary if isinstance(evaluation, Evaluation) else evaluation
    rows = summary.get("rows", [])
    if summary.get("kind") == "features":
        return _feature_table(summary, rows)
    return _omics_table(summary, rows) if summary.get("kind") == "omics" else _marker_table(rows)


def _table(folder: Path, name: str) -> pd.DataFrame:
    file = folder / f"{name}.parquet"
    if Path(name).name != name or not file.is_file():
        raise InputError(f"{file}: missing although {SUMMARY_NAME} lists it; evaluate again")
    return read_parquet(file, error=InputError, what="a table of an evaluation", then="evaluate again")


def _plain(value: Any) -> Any:
    """Return JSON-shaped data; NaN and infinities become null, numpy scalars Python ones."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _number(value: Any, form: str = ".2f") -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else format(value, form)


def _range(row: Mapping[str, Any], name: str, form: str = ".2f") -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    shown = _number(row.get(name), form)
    if low is None or high is None or low == high:
        return shown
    return f"{shown} [{_number(low, form)}, {_number(high, form)}]"


def headline_share(options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the column of the summary's rows that holds the chosen share, and what its interval is."""
    if options["interval"] == "split_shares":
        return "split_share", "median of the shares of splits, with their 2.5 and 97.5 % quantiles"
    return (
        "share",
        "genes with a significant median p over splits [with a significant 97.5 %, 2.5 % quantile of p]",
    )


def _share(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    shown = _number(row[name], ".1%")
    return shown if low is None or low == high else f"{shown} [{100 * low:.1f}, {100 * high:.1f}]"


def _omics_table(summary: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Table:
    options = summary["options"]
    share, meaning = headline_share(options)
    test = {"wilcoxon": "Wilcoxon", "mann_whitney": "Mann-Whitney"}.get(options.get("test"), "test")
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        title=f"Genes predicted better than their train mean ({test}, alpha {options['alpha']:g})",
        caption=Text(f"share [95 %]: {meaning}") if any(row["n_splits"] > 1 for row in rows) else None,
    )
    for name in ("target", "wells", "genes", "better", "share [95 %]", "r²", "SMAPE", "of mean"):
        table.add_column(name, justify="left" if name == "target" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(str(row["target"])),
            str(row["n_test_wells"]),
            str(row["genes"]),
            str(row["significant"]),
            Text(_share(row, share)),
            _number(row["r2"]),
            _number(row["smape"], ".1f"),
            _number(row["smape_baseline"], ".1f"),
        )
    return table


def _marker_table(rows: list[Mapping[str, Any]]) -> Table:
    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, title="Markers of single cells on held-out wells"
    )
    for name in ("marker", "cells", "r [95 %]", "linear r [95 %]", "RMSE", "linear", "mean"):
        table.add_column(name, justify="left" if name == "marker" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(str(row["marker"])),
            str(row["n"]),
            Text(_range(row, "r")),
            Text(_range(row, "r_linear")),
            _number(row["rmse"], ".3g"),
            _number(row["rmse_linear"], ".3g"),
            _number(row["rmse_mean"], ".3g"),
        )
    return table


def _feature_table(summary: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Table:
    protocol = str(summary.get("protocol", "")).replace("_", "-")
    names = [name for name in ("knn", "logistic", "forest") if any(name in row for row in rows)]
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        title=f"Balanced accuracy of {len(summary.get('classes', []))} classes, {protocol}, k = "
        f"{summary.get('options', {}).get('k')}",
    )
    for name in ("features", "number", *(f"{name} [95 %]" for name in names), "less the first"):
        table.add_column(name, justify="left" if name == "features" else "right", no_wrap=name != "features")
    for row in rows:
        if "missing" in row:
            table.add_row(Text(f"{row['set']}: missing, {row['missing']}"))
            continue
        table.add_row(
            Text(str(row["set"])),
            str(row["width"]),
            *(Text(_range(row, name)) for name in names),
            Text(_range(row, "knn_difference", "+.2f")) if row is not rows[0] else "",
        )
    return table
