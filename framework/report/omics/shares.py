"""Figure 3 of Image2Omics: which share of genes is predictable, not, or filtered out, one ring per target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from framework.evaluate import headline_share
from framework.format import count, percent
from framework.report.canvas import FILTERED, INK, NOT_SIGNIFICANT, SIGNIFICANT
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.panels import panels_of, spoken

_PARTS = (
    ("significant", "better than the train mean", SIGNIFICANT),
    ("not_significant", "not significant", NOT_SIGNIFICANT),
    ("filtered", "filtered out (low expression)", FILTERED),
)


@FIGURES.register("omics_shares", FigureConfig)
class Shares(FigureKind[FigureConfig]):
    """Shares of genes, by target."""

    shows = "the share of genes that are predicted better than by their train mean, one ring per target"
    paper = "Figure 3"
    takes = ("scores",)
    also = ("data",)
    order = 30

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw a ring per target: significant, not significant, filtered out; the share with its interval inside."""
        options = inputs.scored.summary["options"]
        rows = sorted(inputs.scored.summary["rows"], key=lambda row: inputs.targets.index(str(row["target"])))
        share, meaning = headline_share(options)
        made, placed, _ = panels_of([str(row["target"]) for row in rows], 2.5, extra=0.4)
        for row in rows:
            _ring(placed[str(row["target"])], row, share)
        handles, labels = placed[str(rows[0]["target"])].get_legend_handles_labels()
        made.legend(handles, labels, frameon=False, ncols=3, loc="outside lower center", fontsize=7.5, handlelength=1)
        told = "; ".join(f"{row['target']} {percent(row[share])} of {count(row['genes'])}" for row in rows)
        test = {"wilcoxon": "paired Wilcoxon signed-rank", "mann_whitney": "Mann-Whitney"}.get(options["test"], "test")
        return Drawn(
            canvas=made,
            numbers=_numbers(rows, share),
            title="Predictability across gene products and stimuli",
            caption=f"Share of genes whose error (SMAPE) on held-out wells is significantly below that of their train "
            f"mean ({test}, one-sided, one observation per {options['unit']}, alpha {options['alpha']:g}). Inside: the "
            f"share and its interval ({meaning}). Chance alone gives up to {options['alpha']:.0%}.",
            alt=f"Share of significantly predictable genes: {told}",
            notes=tuple(str(note) for note in inputs.scored.summary.get("notes", [])),
        )


def _ring(panel: Axes, row: Mapping[str, Any], share: str) -> None:
    sizes = [int(row[name]) for name, _, _ in _PARTS]
    wedges, _ = panel.pie(
        sizes,
        colors=[colour for _, _, colour in _PARTS],
        startangle=90,
        counterclock=False,
        wedgeprops={"width": 0.38, "edgecolor": "white", "linewidth": 0.8},
    )
    for wedge, (_, label, _) in zip(wedges, _PARTS, strict=True):
        wedge.set_label(label)
    middle, low, high = (row[share + end] for end in ("", "_low", "_high"))
    several = int(row["n_splits"]) > 1
    panel.text(0, 0.06, percent(middle), ha="center", va="center", fontsize=12, weight="bold", color=SIGNIFICANT)
    told = f"{percent(low)} – {percent(high)}" if several else f"{count(row['genes'])} genes"
    panel.text(0, -0.22, told, ha="center", va="center", fontsize=7.5, color=INK)
    panel.set_title(
        f"{spoken(str(row['target']))}\n{count(row['significant'])} of {count(row['genes'])}", fontsize=9, loc="center"
    )


def _numbers(rows: list[Mapping[str, Any]], share: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "target": row["target"],
                "part": name,
                "genes": int(row[name]),
                "percent": 100 * row[name] / max(row["genes"], 1),
                "share": row[share],
                "share_low": row[f"{share}_low"],
                "share_high": row[f"{share}_high"],
                "n_splits": row["n_splits"],
            }
            for row in rows
            for name, _, _ in _PARTS
        ]
    )
