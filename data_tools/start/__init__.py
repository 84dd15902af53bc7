"""A first config for an export: what it is, what is in it, and the YAML that ingests it."""

from data_tools.start.cells import CellsFound
from data_tools.start.export import PlatesFound, find_export
from data_tools.start.omics_entry import OmicsEntry, omics_entry
from data_tools.start.platemaps import Mapped, read_given, template
from data_tools.start.written import ingest_yaml

__all__ = [
    "CellsFound",
    "Mapped",
    "OmicsEntry",
    "PlatesFound",
    "find_export",
    "ingest_yaml",
    "omics_entry",
    "read_given",
    "template",
]
