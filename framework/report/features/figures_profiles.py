"""Pictures of the feature space: maps of cells and of proteins, the clustered heat map, the dendrogram with crops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import LinearSegmentedColormap
from scipy.cluster.hierarchy import dendrogram

from framework.features.profiles import ward_order, ward_tree
from framework.report.canvas import MARKERS, PALETTE, SOFT, bare, figure, shortened, styled, uri
from framework.report.page import Picture

Floats = npt.NDArray[np.float64]
_GREY = "#c4ccd3"
_DIVERGING = LinearSegmentedColormap.from_list("blue-black-yellow", ["#3b7dd8", "#0b1220", "#f2cf3a"])
_NAMED_ROWS = 70
_NAMED_POINTS = 40


@styled
def cell_maps(points: Mapping[str, Floats], method: str, labels: Sequence[str]) -> Picture:
    """Draw a map of the same cells for each feature set, coloured by class.

    Args:
        points: feature set -> (n, 2).
        method: ``UMAP`` or ``PCA``.
        labels: class of each cell.
    """
    columns = min(3, len(points))
    rows = -(-len(points) // columns)
    drawn, axes = figure(8.6, 2.9 * rows + 0.5, rows, columns)
    named = np.asarray(labels, dtype=str)
    classes = sorted(set(labels), key=lambda name: (-int((named == name).sum()), name))
    shown = sorted(classes[: len(PALETTE)])
    for panel in axes.ravel()[len(points) :]:
        panel.set_visible(False)
    for panel, (name, place) in zip(axes.ravel(), points.items(), strict=False):
        bare(panel)
        rest = ~np.isin(named, shown)
        panel.scatter(*place[rest].T, s=5, color=_GREY, linewidths=0, label="others" if rest.any() else None)
        for position, label in enumerate(shown):
            chosen = named == label
            panel.scatter(
                *place[chosen].T, s=5, color=PALETTE[position], linewidths=0, alpha=0.75, label=shortened(label, 18)
            )
        panel.set_title(shortened(name, 26))
    handles, texts = axes[0, 0].get_legend_handles_labels()
    drawn.legend(handles, texts, loc="outside lower center", ncols=6, frameon=False, fontsize=7.5, markerscale=2.5)
    keeps = "30 neighbours, min_dist 0.3; it keeps neighbours, not distances" if method == "UMAP" else "two directions"
    return Picture(
        source=uri(drawn, "png"),
        alt=f"{method} of {len(labels)} cells in {len(points)} feature spaces",
        caption=f"{method} of the same {len(labels)} cells in each feature space ({keeps}), coloured by class. Look "
        "for classes that form one connected region.",
    )


@styled
def protein_map(
    points: Floats, method: str, names: Sequence[str], colour_by: Sequence[str] | None, title: str
) -> Picture:
    """Draw average cells, one point of (n, 2) per protein."""
    drawn, axes = figure(4.2, 3.8)
    panel = axes[0, 0]
    bare(panel)
    groups = np.asarray(colour_by if colour_by is not None else [""] * len(names), dtype=str)
    for position, group in enumerate(sorted(set(groups))):
        chosen = groups == group
        colour = PALETTE[position] if position < len(PALETTE) else _GREY
        look = {"color": colour, "marker": MARKERS[position % len(MARKERS)], "label": shortened(group, 18)}
        panel.scatter(*points[chosen].T, s=18, linewidths=0.3, edgecolors="white", **look)
    if len(names) <= _NAMED_POINTS:
        for place, name in zip(points, names, strict=True):
            panel.annotate(
                shortened(name, 14), place, fontsize=6.5, color=SOFT, xytext=(3, 2), textcoords="offset points"
            )
    if colour_by is not None:
        panel.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=3)
    panel.set_title(shortened(title, 30))
    return Picture(
        source=uri(drawn, "svg" if len(names) < 1500 else "png"),
        alt=f"{method} of {len(names)} average cells, {title}",
        caption=f"{method} of the average cell of each of {len(names)} proteins, {title}.",
        width="half",
    )


@styled
def profile_heat_map(profiles: Floats, names: Sequence[str], title: str) -> Picture:
    """Draw the average features of proteins, (n, d), rows and columns in the order of Ward's tree."""
    rows, columns = ward_order(profiles), ward_order(profiles.T)
    named = len(names) <= _NAMED_ROWS
    drawn, axes = figure(8.6, min(9.0, 1.1 + max(0.2 * len(names), 0.9)) if named else 7.0)
    panel = axes[0, 0]
    limit = float(np.quantile(np.abs(profiles), 0.98)) or 1.0
    image = panel.imshow(
        profiles[np.ix_(rows, columns)],
        cmap=_DIVERGING,
        vmin=-limit,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
    )
    panel.set_yticks(range(len(names)) if named else [], [shortened(names[row], 22) for row in rows] if named else [])
    panel.tick_params(labelsize=7, length=0)
    panel.set_xticks([])
    panel.set_xlabel(f"{profiles.shape[1]} features")
    panel.set_title(shortened(title, 40))
    drawn.colorbar(image, ax=panel, shrink=0.9, pad=0.01).set_label("sd from the mean protein", fontsize=8)
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Heat map of the average features of {len(names)} proteins, {title}",
        caption=f"{title}: average features of each protein, centred and scaled over proteins (yellow above, blue "
        "below the mean), rows and columns clustered by Ward's method. Look for blocks: proteins that move "
        "many features alike.",
    )


def _width(crops: Floats, pixel_size_um: float | None) -> str:
    """Return how wide a crop is, because a bar would be lost in crops of this size."""
    return "" if pixel_size_um is None else f" ({crops.shape[2] * pixel_size_um:.3g} µm wide)"


@styled
def cell_dendrogram(
    values: Floats, crops: Floats | None, labels: Sequence[str], title: str, pixel_size_um: float | None = None
) -> Picture:
    """Draw Ward's tree of single cells, with the crop of each under its leaf.

    Args:
        values: (n, d), standardised features.
        crops: (n, H, W, 3) in 0..1; None draws the tree alone.
        labels: class of each cell.
        title: feature set.
        pixel_size_um: pixel size of the crops, whose width is told in the caption; None: not known.
    """
    drawn, axes = figure(8.6, 3.4 if crops is None else 4.0)
    panel = axes[0, 0]
    tree = dendrogram(ward_tree(values), ax=panel, no_labels=True, color_threshold=0, above_threshold_color=SOFT)
    leaves = tree["leaves"] or []
    panel.set_yticks([])
    for spine in panel.spines.values():
        spine.set_visible(False)
    colour = {name: PALETTE[position % len(PALETTE)] for position, name in enumerate(sorted(set(labels)))}
    # Leaves of scipy's tree stand at 5, 15, 25 ...
    for place, leaf in enumerate(leaves):
        x = (place + 0.5) / len(labels)
        if crops is not None:
            inset = panel.inset_axes((x - 0.49 / len(labels), -0.13, 0.98 / len(labels), 0.12))
            inset.imshow(crops[leaf], interpolation="nearest")
            bare(inset)
        panel.text(
            x,
            -0.15 if crops is not None else -0.02,
            shortened(labels[leaf], 12),
            rotation=90,
            ha="center",
            va="top",
            fontsize=6.5,
            color=colour[labels[leaf]],
            transform=panel.transAxes,
        )
    panel.set_title(shortened(title, 40))
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Dendrogram of {len(labels)} cells, {title}",
        caption=f"{title}: {len(labels)} cells, drawn evenly from the classes, in Ward's tree of their features"
        + ("" if crops is None else f", with the crop of each{_width(crops, pixel_size_um)}")
        + ". Cells that join low look alike to the features.",
    )
