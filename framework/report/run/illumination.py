"""Section about illumination: the flat-fields kept at ingest."""

from __future__ import annotations

import numpy as np

from framework.data.dataset import Dataset
from framework.files.npz import load_npy
from framework.report.figures.images import flat_fields
from framework.report.kept_figures import kept_figures
from framework.report.page import Block, Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_FLAT_FIELDS = 16


@SECTIONS.register("illumination", SectionConfig)
class IlluminationSection(ReportSection):
    """Flat-fields."""

    order = 70

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section, or why it is not shown."""
        if inputs.dataset is None:
            return Note(
                text="Illumination: the dataset was not given.",
                command=f"wellstream report {inputs.run.path_shown} --data DATASET",
            )
        return illumination(inputs.dataset) or Note(
            text="Illumination: the dataset keeps no flat-fields (qc/flatfield_*.npy); ingest with correction makes "
            "them.",
            command="wellstream ingest CONFIG",
        )


def illumination(dataset: Dataset) -> Section | None:
    """Return the flat-fields kept at ingest; None without any."""
    entries = kept_figures(dataset, "flatfields", ("file", "plate", "channel"))
    fields = {}
    for entry in entries[:_FLAT_FIELDS]:
        field = load_npy(dataset.file(entry["file"]), what="a flat-field (.npy)", then="ingest again")
        if field.ndim == 2:
            fields[f"{entry['channel']} · {entry['plate']}"] = field.astype(np.float64)
    if not fields:
        return None
    blocks: list[Block] = [flat_fields(fields, dataset.manifest.pixel_size_um)]
    if len(entries) > _FLAT_FIELDS:
        blocks.append(
            Note(text=f"{_FLAT_FIELDS} of {len(entries)} flat-fields are shown; the others are in qc/ of the dataset.")
        )
    return Section(
        anchor="illumination",
        title="Illumination",
        lead="What was the uneven light that was divided out?",
        blocks=blocks,
    )
