"""How much each tile counted in the predictions of its bag, if the pool of the run has learned such weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from framework.data.batch import Batch
from framework.data.permutation import I64
from framework.durable import write_with
from framework.objectives import Predicts
from framework.objectives.predicting_targets import PredictsTargets
from framework.run.apply.tables import tile_rows, with_folder
from framework.run.train.opened import Application


class TileAttention:
    """The mean share of every tile of some bags over the draws and views that were averaged.

    Args:
        on: the run on its data.
        objective: what predicts; its pool has learned how much tiles count.
        bags: bags that are predicted, increasing.
    """

    def __init__(self, on: Application, objective: PredictsTargets, bags: I64) -> None:
        self._on, self._objective, self._bags = on, objective, bags
        first = on.dataset.index.bag_start[bags]
        counts = on.dataset.index.bag_start[bags + 1] - first
        self._tiles: I64 = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
        self._shares = np.zeros(len(self._tiles), dtype=np.float64)
        self._draws = np.zeros(len(self._tiles), dtype=np.int64)

    @classmethod
    def of(cls, on: Application, objective: Predicts, bags: I64) -> TileAttention | None:
        """Return a table to fill for bags (n,); None for an objective whose tiles all count the same."""
        if not isinstance(objective, PredictsTargets) or not objective.bag_encoder.attention.learns:
            return None
        return cls(on, objective, bags)

    def predict(self, batch: Batch, views: Iterable[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean prediction (K, P) over views (K, N, ...) of the tiles, and the share (K, N) of each tile.

        Args:
            batch: one step.
            views: its tiles, each time seen otherwise.
        """
        made, shares = [], []
        for seen in views:
            embedded = seen if seen.ndim == 3 else self._objective.embed_tiles(seen)
            made.append(self._objective.predict(replace(batch, tiles=embedded)))
            shares.append(self._objective.bag_encoder.attention.shares(embedded).double())
        return made[0] if len(made) == 1 else torch.stack(made).mean(dim=0), torch.stack(shares).mean(dim=0)

    def add(self, tiles: I64, shares: npt.NDArray[np.float64], share: float) -> None:
        """Keep what each tile counted in a step.

        Args:
            tiles: (n, N), those of the bags that count.
            shares: (n, N), from ``predict``.
            share: share of this draw among all draws of a bag.
        """
        places = np.searchsorted(self._tiles, tiles)
        np.add.at(self._draws, places, 1)
        np.add.at(self._shares, places, shares * share)

    def write(self, predictions: Path) -> Path:
        """Write ``attention.parquet`` into the folder of the predictions, or beside their file.

        One row per tile that was drawn: the columns of its bag, ``tile``, ``site``, ``y_px``, ``x_px``, ``attention``
        (mean share over all draws, 0 in those it was not in: shares of a bag add up to 1) and ``draws``.
        """
        single = predictions.suffix == ".h5ad"
        file = predictions.with_suffix(".attention.parquet") if single else predictions / "attention.parquet"
        drawn = self._draws > 0
        table = tile_rows(self._on.dataset, self._on.parts, self._tiles[drawn])
        own: dict[str, npt.NDArray[np.generic]] = {
            "attention": self._shares[drawn].astype(np.float32),
            "draws": self._draws[drawn],
        }
        write_with(with_folder(file), partial(table.assign(**own).to_parquet, index=False))
        return file
