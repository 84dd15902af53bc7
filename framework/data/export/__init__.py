"""Datasets in the formats of others: one file per entry of ``EXPORTS``."""

from framework.data.export import h5sc, omezarr, tiff, webdataset
from framework.data.export.base import EXPORTS, Exporter, ExportOptions, Written
from framework.data.export.cells import CellSource
from framework.data.export.write import DatasetExport, export_dataset, is_dataset

__all__ = [
    "EXPORTS",
    "CellSource",
    "DatasetExport",
    "ExportOptions",
    "Exporter",
    "Written",
    "export_dataset",
    "h5sc",
    "is_dataset",
    "omezarr",
    "tiff",
    "webdataset",
]
