"""Readers of raw exports, chosen by ``name`` in a config: plates give an ``Export``, single cells a ``CellListing``."""

from data_tools.readers import (
    cell_csv,
    cif_cells,
    crops,
    deeploc,
    fcs_table,
    feature_table,
    filenames,
    harmony,
    hpa,
    ideas,
    multipage,
    stack,
)
from data_tools.readers.base import READERS, Export, ImageError, ImageRef, Problem, read_image
from data_tools.readers.cells_base import (
    CELL_READERS,
    CELL_TABLES,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
)

__all__ = [
    "CELL_READERS",
    "CELL_TABLES",
    "READERS",
    "CellImage",
    "CellListing",
    "CellProblem",
    "CellReader",
    "Export",
    "ImageError",
    "ImageRef",
    "Problem",
    "cell_csv",
    "cif_cells",
    "crops",
    "deeploc",
    "fcs_table",
    "feature_table",
    "filenames",
    "harmony",
    "hpa",
    "ideas",
    "multipage",
    "read_image",
    "stack",
]
