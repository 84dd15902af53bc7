"""Section about embeddings: the map of wells."""

from __future__ import annotations

import anndata
import pandas as pd

from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, SOURCE, STIMULATION
from framework.evaluate.wells import well_embeddings
from framework.report.figures.embedding import NEIGHBOURS, Colouring, embedding_map, project
from framework.report.page import Block, Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig


@SECTIONS.register("embeddings", SectionConfig)
class EmbeddingsSection(ReportSection):
    """The map of well embeddings."""

    order = 40

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        run = inputs.run.path_shown
        section = embedding(inputs.embeddings, run) if inputs.embeddings is not None else None
        return section or Note(
            text="Map of well embeddings: no embeddings of three wells or more were given.",
            command=f"wellstream embed {run} --data DATASET --out E.h5ad",
        )


def embedding(data: anndata.AnnData, run: str) -> Section | None:
    """Return the map of well embeddings of a run; None with fewer than three wells."""
    table = well_embeddings(data)
    if len(table.wells) < 3:
        return None
    points, method = project(table.vectors)
    blocks: list[Block] = [embedding_map(points, method, colourings_of(table.wells))]
    if method == "PCA":
        blocks.append(why_principal(len(table.wells)))
    blocks.append(
        Note(
            text="A page on which each point shows its cells, its well and its nearest wells:",
            command=f"wellstream report {run} --embeddings E.h5ad --map wells.html",
        )
    )
    return Section(anchor="embeddings", title="Embeddings", lead="Which wells look alike to the model?", blocks=blocks)


def why_principal(wells: int) -> Note:
    """Return why a map of wells is drawn with principal components."""
    if wells <= NEIGHBOURS:
        return Note(
            text=f"Drawn with principal components: UMAP compares each well with {NEIGHBOURS} others, and there are "
            f"{wells} wells."
        )
    return Note(
        text="Drawn with principal components, because umap-learn is not installed. For UMAP:",
        command="pip install 'wellstream[analysis]'",
    )


def colourings_of(wells: pd.DataFrame) -> dict[str, Colouring]:
    """Return by what a map of wells is coloured: title -> labels."""
    colourings: dict[str, Colouring] = {}
    if STIMULATION in wells.columns and wells[STIMULATION].astype(str).nunique() > 1:
        colourings["Stimulation"] = Colouring(labels=wells[STIMULATION])
    if PERTURBATION in wells.columns:
        named = wells[PERTURBATION].astype(str)
        is_control = (
            wells[CONTROL_TYPE].astype(str).isin(["negcon", "poscon"]) if CONTROL_TYPE in wells.columns else named == ""
        )
        labels = named.where(~is_control, named + " (control)")
        colourings["Perturbation"] = Colouring(labels=labels, first=tuple(sorted(labels[is_control].unique())))
    if len(colourings) < 2 and SOURCE in wells.columns:
        colourings["Plate" if PLATE in wells.columns else "Source"] = Colouring(labels=wells[SOURCE])
    return colourings
