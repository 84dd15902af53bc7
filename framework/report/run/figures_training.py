"""Figures of how training went: losses by step, and how fast data and device were."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from framework.report.canvas import ACCENT, PALETTE, SOFT, faint_grid, figure, styled, uri
from framework.report.page import Picture

_SMOOTH_OVER = 120


@styled
def loss_curve(train: pd.Series, validation: pd.Series) -> Picture:
    """Draw train and validation loss; both are Series indexed by step, either may be empty."""
    drawn, axes = figure(4.6, 3.3)
    panel: Axes = axes[0, 0]
    _line(panel, train, ACCENT, "train")
    if len(validation):
        panel.plot(validation.index, validation, color=PALETTE[1], marker="o", markersize=3.5, label="validation")
        best = int(validation.index[int(validation.to_numpy().argmin())])
        late = best > (int(train.index.max()) if len(train) else best) / 2
        panel.axvline(best, color=PALETTE[1], linewidth=0.8, linestyle=":")
        panel.annotate(
            f"best {validation.min():.4g} at step {best}",
            (best, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, -10),
            ha="right" if late else "left",
            textcoords="offset points",
            color=PALETTE[1],
            fontsize=8,
        )
    panel.set_xlabel("step")
    panel.set_ylabel("loss")
    if len(train) or len(validation):
        panel.legend(frameon=False, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.14))
    faint_grid(panel)
    ends = f"from {train.iloc[0]:.4g} to {train.iloc[-1]:.4g}" if len(train) else "not logged"
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Loss by step: train {ends}" + (f", validation at best {validation.min():.4g}" if len(validation) else ""),
        caption="Loss by step. Look for a train curve that still falls at the end (train longer) and for a "
        "validation curve "
        "that turns up while train falls (over-fitting). The pale line is each logged step, the dark one a running "
        "median." + ("" if len(validation) else " This run logged no validation loss."),
        width="half",
    )


@styled
def throughput(series: Mapping[str, pd.Series]) -> Picture | None:
    """Draw tiles per second and the share of time spent waiting for data; None when neither was logged."""
    known = {name: values for name, values in series.items() if len(values)}
    if not known:
        return None
    drawn, axes = figure(4.6, 1.65 * len(known), rows=len(known))
    for panel, (name, values) in zip(axes[:, 0], known.items(), strict=True):
        _line(panel, values, ACCENT, name)
        panel.set_title(name)
        panel.set_xlabel("step")
        panel.set_ylim(0, max(float(values.max()) * 1.1, 1e-9))
        faint_grid(panel)
    return Picture(
        source=uri(drawn, "svg"),
        alt="; ".join(f"{name}: median {values.median():.3g}" for name, values in known.items()),
        caption="Speed by step. A flat line is a steady run. A waiting share above 3 % means that reading data, not "
        "computing, sets the pace: give the loader more threads or a faster disk.",
        width="half",
    )


def _line(panel: Axes, values: pd.Series, colour: str, label: str) -> None:
    if not len(values):
        return
    if len(values) < _SMOOTH_OVER:
        panel.plot(values.index, values, color=colour, linewidth=1.6, label=label)
        return
    window = max(5, len(values) // 40)
    panel.plot(values.index, values, color=SOFT, linewidth=0.5, alpha=0.35)
    smooth = values.rolling(window, center=True, min_periods=1).median()
    panel.plot(smooth.index, smooth, color=colour, linewidth=1.6, label=label)
