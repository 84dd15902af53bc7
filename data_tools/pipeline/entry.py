"""The two kinds of ingest behind one call and one command: ``kind: plates`` (the default) and ``kind: cells``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from data_tools.pipeline.build.attempt import Attempt, carry_out, estimate, estimate_and_look
from data_tools.pipeline.build.folder import BuildFolder
from data_tools.pipeline.build.update import UpdateSummary
from data_tools.pipeline.cells.config import CellsIngestConfig
from data_tools.pipeline.cells.ingest import CellsIngest, CellsSummary
from data_tools.pipeline.cells.update import update_cells
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.ingest import IngestSummary, PlatesIngest
from data_tools.pipeline.plates.update import update_plates
from framework.config.load import apply_overrides, build_config
from framework.config.source import read_yaml
from framework.errors import ConfigError, did_you_mean
from framework.look.values import Look
from framework.progress import OnProgress, untold

_KINDS = ("plates", "cells")


def load_ingest_config(
    path: Path | str | Mapping[str, Any], overrides: Sequence[str] = ()
) -> IngestConfig | CellsIngestConfig:
    """Read an ingest YAML of either kind, or take what it would hold as a mapping.

    Raises:
        ConfigError: no such kind, or with one line per mistake as ``framework.config.load_config``.
    """
    source = read_yaml(path)
    merged = apply_overrides(source, overrides)
    kind = str(merged.data.get("kind", "plates"))
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
    progress: OnProgress | None = None,
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
    progress: OnProgress | None = None,
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
    progress: OnProgress | None = None,
    dry_run: bool = False,
) -> IngestSummary | CellsSummary:
    """Turn raw exports into a dataset, or continue where an earlier attempt stopped.

    Args:
        config: what to ingest.
        out: dataset folder: new, empty, or that of an earlier attempt with the same config.
        scheduler: address of a Dask scheduler whose workers see the same files; default: workers on this machine.
        workers: local processes; default one per core; 0 does all in this process.
        progress: called with (stage, done, total).
        dry_run: list what would be read and written; write nothing.

    Raises:
        ConfigError: fewer than 0 workers.
        InputError: input that cannot be used; with ``on_error: skip`` only what concerns the config as a whole.
        DatasetError: a folder that holds something else, is not writable, or a full disk.
        PipelineError: workers that die or a scheduler that does not answer.
    """
    if workers is not None and workers < 0:
        raise ConfigError(f"workers: expected a number from 0 on (0: all in this process), found {workers}")
    attempt = Attempt(
        folder=BuildFolder(root=Path(out).absolute(), base=Path.cwd()),
        scheduler=scheduler,
        workers=workers,
        report=progress or untold,
    )
    step = estimate if dry_run else carry_out
    if isinstance(config, CellsIngestConfig):
        return step(CellsIngest(config), attempt)
    return step(PlatesIngest(config), attempt)


def look(
    config: IngestConfig | CellsIngestConfig, out: Path | str, progress: OnProgress | None = None
) -> tuple[IngestSummary | CellsSummary, Look | None]:
    """Return what an ingest would make, as ``ingest`` with ``dry_run``, and what some of its fields look like.

    Raises:
        InputError: as ``ingest``.
    """
    folder = BuildFolder(root=Path(out).absolute(), base=Path.cwd())
    attempt = Attempt(folder=folder, scheduler=None, workers=0, report=progress or untold)
    if isinstance(config, CellsIngestConfig):
        return estimate_and_look(CellsIngest(config), attempt)
    return estimate_and_look(PlatesIngest(config), attempt)


def update(
    config: IngestConfig | CellsIngestConfig, dataset: Path | str, progress: OnProgress | None = None
) -> UpdateSummary:
    """Give a finished dataset other omics, plate-map columns, tables of cells or labels; pixels stay as they are.

    Raises:
        DatasetError: a dataset of another kind, or as ``update_plates`` and ``update_cells``.
        InputError: as these.
    """
    root = Path(dataset).absolute()
    if isinstance(config, CellsIngestConfig):
        return update_cells(config, root, Path.cwd(), progress or untold)
    return update_plates(config, root, Path.cwd(), progress or untold)
