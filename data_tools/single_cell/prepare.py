"""CITE-seq counts in, one AnnData out: filtered, logged, gated, with the genes that mark each population."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from data_tools.single_cell.config import MarkerGenes, SingleCellConfig, SpeciesFilter
from data_tools.single_cell.counts import Counts, csr
from data_tools.single_cell.experiment import read_experiment
from data_tools.single_cell.proteins import centred_log_ratio
from framework import __version__
from framework.config import to_yaml
from framework.errors import InputError
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_file
from framework.result import Result

_CELLS_PER_VARIANCE = 2


@dataclass(frozen=True, kw_only=True, repr=False)
class PreparedCells(Result):
    """What ``prepare_cells`` kept, step by step.

    Attributes:
        out: the file.
        cells, genes: how many were left after each step, by its name.
        markers: surface proteins.
        populations: cells in each gate.
        marker_genes: genes that mark at least one population.
        notes: how files were read, what was left out, how many cells of each side matched; also in ``uns``.
    """

    out: str
    cells: dict[str, int]
    genes: dict[str, int]
    markers: tuple[str, ...]
    populations: dict[str, int]
    marker_genes: int
    notes: tuple[str, ...] = ()


def prepare_cells(config: SingleCellConfig, out: Path | str) -> PreparedCells:
    """Prepare a CITE-seq experiment for expression prediction (IFC-seq, "Preprocessing the SCT datasets").

    Writes ``X`` float32 CSR (cells, genes); ``obsm["markers"]`` protein counts as measured; ``obsm["clr"]`` where asked
    for; ``obs["population"]``; ``var["marker_of"]`` (populations joined by ``|``, empty for none) and ``var["rank"]``.

    Raises:
        ConfigError: ``out`` does not end in .h5ad, or is read.
        InputError: files that cannot be read or do not fit, or filters that leave nothing.
    """
    target = Path(out)
    check_output_file(target, ".h5ad", [config.genes, config.proteins, config.labels])
    found = read_experiment(config)
    genes, proteins = found.genes, found.proteins
    cells, kept = {"read": len(genes.cells)}, {"read": len(genes.features)}
    if config.species:
        genes = _one_species(genes, config.species)
        cells["species"], kept["species"] = len(genes.cells), len(genes.features)
    expressed = np.diff(genes.values.indptr)
    genes = genes.rows(expressed >= config.min_genes)
    cells[f"at least {config.min_genes} genes"] = len(genes.cells)
    genes, counted = _chosen_genes(config, genes)
    kept |= counted
    proteins = proteins.rows(proteins.cells.get_indexer(genes.cells))
    data = _annotated(config, genes, proteins, _labels(config, found.labels, genes.cells))
    data.uns["wellstream"]["kept"] = {"cells": cells, "genes": kept}
    data.uns["wellstream"]["notes"] = np.array(found.notes, dtype=np.str_)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_h5ad(target, data)
    populations = data.obs["population"].value_counts(sort=False) if "population" in data.obs else pd.Series(dtype=int)
    return PreparedCells(
        out=str(out),
        cells=cells,
        genes=kept,
        markers=tuple(data.obsm["markers"].columns),
        populations={str(name): int(count) for name, count in populations.items()},
        marker_genes=int((data.var["marker_of"] != "").sum()) if "marker_of" in data.var else 0,
        notes=found.notes,
    )


def _one_species(genes: Counts, config: SpeciesFilter) -> Counts:
    of_species: dict[str, npt.NDArray[np.bool_]] = {
        name: np.array(genes.features.str.startswith(prefix)) for name, prefix in config.prefixes.items()
    }
    for name, mask in of_species.items():
        if not mask.any():
            raise InputError(
                f"no gene begins with '{config.prefixes[name]}' (species '{name}'); genes look like "
                f"'{genes.features[0]}': check species.prefixes"
            )
    expressed = {name: np.diff(genes.values[:, mask].indptr) for name, mask in of_species.items()}
    mine = expressed[config.keep]
    more = np.logical_and.reduce([mine > count for name, count in expressed.items() if name != config.keep])
    kept = genes.rows(more).columns(of_species[config.keep])
    names = kept.features.str.removeprefix(config.prefixes[config.keep])
    return replace(kept, features=names)


def _something_left(config: SingleCellConfig, genes: Counts) -> None:
    if not len(genes.cells) or not len(genes.features):
        raise InputError(
            f"'{config.name}': the filters leave {len(genes.cells)} cells and {len(genes.features)} genes; lower "
            "min_genes, min_cells or the bounds of dispersion"
        )


def _chosen_genes(config: SingleCellConfig, genes: Counts) -> tuple[Counts, dict[str, int]]:
    """Filter genes and take the logarithm, in the order that ``dispersion.on`` says; count the genes after each."""
    kept: dict[str, int] = {}
    on_counts = config.dispersion is not None and config.dispersion.on == "counts"
    if on_counts:
        genes = _variable(config, _normalised(config, genes))
        kept["variable"] = len(genes.features)
    seen_in = np.bincount(genes.values.indices, minlength=len(genes.features))
    genes = genes.columns(seen_in >= config.min_cells)
    kept[f"in at least {config.min_cells} cells"] = len(genes.features)
    _something_left(config, genes)
    genes = _logged(config, genes if on_counts else _normalised(config, genes))
    if config.dispersion and not on_counts:
        genes = _variable(config, genes)
        kept["variable"] = len(genes.features)
        _something_left(config, genes)
    return genes, kept


def _normalised(config: SingleCellConfig, genes: Counts) -> Counts:
    if not config.normalise_total:
        return genes
    totals = np.asarray(genes.values.sum(axis=1)).ravel()
    values = csr(sparse.diags_array(config.normalise_total / np.maximum(totals, 1)) @ genes.values)
    return replace(genes, values=values)


def _logged(config: SingleCellConfig, genes: Counts) -> Counts:
    values = genes.values
    if config.log:
        values = values.copy()
        values.data = np.log1p(values.data)
    return replace(genes, values=csr(values, dtype=np.float32))


def _variable(config: SingleCellConfig, genes: Counts) -> Counts:
    """Return the variable genes; Scanpy takes logarithms of means and dispersions itself where values have none."""
    import scanpy

    options = config.dispersion
    if options is None:
        return genes
    _something_left(config, genes)
    if len(genes.cells) < _CELLS_PER_VARIANCE:
        raise InputError(
            f"'{config.name}': {len(genes.cells)} cell(s) with {config.min_genes} genes are left, and no gene "
            "has a dispersion; lower min_genes, or set dispersion: null"
        )
    bounds = {name: value for name, value in options.plain().items() if name != "on"}
    with warnings.catch_warnings():
        # The paper used this function; Scanpy keeps it beside its successor and says so at each call.
        warnings.simplefilter("ignore", FutureWarning)
        # A gene whose dispersion is that of its neighbours by mean is divided by no spread, and is NaN: not kept.
        warnings.simplefilter("ignore", RuntimeWarning)
        values = sparse.csr_matrix(genes.values)
        found = scanpy.pp.filter_genes_dispersion(values, log=options.on == "counts", **bounds)
    return genes.columns(np.asarray(found["gene_subset"], dtype=np.bool_))


def _annotated(config: SingleCellConfig, genes: Counts, proteins: Counts, labels: pd.DataFrame) -> anndata.AnnData:
    markers = pd.DataFrame(proteins.values.toarray(), index=genes.cells, columns=proteins.features)
    data = anndata.AnnData(
        X=sparse.csr_matrix(genes.values),
        obs=labels,
        var=pd.DataFrame(index=genes.features),
        obsm={"markers": markers},
        uns={
            "wellstream": {
                "kind": "single_cell",
                "config": to_yaml(config),
                "versions": {"wellstream": __version__},
            }
        },
    )
    if config.clr:
        data.obsm["clr"] = pd.DataFrame(
            centred_log_ratio(markers.to_numpy()), index=genes.cells, columns=proteins.features
        )
    if config.gates:
        data.obs["population"] = config.gates.assign(markers, config.name)
        ranks = _marker_genes(data, config.marker_genes, config.gates.other)
        data.var["marker_of"] = ranks.groupby("gene")["population"].agg("|".join).reindex(data.var_names).fillna("")
        data.uns["marker_genes"] = {str(name): part["gene"].tolist() for name, part in ranks.groupby("population")}
    return data


def _labels(config: SingleCellConfig, labels: pd.DataFrame, cells: pd.Index) -> pd.DataFrame:
    """Return the labels of the cells that were kept; each must have a row."""
    mine = labels.loc[cells]
    if config.gates and "population" in mine:
        raise InputError(f"{config.labels}: has a column 'population', which 'gates' makes; rename it")
    lacking = mine.index[mine.isna().any(axis=1)]
    if len(lacking):
        raise InputError(
            f"{config.labels}: {len(lacking)} of {len(cells)} cells have no row, first '{lacking[0]}'; add them, or "
            "leave out 'labels'"
        )
    return mine


def _marker_genes(data: anndata.AnnData, config: MarkerGenes, other: str) -> pd.DataFrame:
    """Return (population, gene), best first; a population of fewer than 2 cells has none, as nothing can be tested."""
    import scanpy

    counts = data.obs["population"].value_counts(sort=False)
    groups = [str(name) for name, count in counts.items() if count > 1 and (config.include_other or name != other)]
    if not groups or len(counts[counts > 0]) < 2:
        raise InputError(
            "gates: cells fall into "
            + ", ".join(f"'{name}' {count}" for name, count in counts.items())
            + "; expected at least two populations, one of them from a gate and with at least 2 cells; move "
            "the gates"
        )
    tested = anndata.AnnData(X=data.X, obs=data.obs[["population"]].copy(), var=data.var.copy())
    tested.obs["population"] = tested.obs["population"].cat.remove_unused_categories()
    scanpy.tl.rank_genes_groups(tested, "population", groups=groups, n_genes=config.top, method=config.method)
    names = tested.uns["rank_genes_groups"]["names"]
    rows = [(group, str(gene)) for group in groups for gene in names[group]]
    return pd.DataFrame(rows, columns=["population", "gene"])
