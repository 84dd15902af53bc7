"""Plate maps of a first config: a template for people without one, and what the columns of theirs seem to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from data_tools.platemap import PlatemapConfig, join, read_platemap
from data_tools.platemap_forms import is_assay_layout, is_barcode_platemap, read_assay_layout
from data_tools.readers.plates import Export
from data_tools.wells import is_well
from framework.data.format.schema import CONTROL_TYPE, CONTROL_TYPES, PERTURBATION, PLATE, STIMULATION, WELL
from framework.errors import InputError, some_of
from framework.files.delimited import TextTable, read_text_table

_CALLED = {
    PERTURBATION: ("perturbation", "treatment", "compound", "drug", "gene", "genotype", "broad_sample", "condition",
                   "sirna", "sgrna", "target", "sample"),
    STIMULATION: ("stimulation", "stimulus", "cytokine", "stim"),
    CONTROL_TYPE: ("control_type", "controltype", "control"),
}  # fmt: skip
"""What people call our columns; a column that is called so, or whose name holds it."""
_TYPES = {"negative": "negcon", "neg": "negcon", "positive": "poscon", "pos": "poscon", "trt": "treatment",
          "sample": "treatment", "compound": "treatment"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """A plate map as a config takes it.

    Attributes:
        options: options of ``platemap``.
        conditions: perturbation and stimulation -> wells that have images; empty wells are left out.
        notes: what was guessed of it.
    """

    options: Mapping[str, Any]
    conditions: Mapping[tuple[str, str], int]
    notes: tuple[str, ...] = ()


def template(exports: Sequence[Export]) -> str:
    """Return a plate map with a row per well that has images, in which every well was treated alike."""
    lines = [
        f"# One row per well. Write what was given into {PERTURBATION} ('none' where nothing was), the condition it",
        f"# was given in into {STIMULATION}, and negcon, poscon, treatment or empty into {CONTROL_TYPE}.",
        "# Further columns that begin with Metadata_ are kept.",
        ",".join((PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE)),
    ]
    lines += [f"{_quoted(one.plate)},{well},none,none,treatment" for one in exports for well in one.wells()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\n#') else text


def read_given(path: str, exports: Sequence[Export]) -> Mapped:
    """Find out how a plate map is to be read for these plates.

    Raises:
        InputError: it cannot be read, or its wells or perturbations cannot be told; names its columns.
    """
    options, notes = _columns(path)
    table = _read(options)
    if PLATE not in options.get("columns", {}) and len(exports) == 1:
        named = set(table[PLATE]) - {""}
        if named and exports[0].plate not in named and len(named) == 1:
            options = {**options, "plate": exports[0].plate}
            options["columns"] = {key: name for key, name in options.get("columns", {}).items() if key != PLATE}
            notes.append(f"the map calls the plate '{next(iter(named))}'; 'plate' says that it is this one")
            table = _read(options)
    conditions: dict[tuple[str, str], int] = {}
    for one in exports:
        rows, problems = join(one.wells(), table, plate=one.plate)
        if any(problem.reason == "well_without_images" for problem in problems):
            options = {**options, "partial": True}
        treated = rows[rows[CONTROL_TYPE] != "empty"]
        for pair in zip(treated[PERTURBATION], treated[STIMULATION], strict=True):
            conditions[pair] = conditions.get(pair, 0) + 1
    if options.get("partial"):
        notes.append("the map has more wells than the export; 'partial' lets them be")
    return Mapped(options=options, conditions=conditions, notes=tuple(notes))


def _read(options: Mapping[str, Any]) -> pd.DataFrame:
    try:
        return read_platemap(PlatemapConfig.from_plain(options))
    except ValidationError as error:
        raise InputError(f"{options['path']}: {error.errors()[0]['msg']}") from None


def _columns(path: str) -> tuple[dict[str, Any], list[str]]:
    """Return options that name the columns of a table or the layers of a layout, and what was guessed."""
    file = Path(path)
    table = read_assay_layout(file) if is_assay_layout(file) else read_text_table(file, what="a plate map")
    options: dict[str, Any] = {"path": path}
    if is_barcode_platemap(table):
        name = "broad_sample"
        blank = {"control_type": "negcon", "perturbation": "DMSO"}
        return {**options, "columns": {PERTURBATION: name}, "blank": blank}, ["wells without a sample count as DMSO"]
    columns: dict[str, str] = {}
    notes = []
    if WELL not in table.names:
        options |= _well(table, columns)
    for ours, words in _CALLED.items():
        theirs = None if ours in table.names else _called(table, words, set(columns.values()))
        if theirs:
            columns[ours] = theirs
            notes.append(f"{ours} is their column '{theirs}'")
    if PERTURBATION not in {*table.names, *columns}:
        unfilled = [name for name in table.names if any(word in name.lower() for word in _CALLED[PERTURBATION])]
        if unfilled:
            raise InputError(
                f"{path}: '{unfilled[0]}' has no value in any well; write there what was given, or leave the map out"
            )
        raise InputError(
            f"{path}: no column is called {PERTURBATION}, or as a treatment, compound, gene or condition; it has "
            f"{some_of(table.names)}; rename the column that says what was given to {PERTURBATION}"
        )
    types = _control_types(table, columns)
    perturbations = table.column(columns.get(PERTURBATION, PERTURBATION)).str.strip()
    if (perturbations == "").any():
        options["blank"] = "empty"
        notes.append("wells without a perturbation count as empty; write 'blank: negcon' where they are controls")
    options |= {"columns": columns} if columns else {}
    return options | ({"control_types": types} if types else {}), notes


def _well(table: TextTable, columns: dict[str, str]) -> dict[str, str]:
    by_lower = {name.lower(): name for name in table.names}
    found = [name for name in table.names if len(table) and all(map(is_well, table.column(name)))]
    if found:
        columns[WELL] = found[0]
        return {}
    column = by_lower.get("column") or by_lower.get("col")
    if "row" in by_lower and column:
        return {"row": by_lower["row"], "column": column}
    raise InputError(
        f"{table.file}: no column of wells (A01, A02 ...) and no pair 'row' and 'column'; it has {some_of(table.names)}"
    )


def _called(table: TextTable, words: Sequence[str], taken: set[str]) -> str | None:
    there = {name: table.column(name).str.strip() for name in table.names if name not in taken}
    free = [name for name, texts in there.items() if texts.any()]
    found: list[str] = []
    for word in words:
        exact = [name for name in free if name.lower().removeprefix("metadata_") == word]
        near = [name for name in free if word in name.lower()]
        found += exact or near
    # A column with one value in all wells tells nothing apart: another of these names comes first.
    return min(found, key=lambda name: there[name].nunique() < 2, default=None)


def _control_types(table: TextTable, columns: dict[str, str]) -> dict[str, str]:
    """Return the translation of their control types; a column of other words is left out."""
    name = columns.get(CONTROL_TYPE, CONTROL_TYPE)
    if name not in table.names:
        return {}
    words = set(table.column(name).str.strip()) - set(CONTROL_TYPES)
    known = {word: next((ours for part, ours in _TYPES.items() if part in word.lower()), "") for word in words}
    known |= {"": "treatment"} if "" in words else {}
    if all(known.values()):
        return known
    columns.pop(CONTROL_TYPE, None)
    return {}
