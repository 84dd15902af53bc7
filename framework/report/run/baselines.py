"""Section about baselines: is the model better than what anybody could have done without it?"""

from __future__ import annotations

from framework.report.beside import baselines_shown
from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig


@SECTIONS.register("baselines", SectionConfig)
class BaselinesSection(ReportSection):
    """The model beside predictors that know less."""

    order = 8

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section of the evaluation's baselines, or how to make them."""
        if inputs.evaluation is None:
            return None
        return baselines_shown(inputs.evaluation.summary) or Note(
            text="Baselines: none were asked for. Set the model beside cell counts, brightness and others:",
            command=f"wellstream evaluate {inputs.run.path_shown} --baselines all",
        )
