"""From folders to one file: asks ``SECTIONS`` for what there is to show, and says what is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import anndata

from framework.data.dataset import Dataset
from framework.durable import write_text
from framework.errors import ConfigError, InputError
from framework.files.outputs import check_output_file
from framework.report.page import Note, Section, render_page
from framework.report.page_inputs import Inputs, read_inputs
from framework.report.run.well_map import write_well_map
from framework.report.sections import load_sections, sections_in_order

REPORT_NAME = "report.html"
log = logging.getLogger(__name__)

load_sections("framework.report.run")


def write_report(
    run: Path | str,
    *,
    dataset: Path | str | None = None,
    evaluation: Path | str | None = None,
    embeddings: Path | str | None = None,
    figures: Path | str | None = None,
    truth: Path | str | None = None,
    out: Path | str | None = None,
    map_out: Path | str | None = None,
) -> Path:
    """Write one self-contained HTML page about a run.

    Args:
        run: run folder; finished or not.
        dataset: the dataset it was trained on; None: the one that its config names, where that is still there.
        evaluation: folder of ``wellstream evaluate``; default ``<run>/evaluation`` when that is there.
        embeddings: ``.h5ad`` of ``wellstream embed``, of tiles or of wells.
        figures: folder of ``wellstream figure``; default ``<run>/figures`` when that is there.
        truth: ``truth.parquet`` of a simulated plate, to show what was found of what is true.
        out: the file to write; default ``<run>/report.html``.
        map_out: file of an interactive page of the embeddings to write too; see ``well_map``.

    Returns:
        The file. Equal inputs give equal bytes.

    Raises:
        RunError: no run folder.
        WellstreamError: a given input cannot be read.
    """
    folder = Path(run)
    file = Path(out) if out is not None else folder / REPORT_NAME
    if out is not None:
        check_output_file(file, ".html")
    if map_out is not None:
        check_output_file(map_out, ".html")
        if Path(map_out).resolve() == file.resolve():
            raise ConfigError(f"{map_out}: is the name of the page itself; give the map another name with --map")
    given = (Path(path) if path is not None else None for path in (evaluation, embeddings, figures, truth))
    inputs = read_inputs(folder, dataset, *given)
    on_map = None if map_out is None else (*_shown_on_map(inputs), map_out)
    for note in inputs.notes:
        log.warning("%s", note)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, build_report(inputs))
    if on_map is not None:
        write_well_map(*on_map, inputs.run.root.resolve().name)
    return file


def _shown_on_map(inputs: Inputs) -> tuple[Dataset, anndata.AnnData]:
    if inputs.embeddings is None:
        raise InputError("a map shows embeddings: name the .h5ad of wellstream embed with --embeddings")
    if inputs.dataset is None:
        raise InputError("a map shows cells: name the dataset that was embedded with --data")
    return inputs.dataset, inputs.embeddings


def build_report(inputs: Inputs) -> str:
    """Return the page."""
    sections: list[Section] = []
    missing = [Note(text=text, doubt=True) for text in inputs.notes]
    for entry in sections_in_order():
        built = entry.build(inputs)
        if isinstance(built, Section):
            sections.append(built)
        elif built is not None:
            missing.append(built)
    if missing:
        sections.append(
            Section(anchor="missing", title="Not shown", lead="Parts whose input was not there.", blocks=missing)
        )
    objective = inputs.run.section("objective").get("name", "run")
    name = inputs.dataset.manifest.name if inputs.dataset is not None else inputs.run.section("data").get("path", "")
    return render_page(inputs.run.root.resolve().name, f"{objective} on {name}" if name else str(objective), sections)
