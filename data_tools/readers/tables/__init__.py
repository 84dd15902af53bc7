"""Tables that belong to cells, chosen by ``name`` in a config."""

from data_tools.readers.tables import csv, fcs, ideas
from data_tools.readers.tables.base import CELL_TABLES

__all__ = ["CELL_TABLES", "csv", "fcs", "ideas"]
