"""Synthetic experiments with known truth: a config goes in, a raw export like an instrument's comes out.

``simulate_plate`` writes a Harmony export, a plate map, omics tables and the tables that say what is true;
``simulate_ifc`` an imaging flow cytometry export and a sequencing experiment on the same populations of cells;
``simulate_crops`` crops of a library of tagged proteins.
"""

from data_tools.simulate.crops import CropsConfig, CropsSummary, simulate_crops
from data_tools.simulate.gene_tables import noise_ceiling
from data_tools.simulate.ifc import IfcSummary, simulate_ifc
from data_tools.simulate.ifc_config import IfcConfig
from data_tools.simulate.plate import PlateSummary, simulate_plate
from data_tools.simulate.plate_config import CHANNELS, PlateConfig

__all__ = [
    "CHANNELS",
    "CropsConfig",
    "CropsSummary",
    "IfcConfig",
    "IfcSummary",
    "PlateConfig",
    "PlateSummary",
    "noise_ceiling",
    "simulate_crops",
    "simulate_ifc",
    "simulate_plate",
]
