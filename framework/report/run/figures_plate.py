"""Heat-maps in the true geometry of a plate: rows are letters, columns are numbers, A01 at the top left."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from framework.format import count_of
from framework.report.canvas import DIVERGING, LINE, SEQUENTIAL, SOFT, figure, shortened, styled, uri
from framework.report.page import Picture

_WELL = re.compile(r"([A-Z]{1,2})0*([1-9][0-9]?)")
_FORMATS = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


def well_position(name: str) -> tuple[int, int] | None:
    """Return (row, column) from 0 of a well name such as ``A01`` or ``AF48``; None for anything else."""
    match = _WELL.fullmatch(name)
    if match is None:
        return None
    row = 0
    for letter in match[1]:
        row = row * 26 + ord(letter) - ord("A") + 1
    return row - 1, int(match[2]) - 1


def plate_shape(positions: list[tuple[int, int]]) -> tuple[int, int]:
    """Return (rows, columns) of the smallest plate sold that holds all positions, 96 wells at least."""
    rows = max((row for row, _ in positions), default=0) + 1
    columns = max((column for _, column in positions), default=0) + 1
    for shape in _FORMATS:
        if shape >= (8, 12) and rows <= shape[0] and columns <= shape[1]:
            return shape
    return rows, columns


@styled
def plate_map(plates: Mapping[str, Mapping[str, float]], quantity: str, caption: str, unit: str = "") -> Picture | None:
    """Draw one quantity over plates on one colour scale: one plate at half width, several side by side.

    Args:
        plates: plate -> well name -> value; wells without a value stay blank, NaN is crossed out.
        quantity: name of the value, above each plate.
        caption: what to look for.
        unit: beside the colours; empty: the quantity.

    Returns:
        None when no well has a plate position (samples that come from no plate).
    """
    placed = {plate: _placed(wells) for plate, wells in plates.items()}
    placed = {plate: wells for plate, wells in placed.items() if wells}
    if not placed:
        return None
    values = np.array([value for wells in placed.values() for value in wells.values()], dtype=np.float64)
    known = values[~np.isnan(values)]
    scale, colours = _scale(known)
    columns = min(2, len(placed))
    rows = -(-len(placed) // columns)
    drawn, axes = figure(4.4 * columns, 2.9 * rows, rows, columns)
    for spare in axes.ravel()[len(placed) :]:
        spare.set_visible(False)
    for panel, (plate, wells) in zip(axes.ravel(), placed.items(), strict=False):
        _draw(panel, wells, scale, colours)
        panel.set_title(shortened(f"{quantity} · {plate}", 46), fontsize=9)
    shown = [panel for panel in axes.ravel() if panel.get_visible()]
    drawn.colorbar(ScalarMappable(norm=scale, cmap=colours), ax=shown, shrink=0.7, pad=0.01, label=unit or quantity)
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"{quantity} by well on {count_of(len(placed), 'plate')}: {_range(known)}",
        caption=caption,
        width="half" if columns == 1 else "full",
    )


def _placed(wells: Mapping[str, float]) -> dict[tuple[int, int], float]:
    positions = {well_position(str(well)): float(value) for well, value in wells.items()}
    return {position: value for position, value in positions.items() if position is not None}


def _range(known: np.ndarray) -> str:
    return f"{known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g}" if len(known) else "no values"


def _scale(known: np.ndarray) -> tuple[Normalize, str]:
    """Return a colour scale; values on both sides of 0 get two hues that part there."""
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low < 0.0 < high:
        far = max(-low, high)
        return Normalize(-far, far), DIVERGING
    return Normalize(low, high), SEQUENTIAL


def _draw(panel: Axes, wells: Mapping[tuple[int, int], float], scale: Normalize, colours: str) -> None:
    rows, columns = plate_shape(list(wells))
    table = np.full((rows, columns), np.nan)
    for (row, column), value in wells.items():
        table[row, column] = value
        if np.isnan(value):
            panel.plot([column - 0.25, column + 0.25], [row - 0.25, row + 0.25], color=SOFT, linewidth=0.8)
            panel.plot([column - 0.25, column + 0.25], [row + 0.25, row - 0.25], color=SOFT, linewidth=0.8)
    panel.add_patch(Rectangle((-0.5, -0.5), columns, rows, facecolor="#f2f4f6", edgecolor=LINE, zorder=0))
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    panel.pcolormesh(*edges, np.ma.masked_invalid(table), cmap=colours, norm=scale, edgecolor="white", linewidth=0.6)
    panel.set_xlim(-0.5, columns - 0.5)
    panel.set_ylim(rows - 0.5, -0.5)
    panel.set_aspect("equal")
    every = 1 if columns <= 12 else 2 if columns <= 24 else 4
    panel.set_xticks(range(0, columns, every), [str(column + 1) for column in range(0, columns, every)])
    panel.set_yticks(range(0, rows, every), [_row_name(row) for row in range(0, rows, every)])
    panel.tick_params(length=0, labelsize=7)
    for spine in panel.spines.values():
        spine.set_visible(False)


def _row_name(row: int) -> str:
    name = ""
    row += 1
    while row:
        row, letter = divmod(row - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def wells_of(table: pd.DataFrame, plate: str, well: str, value: str, limit: int) -> dict[str, dict[str, float]]:
    """Return plate -> well -> value of the first ``limit`` plates by name."""
    chosen = sorted(table[plate].astype(str).unique())[:limit]
    grouped = {name: table[table[plate].astype(str) == name] for name in chosen}
    return {
        name: dict(zip(part[well].astype(str), part[value].astype(float), strict=True))
        for name, part in grouped.items()
    }
