"""Cells that are cropped already, or that a reader crops, to a dataset."""
