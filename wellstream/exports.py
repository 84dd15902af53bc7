"""From raw exports to datasets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools import pipeline
from data_tools.pipeline import CellsIngestConfig, CellsSummary, IngestConfig, IngestSummary, UpdateSummary
from framework.files.outputs import need_folder_name
from framework.progress import OnProgress


def ingest(
    config: Path | str | Mapping[str, Any] | IngestConfig | CellsIngestConfig,
    out: Path | str,
    *,
    overrides: Sequence[str] = (),
    scheduler: str | None = None,
    workers: int | None = None,
    progress: OnProgress | None = None,
    dry_run: bool = False,
) -> IngestSummary | CellsSummary:
    """Turn raw exports into a dataset, or continue where an earlier attempt stopped.

    Args:
        config: a YAML file, a mapping with the same keys, or a config object.
        out: dataset folder.
        overrides: keys with dots and their values, such as ``["tiles.size_px=64"]``; not with a config object.
        scheduler: address of a Dask scheduler; default: workers on this machine.
        workers: local processes; default: one per core; 0 does everything in this process.
        progress: called with (stage, done, total) while the work goes on.
        dry_run: list what would be read and written; write nothing.

    Raises:
        WellstreamError: a config or input that cannot be used; the sentence says what to do.
    """
    if not isinstance(config, IngestConfig | CellsIngestConfig):
        config = pipeline.load_ingest_config(config, overrides)
    need_folder_name(Path(out))
    if isinstance(config, CellsIngestConfig):
        return pipeline.ingest(config, out, scheduler=scheduler, workers=workers, progress=progress, dry_run=dry_run)
    return pipeline.ingest(config, out, scheduler=scheduler, workers=workers, progress=progress, dry_run=dry_run)


def update(
    dataset: Path | str,
    config: Path | str | Mapping[str, Any] | IngestConfig | CellsIngestConfig,
    *,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> UpdateSummary:
    """Replace omics, plate-map columns, tables or labels of cells in a finished dataset; its pixels stay as they are.

    For plates the raw export is not needed, because wells, sites and nuclei are those of the dataset. For cells the
    export is listed, so that tables can be joined to its cells; its pixels are not read. ``history`` in
    ``dataset.json`` says what was changed. If the call is stopped while files are put in place, call it again to go on.

    Args:
        dataset: its folder.
        config: the changed config of its ingest; see ``ingest``.
        overrides: keys with dots and their values; not with a config object.
        progress: called with (stage, done, total) while the work goes on.

    Raises:
        WellstreamError: a key whose change would change pixels, or a table that cannot be used; the dataset is then
            as it was.
    """
    if not isinstance(config, IngestConfig | CellsIngestConfig):
        config = pipeline.load_ingest_config(config, overrides)
    return pipeline.update(config, dataset, progress)
