"""Readers of plates, chosen by ``name`` in a config: each gives an ``Export``."""

from data_tools.readers.plates import filenames, harmony
from data_tools.readers.plates.base import READERS, Export, ImageError, ImageRef, Problem, read_image

__all__ = ["READERS", "Export", "ImageError", "ImageRef", "Problem", "filenames", "harmony", "read_image"]
