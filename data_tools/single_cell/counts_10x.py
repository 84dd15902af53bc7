"""Counts of single cells as Cell Ranger writes them: a folder of three files, or one HDF5 file (versions 2 and 3)."""

from __future__ import annotations

from pathlib import Path

from data_tools.formats.feature_barcode import FeatureBarcodes, read_folder, read_h5
from data_tools.single_cell.counts import Counts, counts_of, distinct


def read_10x_folder(folder: Path, kind: str) -> Counts:
    """Read the matrix, features and barcodes of a folder; ``kind`` of features where it does not say.

    Raises:
        InputError: a file is not there, damaged, or does not fit the others.
    """
    return _counts(read_folder(folder), kind, folder)


def read_10x_h5(file: Path, kind: str) -> Counts:
    """Read a feature-barcode matrix; ``kind`` of features where it does not say.

    Raises:
        InputError: no such matrix, or a damaged one.
    """
    return _counts(read_h5(file), kind, file)


def _counts(found: FeatureBarcodes, kind: str, file: Path) -> Counts:
    kinds = [kind] * len(found.names) if found.kinds is None else [stated or kind for stated in found.kinds]
    names = distinct(found.names, kinds)
    again = [(old, new) for old, new in zip(found.names, names, strict=True) if old != new]
    said = (
        (f"{file}: {len(again)} features have the name of another and get a number behind it, as '{again[0][1]}'",)
        if again
        else ()
    )
    return counts_of(found.values, found.barcodes, names, kinds, said)
