"""Measurements: ratios in one run, with the physical limit beside them; `python -m benchmarks THEME`."""
