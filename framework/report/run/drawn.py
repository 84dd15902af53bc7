"""Section of figures that ``wellstream figure`` has written."""

from __future__ import annotations

from framework.report.figure_files import figure_blocks
from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig


@SECTIONS.register("figures", SectionConfig)
class FiguresSection(ReportSection):
    """Figures of a folder, whatever entry of ``FIGURES`` drew them."""

    order = 12

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section; nothing where no folder of figures was given or lies in the run."""
        if not inputs.figures:
            return None
        return Section(
            anchor="figures",
            title="Figures",
            lead="What can be read from the images, as the paper shows it?",
            blocks=figure_blocks(inputs.figures),
        )
