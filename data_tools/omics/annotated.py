"""Omics tables in AnnData and MuData files: X, a layer or ``raw``, with the facts of samples in ``obs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd

from data_tools.omics.config import OmicsConfig
from data_tools.omics.gct import WHAT
from data_tools.omics.raw import RawOmics
from framework.errors import InputError, did_you_mean
from framework.files.h5ad import is_mudata, read_h5ad, read_modality
from framework.files.sparse import about_repeated, repeated_places
from framework.files.text_values import text_values

_RAW = "raw"


def read_anndata(config: OmicsConfig, file: Path) -> RawOmics:
    """Read an AnnData file, or one modality of a MuData file, whatever the file is called.

    Raises:
        InputError: no readable file, no such modality, layer or column of names, or no numbers.
    """
    data = _opened(config, file)
    matrix, var = _matrix(config, data, file)
    repeated = about_repeated(repeated_places(matrix))
    dense = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    if dense.dtype.kind not in "iuf":
        found = "holds true and false, not numbers" if dense.dtype.kind == "b" else "does not hold numbers"
        raise InputError(f"{file}: {config.layer or 'X'} {found}; expected one row of numbers per sample")
    _refuse_turned(config, data, file)
    facts = pd.DataFrame({str(name): text_values(data.obs[name]) for name in data.obs.columns})
    if "sample" not in facts:
        facts.insert(0, "sample", text_values(pd.Series(data.obs_names)))
    named = str(data.obs.index.name or "sample")
    if named not in facts:
        facts[named] = text_values(pd.Series(data.obs_names))
    return RawOmics(
        file=file,
        facts=facts,
        genes=_gene_names(config, var, file),
        ids=tuple(str(gene) for gene in var.index),
        values=np.ascontiguousarray(dense, dtype=np.float64),
        rows=[f"sample '{name}'" for name in data.obs_names],
        declared=True,
        of_genes=tuple(str(name) for name in var.columns),
        layers=_layers(data),
        notes=tuple(f"{file}: {note}" for note in repeated),
    )


def _refuse_turned(config: OmicsConfig, data: anndata.AnnData, file: Path) -> None:
    """Refuse a file whose rows are genes: then the facts of samples stand in ``var``."""
    wanted = config.perturbation
    if wanted in data.var and wanted not in data.obs:
        raise InputError(
            f"{file}: '{wanted}' is a column of var, not of obs, so genes stand in rows; expected samples x genes: "
            "write the file again with adata.T"
        )


def _opened(config: OmicsConfig, file: Path) -> anndata.AnnData:
    if file.is_file() and is_mudata(file):
        named = (config.sample, config.perturbation, config.stimulation, config.plate)
        same = [name for name in (*named, *config.batches, *config.covariates) if name is not None]
        return read_modality(file, config.modality, same=same, error=InputError, what=f"{WHAT} (MuData)")
    if config.modality is not None:
        raise InputError(f"{file}: 'modality: {config.modality}' is for MuData files; leave it out")
    return read_h5ad(file, error=InputError, what=f"{WHAT} (AnnData)")


def _layers(data: anndata.AnnData) -> tuple[str, ...]:
    names = [str(name) for name in data.layers]
    return (*names, _RAW) if data.raw is not None and _RAW not in names else tuple(names)


def _matrix(config: OmicsConfig, data: anndata.AnnData, file: Path) -> tuple[Any, pd.DataFrame]:
    """Return the numbers (samples, genes), and the table of the genes."""
    layers = _layers(data)
    shown = ", ".join(layers) or "none"
    if config.layer is None:
        if data.X is None:
            raise InputError(f"{file}: X is empty; name a layer with 'layer:'; it has {shown}")
        return data.X, data.var
    if config.layer in data.layers:
        return data.layers[config.layer], data.var
    if config.layer not in layers:
        raise InputError(f"{file}: no layer '{config.layer}'; it has {shown}" + did_you_mean(config.layer, layers))
    return data.raw.X, data.raw.var


def _gene_names(config: OmicsConfig, var: pd.DataFrame, file: Path) -> tuple[str, ...]:
    name = config.gene_names
    if name is None:
        return tuple(str(gene) for gene in var.index)
    if name not in var:
        known = [str(column) for column in var.columns]
        raise InputError(
            f"{file}: no column '{name}' in var for 'omics.gene_names'; it has {', '.join(known) or 'none'}"
            + did_you_mean(name, known)
        )
    return tuple(text_values(var[name]))
