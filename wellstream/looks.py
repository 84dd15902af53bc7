"""A look at an export before it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools import pipeline
from data_tools.pipeline import CellsIngestConfig, CellsSummary, IngestConfig, IngestSummary
from framework import report as pages
from framework.files.outputs import need_folder_name
from framework.look.judged import warnings
from framework.progress import OnProgress
from framework.result import Result


@dataclass(frozen=True, kw_only=True, repr=False)
class Preview(Result):
    """What an ingest would make, and the page that shows it.

    Attributes:
        summary: what the dry run found.
        page: the HTML file.
        warnings: sentences on what should be changed first.
    """

    summary: IngestSummary | CellsSummary
    page: Path | None
    warnings: tuple[str, ...] = ()


def preview(
    config: Path | str | Mapping[str, Any] | IngestConfig | CellsIngestConfig,
    out: Path | str,
    *,
    page: Path | str | None = None,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> Preview:
    """Check every input of an ingest, look at some fields, and write ``preview.html``; nothing is built.

    Args:
        config: see ``ingest``.
        out: the dataset folder that would be written.
        page: the file; default: ``<out>.preview.html`` beside that folder.
        overrides: keys with dots and their values, such as ``["tiles.size_px=64"]``; not with a config object.
        progress: called with (stage, done, total) while the work goes on.

    Raises:
        WellstreamError: a config or input that cannot be used; a line for each mistake.
    """
    if not isinstance(config, IngestConfig | CellsIngestConfig):
        config = pipeline.load_ingest_config(config, overrides)
    need_folder_name(Path(out))
    summary, found = pipeline.look(config, out, progress)
    if found is None:
        return Preview(summary=summary, page=None)
    place = Path(out)
    file = Path(page) if page is not None else place.with_name(f"{place.name}.preview.html")
    written = pages.write_look(found, file, "a look before anything is built")
    return Preview(summary=summary, page=written, warnings=warnings(found))
