"""From raw exports to one dataset format, on Dask."""
