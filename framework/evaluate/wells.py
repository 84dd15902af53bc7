"""Embeddings and features with one row per well, of files with one row per tile or per well."""

from __future__ import annotations

from dataclasses import dataclass

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import BAG, CONTROL_TYPE, SOURCE, STIMULATION
from framework.files.h5ad import numbers_of

NEGATIVE = "negcon"


@dataclass(frozen=True, kw_only=True)
class WellEmbeddings:
    """Embeddings with one row per well: the bag table's columns, and (B, D) vectors."""

    wells: pd.DataFrame
    vectors: npt.NDArray[np.float64]


def well_embeddings(data: anndata.AnnData) -> WellEmbeddings:
    """Return well embeddings of an embeddings file at either level."""
    vectors = numbers_of(data, "embeddings")
    rows = data.obs.reset_index(drop=True)
    if "tile" not in rows.columns:
        return WellEmbeddings(wells=rows, vectors=vectors)
    keys = [rows[SOURCE].astype(str), rows[BAG].astype(str)]
    code = pd.MultiIndex.from_arrays(keys).factorize()[0]
    sums = np.zeros((int(code.max()) + 1, vectors.shape[1]))
    np.add.at(sums, code, vectors)
    first = np.unique(code, return_index=True)[1]
    wells = rows.iloc[first].reset_index(drop=True)
    return WellEmbeddings(wells=wells, vectors=sums / np.bincount(code)[:, None])


def well_means(data: anndata.AnnData) -> pd.DataFrame:
    """Return the mean of each well, index (source, bag); features that are not finite in all wells are left out."""
    table = well_embeddings(data)
    keys = pd.MultiIndex.from_arrays([table.wells[SOURCE].astype(str), table.wells[BAG].astype(str)])
    values = pd.DataFrame(table.vectors, index=keys, columns=[str(name) for name in data.var_names])
    finite = np.isfinite(values.to_numpy()).all(axis=0)
    found: pd.DataFrame = values.loc[~keys.duplicated(), finite]
    return found


def negative_controls(wells: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which wells are negative controls, bool (n,); none in a table that does not say."""
    if CONTROL_TYPE not in wells.columns:
        return np.zeros(len(wells), dtype=np.bool_)
    return (wells[CONTROL_TYPE].astype(str) == NEGATIVE).to_numpy()


def stimulations(wells: pd.DataFrame) -> pd.Series:
    """Return the stimulation of each well; empty where the table has none."""
    return wells[STIMULATION].astype(str) if STIMULATION in wells.columns else pd.Series("", index=wells.index)
