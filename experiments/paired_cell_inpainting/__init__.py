"""Paired cell inpainting: features of proteins learnt from pairs of cells."""
