"""Figures of a look: sizes, histograms of pixels, focus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from framework.look.values import Histogram, Look
from framework.report.canvas import ACCENT, PALETTE, SOFT, faint_grid, figure, shortened, styled, uri
from framework.report.page import Picture

_MOST_PX = 540
_LOW, _HIGH = 0.5, 99.8
_BINS = 24
_COLUMNS = 3
_LABELLED, _FITTING = 40, 20


def reduced(image: npt.NDArray[Any]) -> tuple[npt.NDArray[np.uint8], float]:
    """Return an image (H, W) as grey from 0 to 255, at most 540 px, and its pixels per pixel of ``image``."""
    scale = min(1.0, _MOST_PX / max(image.shape))
    small = image.astype(np.float32)
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    low, high = (float(value) for value in np.percentile(small, (_LOW, _HIGH)))
    return np.clip((small - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8), scale


@styled
def size_histogram(look: Look) -> Picture | None:
    """Draw how much of the bright area is in objects of each size, and the expected diameter; None without any."""
    sizes, found = look.sizes.diameter_px, look.sizes.typical_px
    if not len(sizes) or found is None:
        return None
    unit, factor = ("px", 1.0) if look.pixel_size_um is None else ("µm", look.pixel_size_um)
    ends = [float(sizes.min()), float(sizes.max()), look.expected_px or found]
    bins = np.geomspace(min(ends) / 1.1, max(ends) * 1.1, _BINS + 1) * factor
    counts, _ = np.histogram(sizes * factor, bins=bins, weights=look.sizes.area)
    drawn, axes = figure(4.6, 2.8)
    panel = axes[0, 0]
    panel.bar(bins[:-1], counts / counts.sum(), np.diff(bins), align="edge", color=ACCENT, edgecolor="white")
    panel.axvline(found * factor, color=PALETTE[3], linewidth=1.6, label=f"seen: {found * factor:.3g} {unit}")
    if look.expected_px is not None:
        told = f"expected: {look.expected_px * factor:.3g} {unit}"
        panel.axvline(look.expected_px * factor, color=PALETTE[1], linewidth=1.6, linestyle="--", label=told)
    panel.set_xscale("log")
    ticks = [tick for tick in (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200) if bins[0] <= tick <= bins[-1]]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.set_xticks([], minor=True)
    panel.set_xlabel(f"diameter of a round bright object, {unit}")
    panel.set_ylabel("share of the bright area")
    panel.legend(frameon=False)
    expected = "none" if look.expected_px is None else f"{look.expected_px * factor:.3g} {unit}"
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Sizes seen: {found * factor:.3g} {unit}; expected: {expected}",
        caption=f"Round bright objects of '{look.nuclei}', found at all sizes without the expected one; large ones "
        "count by their area. Both lines should lie near the highest bar.",
        width="half",
    )


@styled
def pixel_histograms(histograms: Sequence[Histogram]) -> Picture:
    """Draw the pixels of each channel, on a logarithmic scale."""
    columns = min(_COLUMNS, len(histograms))
    rows = -(-len(histograms) // columns)
    drawn, axes = figure(2.9 * columns, 2.2 * rows, rows, columns)
    for spare in axes.ravel()[len(histograms) :]:
        spare.set_visible(False)
    for panel, each in zip(axes.ravel(), histograms, strict=False):
        shares = np.maximum(each.counts / each.counts.sum(), 1e-7)
        panel.stairs(shares, each.edges, fill=True, color=ACCENT, baseline=1e-7)
        panel.set_yscale("log")
        panel.set_ylim(1e-6, 1)
        panel.set_yticks([1e-6, 1e-4, 1e-2, 1], ["0.0001 %", "0.01 %", "1 %", "100 %"])
        panel.xaxis.set_major_locator(MaxNLocator(3))
        panel.set_title(shortened(each.channel, 30))
        told = "no pixel at the top" if each.top is None else f"{each.saturated:.2%} at {each.top:.0f}"
        panel.set_xlabel(f"stored value; {told}", fontsize=8)
        panel.set_ylabel("share of pixels", fontsize=8)
        faint_grid(panel)
    listed = "; ".join(
        f"{each.channel} {each.saturated:.2%} saturated" if each.top is not None else each.channel
        for each in histograms
    )
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Histograms of pixels: {listed}",
        caption="Pixels of the images that were looked at. A last bar that stands out is saturation: values cut off at "
        "the camera's top. A single narrow peak is an empty or dark channel. Where no pixel is at the top, the "
        "brightest 0.05 % lie to the right of what is drawn.",
    )


@styled
def focus_dots(focus: Mapping[tuple[str, str, int], float]) -> Picture:
    """Draw how sharp each field is, in units of the median."""
    keys = sorted(focus)
    few = len(keys) <= _FITTING
    drawn, axes = figure(4.6 if few else 8.6, 2.4)
    panel = axes[0, 0]
    panel.axhline(1.0, color=SOFT, linewidth=0.8)
    panel.axhline(0.5, color=PALETTE[1], linewidth=0.8, linestyle="--")
    panel.plot(range(len(keys)), [focus[key] for key in keys], "o", color=ACCENT, markersize=4)
    if len(keys) <= _LABELLED:
        panel.set_xticks(range(len(keys)), [f"{well} s{site}" for _, well, site in keys], rotation=90, fontsize=7)
    panel.set_ylim(bottom=0)
    panel.set_ylabel("fine detail / median")
    low = sum(value < 0.5 for value in focus.values())
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Sharpness of {len(keys)} fields; {low} below half of the median",
        caption="Fine detail over contrast in the nucleus channel, one dot per field, in units of the median. Below "
        "the dashed line a field is probably out of focus, or empty.",
        width="half" if few else "full",
    )
