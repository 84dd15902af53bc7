"""Section about intervals: do they hold what they promise, and where do they not."""

from __future__ import annotations

import pandas as pd

from framework.evaluate.covered import COVERAGE, told
from framework.format import count, number, percent
from framework.report.page import Block, Grid, Note, Numbers, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_MOST_ROWS = 30
_LEADS = {
    "plate": "Per plate",
    "condition": "Per condition, least covered first",
    "column": "Per gene or marker, least covered first",
}


@SECTIONS.register("coverage", SectionConfig)
class CoverageSection(ReportSection):
    """Coverage of intervals; nothing where predictions have none."""

    order = 13

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section of the evaluation's coverage."""
        if inputs.evaluation is None or COVERAGE not in inputs.evaluation.tables:
            return None
        targets = inputs.evaluation.summary[COVERAGE]["targets"]
        shown = [
            (percent(each["covered"]), f"of {each['target']} in intervals of nominal {percent(each['level'])}")
            for each in targets
        ]
        blocks: list[Block] = [Numbers(items=shown)]
        blocks += [Note(text=sentence) for each in targets for sentence in told(each)]
        blocks += [_grid(inputs.evaluation.tables[COVERAGE], of, lead) for of, lead in _LEADS.items()]
        return Section(
            anchor="coverage",
            title="Intervals",
            lead="Do the intervals of predictions hold as many measured values as they promise?",
            blocks=blocks,
        )


def _grid(table: pd.DataFrame, of: str, lead: str) -> Grid:
    rows = table[(table["of"] == of) & (table["n"] > 0)]
    if of != "plate":
        rows = rows.sort_values("covered", kind="stable")
    more = f" The first {_MOST_ROWS} of {len(rows)}." if len(rows) > _MOST_ROWS else ""
    return Grid(
        headers=("target", "split", of, "held", "values", "width"),
        rows=[
            (
                str(row["target"]),
                str(row["seed"]),
                str(row["name"]) + (" (new)" if row["new_plate"] else ""),
                percent(row["covered"]),
                count(int(row["n"])),
                number(row["width"], ".3g"),
            )
            for row in rows.head(_MOST_ROWS).to_dict(orient="records")
        ],
        numeric=frozenset({3, 4, 5}),
        caption=f"{lead}.{more}",
    )
