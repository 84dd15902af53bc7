"""What a figure is once it is drawn: a canvas, its numbers and its words."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Canvas


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A finished figure.

    Attributes:
        canvas: what is written as PNG and SVG.
        numbers: what is drawn, one row per mark; written as CSV.
        title: heading of the figure.
        caption: what it shows and what to look for.
        alt: what a reader who does not see it must know.
        notes: what was left out, and why.
    """

    canvas: Canvas
    numbers: pd.DataFrame
    title: str
    caption: str
    alt: str
    notes: tuple[str, ...] = ()
