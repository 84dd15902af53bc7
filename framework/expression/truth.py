"""What only a simulation knows: the expression of the imaged cells themselves, and which predictor comes close."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, did_you_mean, some_of
from framework.evaluate.metrics import pearson, rmse
from framework.expression.config import Truth
from framework.files.h5ad import numbers_of, read_h5ad
from framework.files.names import why_unmatched

Single = npt.NDArray[np.float32]
MEAN = "mean"
"""The predictor that gives every cell the mean of the training cells: what knowing no marker is worth."""


def open_truth(config: Truth, rows: pd.DataFrame, genes: list[str]) -> Single:
    """Read the true expression of imaged cells, on the scale of the single-cell side.

    Args:
        config: where it lies.
        rows: (c,) imaged cells with the column ``config.cell``.
        genes: wanted, as the single-cell side names them.

    Returns:
        float32 (c, G).

    Raises:
        InputError: no such file, no column that names cells, or a cell or gene it does not have.
    """
    file = Path(config.path)
    if config.cell not in rows:
        columns = [str(name) for name in rows.columns]
        raise InputError(
            f"images.truth.cell: the predictions have no column '{config.cell}'{did_you_mean(config.cell, columns)}; "
            f"found: {some_of(columns)}"
        )
    data = _read(file)
    for what, names in (("cell", data.obs_names), ("gene", data.var_names)):
        twice = names[names.duplicated()]
        if len(twice):
            raise InputError(f"{file}: the {what} '{twice[0]}' appears twice; expected distinct names")
    cells = data.obs_names.get_indexer(pd.Index(rows[config.cell].astype(str)))
    if (cells < 0).any():
        absent = rows[config.cell].astype(str).to_numpy()[cells < 0]
        raise InputError(
            f"{file}: {len(absent)} of {len(rows)} imaged cells are not in it, first '{absent[0]}'; its cells "
            f"have names like '{data.obs_names[0]}'"
            + why_unmatched(list(dict.fromkeys(rows[config.cell].astype(str))), list(data.obs_names))
        )
    columns_of = data.var_names.get_indexer(pd.Index([config.prefix + gene for gene in genes]))
    if (columns_of < 0).any():
        gene = config.prefix + np.array(genes)[columns_of < 0][0]
        raise InputError(
            f"{file}: no gene '{gene}'; its genes look like '{data.var_names[0]}': check images.truth.prefix"
        )
    values: Single = numbers_of(data, file, config.layer, dtype=np.float32)[np.ix_(cells, columns_of)]
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(values) | (values < 0) if config.log else ~np.isfinite(values)
    if bad.any():
        cell, gene = (int(places[0]) for places in np.nonzero(bad))
        raise InputError(
            f"{file}: '{config.prefix}{genes[gene]}' of the cell '{data.obs_names[cells[cell]]}' is "
            f"{values[cell, gene]:g}; expected "
            + ("counts of at least 0, or images.truth.log: false" if config.log else "finite values")
        )
    return np.log1p(values) if config.log else values


def score_against_truth(
    predicted: dict[str, Single], truth: Single, genes: npt.ArrayLike, marker_of: npt.ArrayLike
) -> pd.DataFrame:
    """Score each gene of each predictor.

    Args:
        predicted: name -> (c, G).
        truth: (c, G).
        genes, marker_of: (G,).

    Returns:
        One row per gene: ``gene``, ``marker_of``, and ``r_<name>``, ``rmse_<name>`` of each predictor.
    """
    table = pd.DataFrame({"gene": genes, "marker_of": marker_of})
    for name, values in predicted.items():
        table[f"r_{name}"] = pearson(values, truth)
        table[f"rmse_{name}"] = rmse(values, truth)
    return table


def _read(file: Path) -> anndata.AnnData:
    if not file.is_file():
        raise InputError(f"{file}: no such file; expected an .h5ad with the true expression of the imaged cells")
    return read_h5ad(file, error=InputError, what="true expression (.h5ad)")
