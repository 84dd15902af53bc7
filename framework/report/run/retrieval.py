"""Section about profiles: what they retrieve, class by class, and how batches are mixed."""

from __future__ import annotations

import pandas as pd

from framework.evaluate import Evaluation
from framework.format import count, interval, number
from framework.profiles import RetrievalKind
from framework.report.page import Block, Grid, Note, Numbers, Section
from framework.report.sections import SCORES, SectionConfig


@SCORES.register("retrieval", SectionConfig)
def retrieval(evaluation: Evaluation) -> Section:
    """Return the scores of an evaluation of kind ``retrieval``."""
    summary = evaluation.summary
    blocks: list[Block] = [Note(text=str(note), doubt=True) for note in summary["notes"]]
    numbers = RetrievalKind().numbers(summary)
    if numbers:
        blocks.append(Numbers(items=numbers))
    blocks.append(
        Grid(
            headers=("score", "value", "of", "chance", "what it is"),
            rows=[
                (
                    str(row["score"]),
                    interval(row, "value", ".3f"),
                    count(int(row["n"])),
                    number(row["chance"], ".3f"),
                    str(row["means"]),
                )
                for row in summary["rows"]
            ],
            numeric=frozenset({1, 2, 3}),
            caption="Cosine similarity; 95 % intervals over compounds. Chance: what a random neighbour reaches.",
        )
    )
    blocks += [_grid(evaluation.tables[name], text) for name, text in _TABLES.items() if name in evaluation.tables]
    treatments, compounds = (count(int(summary[name])) for name in ("treatments", "compounds"))
    return Section(
        anchor="scores",
        title="Profiles",
        lead=f"What do profiles of {treatments} treatments ({compounds} compounds) retrieve?",
        blocks=blocks,
    )


_TABLES = {
    "classes": "Share of treatments whose nearest allowed profile has the class, and mean average precision.",
    "batches": "Batch scores in the style of scib, from 0 (bad) to 1 (good).",
}


def _grid(table: pd.DataFrame, caption: str) -> Grid:
    rows = [
        tuple(number(value, ".3f") if isinstance(value, float) else str(value) for value in row)
        for row in table.itertuples(index=False, name=None)
    ]
    headers = tuple(str(name).replace("_", " ") for name in table.columns)
    return Grid(headers=headers, rows=rows, numeric=frozenset(range(1, len(headers))), caption=caption)
