"""Figures of markers of single cells: predicted against measured, with the correlation and its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from framework.report.canvas import PALETTE, SOFT, figure, shortened, styled, uri
from framework.report.page import Picture

_MOST = 12


@styled
def marker_scatters(cells: pd.DataFrame, markers: pd.DataFrame) -> Picture:
    """Draw the density of (measured, predicted) for each marker, the best twelve by r.

    Args:
        cells: the evaluation's ``per_cell`` table.
        markers: its ``per_marker`` table.
    """
    chosen = markers.sort_values("r", ascending=False, kind="stable", na_position="last").head(_MOST)
    columns = min(4, max(len(chosen), 2))
    rows = -(-len(chosen) // columns)
    drawn, axes = figure(8.6, 2.35 * rows + 0.2, rows, columns)
    for spare in axes.ravel()[len(chosen) :]:
        spare.set_visible(False)
    for panel, row in zip(axes.ravel(), chosen.to_dict(orient="records"), strict=False):
        part = cells[cells["marker"] == row["marker"]].dropna(subset=["measured", "predicted"])
        x, y = part["measured"].to_numpy(dtype=np.float64), part["predicted"].to_numpy(dtype=np.float64)
        if len(part):
            panel.hexbin(x, y, gridsize=32, cmap="Blues", mincnt=1, bins="log", linewidths=0.1)
            panel.axline((float(x.mean()), float(x.mean())), slope=1, color=SOFT, linewidth=0.8, linestyle="--")
            panel.set_xlim(x.min(), x.max() if np.ptp(x) else x.min() + 1)
            panel.set_ylim(y.min(), y.max() if np.ptp(y) else y.min() + 1)
        panel.set_title(
            f"{shortened(row['marker'], 20)}\nr = {row['r']:.2f} ({row['r_low']:.2f}, {row['r_high']:.2f})", fontsize=8
        )
        panel.tick_params(labelsize=6.5)
    drawn.supxlabel("measured", fontsize=8)
    drawn.supylabel("predicted", fontsize=8)
    told = "; ".join(f"{row['marker']} r {row['r']:.2f}" for row in chosen.to_dict(orient="records"))
    more = f" The {_MOST} best of {len(markers)} are shown." if len(markers) > _MOST else ""
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Predicted against measured markers of held-out cells: {told}",
        caption="Predicted against measured value of each held-out cell; darker is more cells (logarithmic), the "
        "dashed line "
        "a perfect prediction, r with its 95 % bootstrap interval. Look for a cloud that rises; a flat one means "
        "that the "
        f"prediction hardly leaves the mean.{more}",
    )


@styled
def marker_bars(markers: pd.DataFrame) -> Picture:
    """Draw r of the model beside r of the linear baseline, with intervals."""
    table = markers.sort_values("r", ascending=False, kind="stable", na_position="last").head(_MOST)
    drawn, axes = figure(4.6, 1.0 + 0.42 * len(table))
    panel = axes[0, 0]
    series = (("model", "r", PALETTE[0], -0.14), ("linear on mean intensity", "r_linear", PALETTE[1], 0.14))
    for label, column, colour, shift in series:
        low, high = (f"{column}{end}" for end in ("_low", "_high"))
        known = table[column].notna()
        if not known.any():
            continue
        lines = np.flatnonzero(known) + shift
        part = table[known]
        panel.hlines(lines, part[low], part[high], color=colour, linewidth=2)
        panel.plot(part[column], lines, "o", color=colour, markersize=5, label=label)
    panel.axvline(0, color=SOFT, linewidth=0.8)
    panel.set_yticks(range(len(table)), [shortened(name) for name in table["marker"]])
    panel.set_ylim(len(table) - 0.5, -0.5)
    panel.set_xlabel("Pearson r on held-out cells (95 % interval)")
    drawn.legend(frameon=False, fontsize=7.5, ncols=2, loc="outside upper center")
    return Picture(
        source=uri(drawn, "svg"),
        alt="Pearson r of model and linear baseline for each marker",
        caption="Pearson r of the model beside that of least squares on the mean intensity of each channel. Look for "
        "intervals that do not overlap: there the model reads more than brightness from the image.",
        width="half",
    )
