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
    return _counts(read_folder(folder), kind)


def read_10x_h5(file: Path, kind: str) -> Counts:
    """Read a feature-barcode matrix; ``kind`` of features where it does not say.

    Raises:
        InputError: no such matrix, or a damaged one.
    """
    return _counts(read_h5(file), kind)


def _counts(found: FeatureBarcodes, kind: str) -> Counts:
    kinds = [kind] * len(found.names) if found.kinds is None else [stated or kind for stated in found.kinds]
    return counts_of(found.values, found.barcodes, distinct(found.names, kinds), kinds)
