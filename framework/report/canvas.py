"""Where figures are drawn: one look for all, and the same bytes for the same data.

Figures are matplotlib ``Figure`` objects without pyplot, so nothing global is touched and no display is needed. They
leave as ``data:`` URIs: SVG for lines and bars, PNG for images and clouds of points.
"""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1c2733"
SOFT = "#5a6875"
LINE = "#dde3e8"
ACCENT = "#1f6f8b"
PALETTE = ("#1f6f8b", "#d1622b", "#6a51a3", "#3a8f4f", "#b8860b", "#a03060", "#4d7fc4", "#7a6a5a", "#2fa6a0", "#c98fb4")
"""Ten hues. Their lightness is alike, so groups within one panel also differ in their ``MARKERS`` or their place."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
"""Shapes of dots, one per colour of ``PALETTE``: they hold where colours cannot be told apart, and in grey."""
SIGNIFICANT, NOT_SIGNIFICANT, FILTERED = "#6a51a3", "#d992a6", "#dce1e5"
"""Dark, middle and light, also in grey."""
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

_STYLE: Any = {
    "svg.hashsalt": "wellstream",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.usetex": False,
    "text.parse_math": False,
}
_PNG_DPI = 130
_METRES_PER_INCH = 0.0254
_HEAD = 4096
"""Characters of a figure's data in which its size stands; a multiple of four, as Base64 wants."""


P = ParamSpec("P")
R = TypeVar("R")


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Decorate a drawing function: all it makes gets our look, and names with ``$`` are never read as formulas."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, npt.NDArray[np.object_]]:
    """Return a figure of ``width`` x ``height`` inches and its axes as an object array (rows, columns)."""
    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False)


def uri(made: Figure, form: Literal["svg", "png"]) -> str:
    """Return the drawn figure as a ``data:`` URI; equal figures give equal bytes."""
    kind = {"svg": "image/svg+xml", "png": "image/png"}[form]
    return f"data:{kind};base64,{base64.b64encode(rendered(made, form)).decode('ascii')}"


def rendered(made: Figure, form: Literal["svg", "png"], dpi: int = _PNG_DPI) -> bytes:
    """Return the drawn figure as a file; equal figures give equal bytes. ``dpi`` is that of a PNG."""
    buffer = io.BytesIO()
    if form == "svg":
        made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    else:
        made.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def width_of(source: str) -> float:
    """Return the width in inches at which a figure was drawn, from the ``data:`` URI of its PNG or SVG; 0: unknown."""
    head, _, body = source.partition(",")
    content = base64.b64decode(body[:_HEAD]) if head.endswith("base64") else body[:_HEAD].encode()
    if head.startswith("data:image/svg"):
        told = re.search(rb'<svg[^>]*\bwidth="([0-9.]+)pt"', content)
        return float(told[1]) / 72 if told else 0.0
    if content[12:16] != b"IHDR":
        return 0.0
    pixels, density = int.from_bytes(content[16:20], "big"), content.find(b"pHYs")
    per_metre = int.from_bytes(content[density + 4 : density + 8], "big") if density > 0 else 0
    return pixels / (per_metre or _PNG_DPI / _METRES_PER_INCH) / _METRES_PER_INCH


def bare(axes: Axes) -> None:
    """Take ticks and frame off axes that show an image."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def faint_grid(axes: Axes, axis: Literal["x", "y", "both"] = "y") -> None:
    """Draw light grid lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=axis, color=LINE, linewidth=0.7)


def shortened(text: object, length: int = 24) -> str:
    """Return ``text`` cut to ``length`` characters, for labels inside figures."""
    shown = str(text)
    return shown if len(shown) <= length else shown[: length - 1] + "…"
