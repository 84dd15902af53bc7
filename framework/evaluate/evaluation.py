"""An evaluation as a folder: ``evaluation.json`` for programs, tables for people, a rich table for the terminal."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from framework.data.format.schema import digest_of
from framework.durable import replacing_files, write_text, write_with
from framework.errors import InputError
from framework.evaluate.beside import KEY as BASELINES
from framework.evaluate.beside import baseline_table, beside_baselines
from framework.evaluate.kinds import EVALUATIONS, ScoreTable, evaluation_kind
from framework.files.csv_writing import write_csv
from framework.files.json_file import read_mapping
from framework.files.parquet import read_parquet
from framework.plugins import load_plugins
from framework.terminal import Terminal, visible

SUMMARY_NAME = "evaluation.json"
FORMAT_VERSION = 3
_ALWAYS_CSV = frozenset({BASELINES, "coverage"})
"""Tables that any kind of evaluation may have, and people read."""
_WIDTH = 110


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation:
    """A finished evaluation.

    Attributes:
        kind: name of its entry in ``EVALUATIONS``.
        summary: JSON-shaped headline: options, prediction files, ``rows`` (one per target or marker), ``notes``.
        tables: name -> table; see the entry.
    """

    kind: str
    summary: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]

    def __repr__(self) -> str:
        page = io.StringIO()
        Terminal(needed=False, file=page, width=_WIDTH).print(render(self))
        notes = [f"- {note}" for note in self.summary.get("notes", [])]
        beside = render_baselines(self)
        if beside is not None:
            Terminal(needed=False, file=page, width=_WIDTH).print(beside)
        verdict = beside_baselines(self.summary)
        notes = [f"- {verdict.text}", *notes] if verdict else notes
        tables = f"tables: {', '.join(sorted(self.tables))}"
        return "\n".join([*(line.rstrip() for line in page.getvalue().rstrip().splitlines()), *notes, tables])


def write_evaluation(folder: Path | str, evaluation: Evaluation) -> Path:
    """Write ``evaluation.json`` and each table as parquet; those a person reads as CSV, too.

    An evaluation that is there already is replaced whole, or stays whole.

    Returns:
        The folder.

    Raises:
        OSError: it cannot be written; names the file.
    """
    target = Path(folder)
    also_csv = evaluation_kind(evaluation.kind).also_csv
    summary = _plain(
        {
            "format": FORMAT_VERSION,
            "kind": evaluation.kind,
            **evaluation.summary,
            "tables": sorted(evaluation.tables),
        }
    )
    # Pages and figures believe its rows, so a change by damage or by hand must show.
    summary |= {"digest": digest_of(summary)}
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing_files(target, SUMMARY_NAME) as beside:
        for name, table in evaluation.tables.items():
            write_with(beside / f"{name}.parquet", partial(table.to_parquet, index=False))
            if name in also_csv or name in _ALWAYS_CSV:
                write_csv(beside / f"{name}.csv", table)
        write_text(beside / SUMMARY_NAME, text)
    return target


def read_evaluation(folder: Path | str) -> Evaluation:
    """Read what ``write_evaluation`` wrote.

    Raises:
        InputError: no evaluation there, one this version cannot read, or one that was changed.
    """
    source = Path(folder)
    file = source / SUMMARY_NAME
    if not file.is_file():
        raise InputError(f"{source}: no {SUMMARY_NAME}; make one with: wellstream evaluate PREDICTIONS --out {source}")
    summary = read_mapping(file, error=InputError, what="the summary of an evaluation", then="evaluate again")
    if summary.get("format") != FORMAT_VERSION:
        raise InputError(f"{file}: expected format {FORMAT_VERSION}; evaluate again with this version")
    if summary.get("digest") != digest_of(summary):
        raise InputError(f"{file}: was changed since it was written: its content has another digest; evaluate again")
    kind = str(summary.get("kind"))
    plugins = summary.get("plugins")
    if kind not in EVALUATIONS.names() and isinstance(plugins, list):
        load_plugins([str(name) for name in plugins], str(file))
    if kind not in EVALUATIONS.names():
        expected = ", ".join(EVALUATIONS.names())
        raise InputError(
            f"{file}: expected an evaluation of kind {expected}, found '{kind}'; load the plugin that has it"
        )
    names = summary.get("tables", [])
    if not isinstance(names, list):
        raise InputError(f"{file}: expected a list of tables, found '{names}'; evaluate again")
    tables = {str(name): _table(source, str(name)) for name in names}
    return Evaluation(kind=kind, summary=summary, tables=tables)


def render(evaluation: Evaluation | Mapping[str, Any]) -> Table:
    """Return the headline of an evaluation, or of its summary, as a rich table."""
    summary = evaluation.summary if isinstance(evaluation, Evaluation) else evaluation
    kind = evaluation.kind if isinstance(evaluation, Evaluation) else str(summary.get("kind"))
    return _drawn(evaluation_kind(kind).table(summary))


def render_baselines(evaluation: Evaluation | Mapping[str, Any]) -> Table | None:
    """Return the baselines of an evaluation, or of its summary, as a rich table; None where it has none."""
    shown = baseline_table(evaluation.summary if isinstance(evaluation, Evaluation) else evaluation)
    return None if shown is None else _drawn(shown)


def _drawn(shown: ScoreTable) -> Table:
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        title=shown.title,
        caption=Text(visible(shown.caption)) if shown.caption else None,
    )
    for place, name in enumerate(shown.headers):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0 or not shown.wraps)
    for row in shown.rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    return table


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
