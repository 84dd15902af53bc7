"""Single cells measured otherwise: tables joined to the nuclei of a plate, and the CITE-seq side of IFC-seq."""

from data_tools.single_cell.config import SingleCellConfig
from data_tools.single_cell.measurements import CellsConfig, CellTable, check_header, join_cells, read_cells
from data_tools.single_cell.prepare import PreparedCells, prepare_cells

__all__ = [
    "CellTable",
    "CellsConfig",
    "PreparedCells",
    "SingleCellConfig",
    "check_header",
    "join_cells",
    "prepare_cells",
    "read_cells",
]
