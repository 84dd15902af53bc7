"""Figures of pixels: tiles by condition, flat-fields, and fields with the nuclei found in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.image import imread
from matplotlib.lines import Line2D

from framework.data.format.schema import ChannelStatistics
from framework.errors import InputError
from framework.files.failures import check_regular, reading
from framework.look.stains import nucleus_channel
from framework.report.canvas import SOFT, bare, figure, shortened, styled, uri
from framework.report.page import Picture

Floats = npt.NDArray[np.float64]

_OVERVIEW, _AGAIN = "the overview of a field (.png)", "ingest again"
_BLUE = ("blue", (0.25, 0.50, 1.0))
_OTHERS = (
    ("green", (0.15, 0.95, 0.30)),
    ("red", (1.0, 0.25, 0.15)),
    ("yellow", (0.95, 0.85, 0.10)),
    ("magenta", (0.95, 0.20, 0.90)),
    ("grey", (0.55, 0.55, 0.55)),
)
_STATUS_COLOURS = {"tile": "#3ddc84", "border": "#ffb347"}
_OTHER_STATUS = "#ff5c5c"
_NUCLEI_SHOWN = 250


def channel_colours(channels: Sequence[str]) -> list[tuple[str, tuple[float, float, float]]]:
    """Return a named colour for each channel: nuclear stains blue, the others in a fixed order."""
    rest = iter(_OTHERS * (len(channels) // len(_OTHERS) + 1))
    first = nucleus_channel(channels)
    return [_BLUE if position == first else next(rest) for position in range(len(channels))]


def composite(
    tiles: npt.NDArray[np.generic], channels: Sequence[str], statistics: Mapping[str, ChannelStatistics]
) -> Floats:
    """Return (n, H, W, 3) in 0..1 from stored tiles (n, C, H, W); contrast from percentiles 1 to 99.9."""
    picture = np.zeros((len(tiles), *tiles.shape[2:], 3))
    for position, (channel, (_, colour)) in enumerate(zip(channels, channel_colours(channels), strict=True)):
        percentiles = statistics[channel].percentiles if channel in statistics else {}
        plane = tiles[:, position].astype(np.float64)
        low = percentiles.get("1", float(plane.min(initial=0)))
        high = percentiles.get("99.9", float(plane.max(initial=1)))
        shade = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
        picture += shade[..., None] * np.asarray(colour)
    return np.clip(picture, 0, 1)


@styled
def tile_rows(rows: Mapping[str, Floats], channels: Sequence[str]) -> Picture:
    """Draw tiles, one row per condition: condition -> (n, H, W, 3) in 0..1."""
    most = max(len(tiles) for tiles in rows.values())
    drawn, axes = figure(8.6, min(0.93, 7.2 / most) * len(rows) + 0.05, len(rows), most)
    drawn.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
    for line, (condition, tiles) in zip(axes, rows.items(), strict=True):
        for panel, position in zip(line, range(most), strict=True):
            bare(panel)
            if position < len(tiles):
                panel.imshow(tiles[position], interpolation="nearest")
        line[0].set_ylabel(shortened(condition, 26), rotation=0, ha="right", va="center", fontsize=8)
    named = ", ".join(
        f"{channel} {name}" for channel, (name, _) in zip(channels, channel_colours(channels), strict=True)
    )
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Example tiles of {len(rows)} conditions: {', '.join(rows)}",
        caption=f"Example tiles, one row per condition ({named}; contrast from the 1st to the 99.9th percentile of "
        f"the whole "
        "dataset, the same in every tile). Look for cells centred in their tile, and for differences between the "
        "rows that "
        "the model could use; a blurred, empty or saturated row is a problem of the images.",
    )


@styled
def flat_fields(fields: Mapping[str, Floats]) -> Picture:
    """Draw flat-fields: name -> (H, W), mean 1."""
    columns = min(4, max(len(fields), 2))
    rows = -(-len(fields) // columns)
    drawn, axes = figure(8.6, 2.0 * rows + 0.2, rows, columns)
    for spare in axes.ravel():
        spare.set_visible(False)
    low = min(float(np.nanmin(field)) for field in fields.values())
    high = max(float(np.nanmax(field)) for field in fields.values())
    shown = []
    for panel, (name, field) in zip(axes.ravel(), fields.items(), strict=False):
        panel.set_visible(True)
        bare(panel)
        image = panel.imshow(_reduced(field, 160), vmin=low, vmax=high, cmap="cividis")
        panel.set_title(shortened(name, 28), fontsize=8)
        panel.set_xlabel(f"{np.nanmin(field):.2f} – {np.nanmax(field):.2f}", fontsize=7.5, color=SOFT)
        shown.append(panel)
    drawn.colorbar(image, ax=shown, shrink=0.8, pad=0.01)
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Flat-fields of {len(fields)} plate and channel pairs, from {low:.2f} to {high:.2f}",
        caption="Flat-fields: the illumination each image was divided by (mean 1; lowest and highest value below "
        "each). Look "
        "for smooth vignettes. Shapes of cells or wells in them mean too few images to average; a range near 1.00 "
        "means "
        "there was little to correct.",
    )


@styled
def overview(file: Path, nuclei: pd.DataFrame, scale: float, diameter_px: float, title: str) -> Picture:
    """Draw a field with its nuclei, or the middle of a field that has too many to tell apart.

    Args:
        file: PNG of the field.
        nuclei: columns y_px, x_px (field pixels) and status.
        scale: overview pixels per field pixel.
        diameter_px: of the circles, in field pixels.
        title: what the field is.

    Raises:
        InputError: the file is no picture, or a damaged one.
    """
    check_regular(file, InputError, _OVERVIEW, _AGAIN)
    with reading(file, InputError, _OVERVIEW, _AGAIN):
        image = np.asarray(imread(file))
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape}")
    height, width = image.shape[:2]
    shown = min(1.0, math.sqrt(_NUCLEI_SHOWN / max(len(nuclei), 1)))
    middle = (f"the middle {shown:.0%} of each side of " if shown < 1 else "") + title
    drawn, axes = figure(4.6, 4.6 * height / width + 0.3)
    panel = axes[0, 0]
    bare(panel)
    panel.imshow(image[..., :3] if image.ndim == 3 else image, cmap="gray", interpolation="nearest")
    points_per_pixel = 4.4 * 72 / (width * shown)
    size = (1.2 * diameter_px * scale * points_per_pixel) ** 2
    counts = nuclei["status"].astype(str).value_counts()
    handles = []
    for status in sorted(counts.index, key=lambda name: (name != "tile", name)):
        part = nuclei[nuclei["status"].astype(str) == status]
        colour = _STATUS_COLOURS.get(status, _OTHER_STATUS)
        # A pixel's centre lies at whole numbers in both grids.
        x, y = ((part[column] + 0.5) * scale - 0.5 for column in ("x_px", "y_px"))
        panel.scatter(x, y, s=size, facecolors="none", edgecolors=colour, linewidths=0.9)
        label = f"{status} {counts[status]}"
        handles.append(Line2D([], [], marker="o", linestyle="", markerfacecolor="none", color=colour, label=label))
    panel.set_xlim((width - 1) / 2 - shown * width / 2, (width - 1) / 2 + shown * width / 2)
    panel.set_ylim((height - 1) / 2 + shown * height / 2, (height - 1) / 2 - shown * height / 2)
    if handles:
        panel.legend(
            handles=handles, frameon=False, loc="upper center", ncols=4, fontsize=7.5, bbox_to_anchor=(0.5, 0.0)
        )
    listed = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
    return Picture(
        source=uri(drawn, "png"),
        alt=f"{middle} with detected nuclei: {listed}",
        caption=f"{middle[0].upper()}{middle[1:]}. One circle a nucleus (in the whole field {listed}). Look for "
        f"nuclei without "
        "a circle, circles on debris, and two circles on one nucleus.",
        width="half",
    )


def _reduced(field: Floats, size: int) -> Floats:
    """Return every n-th pixel, so that no side is longer than ``size``: flat-fields are smooth."""
    step = max(1, -(-max(field.shape) // size))
    return field[::step, ::step]
