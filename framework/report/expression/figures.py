"""Figures of expression per cell: gates, scores of genes, spread over trees, heat maps, likeness of populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.colors import Normalize

from framework.format import number
from framework.report.canvas import (
    ACCENT,
    DIVERGING,
    MARKERS,
    PALETTE,
    SEQUENTIAL,
    bare,
    faint_grid,
    figure,
    shortened,
    styled,
    uri,
)
from framework.report.figures.scale import draw_scale_bar, stored_pixel_size
from framework.report.page import Picture

_GREY = "#c4ccd3"
TITLES = {
    "single cells": "single cells, measured",
    "measured": "single cells, measured",
    "predicted": "single cells held out, predicted",
    "standard": "imaged cells, measured markers",
    "label_free": "imaged cells, label-free",
}
"""How each source of cells is called where it is shown."""
_LABELLED = 12
_MODE_NAMES = {"standard": "measured\nmarkers", "label_free": "label-free"}


@styled
def gates(cells: pd.DataFrame, markers: Sequence[str], populations: Sequence[str]) -> Picture:
    """Draw the cells of each source over two markers, coloured by population (IFC-seq, Figures 3A, 4A, 5A, S3).

    Args:
        cells: columns ``source``, ``population`` and one per marker, in [0, 1].
        markers: their names; with one, the other axis is the rank of the cell.
        populations: in order; the last is that of cells in no gate, in grey.
    """
    sources = [name for name in TITLES if (cells["source"] == name).any()]
    drawn, axes = figure(3.1 * len(sources) + 0.4, 3.4, columns=len(sources))
    for panel, source in zip(axes[0], sources, strict=True):
        part = cells[cells["source"] == source]
        for name, colour in _coloured(populations):
            of_name = part[part["population"] == name]
            y = of_name[markers[1]] if len(markers) > 1 else np.linspace(0, 1, len(of_name))
            panel.scatter(of_name[markers[0]], y, s=3, color=colour, linewidths=0, label=f"{name} ({len(of_name)})")
        panel.set_title(TITLES[source])
        panel.set_xlabel(f"{markers[0]}, scaled")
        panel.set_ylabel(f"{markers[1]}, scaled" if len(markers) > 1 else "cells")
        panel.legend(frameon=False, fontsize=7, markerscale=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Scatter of {', '.join(markers[:2])} for {len(cells)} cells, coloured by population",
        caption="Surface markers after co-registration: each modality scaled to [0, 1] on its own. The forest only "
        "works where the clouds of both modalities lie over each other. Populations are gated on measured markers, so "
        "in the label-free panel mixed colours show what the image does not tell.",
    )


@styled
def gene_violins(table: pd.DataFrame) -> Picture:
    """Draw r over genes: all, marker genes, and those of each population (IFC-seq, Figures 3B and 5B)."""
    marked = table["marker_of"].fillna("")
    names = sorted({name for names in marked for name in names.split("|") if name})
    groups = {"all genes": table, "marker genes": table[marked != ""]}
    groups |= {name: table[[name in names.split("|") for names in marked]] for name in names}
    groups = {name: part for name, part in groups.items() if part["r_forest"].notna().sum() > 1}
    wide = max(4.0, 1.3 * len(groups) + 1)
    drawn, axes = figure(wide, 3.0)
    panel = axes[0, 0]
    for place, (_, part) in enumerate(groups.items()):
        for offset, method, colour in ((-0.2, "forest", ACCENT), (0.2, "linear", PALETTE[1])):
            values = part[f"r_{method}"].dropna()
            shape = panel.violinplot(values, [place + offset], widths=0.36, showextrema=False)
            for body in shape["bodies"]:
                body.set(facecolor=colour, alpha=0.55)
            panel.plot(
                place + offset, values.median(), "o", color=colour, markersize=4, label=method if place == 0 else None
            )
    panel.axhline(0, color=_GREY, linewidth=0.8)
    panel.set_xticks(range(len(groups)), [f"{shortened(name, 18)}\n{len(part)}" for name, part in groups.items()])
    panel.set_ylabel("Pearson r of a gene")
    panel.legend(frameon=False, fontsize=8)
    faint_grid(panel)
    medians = {name: number(part["r_forest"].median()) for name, part in groups.items()}
    compared = (
        f" Genes that mark a gated population: median {medians['marker genes']} by the forest; all genes: "
        f"{medians['all genes']}."
        if "marker genes" in medians and "all genes" in medians
        else ""
    )
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Violins of Pearson r over genes: {', '.join(groups)}",
        caption="Correlation of predicted and measured expression over held-out single cells, one value per gene; dots "
        f"are medians.{compared}",
    )


@styled
def spread(table: pd.DataFrame) -> Picture | None:
    """Draw r of marker genes against its spread over trees (IFC-seq, Figures 3C and 5C); None without marker genes."""
    part = table[(table["marker_of"].fillna("") != "") & table["r_forest"].notna() & table["spread"].notna()]
    if not len(part):
        return None
    drawn, axes = figure(4.6, 3.4)
    panel = axes[0, 0]
    names = sorted(set(part["marker_of"]))
    for position, name in enumerate(names):
        of_name = part[part["marker_of"] == name]
        look = {"color": PALETTE[position % len(PALETTE)], "marker": MARKERS[position % len(MARKERS)]}
        panel.scatter(of_name["r_forest"], of_name["spread"], s=14, linewidths=0, label=shortened(name, 30), **look)
    reach = np.array([np.ptp(part["r_forest"]) or 1, np.ptp(part["spread"]) or 1]) * (0.09, 0.035)
    named: list[npt.NDArray[np.float64]] = []
    for row in part.nlargest(_LABELLED, "r_forest").itertuples():
        here = np.array([row.r_forest, row.spread], dtype=np.float64)
        if any((np.abs(here - there) < reach).all() for there in named):
            continue
        named.append(here)
        panel.annotate(str(row.gene), (row.r_forest, row.spread), fontsize=7, xytext=(3, 2), textcoords="offset points")
    panel.set_xlabel("Pearson r of the forest")
    panel.set_ylabel("standard deviation of r over trees")
    panel.legend(frameon=False, fontsize=7.5)
    faint_grid(panel, "both")
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Pearson r of {len(part)} marker genes against its standard deviation over trees",
        caption="How sure the forest is of each marker gene: the spread of r over single trees. Of the "
        f"{_LABELLED} genes predicted best those with room for it are named.",
        width="half",
    )


@styled
def truth_violins(table: pd.DataFrame) -> Picture:
    """Draw r and relative RMSE of each chain over genes whose truth is known.

    Args:
        table: ``truth.csv``, the genes to show.
    """
    drawn, axes = figure(4.6, 3.0, columns=2)
    modes = [name for name in ("standard", "label_free") if f"r_{name}" in table]
    series = [
        (axes[0, 0], "Pearson r with the truth", {mode: table[f"r_{mode}"] for mode in modes}, 0.0),
        (axes[0, 1], "RMSE / RMSE of the mean", {m: table[f"rmse_{m}"] / table["rmse_mean"] for m in modes}, 1.0),
    ]
    for panel, label, columns, nothing in series:
        for place, values in enumerate(columns.values()):
            known = values.dropna()
            for body in panel.violinplot(known, [place], widths=0.7, showextrema=False)["bodies"]:
                body.set(facecolor=PALETTE[place], alpha=0.55)
            panel.plot(place, known.median(), "o", color=PALETTE[place], markersize=4)
        panel.axhline(nothing, color=_GREY, linewidth=0.8)
        panel.set_xticks(range(len(modes)), [_MODE_NAMES[mode] for mode in modes])
        panel.set_ylabel(label)
        faint_grid(panel)
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Violins of r and relative RMSE of both chains over {len(table)} genes",
        caption="Each gene of the imaged cells against its true expression; dots are medians, grey lines what the mean "
        "of the training cells reaches. Label-free should lie between the line and the measured markers.",
        width="half",
    )


@styled
def saliency_maps(shown: Mapping[str, npt.NDArray[Any]]) -> Picture:
    """Draw cells of each population over the maps of each marker (IFC-seq, Figure S4).

    Args:
        shown: ``saliency.npz`` of the expression folder.
    """
    names = list(dict.fromkeys(shown["population"].tolist()))
    markers = shown["markers"].tolist()
    most = max(int((shown["population"] == name).sum()) for name in names)
    lines = 1 + len(markers)
    drawn, axes = figure(1.0 * most + 1.6, 1.0 * lines * len(names), rows=lines * len(names), columns=most)
    drawn.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
    low, high = np.percentile(shown["images"][:, 0], (0.5, 99.5))
    for place, name in enumerate(names):
        block = axes[lines * place : lines * (place + 1)]
        rows = np.flatnonzero(shown["population"] == name)
        for column in range(most):
            for panel in block[:, column]:
                bare(panel)
            if column >= len(rows):
                continue
            image, maps = shown["images"][rows[column], 0], shown["maps"][rows[column]]
            block[0, column].imshow(image, cmap="gray", vmin=low, vmax=high)
            if column == 0:
                draw_scale_bar(block[0, 0], stored_pixel_size(shown), image.shape[1], image.shape[0])
            for panel, values in zip(block[1:, column], maps, strict=True):
                panel.imshow(values, cmap="inferno", vmin=0, vmax=max(float(np.percentile(values, 99.5)), 1e-12))
        for panel, label in zip(block[:, 0], (name, *markers), strict=True):
            weight = "bold" if label == name else "normal"
            panel.set_ylabel(shortened(label, 18), rotation=0, ha="right", va="center", fontsize=8, fontweight=weight)
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Images of {len(shown['tile'])} cells of {', '.join(names)} with saliency maps of {', '.join(markers)}",
        caption=f"Cells of each population ({shown['channels'][0]}), and below each what raises the predicted markers: "
        "guided backpropagation, each map on its own scale. Look for light on the cell, on its rim and its inside; "
        "light beside it means that the network reads the background or a neighbour.",
    )


@styled
def heat_maps(means: Mapping[str, pd.DataFrame], genes: Sequence[str]) -> Picture:
    """Draw mean expression by population for each source (IFC-seq, Figures 4E-F and 6A-C).

    Args:
        means: source -> (populations, genes).
        genes: columns to show, in order.
    """
    shown = [name for name in TITLES if name in means]
    rows = sum(len(means[name]) for name in shown)
    drawn, axes = figure(max(6.0, 0.22 * len(genes) + 2), 0.28 * rows + 0.55 * len(shown) + 0.7, rows=len(shown))
    highest = max(float(means[name][list(genes)].to_numpy().max()) for name in shown)
    for panel, name in zip(axes[:, 0], shown, strict=True):
        values = means[name][list(genes)]
        image = panel.imshow(values.to_numpy(), aspect="auto", cmap=SEQUENTIAL, vmin=0, vmax=highest)
        panel.set_title(TITLES[name])
        panel.set_yticks(range(len(values)), [shortened(label) for label in values.index])
        panel.set_xticks([])
        for spine in panel.spines.values():
            spine.set_visible(False)
    axes[-1, 0].set_xticks(range(len(genes)), [shortened(gene, 16) for gene in genes], rotation=90, fontsize=7)
    drawn.colorbar(image, ax=list(axes[:, 0]), label="mean log expression", shrink=0.6)
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Mean expression of {len(genes)} genes by population, for {', '.join(TITLES[name] for name in shown)}",
        caption="Mean expression by population, one colour scale for all panels. Where the chain works, the pattern of "
        "the first panel comes back below; fading towards one colour means that the cells are not told apart.",
    )


@styled
def similarity(tables: Mapping[str, pd.DataFrame]) -> Picture | None:
    """Draw how alike populations are, by source (IFC-seq, Figures 4G-H and 6D-F); None with fewer than two populations.

    Args:
        tables: source -> columns ``one``, ``other``, ``r``.
    """
    shown = [name for name in TITLES if name in tables and len(tables[name])]
    if not shown:
        return None
    drawn, axes = figure(2.6 * len(shown) + 1.5, 3.0, columns=len(shown))
    lowest = min(float(tables[name]["r"].min()) for name in shown)
    scale, colours = (Normalize(-1, 1), DIVERGING) if lowest < 0 else (Normalize(lowest, 1), SEQUENTIAL)
    for panel, name in zip(axes[0], shown, strict=True):
        table = tables[name]
        populations = list(dict.fromkeys([*table["one"], *table["other"]]))
        matrix = pd.DataFrame(np.eye(len(populations)), index=populations, columns=populations)
        for row in table.itertuples():
            matrix.loc[row.one, row.other] = matrix.loc[row.other, row.one] = row.r
        image = panel.imshow(matrix.to_numpy(), cmap=colours, norm=scale)
        for (i, j), value in np.ndenumerate(matrix.to_numpy()):
            light = float(np.dot(image.cmap(scale(value))[:3], (0.3, 0.6, 0.1)))
            panel.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color="k" if light > 0.5 else "w")
        bare(panel)
        panel.set_title(TITLES[name], fontsize=8.5)
        panel.set_xticks(
            range(len(populations)), [shortened(label, 14) for label in populations], rotation=45, ha="right"
        )
        panel.set_yticks(range(len(populations)), [shortened(label, 14) for label in populations])
    drawn.colorbar(image, ax=list(axes[0]), label="Pearson r", shrink=0.7)
    return Picture(
        source=uri(drawn, "svg"),
        alt="Matrices of Pearson r between population means",
        caption="Pearson r between the mean expression of populations, over marker genes; Fisher's 95 % "
        "intervals are in the table.",
    )


def _coloured(populations: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, colour), the cells in no gate first and grey, so that gated ones lie over them."""
    named = [(name, PALETTE[position % len(PALETTE)]) for position, name in enumerate(populations[:-1])]
    return [(populations[-1], _GREY), *named] if named else [(populations[-1], ACCENT)]
