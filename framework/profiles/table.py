"""Profiles as they come in: rows with ``Metadata_*`` columns and features, from AnnData or a text table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import CONTROL_TYPE
from framework.errors import InputError, did_you_mean, some_of
from framework.features.table import open_features
from framework.files.h5ad import numbers_of, read_h5ad
from framework.files.text_values import text_values

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CONTROL_COLUMNS = (CONTROL_TYPE, "Metadata_control_type", "Metadata_pert_type")
"""Columns that say which wells are controls: ours, and those of JUMP and of the Broad's plate maps."""

NEGATIVE = "Metadata_negcon"
"""A column of yes and no that marks negative controls, as notebooks of the Broad have it."""
_YES = ("true", "1", "1.0")


@dataclass(frozen=True, kw_only=True, eq=False)
class ProfileTable:
    """Rows and their features.

    Attributes:
        name: name of the file, for messages.
        obs: (n) what is known of each row.
        features: d names.
        values: (n, d).
        uns: what the file says of itself.
    """

    name: str
    obs: pd.DataFrame
    features: tuple[str, ...]
    values: Floats
    uns: dict[str, Any]

    def column(self, name: str) -> npt.NDArray[np.object_]:
        """Return a column of ``obs`` as text, (n,), empty where it is missing. Raises InputError: there is none."""
        if name not in self.obs.columns:
            known = [str(item) for item in self.obs.columns]
            raise InputError(f"{self.name}: no column '{name}'; there are {some_of(known)}" + did_you_mean(name, known))
        return text_values(self.obs[name])

    def keys(self, columns: Sequence[str]) -> npt.NDArray[np.object_]:
        """Return the values of several columns as one text per row, joined with `` | ``.

        Raises:
            InputError: no such column, or a row without a value.
        """
        parts = [self.column(name) for name in columns]
        for name, values in zip(columns, parts, strict=True):
            if (values == "").any():
                row = int(np.flatnonzero(values == "")[0])
                raise InputError(
                    f"{self.name}: row '{self.obs.index[row]}' has no value in column '{name}' "
                    f"({int((values == '').sum())} rows have none); fill it in, or leave those rows out"
                )
        return np.array([" | ".join(row) for row in zip(*parts, strict=True)], dtype=object)


def open_profiles(source: Path | str | anndata.AnnData) -> ProfileTable:
    """Read profiles.

    Args:
        source: ``.h5ad`` with features in ``X``; a CSV or TSV, also packed, whose ``Metadata_*`` columns describe rows
            and whose other columns are features; or AnnData in memory.

    Raises:
        InputError: no such file, or no features in it.
    """
    if isinstance(source, anndata.AnnData):
        return _of(source, "profiles")
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected profiles (.h5ad, or a CSV with Metadata_* columns)")
    if path.suffix.lower() == ".h5ad" or h5py.is_hdf5(path):
        return _of(read_h5ad(path, error=InputError, what="profiles (.h5ad)", then="make it again"), str(path))
    table = open_features(path, finite=False)[0]
    return ProfileTable(
        name=str(path), obs=table.cells, features=table.columns, values=table.values.astype(np.float64), uns={}
    )


def as_anndata(table: ProfileTable, values: Floats, features: Sequence[str], uns: dict[str, Any]) -> anndata.AnnData:
    """Return a table with other features (n, d) as AnnData; numbers are float32, ``obs`` stays as it is."""
    return anndata.AnnData(
        X=values.astype(np.float32),
        obs=table.obs.set_axis(table.obs.index.astype(str)),
        var=pd.DataFrame(index=pd.Index([str(name) for name in features])),
        uns=uns,
    )


def need_finite(table: ProfileTable, values: Floats, features: Sequence[str], then: str = "") -> None:
    """Check values (n, d) of a table.

    Raises:
        InputError: one is NaN or infinite; says how many, and ``then`` what to do.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        row, feature = np.argwhere(bad)[0]
        raise InputError(
            f"{table.name}: {int(bad.sum())} values are NaN or infinite, in {int(bad.any(axis=1).sum())} rows and "
            f"{int(bad.any(axis=0).sum())} features; the first is '{features[feature]}' of row "
            f"'{table.obs.index[row]}'. {then}Leave those rows or features out"
        )


def control_rows(table: ProfileTable, to: str) -> Mask:
    """Return which rows are controls, (n,).

    Args:
        table: the profiles.
        to: a control type such as ``negcon``, ``COLUMN=VALUE,VALUE``, or ``all``.

    Raises:
        InputError: no such column, or no such row.
    """
    if to == "all":
        return np.ones(len(table.obs), dtype=np.bool_)
    name, equals, wanted = to.partition("=")
    if equals:
        values = [value.strip() for value in wanted.split(",") if value.strip()]
        found: Mask = np.isin(table.column(name.strip()).astype(str), values)
        if not found.any():
            there = some_of(sorted({str(value) for value in table.column(name.strip())}), 8)
            raise InputError(f"{table.name}: no row has '{wanted}' in column '{name}'; its values are {there}")
        return found
    columns = [each for each in CONTROL_COLUMNS if each in table.obs.columns]
    for column in columns:
        found = np.array([str(value).lower() == to.lower() for value in table.column(column)], dtype=np.bool_)
        if found.any():
            return found
    if to.lower() == "negcon" and NEGATIVE in table.obs.columns:
        found = np.array([str(value).lower() in _YES for value in table.column(NEGATIVE)], dtype=np.bool_)
        if found.any():
            return found
    raise InputError(f"{table.name}: {_no_controls(table, to, columns)}")


def _no_controls(table: ProfileTable, to: str, columns: Sequence[str]) -> str:
    said = f"no row is '{to}' in {' or '.join(columns)}" if columns else (
        f"no column says which rows are controls (looked for {', '.join((*CONTROL_COLUMNS, NEGATIVE))})"
    )  # fmt: skip
    have = [str(name) for name in table.obs.columns if (table.column(str(name)) == to).any()]
    example = f"{have[0]}={to}" if have else "Metadata_Compound=DMSO"
    return f"{said}; name them as COLUMN=VALUE, such as --to {example}"


def _of(data: anndata.AnnData, name: str) -> ProfileTable:
    if not data.n_vars:
        raise InputError(f"{name}: X holds no features; expected profiles with one column per feature")
    if not data.n_obs:
        raise InputError(f"{name}: holds no row")
    for axis, names in (("feature", data.var_names), ("row", data.obs_names)):
        if names.has_duplicates:
            raise InputError(f"{name}: {axis} '{names[names.duplicated()][0]}' appears more than once")
    return ProfileTable(
        name=name,
        obs=data.obs,
        features=tuple(str(item) for item in data.var_names),
        values=numbers_of(data, name).copy(),
        uns=dict(data.uns),
    )
