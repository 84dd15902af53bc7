"""The page of expression per cell."""
