"""Ingest: raw exports in, one dataset out, on Dask; bounded in memory, restartable, byte for byte reproducible."""

from data_tools.pipeline.build.convert import convert
from data_tools.pipeline.build.runner import PipelineError, open_runner
from data_tools.pipeline.build.update import UpdateSummary
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.ingest import CellsSummary
from data_tools.pipeline.entry import ingest, load_ingest_config, look, update
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.ingest import IngestSummary

__all__ = [
    "CellsIngestConfig",
    "CellsSummary",
    "IngestConfig",
    "IngestSummary",
    "PipelineError",
    "UpdateSummary",
    "convert",
    "ingest",
    "load_ingest_config",
    "look",
    "open_runner",
    "update",
]
