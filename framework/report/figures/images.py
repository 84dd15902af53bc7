"""Figures of pixels: tiles by condition, flat-fields, and fields with the nuclei found in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from framework.data.format.schema import ChannelStatistics
from framework.errors import InputError
from framework.files.failures import check_regular, reading
from framework.look.stains import dye_colour, is_transmitted, nucleus_channel
from framework.report.canvas import SOFT, bare, figure, shortened, styled, uri
from framework.report.figures.scale import draw_scale_bar
from framework.report.page import Picture

Floats = npt.NDArray[np.float64]

_OVERVIEW, _AGAIN = "the overview of a field (.png)", "ingest again"
_BLUE = ("blue", (0.25, 0.50, 1.0))
_GREY = ("grey", (0.55, 0.55, 0.55))
_OTHERS = (
    ("green", (0.15, 0.95, 0.30)),
    ("red", (1.0, 0.25, 0.15)),
    ("yellow", (0.95, 0.85, 0.10)),
    ("magenta", (0.95, 0.20, 0.90)),
    _GREY,
)
_STATUS_MARKS = {"tile": ("#3ddc84", "o"), "border": ("#ffb347", "s")}
_OTHER_STATUS = ("#ff5c5c", "D")
_NUCLEI_SHOWN = 250
_TILES_SHOWN, _TILE_COLOUR = 3, "#f7e733"


def channel_colours(channels: Sequence[str]) -> list[tuple[str, tuple[float, float, float]]]:
    """Return a named colour for each channel.

    Nuclear stains are blue, transmitted light is grey, and dyes that are known by a colour have it. All others, and a
    second channel of the same colour, get those that are left, in a fixed order.
    """
    first, known = nucleus_channel(channels), dict(_OTHERS)
    found: list[tuple[str, tuple[float, float, float]] | None] = []
    for position, channel in enumerate(channels):
        if position == first or is_transmitted(channel):
            found.append(_BLUE if position == first else _GREY)
            continue
        name = dye_colour(channel)
        found.append((name, known.pop(name)) if name in known else None)
    taken = {each[0] for each in found if each is not None}
    free = [each for each in _OTHERS if each[0] not in taken] or list(_OTHERS)
    rest = iter(free * len(channels))
    return [next(rest) if each is None else each for each in found]


def composite(
    tiles: npt.NDArray[np.generic], channels: Sequence[str], statistics: Mapping[str, ChannelStatistics]
) -> Floats:
    """Return (n, H, W, 3) in 0..1 from stored tiles (n, C, H, W); contrast as ``shades``."""
    return coloured(shades(tiles, channels, statistics), channels)


def shades(
    tiles: npt.NDArray[np.generic], channels: Sequence[str], statistics: Mapping[str, ChannelStatistics]
) -> Floats:
    """Return stored tiles (n, C, H, W) as shades in 0..1; contrast from percentiles 1 to 99.9 of each channel.

    Where ``statistics`` has no such channel they are those of these tiles, so that one hot pixel darkens none of them.
    """
    found = np.empty(tiles.shape)
    for position, channel in enumerate(channels):
        percentiles = statistics[channel].percentiles if channel in statistics else {}
        plane = tiles[:, position].astype(np.float64)
        own = np.percentile(plane, (1, 99.9)) if plane.size else np.array([0.0, 1.0])
        low, high = percentiles.get("1", float(own[0])), percentiles.get("99.9", float(own[1]))
        found[:, position] = np.clip((plane - low) / max(high - low, 1e-9), 0, 1)
    return found


def coloured(shaded: Floats, channels: Sequence[str]) -> Floats:
    """Return the channels of (n, C, H, W) in their colours, added up: (n, H, W, 3) in 0..1."""
    colours = np.array([colour for _, colour in channel_colours(channels)])
    return np.asarray(np.clip(np.einsum("nchw,cr->nhwr", shaded, colours), 0, 1))


@styled
def tile_rows(
    rows: Mapping[str, Floats],
    channels: Sequence[str],
    pixel_size_um: float | None = None,
    each: str = "condition",
    contrast: str = "the whole dataset",
) -> Picture:
    """Draw tiles, one row per condition: condition -> (n, H, W, 3) in 0..1; a scale bar where pixels have a size.

    For the caption, ``each`` is what a row shows, and ``contrast`` what its shades are taken from.
    """
    most = max(len(tiles) for tiles in rows.values())
    drawn, axes = figure(8.6, min(0.93, 7.2 / most) * len(rows) + 0.05, len(rows), most)
    drawn.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
    for line, (condition, tiles) in zip(axes, rows.items(), strict=True):
        for panel, position in zip(line, range(most), strict=True):
            bare(panel)
            if position < len(tiles):
                panel.imshow(tiles[position], interpolation="nearest")
                if position == 0:
                    draw_scale_bar(panel, pixel_size_um, tiles.shape[2], tiles.shape[1])
        line[0].set_ylabel(shortened(condition, 26), rotation=0, ha="right", va="center", fontsize=8)
    named = ", ".join(
        f"{channel} {name}" for channel, (name, _) in zip(channels, channel_colours(channels), strict=True)
    )
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Example tiles, one row per {each}: {', '.join(rows)}",
        caption=f"Example tiles, one row per {each} ({named}; contrast from the 1st to the 99.9th percentile of "
        f"{contrast}, the same in every tile). Look for cells centred in their tile, and for differences between the "
        "rows that the model could use; a blurred, empty or saturated row is a problem of the images.",
    )


@styled
def channel_panels(
    rows: Mapping[str, Floats],
    channels: Sequence[str],
    pixel_size_um: float | None = None,
    each: str = "condition",
    contrast: str = "the whole dataset",
) -> Picture:
    """Draw one cell per condition, all channels together and each alone: condition -> shades (C, H, W) in 0..1.

    For the caption, ``each`` is what a row shows, and ``contrast`` what its shades are taken from.
    """
    colours = channel_colours(channels)
    across = len(channels) + 1
    size = min(1.15, 7.2 / across)
    drawn, axes = figure(1.4 + size * across, size * len(rows) + 0.35, len(rows), across)
    drawn.set_layout_engine("constrained", w_pad=0.015, h_pad=0.015, wspace=0.0, hspace=0.0)
    for line, (condition, shaded) in zip(axes, rows.items(), strict=True):
        images = [coloured(shaded[None], channels)[0], *shaded]
        for panel, image in zip(line, images, strict=True):
            bare(panel)
            panel.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            draw_scale_bar(panel, pixel_size_um, shaded.shape[2], shaded.shape[1])
        line[0].set_ylabel(shortened(condition, 22), rotation=0, ha="right", va="center", fontsize=8)
    for panel, title in zip(axes[0], ["together", *channels], strict=True):
        panel.set_title(shortened(title, 14), fontsize=8, loc="center", fontweight="normal")
    named = ", ".join(f"{channel} {name}" for channel, (name, _) in zip(channels, colours, strict=True))
    return Picture(
        source=uri(drawn, "png"),
        alt=f"One cell per {each}, channels together and alone: {', '.join(rows)}",
        caption=f"One cell per {each}: all channels together ({named}), then each alone in grey. Contrast is that "
        f"of {contrast}. Look for a channel that is empty, saturated or shows another one.",
    )


@styled
def flat_fields(fields: Mapping[str, Floats], pixel_size_um: float | None = None) -> Picture:
    """Draw flat-fields: name -> (H, W), mean 1; a scale bar where pixels have a size."""
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
        small, step = _reduced(field, 160)
        image = panel.imshow(small, vmin=low, vmax=high, cmap="cividis")
        draw_scale_bar(panel, pixel_size_um and pixel_size_um * step, small.shape[1], small.shape[0])
        panel.set_title(shortened(name, 28), fontsize=8)
        panel.set_xlabel(f"{np.nanmin(field):.2f} – {np.nanmax(field):.2f}", fontsize=7.5, color=SOFT)
        shown.append(panel)
    drawn.colorbar(image, ax=shown, shrink=0.8, pad=0.01, label="light, of the mean of the field")
    return Picture(
        source=uri(drawn, "png"),
        alt=f"Flat-fields of {len(fields)} plate and channel pairs, from {low:.2f} to {high:.2f}",
        caption="Flat-fields: the illumination each image was divided by (mean 1; lowest and highest value below "
        "each). Look "
        "for smooth vignettes. Shapes of cells or wells in them mean too few images to average; a range near 1.00 "
        "means "
        "there was little to correct.",
    )


def overview(
    file: Path,
    nuclei: pd.DataFrame,
    scale: float,
    diameter_px: float,
    title: str,
    pixel_size_um: float | None = None,
) -> Picture:
    """Draw a field with its nuclei, or the middle of a field that has too many to tell apart.

    Args:
        file: PNG of the field.
        nuclei: columns y_px, x_px (field pixels) and status.
        scale: overview pixels per field pixel.
        diameter_px: diameter of the circles, in field pixels.
        title: what the field is.
        pixel_size_um: pixel size of the field, for a scale bar; None: not known.

    Raises:
        InputError: the file is not a picture, or a damaged one.
    """
    check_regular(file, InputError, _OVERVIEW, _AGAIN)
    with reading(file, InputError, _OVERVIEW, _AGAIN):
        image = np.asarray(imread(file))
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape}")
    return field_picture(image, nuclei, scale, diameter_px, title, pixel_size_um=pixel_size_um)


@styled
def field_picture(
    image: npt.NDArray[Any],
    nuclei: pd.DataFrame,
    scale: float,
    diameter_px: float,
    title: str,
    tile_px: float | None = None,
    pixel_size_um: float | None = None,
) -> Picture:
    """Draw a field with its nuclei; see ``overview``.

    Args:
        image: (h, w) or (h, w, 3) picture of the field.
        nuclei: columns y_px, x_px (field pixels) and status.
        scale: pixels of the picture per field pixel.
        diameter_px: diameter of the circles, in field pixels.
        title: what the field is.
        tile_px: edge of a tile in field pixels, to draw three of them; None for none.
        pixel_size_um: edge of a field pixel, for a scale bar.
    """
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
        colour, shape = _STATUS_MARKS.get(status, _OTHER_STATUS)
        # A pixel's centre lies at whole numbers in both grids.
        x, y = ((part[column] + 0.5) * scale - 0.5 for column in ("x_px", "y_px"))
        panel.scatter(x, y, s=size, marker=shape, facecolors="none", edgecolors=colour, linewidths=0.9)
        label = f"{status} {counts[status]}"
        handles.append(Line2D([], [], marker=shape, linestyle="", markerfacecolor="none", color=colour, label=label))
    if tile_px is not None:
        _tiles_at(panel, nuclei, scale, tile_px, (width, height), shown)
    panel.set_xlim((width - 1) / 2 - shown * width / 2, (width - 1) / 2 + shown * width / 2)
    panel.set_ylim((height - 1) / 2 + shown * height / 2, (height - 1) / 2 - shown * height / 2)
    _scale_bar_of_the_middle(panel, pixel_size_um and pixel_size_um / scale, width, height, shown)
    if handles:
        panel.legend(
            handles=handles, frameon=False, loc="upper center", ncols=4, fontsize=7.5, bbox_to_anchor=(0.5, 0.0)
        )
    listed = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
    return Picture(
        source=uri(drawn, "png"),
        alt=f"{middle} with detected nuclei: {listed}",
        caption=f"{middle[0].upper()}{middle[1:]}. One mark per nucleus (in the whole field {listed}): circles "
        "have a tile, squares lie too near the border for one. Look for nuclei without a mark, marks on debris, and "
        "two marks on one nucleus.",
        width="half",
    )


def _tiles_at(
    panel: Axes, nuclei: pd.DataFrame, scale: float, tile_px: float, size: tuple[int, int], shown: float
) -> None:
    """Draw the squares of up to three tiles that are apart, those nearest to the middle of what is shown."""
    x, y = ((nuclei[column].to_numpy(np.float64) + 0.5) * scale - 0.5 for column in ("x_px", "y_px"))
    edge = tile_px * scale
    drawn: list[tuple[float, float]] = []
    inside = (nuclei["status"].astype(str) == "tile").to_numpy()
    away = np.maximum(np.abs(x - size[0] / 2) / size[0], np.abs(y - size[1] / 2) / size[1])
    for place in np.argsort(np.where(inside & (away < shown / 2), away, np.inf)):
        if len(drawn) == _TILES_SHOWN or not inside[place]:
            break
        if all(max(abs(x[place] - a), abs(y[place] - b)) > edge for a, b in drawn):
            drawn.append((float(x[place]), float(y[place])))
    for a, b in drawn:
        square = Rectangle((a - edge / 2, b - edge / 2), edge, edge, fill=False, edgecolor=_TILE_COLOUR, linewidth=1.2)
        panel.add_patch(square)


def _scale_bar_of_the_middle(
    panel: Axes, pixel_size_um: float | None, width: float, height: float, shown: float
) -> None:
    """Draw a scale bar at the lower right of the middle ``shown`` of each side of an image."""
    left, top = width * (1 - shown) / 2, height * (1 - shown) / 2
    draw_scale_bar(panel, pixel_size_um, width * shown, height * shown, left, top)


def _reduced(field: Floats, size: int) -> tuple[Floats, int]:
    """Return every n-th pixel, so that no side is longer than ``size``, and n: flat-fields are smooth."""
    step = max(1, -(-max(field.shape) // size))
    return field[::step, ::step], step
