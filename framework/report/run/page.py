"""From folders to one file: reads, builds the sections that have something to show, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from framework.durable import write_text
from framework.report.page import Note, Section, render_page
from framework.report.run import dataset as dataset_sections
from framework.report.run import inpainting, scores, training
from framework.report.run.inputs import Inputs, read_inputs

REPORT_NAME = "report.html"


def write_report(
    run: Path | str,
    *,
    dataset: Path | str | None = None,
    evaluation: Path | str | None = None,
    embeddings: Path | str | None = None,
    out: Path | str | None = None,
) -> Path:
    """Write one self-contained HTML page about a run.

    Args:
        run: run folder; finished or not.
        dataset: the dataset it was trained on.
        evaluation: folder of ``wellstream evaluate``; default ``<run>/evaluation`` when that is there.
        embeddings: ``.h5ad`` of ``wellstream embed``, of tiles or of wells.
        out: the file to write; default ``<run>/report.html``.

    Returns:
        The file. Equal inputs give equal bytes.

    Raises:
        RunError: no run folder.
        WellstreamError: a given input cannot be read.
    """
    folder = Path(run)
    given = (Path(path) if path is not None else None for path in (evaluation, embeddings))
    inputs = read_inputs(folder, dataset, *given)
    file = Path(out) if out is not None else folder / REPORT_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, build_report(inputs))
    return file


def build_report(inputs: Inputs) -> str:
    """Return the page."""
    missing: list[Note] = []
    sections = [training.overview(inputs)]
    for build, note in _parts(inputs):
        section = build()
        if section is not None:
            sections.append(section)
        elif note is not None:
            missing.append(note)
    if missing:
        sections.append(
            Section(anchor="missing", title="Not shown", lead="Parts whose input was not there.", blocks=missing)
        )
    objective = inputs.run.section("objective").get("name", "run")
    name = inputs.dataset.manifest.name if inputs.dataset is not None else inputs.run.section("data").get("path", "")
    return render_page(inputs.run.root.resolve().name, f"{objective} on {name}" if name else str(objective), sections)


def _parts(inputs: Inputs) -> list[tuple[Callable[[], Section | None], Note | None]]:
    """Return section builders in reading order, each with what to say when it gives nothing."""
    dataset, evaluation, embeddings, run = inputs.dataset, inputs.evaluation, inputs.embeddings, inputs.run
    notes = _notes(inputs)
    return [
        (lambda: scores.scores(evaluation) if evaluation else None, notes["scores"]),
        (lambda: training.training(run), notes["training"]),
        (lambda: inpainting.inpainting(run.root), notes["inpainting"]),
        (lambda: dataset_sections.embedding(embeddings) if embeddings is not None else None, notes["embeddings"]),
        (lambda: dataset_sections.plates(dataset, embeddings) if dataset else None, notes["plates"]),
        (lambda: dataset_sections.tiles(dataset) if dataset else None, notes["tiles"]),
        (lambda: dataset_sections.nuclei(dataset) if dataset else None, notes["nuclei"]),
        (lambda: dataset_sections.illumination(dataset) if dataset else None, notes["illumination"]),
        (lambda: dataset_sections.skipped(dataset) if dataset else None, None),
        (lambda: training.reproduce(run), None),
    ]


def _notes(inputs: Inputs) -> Mapping[str, Note | None]:
    name = inputs.run.path_shown
    again = f"wellstream report {name} --data DATASET"
    ingest = "wellstream ingest CONFIG"
    no_data = inputs.dataset is None
    return {
        "scores": Note(
            text="Scores: no evaluation was given. Make predictions and evaluate them:",
            command=f"wellstream predict {name} --data DATASET --out P.h5ad && wellstream evaluate P.h5ad --data "
            f"DATASET --out {name}/evaluation",
        ),
        "training": Note(
            text="Training: metrics.jsonl holds no loss. Start or continue the run:", command="wellstream train CONFIG"
        ),
        "inpainting": Note(
            text="Painted cells: none were painted yet. Paint the held-out cells:",
            command=f"wellstream inpaint {name} --data DATASET",
        )
        if inputs.run.section("objective").get("name") == "paired_inpainting"
        else None,
        "embeddings": Note(
            text="Map of well embeddings: no embeddings of three wells or more were given.",
            command=f"wellstream embed {name} --data DATASET --out E.h5ad",
        ),
        "plates": Note(text="Plate heat-maps: the dataset was not given.", command=again)
        if no_data
        else Note(text="Plate heat-maps: the wells of this dataset have no plate positions such as A01."),
        "tiles": Note(text="Tiles: the dataset was not given.", command=again)
        if no_data
        else Note(text="Tiles: the dataset holds none; loosen its nuclei settings.", command=ingest),
        "nuclei": Note(text="Nuclei: the dataset was not given.", command=again)
        if no_data
        else Note(
            text="Nuclei: the dataset keeps no field overviews (qc/index.json); ingest from raw fields makes them.",
            command=ingest,
        ),
        "illumination": Note(text="Illumination: the dataset was not given.", command=again)
        if no_data
        else Note(
            text="Illumination: the dataset keeps no flat-fields (qc/flatfield_*.npy); ingest with correction makes "
            "them.",
            command=ingest,
        ),
    }
