"""Section about scores: whatever evaluation the page is given."""

from __future__ import annotations

from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig, show_evaluation


@SECTIONS.register("scores", SectionConfig)
class ScoresSection(ReportSection):
    """The evaluation, shown as its kind asks."""

    order = 10

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section of the evaluation, or how to make one."""
        if inputs.evaluation is not None:
            return show_evaluation(inputs.evaluation)
        name = inputs.run.path_shown
        return Note(
            text="Scores: no evaluation was given. Make predictions and evaluate them:",
            command=f"wellstream predict {name} --data DATASET --out P.h5ad && wellstream evaluate P.h5ad --data "
            f"DATASET --out {name}/evaluation",
        )
