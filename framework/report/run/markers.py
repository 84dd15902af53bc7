"""Section about predicted markers: evaluations of kind ``markers``."""

from __future__ import annotations

import pandas as pd

from framework.evaluate import Evaluation
from framework.format import count, interval, number
from framework.report.page import Block, Grid, Note, Section
from framework.report.run.figures_markers import marker_bars, marker_scatters
from framework.report.sections import SCORES, SectionConfig


@SCORES.register("markers", SectionConfig)
def markers_section(evaluation: Evaluation) -> Section:
    """Return r of each marker beside the linear baseline."""
    markers, cells = evaluation.tables["per_marker"], evaluation.tables["per_cell"]
    blocks: list[Block] = [Note(text=note, doubt=True) for note in evaluation.summary["notes"]]
    blocks.append(_marker_table(markers))
    if markers["r"].notna().any():
        blocks += [marker_bars(markers), marker_scatters(cells, markers)]
    return Section(
        anchor="markers",
        title="Predicted markers",
        lead="Which markers of single cells can be read from images of cells that the model never saw?",
        blocks=blocks,
    )


def _marker_table(markers: pd.DataFrame) -> Grid:
    ordered = markers.sort_values("r", ascending=False, kind="stable", na_position="last").to_dict(orient="records")
    return Grid(
        headers=(
            "marker",
            "cells",
            "r (95 %)",
            "linear r (95 %)",
            "Spearman",
            "RMSE",
            "linear",
            "train mean",
            "MAE",
            "linear",
            "train mean",
        ),
        rows=[
            (
                str(row["marker"]),
                count(int(row["n"])),
                interval(row, "r"),
                interval(row, "r_linear"),
                number(row["spearman"]),
                *(number(row[f"{name}{of}"], ".3g") for name in ("rmse", "mae") for of in ("", "_linear", "_mean")),
            )
            for row in ordered
        ],
        numeric=frozenset(range(1, 11)),
        caption="Held-out cells. r with its bootstrap interval; linear: least squares on the mean intensity of each "
        "channel, "
        "fitted on the train cells; train mean: one number for all cells (its r is undefined). Look for markers whose "
        "interval lies above the linear one.",
    )
