"""The page about expression per cell: reads the folder of ``wellstream express`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from framework.config.source import parse_yaml
from framework.durable import write_text
from framework.errors import InputError
from framework.files.delimited import TextTable, read_text_table
from framework.files.failures import reading
from framework.files.json_file import read_mapping, read_text
from framework.report.expression.sections import Expressed, expression_sections
from framework.report.page import render_page

EXPRESSION_REPORT_NAME = "report.html"
_TABLES = ("per_gene", "summary", "populations", "similarity", "cells")
_NAMES = frozenset({"gene", "marker_of", "genes", "method", "source", "population", "one", "other", "marker"})
"""Columns of text."""


def write_expression_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write one self-contained HTML page: IFC-seq's Figures 3 to 6 and Tables 1 and 2 for this experiment.

    Args:
        folder: written by ``wellstream express``.
        out: the file to write; default ``report.html`` in the folder.

    Raises:
        InputError: the folder is not one of ``wellstream express``.
    """
    root = Path(folder)
    tables = _read(root)
    again = f"make it again: wellstream express CONFIG --out {root}"
    facts = read_mapping(root / "expression.json", error=InputError, what="a summary of expression", then=again)
    config_text = read_text(root / "config.yaml", error=InputError, what="a config", then=again)
    config = parse_yaml(config_text, str(root / "config.yaml")).data
    with reading(root, InputError, "a folder of wellstream express", again):
        page = _page(Expressed(root=root, tables=tables, facts=facts, config=config, config_text=config_text))
    file = Path(out) if out is not None else root / EXPRESSION_REPORT_NAME
    write_text(file, page)
    return file


def _page(of: Expressed) -> str:
    built = [section.build(of) for section in expression_sections()]
    sections = [section for section in built if section is not None]
    return render_page("Expression per cell", str(of.config["single_cell"]), sections)


def _read(root: Path) -> dict[str, pd.DataFrame]:
    for name in ("expression.json", "config.yaml", *(f"{table}.csv" for table in _TABLES)):
        if not (root / name).is_file():
            raise InputError(f"{root}: no {name}; expected a folder written by: wellstream express CONFIG --out {root}")
    names = [*_TABLES, *(name for name in ("agreement", "markers", "truth") if (root / f"{name}.csv").is_file())]
    tables = {}
    for name in names:
        tables[name] = _table(root / f"{name}.csv", of_agreement=name == "agreement")
    return tables


def _table(file: Path, *, of_agreement: bool) -> pd.DataFrame:
    """Read a table: a gene may be called NA, a population 007, so what has a name is text and all else numbers."""
    what = "a table of wellstream express"
    table = read_text_table(file, what=what, separator=",", decimal=".", comment=False, may_be_empty=True)
    named = _NAMES - {"genes"} if of_agreement else _NAMES  # there it is their number
    return pd.DataFrame({name: table.text[name] if name in named else _numbers(table, name) for name in table.names})


def _numbers(table: TextTable, name: str) -> pd.Series[Any]:
    counts = table.text[name].str.fullmatch(r"-?[0-9]{1,18}").all()
    return table.text[name].astype("int64") if counts and len(table) else table.numbers(name)
