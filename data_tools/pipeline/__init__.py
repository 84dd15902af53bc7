"""Ingest: raw plates in, one dataset out, on Dask; bounded in memory, restartable, byte for byte reproducible."""

from data_tools.ingest_config import IngestConfig
from data_tools.pipeline.orchestrate import IngestSummary, ingest
from data_tools.pipeline.runner import PipelineError

__all__ = ["IngestConfig", "IngestSummary", "PipelineError", "ingest"]
