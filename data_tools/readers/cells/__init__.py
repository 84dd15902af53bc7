"""Readers of single cells, chosen by ``name`` in a config: each gives a ``CellListing``, and pixels on demand."""

from data_tools.readers.cells import cif, crops, deeploc, h5sc, hpa, ideas, multipage, stack, transcripts
from data_tools.readers.cells.base import CELL_READERS, CellImage, CellListing, CellProblem, CellReader

__all__ = [
    "CELL_READERS",
    "CellImage",
    "CellListing",
    "CellProblem",
    "CellReader",
    "cif",
    "crops",
    "deeploc",
    "h5sc",
    "hpa",
    "ideas",
    "multipage",
    "stack",
    "transcripts",
]
