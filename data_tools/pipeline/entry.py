"""The two kinds of ingest behind one call and one command: ``kind: plates`` (the default) and ``kind: cells``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

from data_tools.cells_config import CellsIngestConfig
from data_tools.ingest_config import IngestConfig
from data_tools.pipeline import cell_ingest, orchestrate
from data_tools.pipeline.cell_ingest import CellsSummary
from data_tools.pipeline.orchestrate import IngestSummary
from framework.config.load import apply_overrides, build_config
from framework.config.source import read_yaml
from framework.errors import ConfigError, did_you_mean

_KINDS = ("plates", "cells")


def load_ingest_config(path: Path | str, overrides: Sequence[str] = ()) -> IngestConfig | CellsIngestConfig:
    """Read an ingest YAML of either kind.

    Raises:
        ConfigError: no such kind, or with one line per mistake as ``framework.config.load_config``.
    """
    source = read_yaml(path)
    merged = apply_overrides(source, overrides) if isinstance(source.data, dict) else source
    kind = str(merged.data.get("kind", "plates")) if isinstance(source.data, dict) else "plates"
    if kind == "cells":
        return build_config(source, CellsIngestConfig, overrides)
    if kind != "plates":
        raise ConfigError(
            f"{merged.where(('kind',))}: kind: expected one of: {', '.join(_KINDS)}, found '{kind}'"
            + did_you_mean(kind, _KINDS)
        )
    return build_config(source, IngestConfig, overrides)


@overload
def ingest(
    config: IngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    dry_run: bool = False,
) -> IngestSummary:
    """Ingest plates."""
    ...


@overload
def ingest(
    config: CellsIngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    dry_run: bool = False,
) -> CellsSummary:
    """Ingest cells."""
    ...


def ingest(
    config: IngestConfig | CellsIngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    dry_run: bool = False,
) -> IngestSummary | CellsSummary:
    """Turn raw exports into a dataset; see ``orchestrate.ingest`` and ``cell_ingest.ingest_cells``."""
    if isinstance(config, CellsIngestConfig):
        return cell_ingest.ingest_cells(
            config, out, scheduler=scheduler, workers=workers, progress=progress, dry_run=dry_run
        )
    return orchestrate.ingest(config, out, scheduler=scheduler, workers=workers, progress=progress, dry_run=dry_run)
