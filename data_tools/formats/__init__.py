"""Bytes of file formats: TIFF, LZW, CIF, FCS. They know no plate and no cell."""
