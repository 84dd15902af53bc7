"""What a plan may draw from: allowed bags, where their tiles begin, which condition each belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.dataset import Dataset
from framework.data.permutation import I64
from framework.data.split import need_columns


@dataclass(frozen=True, kw_only=True, eq=False)
class Exclusion:
    """Bags that a plan never visits, and why, in words for the log."""

    bags: I64
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PlanUniverse:
    """Allowed bags and tiles.

    Attributes:
        bags: int64 (U,), allowed rows of bags.parquet, increasing; each has at least one tile.
        bag_start: int64 (B + 1,) of the whole dataset; tiles of bag b are ``bag_start[b]:bag_start[b + 1]``.
        group: int64 (U,), condition of each allowed bag.
        group_names: name of each condition, for messages; may be empty.
        tiles: int64, allowed tiles, increasing; None allows every tile of the allowed bags. Only plans that visit
            single tiles can use it; the others refuse it.
        excluded: bags that were asked for and left out before any plan was made.
    """

    bags: I64
    bag_start: I64
    group: I64
    group_names: tuple[str, ...] = ()
    tiles: I64 | None = None
    excluded: tuple[Exclusion, ...] = ()

    def __post_init__(self) -> None:
        if len(self.bags) != len(self.group):
            raise ValueError(f"{len(self.bags)} bags but {len(self.group)} condition ids")
        if np.any(np.diff(self.bags) <= 0):
            raise ValueError("allowed bags must be listed once each, in increasing order")
        if len(self.bags) and (self.bags[0] < 0 or self.bags[-1] >= len(self.bag_start) - 1):
            raise ValueError(f"allowed bags must lie in [0, {len(self.bag_start) - 1})")
        empty = self.bags[self.counts == 0]
        if len(empty):
            raise ValueError(f"bag(s) {_some(empty)} have no tiles; leave them out of the universe")
        if self.tiles is not None:
            if np.any(np.diff(self.tiles) <= 0):
                raise ValueError("allowed tiles must be listed once each, in increasing order")
            outside = self.tiles[~np.isin(bags_of(self.bag_start, self.tiles), self.bags)]
            if len(outside):
                raise ValueError(f"tile(s) {_some(outside)} belong to no allowed bag")

    @classmethod
    def of(
        cls, dataset: Dataset, bags: I64, by: tuple[str, ...] = (), tiles: I64 | npt.NDArray[np.bool_] | None = None
    ) -> PlanUniverse:
        """Return the universe of some bags of a dataset.

        Bags without tiles, or without a value in a column of ``by``, are left out and listed in ``excluded``.

        Args:
            dataset: the dataset.
            bags: int64, wanted rows of bags.parquet, in any order.
            by: columns of bags.parquet whose values together make a condition; none puts all bags in one.
            tiles: ids, or a mask (T,), of the tiles that may be visited; those of other bags are ignored.

        Raises:
            RunError: a column that bags.parquet does not have.
        """
        wanted = np.unique(np.asarray(bags, dtype=np.int64))
        start = dataset.index.bag_start
        keys = _conditions(dataset, by)
        without_tiles = start[wanted + 1] == start[wanted]
        unknown = ~without_tiles & keys.iloc[wanted].isna().to_numpy()
        kept = wanted[~(without_tiles | unknown)]
        group, names = pd.factorize(keys.iloc[kept], sort=True)
        if tiles is not None:
            ids: I64 = (np.flatnonzero(tiles) if tiles.dtype == np.bool_ else np.unique(tiles)).astype(np.int64)
            tiles = ids[np.isin(bags_of(start, ids), kept)]
        found = (
            Exclusion(bags=wanted[without_tiles], reason="no tiles"),
            Exclusion(bags=wanted[unknown], reason=f"no value in {' or '.join(by)}"),
        )
        return cls(
            bags=kept,
            bag_start=start,
            group=np.asarray(group, dtype=np.int64),
            group_names=tuple(str(name) for name in names),
            tiles=tiles,
            excluded=tuple(item for item in found if len(item.bags)),
        )

    @property
    def counts(self) -> I64:
        """int64 (U,), tiles of each allowed bag."""
        counts: I64 = self.bag_start[self.bags + 1] - self.bag_start[self.bags]
        return counts


def bags_of(bag_start: I64, tiles: I64) -> I64:
    """Return the bag of each tile (n,), int64 (n,), from where the bags begin, ``bag_start`` (B + 1,)."""
    return np.searchsorted(bag_start, tiles, side="right").astype(np.int64) - 1


def _conditions(dataset: Dataset, by: tuple[str, ...]) -> pd.Series[str]:
    """Name of each bag's condition; NaN where a column has no value."""
    table = dataset.bags
    need_columns(table, "plan.by", by)
    if not by:
        return pd.Series(["all"] * len(table))
    names = table[by[0]].astype(str)
    for column in by[1:]:
        names = names + " / " + table[column].astype(str)
    known_values: pd.Series[str] = names.where(table[list(by)].notna().all(axis=1)).reset_index(drop=True)
    return known_values


def _some(ids: I64) -> str:
    shown = ", ".join(str(i) for i in ids[:5])
    return shown + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
