"""Single cells measured otherwise: tables joined to the nuclei of a plate, and the CITE-seq side of IFC-seq."""

from data_tools.single_cell.config import SingleCellConfig
from data_tools.single_cell.measurements import (
    CellsConfig,
    CellTable,
    cells_of_well,
    join_cells,
    read_cell_table,
    read_cells,
    wells_of,
)
from data_tools.single_cell.prepare import PreparedCells, prepare_cells

__all__ = [
    "CellTable",
    "CellsConfig",
    "PreparedCells",
    "SingleCellConfig",
    "cells_of_well",
    "join_cells",
    "prepare_cells",
    "read_cell_table",
    "read_cells",
    "wells_of",
]
