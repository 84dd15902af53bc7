"""Where the panels of several targets stand: modalities in rows and stimulations in columns, as far as names say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.report.canvas import figure

WIDTH = 5.6
"""Inches of every figure: text of 8 points can still be read when it is shown 400 pixels wide."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rows and columns of panels, one per target.

    Attributes:
        rows, columns: of the grid.
        places: target -> (row, column).
    """

    rows: int
    columns: int
    places: dict[str, tuple[int, int]]


def layout_of(targets: Sequence[str], columns: int = 2) -> Layout:
    """Return where each target stands.

    ``transcripts_M1``, ``transcripts_M2``, ``proteins_M1``, ``proteins_M2`` become two rows (transcripts, proteins) and
    two columns (M1, M2), as in the paper. Names that do not make a whole grid stand one after another.
    """
    parts = [name.rpartition("_") for name in targets]
    kinds, states = (list(dict.fromkeys(part[place] for part in parts)) for place in (0, 2))
    whole = all(part[0] for part in parts) and len(kinds) * len(states) == len(targets) and len(states) > 1
    if whole and len(states) <= columns:
        places = {
            name: (kinds.index(part[0]), states.index(part[2])) for name, part in zip(targets, parts, strict=True)
        }
        return Layout(rows=len(kinds), columns=len(states), places=places)
    columns = min(columns, len(targets))
    places = {name: divmod(number, columns) for number, name in enumerate(targets)}
    return Layout(rows=-(-len(targets) // columns), columns=columns, places=places)


def panels_of(
    targets: Sequence[str], height: float, columns: int = 2, extra: float = 0.0
) -> tuple[Figure, dict[str, Axes], npt.NDArray[np.object_]]:
    """Return a figure, target -> its axes, and all axes; those without a target are hidden.

    Args:
        targets: one panel each.
        height: inches of a row.
        columns: at most so many side by side.
        extra: inches for what stands below or above all panels.
    """
    layout = layout_of(targets, columns)
    made, axes = figure(WIDTH, height * layout.rows + extra, layout.rows, layout.columns)
    for spare in axes.ravel():
        spare.set_visible(False)
    placed: dict[str, Axes] = {}
    for name, place in layout.places.items():
        axes[place].set_visible(True)
        placed[name] = axes[place]
    return made, placed, axes


def spoken(target: str) -> str:
    """Return a target as a title: ``Transcripts, M1`` for ``transcripts_M1``."""
    kind, _, state = target.rpartition("_")
    return f"{kind[:1].upper()}{kind[1:]}, {state}" if kind else target
