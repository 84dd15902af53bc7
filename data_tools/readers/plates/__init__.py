"""Readers of plates, chosen by ``name`` in a config: each gives an ``Export``."""

from data_tools.readers.plates import cellvoyager, filenames, gallery, harmony, image2omics, imagexpress, omezarr
from data_tools.readers.plates.base import READERS, Export, ImageError, ImageRef, read_image, read_sharpest
from data_tools.readers.problem import Problem

__all__ = [
    "READERS",
    "Export",
    "ImageError",
    "ImageRef",
    "Problem",
    "cellvoyager",
    "filenames",
    "gallery",
    "harmony",
    "image2omics",
    "imagexpress",
    "omezarr",
    "read_image",
    "read_sharpest",
]
