"""What a page shows of baselines: the answer, a picture per target, the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.evaluate import baseline_table
from framework.evaluate.beside import KEY
from framework.evaluate.kinds import Verdict
from framework.report.canvas import PALETTE, SOFT, figure, shortened, styled, uri
from framework.report.page import Answer, Block, Grid, Picture, Section

_MOST_PANELS = 4
_ROW_INCHES = 0.34


def answers(*verdicts: Verdict | None) -> list[Block]:
    """Return what a page says first, one answer per verdict that there is."""
    return [Answer(text=verdict.text, good=verdict.holds) for verdict in verdicts if verdict is not None]


def baselines_shown(summary: Mapping[str, Any]) -> Section | None:
    """Return the section of an evaluation's baselines; None where it has none. The answer stands at the page's top."""
    shown = baseline_table(summary)
    if shown is None:
        return None
    blocks: list[Block] = [*differences(summary[KEY])]
    width = len(shown.headers)
    blocks.append(
        Grid(
            headers=shown.headers,
            rows=[[*row, *[""] * (width - len(row))] for row in shown.rows],
            numeric=frozenset({1, 2}),
            caption=shown.caption,
        )
    )
    return Section(
        anchor="baselines",
        title="Baselines",
        lead="Is the model better than cell counts, brightness, position, or a network that never saw these data?",
        blocks=blocks,
    )


def differences(found: Mapping[str, Any]) -> list[Picture]:
    """Draw by how much the model is above each baseline, a picture per target; of the first few targets."""
    return [_drawn(found, target) for target in found["targets"][:_MOST_PANELS]]


@styled
def _drawn(found: Mapping[str, Any], target: Mapping[str, Any]) -> Picture:
    rows = [row for row in found["rows"] if row["target"] == target["target"]]
    drawn, axes = figure(4.5, 1.1 + _ROW_INCHES * len(rows))
    panel, score = axes[0, 0], found["score"]
    panel.axvline(0, color=SOFT, linewidth=0.8)
    for place, row in enumerate(rows):
        colour = PALETTE[0] if row["verdict"] == "above" else SOFT
        panel.hlines(place, row["difference_low"], row["difference_high"], color=colour, linewidth=2)
        panel.plot(row["difference"], place, "o", color=colour, markersize=5)
    panel.set_yticks(range(len(rows)), [shortened(f"{row['baseline']}, {row['score']:.2f}") for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlabel(f"{score}, model less baseline\n(95 % interval)")
    name = shortened(target["target"], 40)
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"By how much the model is above each baseline, {name}",
        caption=f"{name}: by how much the model is above each baseline, on the same held-out rows. Grey: the interval "
        "holds 0 or lies below it.",
        width="half",
    )
