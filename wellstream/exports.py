"""From raw exports, real or simulated, to datasets and prepared cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_tools import pipeline, simulate, single_cell
from data_tools.pipeline import CellsIngestConfig, CellsSummary, IngestConfig, IngestSummary
from data_tools.simulate import CropsConfig, CropsSummary, IfcConfig, IfcSummary, PlateConfig, PlateSummary
from data_tools.single_cell import PreparedCells, SingleCellConfig
from framework.config import load_config
from framework.progress import OnProgress


def simulate_plate(out: Path | str, **options: Any) -> PlateSummary:
    """Write a simulated plate: a Harmony export, omics tables and the truth behind both.

    Args:
        out: folder to write.
        options: of ``data_tools.simulate.PlateConfig``, as ``perturbations=12, size_px=540``.

    Raises:
        WellstreamError: an unknown option, or a folder that holds something else.
    """
    return simulate.simulate_plate(load_config(options, PlateConfig), Path(out))


def simulate_crops(out: Path | str, **options: Any) -> CropsSummary:
    """Write crops of a simulated library of tagged proteins; options of ``CropsConfig``. Else as ``simulate_plate``."""
    return simulate.simulate_crops(load_config(options, CropsConfig), Path(out))


def simulate_ifc(out: Path | str, **options: Any) -> IfcSummary:
    """Write a simulated imaging flow cytometry export and sequenced cells of the same populations.

    Options of ``IfcConfig``. Else as ``simulate_plate``.
    """
    return simulate.simulate_ifc(load_config(options, IfcConfig), Path(out))


def ingest(
    config: Path | str | Mapping[str, Any] | IngestConfig | CellsIngestConfig,
    out: Path | str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: OnProgress | None = None,
    dry_run: bool = False,
) -> IngestSummary | CellsSummary:
    """Turn raw exports into a dataset, or continue where an earlier attempt stopped.

    Args:
        config: a YAML file, what it would hold as a mapping, or a config object.
        out: dataset folder.
        scheduler: address of a Dask scheduler; default: workers on this machine.
        workers: local processes; default: one per core; 0 does everything in this process.
        progress: called with (stage, done, total).
        dry_run: list what would be read and written; write nothing.

    Raises:
        WellstreamError: a config or input that cannot be used; the sentence says what to do.
    """
    options: Any = {"scheduler": scheduler, "workers": workers, "progress": progress, "dry_run": dry_run}
    settings: Any = config
    if not isinstance(config, IngestConfig | CellsIngestConfig):
        settings = pipeline.load_ingest_config(config)
    made: IngestSummary | CellsSummary = pipeline.ingest(settings, out, **options)
    return made


def prepare(config: Path | str | Mapping[str, Any] | SingleCellConfig, out: Path | str) -> PreparedCells:
    """Prepare a CITE-seq experiment: filter cells and genes, log, gate populations, rank their marker genes.

    Args:
        config: a YAML file, what it would hold as a mapping, or a config object.
        out: ``.h5ad`` to write.

    Raises:
        WellstreamError: a config or table that cannot be used.
    """
    settings = config if isinstance(config, SingleCellConfig) else load_config(config, SingleCellConfig)
    return single_cell.prepare_cells(settings, Path(out))
