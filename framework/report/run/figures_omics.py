"""Figures of predicted genes: how many are predictable, how well, and what the best look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from framework.report.canvas import (
    ACCENT,
    FILTERED,
    NOT_SIGNIFICANT,
    PALETTE,
    SIGNIFICANT,
    SOFT,
    faint_grid,
    figure,
    shortened,
    styled,
    uri,
)
from framework.report.page import Picture

_FEW = 3
_PARTS = (
    ("significant", "better than the train mean", SIGNIFICANT, "white"),
    ("not_significant", "not significant", NOT_SIGNIFICANT, "#1c2733"),
    ("filtered", "filtered out", FILTERED, "#1c2733"),
)


@styled
def share_bars(rows: Sequence[Mapping[str, Any]], alpha: float) -> Picture:
    """Draw significant, not significant and filtered genes of each target as one bar (``rows`` of the summary)."""
    drawn, axes = figure(4.6, 0.9 + 0.5 * len(rows))
    panel = axes[0, 0]
    for line, row in enumerate(rows):
        left = 0.0
        for name, label, colour, ink in _PARTS:
            width = row[name] / max(row["genes"], 1) * 100
            panel.barh(line, width, left=left, height=0.62, color=colour, label=label if line == 0 else None)
            if width >= 14:
                panel.text(left + width / 2, line, f"{width:.1f} %", ha="center", va="center", fontsize=8, color=ink)
            left += width
    panel.set_yticks(range(len(rows)), [shortened(row["target"]) for row in rows])
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of genes")
    drawn.legend(frameon=False, ncols=3, loc="outside upper center", fontsize=7, handlelength=1.2, columnspacing=1.0)
    told = "; ".join(f"{row['target']} {row['significant']} of {row['genes']}" for row in rows)
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Share of significantly predictable genes: {told}",
        caption=f"Genes predicted better than by their train mean (one-sided test, alpha {alpha:g}), of all genes "
        f"of the "
        "target. Chance alone gives about "
        f"{100 * alpha:g} % at most, so look for bars well beyond that.",
        width="half",
    )


@styled
def r2_violins(genes: pd.DataFrame) -> Picture | None:
    """Draw the distribution of r2 over the genes of each target; None when no gene has one."""
    of_target = {str(name): part["r2"].dropna().to_numpy() for name, part in genes.groupby("target", sort=False)}
    of_target = {name: values for name, values in of_target.items() if len(values)}
    if not of_target:
        return None
    few = len(of_target) <= _FEW
    drawn, axes = figure(4.4 if few else 8.6, 3.4)
    panel = axes[0, 0]
    for position, values in enumerate(of_target.values()):
        colour = PALETTE[position % len(PALETTE)]
        if len(values) > 1 and np.ptp(values) > 0:
            body = panel.violinplot([values], positions=[position], widths=0.8, showextrema=False)["bodies"][0]
            body.set(facecolor=colour, alpha=0.35, edgecolor=colour)
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        panel.vlines(position, low, high, color=colour, linewidth=5)
        panel.plot(position, middle, "o", color="white", markersize=4, zorder=4)
        panel.annotate(
            f"median {middle:.2f}\n{len(values)} genes", (position, 1.02), ha="center", fontsize=7.5, color=SOFT
        )
    panel.set_xticks(range(len(of_target)), [shortened(name) for name in of_target])
    panel.set_xlim(-0.7, len(of_target) - 0.3)
    panel.set_ylim(0, 1.16)
    panel.set_yticks(np.linspace(0, 1, 6))
    panel.set_ylabel("r² on held-out wells")
    faint_grid(panel)
    medians = "; ".join(f"{name} {np.median(values):.2f}" for name, values in of_target.items())
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Violins of r2 over genes, medians: {medians}",
        caption="Squared correlation of predicted and measured abundance over the held-out wells, one violin per "
        "target (bar: middle half of the genes, dot: median). Look at the upper tail: most genes need not "
        "follow morphology.",
        width="half" if few else "full",
    )


@styled
def error_scatter(genes: pd.DataFrame, wide: bool) -> Picture:
    """Draw each gene's error against the error of its train mean, significant genes in colour."""
    drawn, axes = figure(8.6 if wide else 4.4, 3.4)
    panel = axes[0, 0]
    top = float(np.nanmax([genes["smape"].max(), genes["smape_baseline"].max(), 1e-9])) * 1.05
    for chosen, colour, label in (
        (~genes["significant"], "#c9b4ba", "not significant"),
        (genes["significant"], SIGNIFICANT, "better than the train mean"),
    ):
        part = genes[chosen]
        panel.scatter(part["smape_baseline"], part["smape"], s=7, color=colour, alpha=0.7, linewidths=0, label=label)
    panel.plot([0, top], [0, top], color=SOFT, linewidth=0.8, linestyle="--")
    panel.set_xlim(0, top)
    panel.set_ylim(0, top)
    panel.set_xlabel("SMAPE of the train mean")
    panel.set_ylabel("SMAPE of the model")
    panel.legend(
        frameon=False, fontsize=7.5, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12), handletextpad=0.2
    )
    better = int((genes["smape"] < genes["smape_baseline"]).sum())
    return Picture(
        source=uri(drawn, "svg" if len(genes) <= 3000 else "png"),
        alt=f"SMAPE of the model against SMAPE of the train mean, {better} of {len(genes)} genes below the diagonal",
        caption="Error of the model against the error of the train mean, one point per gene of any target. Below the "
        "dashed line "
        "the model is better; look for how far the coloured genes lie below it, not only how many there are.",
        width="full" if wide else "half",
    )


@styled
def gene_scatters(wells: pd.DataFrame, genes: Sequence[str], target: str) -> Picture | None:
    """Draw predicted against measured abundance of some genes; ``wells`` is the evaluation's ``per_well`` table."""
    of_target = wells[(wells["target"] == target) & wells["gene"].isin(genes)].dropna(subset=["measured", "predicted"])
    shown = [gene for gene in genes if (of_target["gene"] == gene).any()]
    if not shown:
        return None
    columns = 5
    rows = -(-len(shown) // columns)
    drawn, axes = figure(8.6, 2.0 * rows + 0.2, rows, columns)
    for spare in axes.ravel()[len(shown) :]:
        spare.set_visible(False)
    for panel, gene in zip(axes.ravel(), shown, strict=False):
        part = of_target[of_target["gene"] == gene]
        panel.scatter(part["measured"], part["predicted"], s=8, color=ACCENT, alpha=0.55, linewidths=0)
        low = float(min(part["measured"].min(), part["predicted"].min()))
        high = float(max(part["measured"].max(), part["predicted"].max()))
        panel.plot([low, high], [low, high], color=SOFT, linewidth=0.8, linestyle="--")
        panel.set_title(shortened(gene, 18), fontsize=8)
        panel.tick_params(labelsize=6.5)
    drawn.supxlabel("measured", fontsize=8)
    drawn.supylabel("predicted", fontsize=8)
    return Picture(
        source=uri(drawn, "svg" if len(of_target) <= 3000 else "png"),
        alt=f"Predicted against measured abundance of {', '.join(shown)}",
        caption=f"{target}: the best-predicted genes, one point per held-out well; the dashed line is a perfect "
        f"prediction. Look "
        "for clouds along the line; two clumps mean that the model tells two states apart, not degrees.",
    )
