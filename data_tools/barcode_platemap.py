"""Plate maps of the Broad Institute: ``barcode_platemap.csv`` says which map each plate has, and each map is a table.

The maps lie in ``platemap/`` beside it, or in its own folder, as ``<name>.txt`` (tab-separated), ``.tsv`` or ``.csv``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from framework.errors import InputError
from framework.files.delimited import TextTable, read_text_table

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
            what = f"plate '{plate}' comes twice" if plate in seen else f"expected {BARCODE} and {MAP_NAME}"
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
