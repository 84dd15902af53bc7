"""Plate maps that are not a plain table, read as one: Harmony's assay layouts, and the maps of the Broad Institute.

An assay layout is an XML file that says, layer by layer, what a well holds. ``barcode_platemap.csv`` says which map
each plate has, and each map is a table: ``<name>.txt`` (tab-separated), ``.tsv`` or ``.csv``, in ``platemap/`` beside
it or in its own folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element  # types only: xml_file parses

import numpy as np
import pandas as pd

from data_tools.formats.xml_file import children, xml_tree
from data_tools.wells import is_well, normalise_well
from framework.data.format.schema import WELL
from framework.errors import InputError
from framework.files.delimited import TextTable, read_text_table
from framework.files.failures import first_bytes

_ROOT = "AssayLayout"
_MOST_BYTES = 1 << 26
_HEAD = 2048


def is_assay_layout(file: Path) -> bool:
    """Return whether a file begins as an assay layout does."""
    return f"<{_ROOT}".encode() in first_bytes(file, _HEAD)


def read_assay_layout(file: Path) -> TextTable:
    """Read an assay layout: one row per well that any layer names, a column ``Metadata_Well`` and one per layer.

    Raises:
        InputError: no such file, damaged or too large XML, a well outside the plate, a layer or a well twice.
    """
    root = xml_tree(file, root=_ROOT, what="an assay layout", most=_MOST_BYTES)
    layers: dict[str, dict[str, str]] = {}
    for layer in children(root, "Layer"):
        name = _text(layer, "Name") or f"Layer {len(layers) + 1}"
        if name in layers:
            raise InputError(f"{file}: two layers are called '{name}'; rename one and export the layout again")
        layers[name] = _wells(layer, name, file)
    if not layers:
        raise InputError(f"{file}: the assay layout has no layer; expected one that says what each well holds")
    wells = list(dict.fromkeys(well for cells in layers.values() for well in cells))
    table = {WELL: wells, **{name: [cells.get(well, "") for well in wells] for name, cells in layers.items()}}
    return TextTable(
        file=file,
        names=tuple(table),
        text=pd.DataFrame(table, dtype=object),
        lines=np.arange(1, len(wells) + 1),
        separator="",
        decimal=".",
        encoding="",
        notes=(f"{file}: an assay layout of Harmony with the layers {', '.join(layers)}",),
        counted="well number",
    )


def _text(element: Element, name: str) -> str:
    found = next(children(element, name), None)
    return "" if found is None else (found.text or "").strip()


def _wells(layer: Element, name: str, file: Path) -> dict[str, str]:
    cells: dict[str, str] = {}
    for entry in children(layer, "Well"):
        row, column = _text(entry, "Row"), _text(entry, "Col")
        if not row.isdecimal() or not column.isdecimal():
            raise InputError(f"{file}: layer '{name}': a well in row '{row}', column '{column}'; expected two numbers")
        try:
            well = normalise_well((int(row), int(column)))
        except InputError as error:
            raise InputError(f"{file}: layer '{name}': {error}") from None
        if well in cells:
            raise InputError(f"{file}: layer '{name}' has the well {well} twice; export the layout again")
        cells[well] = _text(entry, "Value")
    return cells


BARCODE, MAP_NAME, POSITION = "Assay_Plate_Barcode", "Plate_Map_Name", "well_position"
_PLATE, _WELL = "Metadata_Plate", "Metadata_Well"
_SUFFIXES = (".txt", ".tsv", ".csv")


def is_barcode_platemap(table: TextTable) -> bool:
    """Whether a table says which map each plate has."""
    return {BARCODE, MAP_NAME} <= set(table.names)


def with_maps(table: TextTable) -> TextTable:
    """Return the rows of the maps of all plates, with the columns Metadata_Plate and Metadata_Well.

    A plate whose map is not there has no rows, and a note says so: whoever reads that plate is told that it is missing.

    Raises:
        InputError: a plate twice, a blank name, a map that cannot be read, or not one map; names the line.
    """
    maps: dict[str, TextTable] = {}
    frames, notes, seen, lost = [], list(table.notes), set(), []
    plates, names = table.column(BARCODE).str.strip(), table.column(MAP_NAME).str.strip()
    for row, (plate, name) in enumerate(zip(plates, names, strict=True)):
        if not plate or not name or plate in seen:
            what = f"plate '{plate}' appears twice" if plate in seen else f"expected {BARCODE} and {MAP_NAME}"
            raise InputError(f"{table.where(row)}: {what}")
        seen.add(plate)
        file = _map_file(table, row, name)
        if file is None:
            lost.append(f"{table.where(row)}: no map '{name}' of plate '{plate}' in {table.file.parent / 'platemap'}")
            continue
        if name not in maps:
            maps[name] = read_text_table(file, what="a plate map")
            notes += maps[name].notes
        frame = maps[name].text.rename(columns={} if _WELL in maps[name].names else {POSITION: _WELL})
        frames.append(frame.assign(**{_PLATE: plate}))
    if not frames:
        raise InputError(lost[0] if lost else f"{table.file}: the table has no row; expected one per plate")
    text = pd.concat(frames, ignore_index=True).fillna("")
    notes.append(f"{table.file}: {len(frames)} plates with {len(maps)} maps and {len(text)} wells")
    if lost:
        notes.append(f"{lost[0]}; {len(lost)} of {len(seen)} plates are left out so")
    return TextTable(
        file=table.file,
        names=tuple(str(name) for name in text.columns),
        text=text,
        lines=np.arange(1, len(text) + 1, dtype=np.int64),
        separator=table.separator,
        decimal=".",
        encoding=table.encoding,
        notes=tuple(dict.fromkeys(notes)),
        counted="well number",
    )


def _map_file(table: TextTable, row: int, name: str) -> Path | None:
    base = table.file.parent
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise InputError(f"{table.where(row)}: {MAP_NAME} '{name[:60]}': expected the name of a file, without a folder")
    tried = [folder / f"{name}{suffix}" for folder in (base / "platemap", base) for suffix in _SUFFIXES]
    return next((file for file in tried if file.is_file()), None)


def is_grid(raw: TextTable) -> bool:
    """Whether a table is drawn as the plate: letters in the first column, the numbers of columns in the header."""
    rows, columns = raw.column(raw.names[0]), [re.sub(r"\.0+$", "", name) for name in raw.names[1:]]
    return (
        len(raw) > 1
        and len(columns) > 1
        and all(map(str.isdecimal, columns))
        and bool(rows.str.fullmatch("[A-Za-z]{1,2}").all())
    )


def way_to_name(raw: TextTable, name: str) -> str:
    """Return what to write where a map lacks a column of ours, with the column that seems meant where one does."""
    if any(map(is_well, raw.names)):
        return "the first line is a row of the table, not its header: write the names of the columns above it"
    if name == WELL:
        by_lower = {known.lower(): known for known in raw.names}
        row = by_lower.get("row")
        column = by_lower.get("column") or by_lower.get("col")
        if row and column:
            return f"name it with 'row: {row}' and 'column: {column}'"
        if is_grid(raw):
            return "this map is drawn as the plate is; write one row per well, with a column of wells (A01, A02 ...)"
        for known in raw.names:
            if len(raw) and all(is_well(cell) for cell in raw.column(known)):
                return f"name it with 'columns: {{{name}: {known}}}'"
    return f"name it with 'columns: {{{name}: ...}}'"
