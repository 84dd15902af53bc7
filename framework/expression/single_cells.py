"""The single-cell side: a prepared file opened, checked, split and scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.markers import Floats, MarkerRange
from framework.errors import InputError, did_you_mean, some_of
from framework.expression.config import ExpressionConfig
from framework.files.h5ad import numbers_of, read_h5ad

Single = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
_MADE_BY = "make it with: wellstream prepare CONFIG --out FILE.h5ad"


@dataclass(frozen=True, kw_only=True)
class SingleCells:
    """Cells whose markers and genes were measured.

    Attributes:
        names: (n,) cells.
        expression: float32 (n, G), the predicted proteins last.
        genes: (G,) names, ``name (protein)`` for proteins.
        marker_of: (G,) populations a gene marks, joined by ``|``; empty for none.
        population: (n,) of each cell.
        markers: (n, d) as measured.
        scaled: float64 (n, d), in [0, 1] on the cells the range was measured on.
        ranges: one per marker; of the training part where each part has its own.
        train: (n,) cells to learn from.
        proteins: how many of ``genes`` are predicted proteins.
        notes: what preparing them said about its input.
    """

    names: pd.Index
    expression: Single
    genes: tuple[str, ...]
    marker_of: npt.NDArray[np.object_]
    population: pd.Categorical
    markers: Floats
    scaled: Floats
    ranges: tuple[MarkerRange, ...]
    train: Mask
    proteins: int = 0
    notes: tuple[str, ...] = ()

    def measured_genes(self) -> list[str]:
        """Return the genes without the predicted proteins."""
        return list(self.genes[: len(self.genes) - self.proteins])

    def marker_genes(self) -> Mask:
        """Return which genes mark a population, (G,)."""
        chosen: Mask = self.marker_of != ""
        return chosen


def open_single_cells(config: ExpressionConfig) -> SingleCells:
    """Read, split and scale the single-cell side of a config.

    Raises:
        InputError: no such file, not prepared by ``wellstream prepare``, a marker missing, too few cells.
    """
    data = _read(Path(config.single_cell))
    genes = _genes(config.single_cell, data)
    proteins = data.obsm["markers"]
    for name in (*config.markers, *config.also_predict):
        if name not in proteins:
            raise InputError(
                f"{config.single_cell}: no surface marker '{name}'{did_you_mean(name, map(str, proteins.columns))}; "
                f"found: {some_of(proteins.columns)}"
            )
    train = split_cells(data.n_obs, config.test_fraction, config.seed)
    _check_markers(config, proteins)
    markers = proteins[list(config.markers)].to_numpy(dtype=np.float64)
    scaled, ranges = _scaled(config, markers, train)
    extra = np.log1p(proteins[list(config.also_predict)].to_numpy(dtype=np.float32))
    marked = _texts(data.var["marker_of"], "") if "marker_of" in data.var else np.full(data.n_vars, "")
    return SingleCells(
        names=data.obs_names,
        expression=np.concatenate([genes, extra], axis=1),
        genes=(*map(str, data.var_names), *(f"{name} (protein)" for name in config.also_predict)),
        marker_of=np.concatenate([marked, np.full(len(config.also_predict), "protein")]).astype(object),
        population=_populations(data),
        markers=markers,
        scaled=scaled,
        ranges=ranges,
        train=train,
        proteins=len(config.also_predict),
        notes=tuple(str(note) for note in np.atleast_1d(data.uns["wellstream"].get("notes", ()))),
    )


def _genes(file: str, data: anndata.AnnData) -> Single:
    """Return the expression, (cells, genes), of a file whose names are distinct and whose values are finite."""
    for what, names in (("cell", data.obs_names), ("gene", data.var_names)):
        twice = names[names.duplicated()]
        if len(twice):
            raise InputError(f"{file}: the {what} '{twice[0]}' appears twice; expected distinct names; {_MADE_BY}")
    if not data.n_vars:
        raise InputError(f"{file}: holds no genes; expected the expression of genes (cells x genes); {_MADE_BY}")
    genes: Single = numbers_of(data, file, dtype=np.float32)
    bad = ~np.isfinite(genes)
    if bad.any():
        cell, gene = (int(places[0]) for places in np.nonzero(bad))
        raise InputError(
            f"{file}: the gene '{data.var_names[gene]}' of the cell '{data.obs_names[cell]}' is {genes[cell, gene]:g}; "
            f"{int(bad.sum())} values are NaN or infinite, expected none; {_MADE_BY}"
        )
    return genes


def _texts(values: pd.Series, missing: str) -> npt.NDArray[np.object_]:
    """Return a column as text, whatever its type; ``missing`` where there is no value."""
    return np.array([missing if pd.isna(value) else str(value) for value in values], dtype=object)


def _populations(data: anndata.AnnData) -> pd.Categorical:
    """Return the population of each cell, in the order of its categories where the file has them."""
    if "population" not in data.obs:
        return pd.Categorical(["all"] * data.n_obs)
    column = data.obs["population"]
    if isinstance(column.dtype, pd.CategoricalDtype) and not column.isna().any():
        return pd.Categorical(column.array).rename_categories(str)
    return pd.Categorical(_texts(column, "unknown"))


def _check_markers(config: ExpressionConfig, proteins: pd.DataFrame) -> None:
    for name in (*config.markers, *config.also_predict):
        if proteins[name].dtype.kind not in "iufb":
            raise InputError(f"{config.single_cell}: surface marker '{name}' holds text; expected counts")
        bad = ~np.isfinite(proteins[name].to_numpy(dtype=np.float64))
        if bad.any():
            raise InputError(
                f"{config.single_cell}: surface marker '{name}' is NaN or infinite in {int(bad.sum())} of {len(bad)} "
                f"cells, first '{proteins.index[bad][0]}'; prepare the cells again"
            )


def split_cells(cells: int, test_fraction: float, seed: int) -> Mask:
    """Return which of ``cells`` to learn from, (cells,); a pure function of its arguments.

    Raises:
        InputError: too few cells for both parts.
    """
    tested = round(cells * test_fraction)
    if tested < 2 or cells - tested < 2:
        raise InputError(
            f"{cells} single cells cannot be split with test_fraction {test_fraction:g}; expected 2 per part"
        )
    train = np.ones(cells, dtype=np.bool_)
    train[np.random.default_rng(seed).permutation(cells)[:tested]] = False
    return train


def _scaled(config: ExpressionConfig, markers: Floats, train: Mask) -> tuple[Floats, tuple[MarkerRange, ...]]:
    scaled = np.empty_like(markers)
    ranges = []
    for column, name in enumerate(config.markers):
        values = markers[:, column]
        fitted = MarkerRange.fit(name, values if config.scale == "modality" else values[train], config.transform)
        scaled[:, column] = fitted.apply(values)
        if config.scale == "part":
            scaled[~train, column] = MarkerRange.fit(name, values[~train], config.transform).apply(values[~train])
        ranges.append(fitted)
    return scaled, tuple(ranges)


def _read(file: Path) -> anndata.AnnData:
    if not file.is_file():
        raise InputError(f"{file}: no such file; {_MADE_BY}")
    data = read_h5ad(file, error=InputError, what="single cells (.h5ad)", then=_MADE_BY)
    facts = data.uns.get("wellstream")
    if not isinstance(facts, Mapping) or facts.get("kind") != "single_cell" or "markers" not in data.obsm:
        raise InputError(f"{file}: expected single cells with surface markers in obsm['markers']; {_MADE_BY}")
    if not isinstance(data.obsm["markers"], pd.DataFrame) or not data.obsm["markers"].columns.is_unique:
        raise InputError(
            f"{file}: obsm['markers'] is not a table with one column per surface marker, each name once; {_MADE_BY}"
        )
    return data
