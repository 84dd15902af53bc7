"""The report: one self-contained HTML page made from a folder of results and what was computed with it."""

from framework.report.expression.page import write_expression_report
from framework.report.features.page import write_feature_report
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.look.dataset import write_dataset_report
from framework.report.look.page import write_look
from framework.report.omics.drawing import FiguresSummary, draw_figures, figure_rows
from framework.report.run.page import REPORT_NAME, write_report

__all__ = [
    "FIGURES",
    "REPORT_NAME",
    "FigureInputs",
    "FiguresSummary",
    "draw_figures",
    "figure_rows",
    "write_dataset_report",
    "write_expression_report",
    "write_feature_report",
    "write_look",
    "write_report",
]
