"""Synthetic experiments with known truth: a config goes in, a raw export like an instrument's comes out.

``simulate_plate`` writes a Harmony export, a plate map, omics tables and the tables that say what is true.
"""

from data_tools.simulate.plate import PlateSummary, simulate_plate
from data_tools.simulate.plate_config import CHANNELS, PlateConfig

__all__ = ["CHANNELS", "PlateConfig", "PlateSummary", "simulate_plate"]
