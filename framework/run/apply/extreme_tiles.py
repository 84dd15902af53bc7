"""The tiles that raise and lower each output most, over the bags that were explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import BAG, SOURCE
from framework.objectives import Output
from framework.run.train.opened import Application

LISTED = 3
KEPT = 6


def extremes(table: pd.DataFrame, output: Output, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of an output that raise it most, and those that lower it most, the strongest first.

    Args:
        table: one row per tile and output: target, output, tile, contribution.
        output: which.
        count: count of each at most; a tile stands on one side alone.
    """
    mine = table[(table["output"] == output.name) & (table["target"] == output.target)]
    mine = mine.sort_values(["contribution", "tile"], ascending=[False, True], kind="stable")
    most = min(count, (len(mine) + 1) // 2)
    return mine.head(most), mine.iloc[::-1].head(min(count, len(mine) - most))


def sentences(table: pd.DataFrame, outputs: Sequence[Output]) -> list[str]:
    """Return which tiles raise and lower each output most."""
    told = []
    for output in outputs:
        for what, rows in zip(("raise", "lower"), extremes(table, output, LISTED), strict=True):
            tiles = ", ".join(
                f"tile {row['tile']} of {row[SOURCE]}/{row[BAG]} ({row['contribution']:+.3g})"
                for row in rows.to_dict(orient="records")
            )
            told.append(f"{output.target}/{output.name}: {what} it most: {tiles or 'none'}")
    return told


def extreme_arrays(on: Application, table: pd.DataFrame, outputs: Sequence[Output]) -> dict[str, npt.NDArray[Any]]:
    """Return these tiles as arrays of an ``.npz``, one row per output and tile.

    ``extreme_output`` int64, place among the outputs; ``extreme_side`` 1 (raises) or -1 (lowers); ``extreme_tile`` row
    of tiles.parquet; ``extreme_contribution`` in units of the target; ``extreme_bag`` as ``PLATE/WELL``;
    ``extreme_images`` (rows, C, H, W) as stored.
    """
    rows, places, sides = [], [], []
    for place, output in enumerate(outputs):
        for side, part in zip((1, -1), extremes(table, output, KEPT), strict=True):
            rows.append(part)
            places += [place] * len(part)
            sides += [side] * len(part)
    chosen = pd.concat(rows, ignore_index=True)
    return {
        "extreme_output": np.array(places, dtype=np.int64),
        "extreme_side": np.array(sides, dtype=np.int64),
        "extreme_tile": chosen["tile"].to_numpy(dtype=np.int64),
        "extreme_contribution": chosen["contribution"].to_numpy(dtype=np.float64),
        "extreme_bag": (chosen[SOURCE].astype(str) + "/" + chosen[BAG].astype(str)).to_numpy(dtype=str),
        "extreme_images": on.pixels(chosen["tile"].to_numpy(dtype=np.int64)),
    }
