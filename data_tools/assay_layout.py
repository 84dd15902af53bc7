"""The assay layout that Harmony exports beside its images: an XML file that says, layer by layer, what a well holds."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element  # types only: xml_file parses

import numpy as np
import pandas as pd

from data_tools.formats.xml_file import children, xml_tree
from data_tools.wells import normalise_well
from framework.data.format.schema import WELL
from framework.errors import InputError
from framework.files.delimited import TextTable
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
