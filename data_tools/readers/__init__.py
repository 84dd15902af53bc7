"""Readers of raw exports, chosen by ``name`` in a config: one ``Export`` form for every vendor."""

from data_tools.readers import filenames, harmony
from data_tools.readers.base import READERS, Export, ImageError, ImageRef, Problem, read_image

__all__ = ["READERS", "Export", "ImageError", "ImageRef", "Problem", "filenames", "harmony", "read_image"]
