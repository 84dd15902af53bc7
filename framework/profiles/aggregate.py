"""Rows of one group become one profile: mean, median, trimmed mean, or weighted by the attention of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator
from scipy.stats import trim_mean

from framework.config import StrictModel, UniqueNames
from framework.errors import InputError
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_file
from framework.profiles.table import ProfileTable, as_anndata, need_finite, open_profiles
from framework.result import Result

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ROWS = "n_rows"


class AggregateConfig(StrictModel):
    """Options of ``aggregate``."""

    by: UniqueNames = Field(default=("Metadata_Plate", "Metadata_Well"), min_length=1)
    """Columns that together name what becomes one profile."""
    how: Literal["mean", "median", "trimmed", "attention"] = "median"
    """``trimmed``: the mean without the share ``trim`` of rows at either end, feature by feature. ``attention``: the
    mean weighted by column ``weights``."""
    trim: float = Field(default=0.1, ge=0, lt=0.5)
    """Share of rows left out at either end, for ``trimmed``."""
    weights: str = "attention"
    """Column with a number >= 0 per row, as ``wellstream embed`` writes it where a run has learned attention."""

    @model_validator(mode="after")
    def _check(self) -> AggregateConfig:
        for name, how in (("trim", "trimmed"), ("weights", "attention")):
            usual = type(self).model_fields[name].default
            if self.how != how and getattr(self, name) != usual:
                raise ValueError(f"'{name}' is for {how} profiles; write how={how}, or leave '{name}' out")
        return self


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Aggregated(Result):
    """Profiles, one per group.

    Attributes:
        data: columns of ``obs`` that have one value in every group, and ``n_rows``.
        rows: rows that went in.
        profiles: rows that came out.
        how: the rule.
        left_out: columns that differ within a group.
        out: the file that was written.
    """

    data: anndata.AnnData = field(repr=False)
    rows: int
    profiles: int
    how: str
    left_out: tuple[str, ...] = ()
    out: Path | None = None


def aggregate(
    source: Path | str | anndata.AnnData, config: AggregateConfig, out: Path | str | None = None
) -> Aggregated:
    """Make one profile of the rows of each group.

    Args:
        source: profiles of cells, tiles or wells; see ``open_profiles``.
        config: groups and rule.
        out: ``.h5ad`` to write; None: nowhere.

    Raises:
        ConfigError: ``out`` does not end in .h5ad, or is read.
        InputError: a file that cannot be read, columns that are not there, values that are not finite, or weights that
            are not numbers >= 0.
    """
    if out is not None:
        check_output_file(out, ".h5ad", [source])
    table = open_profiles(source)
    need_finite(table, table.values, table.features)
    keys = table.keys(config.by)
    names, place = _groups(keys)
    values = combined(table.values, place, config.how, trim=config.trim, weights=_weights(table, config))
    obs, left_out = _facts(table.obs, place, len(names))
    told = table.uns.get("wellstream")
    facts = dict(told) if isinstance(told, Mapping) else {}
    made = ProfileTable(
        name=table.name, obs=obs.set_axis(pd.Index(names)), features=table.features, values=values, uns={}
    )
    uns: dict[str, Any] = {
        **table.uns,
        "wellstream": {**facts, "aggregated": {"by": list(config.by), "how": config.how}},
    }
    data = as_anndata(made, values, table.features, uns)
    if out is not None:
        write_h5ad(Path(out), data, compression="gzip")
    return Aggregated(
        data=data,
        rows=len(keys),
        profiles=len(names),
        how=config.how,
        left_out=tuple(left_out),
        out=None if out is None else Path(out),
    )


def combined(values: Floats, place: Ints, how: str, *, trim: float = 0.1, weights: Floats | None = None) -> Floats:
    """Return one row per group, (G, d).

    Args:
        values: (n, d), finite.
        place: (n,) group 0 .. G - 1 of each row; every group has a row.
        how: ``mean``, ``median``, ``trimmed`` or ``attention``.
        trim: share of rows cut off at either end.
        weights: (n,) >= 0, for ``attention``.
    """
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(int(place.max()) + 1))
    rows = np.empty((len(starts), values.shape[1]))
    for group, mine in enumerate(np.split(order, starts[1:])):
        part = values[mine]
        if how == "mean":
            rows[group] = part.mean(axis=0)
        elif how == "median":
            rows[group] = np.median(part, axis=0)
        elif how == "trimmed":
            rows[group] = trim_mean(part, trim, axis=0)
        elif weights is not None:
            rows[group] = np.average(part, axis=0, weights=weights[mine])
    return rows


def _groups(keys: npt.NDArray[np.object_]) -> tuple[list[str], Ints]:
    """Return names of groups in their order of appearance, and the group of each row."""
    codes, names = pd.factorize(keys)
    return [str(name) for name in names], codes.astype(np.int64)


def _weights(table: ProfileTable, config: AggregateConfig) -> Floats | None:
    if config.how != "attention":
        return None
    where = f"{table.name}: column '{config.weights}'"
    table.column(config.weights)
    numbers = pd.to_numeric(table.obs[config.weights], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(numbers) & (numbers >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{where} must hold a number of 0 or more in every row; row '{table.obs.index[row]}' has "
            f"'{table.obs[config.weights].iloc[row]}' ({int(bad.sum())} rows are like that); choose another "
            "--how or other weights"
        )
    _, place = _groups(table.keys(config.by))
    sums = np.bincount(place, weights=numbers)
    if (sums <= 0).any():
        raise InputError(f"{where} is 0 in all rows of {int((sums <= 0).sum())} group(s); choose another --how")
    return numbers


def _facts(obs: pd.DataFrame, place: Ints, groups: int) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns that have one value in every group, and the names of all others."""
    grouped = obs.groupby(place, sort=True)
    counts = grouped.nunique(dropna=False)
    same: Sequence[str] = [name for name in obs.columns if (counts[name] <= 1).all()]
    facts = obs.iloc[np.unique(place, return_index=True)[1]][list(same)].copy()
    facts[ROWS] = np.bincount(place, minlength=groups)
    return facts, [str(name) for name in obs.columns if name not in same and name != ROWS]
