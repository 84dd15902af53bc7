"""Figures of a look at cells that come one by one: sizes of crops, cells of bags, places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from framework.look.values import Floats
from framework.report.canvas import ACCENT, PALETTE, faint_grid, figure, shortened, styled, uri
from framework.report.page import Picture

_NAMED, _BINS, _MAPS = 30, 24, 6
_FITS = {
    "exact": "Tiles take crops of their own size alone",
    "pad": "Smaller crops are padded about their centre",
    "crop": "Larger crops are cut about their centre",
    "pad_or_crop": "Smaller crops are padded and larger ones cut, about their centre",
    "resize": "Crops are scaled so that the longer edge fills the tile",
}


@styled
def crop_sizes(edges_px: npt.NDArray[np.int64], tile_px: int, fit: str) -> Picture:
    """Draw how high and wide crops are (n, 2), against the edge of a tile."""
    drawn, axes = figure(4.6, 2.6)
    panel = axes[0, 0]
    low, high = min(int(edges_px.min()), tile_px), max(int(edges_px.max()), tile_px)
    bins: Any = np.linspace(low - 0.5, high + 0.5, min(_BINS, high - low + 1) + 1)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for place, name in enumerate(("height", "width")):
        panel.hist(edges_px[:, place], bins=bins, histtype="step", linewidth=1.6, color=PALETTE[place], label=name)
    panel.axvline(tile_px, color=PALETTE[3], linestyle="--", linewidth=1.6, label=f"tile: {tile_px} px")
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.set_xlabel("edge of a crop, px")
    panel.set_ylabel("crops")
    panel.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    typical = f"{np.median(edges_px[:, 0]):.0f} x {np.median(edges_px[:, 1]):.0f} px"
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Sizes of {len(edges_px)} crops: typically {typical}; tiles of {tile_px} px",
        caption=f"Height and width of the {len(edges_px)} crops that were looked at, typically {typical}. "
        f"{_FITS[fit]} ('tiles.fit: {fit}').",
        width="half",
    )


@styled
def bag_bars(per_bag: Mapping[str, int], unit: str) -> Picture:
    """Draw how many cells each bag has: a bar each, or a histogram of many bags."""
    names, counts = list(per_bag), np.array(list(per_bag.values()))
    few = len(names) <= _NAMED
    drawn, axes = figure(4.6, 0.6 + 0.2 * len(names) if few else 2.4)
    panel = axes[0, 0]
    if few:
        panel.barh(range(len(names)), counts, color=ACCENT)
        panel.set_yticks(range(len(names)), [shortened(name, 34) for name in names], fontsize=8)
        panel.invert_yaxis()
        panel.set_xlabel(unit)
    else:
        panel.hist(counts, bins=min(_BINS, int(counts.max() - counts.min()) + 1), color=ACCENT, edgecolor="white")
        panel.set_xlabel(f"{unit} of a bag")
        panel.set_ylabel("bags")
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    faint_grid(panel, "x" if few else "y")
    told = f"{counts.min()} to {counts.max()}, median {np.median(counts):.0f}"
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"{unit} of {len(names)} bags: {told}",
        caption=f"{unit[0].upper()}{unit[1:]} of each bag: {told}. A bag with far fewer than the others weighs as much "
        "as they do where bags are compared.",
        width="half",
    )


@styled
def places_of_cells(places: Mapping[str, Floats], pixel_size_um: float | None) -> Picture:
    """Draw where cells lie: export -> (n, 2) y and x in px; in um where the pixel size is known."""
    shown = dict(list(places.items())[:_MAPS])
    unit, factor = ("px", 1.0) if pixel_size_um is None else ("µm", pixel_size_um)
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    drawn, axes = figure(3.4 * columns + 0.6, 3.2 * rows, rows, columns)
    for spare in axes.ravel()[len(shown) :]:
        spare.set_visible(False)
    for panel, (name, found) in zip(axes.ravel(), shown.items(), strict=False):
        panel.plot(found[:, 1] * factor, found[:, 0] * factor, ".", color=ACCENT, markersize=2, alpha=0.6)
        panel.set_aspect("equal")
        panel.invert_yaxis()
        panel.set_title(shortened(name, 30))
        panel.set_xlabel(f"x, {unit}")
        panel.set_ylabel(f"y, {unit}")
    total = sum(len(found) for found in shown.values())
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Places of {total} cells in {len(shown)} exports",
        caption=f"Places of {total} cells in their fields; fields of one export lie upon each other. Look for a part "
        "of the image without cells, and for a turned or shifted shape.",
    )
