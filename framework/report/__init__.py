"""The report: one self-contained HTML page made from a folder of results and what was computed with it."""

from framework.report.expression.page import write_expression_report
from framework.report.features.page import write_feature_report
from framework.report.run.page import REPORT_NAME, write_report

__all__ = ["REPORT_NAME", "write_expression_report", "write_feature_report", "write_report"]
