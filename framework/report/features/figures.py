"""Figures of compared feature sets: accuracies with intervals, recalls by class, confusions, and scores of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from framework.report.canvas import (
    ACCENT,
    INK,
    LINE,
    PALETTE,
    SEQUENTIAL,
    SOFT,
    faint_grid,
    figure,
    shortened,
    styled,
    uri,
)
from framework.report.page import Picture

Floats = npt.NDArray[np.float64]
CLASSIFIERS = {"knn": "nearest neighbours", "logistic": "logistic regression", "forest": "random forest"}
_ANNOTATED = 400


@styled
def accuracy_bars(rows: Sequence[Mapping[str, Any]], classes: int) -> Picture:
    """Draw balanced accuracy with its interval: one line per feature set, a mark a classifier."""
    names = [name for name in CLASSIFIERS if any(name in row for row in rows)]
    drawn, axes = figure(4.6, 1.3 + 0.3 * len(rows) * max(1, 0.7 * len(names)))
    panel: Axes = axes[0, 0]
    for place, row in enumerate(rows):
        for position, name in enumerate(names):
            if row.get(name) is None:
                continue
            y = place + 0.22 * (position - (len(names) - 1) / 2)
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            if low is not None and high is not None:
                panel.plot([low, high], [y, y], color=PALETTE[position], linewidth=2, solid_capstyle="butt")
            label = CLASSIFIERS[name] if place == 0 else None
            panel.plot(row[name], y, "o", color=PALETTE[position], markersize=5.5, label=label)
    panel.axvline(1 / classes, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)), label="chance")
    panel.set_yticks(range(len(rows)), [shortened(row["set"]) for row in rows])
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_xlabel("balanced accuracy")
    faint_grid(panel, "x")
    drawn.legend(frameon=False, fontsize=7.5, loc="outside upper center", ncols=2)
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Balanced accuracy of {len(rows)} feature sets: "
        + ", ".join(f"{row['set']} {row['knn']:.2f}" for row in rows),
        caption="Balanced accuracy of each feature set with its 95 % bootstrap interval. Two sets whose intervals "
        "overlap may still differ: the table gives the interval of the difference on the same cells.",
        width="half",
    )


@styled
def accuracy_by_k(table: pd.DataFrame, chosen: int) -> Picture:
    """Draw balanced accuracy against the number of neighbours."""
    drawn, axes = figure(4.2, 3.2)
    panel = axes[0, 0]
    for position, (name, rows) in enumerate(table.groupby("set", sort=False)):
        style = "-" if position < len(PALETTE) else "--"
        colour = PALETTE[position % len(PALETTE)]
        panel.plot(
            rows["k"], rows["balanced"], style, marker="o", markersize=3, color=colour, label=shortened(name, 20)
        )
    panel.axvline(chosen, color=LINE, linewidth=5, zorder=0)
    panel.set_xlabel("k, neighbours that vote")
    panel.set_ylabel("balanced accuracy")
    faint_grid(panel)
    panel.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return Picture(
        source=uri(drawn, "svg"),
        alt="Balanced accuracy against k",
        caption=f"How much the number of neighbours matters; grey: k = {chosen}, used elsewhere. The order of the sets "
        "should not depend on k.",
        width="half",
    )


@styled
def recall_map(table: pd.DataFrame) -> Picture:
    """Draw the share of each class's cells that was recognised: classes by feature sets."""
    wide = table.pivot_table(index="class", columns="set", values="recall", sort=False, dropna=False)
    return Picture(
        source=_shaded(wide, "recognised", wide=4.2),
        alt=f"Share of cells recognised in {len(wide)} classes by {wide.shape[1]} feature sets",
        caption="Share of the cells of each class that nearest neighbours recognise, by feature set; its mean over "
        "classes is the balanced accuracy.",
        width="half",
    )


@styled
def confusion_map(table: pd.DataFrame, name: str) -> Picture:
    """Draw where the cells of each class go, one feature set."""
    wide = table.pivot_table(index="class", columns="predicted", values="cells", sort=False)
    shares = wide.div(wide.sum(axis=1).where(wide.sum(axis=1) > 0), axis=0)
    return Picture(
        source=_shaded(shares, "share of the class", wide=4.2),
        alt=f"Confusion of {len(wide)} classes by {name}",
        caption=f"{name}: where the cells of each class (rows) are put (columns), nearest neighbours. Look for classes "
        "that are taken for each other: they may look alike.",
        width="half",
    )


def _shaded(table: pd.DataFrame, quantity: str, wide: float) -> str:
    drawn, axes = figure(wide, max(1.9, 0.24 * len(table) + 1.3))
    panel = axes[0, 0]
    values = table.to_numpy(dtype=float)
    image = panel.imshow(values, vmin=0, vmax=1, cmap=SEQUENTIAL, aspect="auto")
    panel.set_xticks(range(values.shape[1]), [shortened(name, 18) for name in table.columns], rotation=40, ha="right")
    panel.set_yticks(range(len(values)), [shortened(name, 20) for name in table.index])
    panel.tick_params(labelsize=7.5, length=0)
    if values.size <= _ANNOTATED:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                colour = "white" if value < 0.6 else INK
                panel.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=colour)
    bar = drawn.colorbar(image, ax=panel, shrink=0.85, pad=0.02)
    bar.set_label(quantity, fontsize=8)
    return uri(drawn, "png")


@styled
def compartment_violins(cells: pd.DataFrame, spread: pd.DataFrame, pair: str, name: str) -> Picture:
    """Draw scores of cells between two compartments, and of single images labelled with both."""
    kinds = list(dict.fromkeys(cells["compartments"]))
    both = spread[(spread["compartments"] == kinds[-1]) & (spread["cells"] > 1)] if len(kinds) == 3 else spread.iloc[:0]
    images = both.sort_values("mean", kind="stable")["image"].to_numpy()
    images = (
        images[np.unique(np.linspace(0, len(images) - 1, min(4, len(images))).astype(int))] if len(images) else images
    )
    drawn, axes = figure(4.2 if not len(images) else 8.6, 3.2)
    panel = axes[0, 0]
    for place, kind in enumerate(kinds):
        scores = cells.loc[cells["compartments"] == kind, "score"].to_numpy(dtype=float)
        scores = scores[np.isfinite(scores)]
        if len(scores) > 1 and scores.min() < scores.max():
            parts = panel.violinplot(scores, positions=[place], widths=0.8, showextrema=False)
            for body in parts["bodies"]:
                body.set(facecolor=ACCENT, alpha=0.45)
        if len(scores):
            low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
            panel.plot([place, place], [low, high], color=INK, linewidth=4, solid_capstyle="butt")
            panel.plot(place, middle, "o", color="white", markersize=3.5, zorder=3)
    for place, image in enumerate(images, start=len(kinds)):
        scores = cells.loc[(cells["image"] == image) & (cells["compartments"] == kinds[-1]), "score"].to_numpy(
            dtype=float
        )
        shift = (np.arange(len(scores)) * 0.618) % 1 * 0.5 - 0.25
        panel.plot(place + shift, scores, ".", color=INK, markersize=4)
    labels = [shortened(kind, 22) for kind in kinds] + [f"image {image}" for image in images]
    panel.set_xticks(range(len(labels)), labels, fontsize=8)
    panel.axhline(0, color=SOFT, linewidth=0.8)
    panel.set_ylabel("log ratio of distances")
    first, second = pair.split("/")
    return Picture(
        source=uri(drawn, "svg" if len(cells) < 3000 else "png"),
        alt=f"Scores of {len(cells)} cells between {first} and {second}, {name}",
        caption=f"{name}: the log of (distance to the average {first} cell / distance to the average {second} cell); "
        f"negative is nearer to {first}. Bars: quartiles; points: cells of single images labelled with both. A wide "
        "image holds cells that differ.",
        width="full" if len(images) else "half",
    )
