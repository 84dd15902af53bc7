"""Ingest: raw exports in, one dataset out, on Dask; bounded in memory, restartable, byte for byte reproducible."""

from data_tools.cells_config import CellsIngestConfig
from data_tools.ingest_config import IngestConfig
from data_tools.pipeline.cell_ingest import CellsSummary
from data_tools.pipeline.entry import ingest, load_ingest_config
from data_tools.pipeline.orchestrate import IngestSummary
from data_tools.pipeline.runner import PipelineError, open_runner

__all__ = [
    "CellsIngestConfig",
    "CellsSummary",
    "IngestConfig",
    "IngestSummary",
    "PipelineError",
    "ingest",
    "load_ingest_config",
    "open_runner",
]
