"""Preparation of a CITE-seq experiment: every filter by hand on a small one, and the published tables."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from pydantic import ValidationError

from data_tools.single_cell import SingleCellConfig, prepare_cells
from data_tools.single_cell.config import DispersionFilter
from data_tools.single_cell.proteins import centred_log_ratio
from framework.errors import InputError

GATES = {"transform": "none", "populations": {"T": {"CD3": {"low": 5.0}}}}
LOOSE: dict[str, Any] = {"min_genes": 0, "min_cells": 0, "dispersion": None}


def experiment(folder: Path, cells: int = 24, genes: int = 8) -> dict[str, Any]:
    """Gene 0 is high in the first half of the cells, which also have CD3."""
    random = np.random.default_rng(0)
    counts = random.poisson(2.0, (genes, cells))
    counts[0] = np.where(np.arange(cells) < cells // 2, 30, 0) + random.poisson(0.5, cells)
    names = [f"c{i}" for i in range(cells)]
    pd.DataFrame(counts, index=[f"HUMAN_G{i}" for i in range(genes)], columns=names).to_csv(folder / "rna.csv")
    proteins = pd.DataFrame([np.where(np.arange(cells) < cells // 2, 9, 1), np.arange(cells)], ["CD3", "CD8"], names)
    proteins.to_csv(folder / "adt.csv")
    return {"name": "small", "genes": str(folder / "rna.csv"), "proteins": str(folder / "adt.csv"), **LOOSE}


def prepared(folder: Path, **options: Any) -> anndata.AnnData:
    config = SingleCellConfig.from_plain({**experiment(folder), **options})
    prepare_cells(config, folder / "out.h5ad")
    return anndata.read_h5ad(folder / "out.h5ad")


def test_expression_is_the_log_and_markers_stay_as_measured(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    raw = pd.read_csv(tmp_path / "rna.csv", index_col=0).T
    np.testing.assert_allclose(data.X.toarray(), np.log1p(raw), rtol=1e-6)
    assert data.obsm["markers"]["CD8"].tolist() == list(range(24))


def test_gates_name_cells_and_their_first_marker_gene(tmp_path: Path) -> None:
    data = prepared(tmp_path, gates=GATES, marker_genes={"top": 2})
    assert (data.obs["population"] == "T").sum() == 12
    assert next(iter(data.uns["marker_genes"]["T"])) == "HUMAN_G0"
    assert data.var.loc["HUMAN_G0", "marker_of"] == "T"
    assert (data.var["marker_of"] == "T").sum() == 2


def test_cells_and_genes_below_their_counts_are_dropped(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    table = pd.read_csv(config["genes"], index_col=0)
    table.loc[:, "c5"] = 0
    table.loc["HUMAN_G0", "c5"] = 7
    table.loc["HUMAN_G3"] = 0
    table.loc["HUMAN_G3", "c0"] = 4
    table.to_csv(config["genes"])
    found = prepare_cells(SingleCellConfig.from_plain({**config, "min_genes": 2, "min_cells": 2}), tmp_path / "o.h5ad")
    assert found.cells == {"read": 24, "at least 2 genes": 23}
    assert found.genes == {"read": 8, "in at least 2 cells": 7}


def test_cells_of_the_other_species_go_and_prefixes_with_them(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    table = pd.read_csv(config["genes"], index_col=0)
    mouse = pd.DataFrame(0, index=[f"MOUSE_G{i}" for i in range(9)], columns=table.columns)
    mouse["c3"] = 1  # 9 mouse genes against at most 8 human ones
    pd.concat([table, mouse]).to_csv(config["genes"])
    species = {"prefixes": {"human": "HUMAN_", "mouse": "MOUSE_"}, "keep": "human"}
    found = prepare_cells(SingleCellConfig.from_plain({**config, "species": species}), tmp_path / "o.h5ad")
    data = anndata.read_h5ad(tmp_path / "o.h5ad")
    assert found.cells["species"] == 23
    assert "c3" not in data.obs_names
    assert list(data.var_names) == [f"G{i}" for i in range(8)]


def test_labels_become_facts_of_the_cell(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    pd.DataFrame({"arm": ["x"] * 24}, index=[f"c{i}" for i in range(24)]).to_csv(tmp_path / "labels.csv")
    prepare_cells(SingleCellConfig.from_plain({**config, "labels": str(tmp_path / "labels.csv")}), tmp_path / "o.h5ad")
    assert set(anndata.read_h5ad(tmp_path / "o.h5ad").obs["arm"]) == {"x"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"markers": ["CD33"]}, "no protein 'CD33'; did you mean 'CD3'?; found: CD3, "),
        ({"min_genes": 500}, "the filters leave 0 cells"),
        ({"proteins": None}, "holds no feature of type 'Antibody Capture'"),
        ({"species": {"prefixes": {"h": "HUMAN_", "m": "MOUSE_"}, "keep": "h"}}, "no gene begins with 'MOUSE_'"),
        ({"gates": {"populations": {"T": {"CD3": {"low": 99.0}}}}}, "move the gates"),
        ({"labels": "nowhere.csv"}, "nowhere.csv: no such file"),
    ],
)
def test_what_cannot_be_prepared_is_said(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare_cells(SingleCellConfig.from_plain({**experiment(tmp_path), **options}), tmp_path / "o.h5ad")
    assert sentence in str(caught.value)
    assert not (tmp_path / "o.h5ad").exists()


def test_tables_of_different_cells_are_refused(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    pd.read_csv(config["proteins"], index_col=0).add_prefix("x").to_csv(config["proteins"])
    with pytest.raises(InputError, match="expected the same cell names in both"):
        prepare_cells(SingleCellConfig.from_plain(config), tmp_path / "o.h5ad")


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    for options in (
        {"markers": ["CD8"], "gates": GATES},
        {"markers": ["CD8", "CD8"]},
        {"log": False, "dispersion": {"on": "log_counts"}},
    ):
        with pytest.raises(ValidationError):
            SingleCellConfig.from_plain({**experiment(tmp_path), **options})
    # A filter on counts takes logarithms itself, so it does not ask for the logarithm of the values.
    counts = SingleCellConfig.from_plain({**experiment(tmp_path), "log": False, "dispersion": {}})
    assert counts.dispersion is not None
    assert counts.dispersion.on == "counts"


def overdispersed(folder: Path) -> dict[str, Any]:
    """60 cells x 300 genes, means from 0.01 to 20, spread from Poisson to far above it; some genes in few cells."""
    random = np.random.default_rng(5)
    mean, shape = np.exp(random.uniform(np.log(0.01), np.log(20), 300)), np.exp(random.uniform(-2, 3, 300))
    counts = random.poisson(random.gamma(shape[:, None], (mean / shape)[:, None], (300, 60)))
    names = [f"c{i}" for i in range(60)]
    pd.DataFrame(counts, index=[f"G{i}" for i in range(300)], columns=names).to_csv(folder / "rna.csv")
    pd.DataFrame([np.arange(60)], index=["CD3"], columns=names).to_csv(folder / "adt.csv")
    return {"name": "spread", "genes": str(folder / "rna.csv"), "proteins": str(folder / "adt.csv"), "min_genes": 10}


@pytest.mark.parametrize("total", [None, 500.0])
@pytest.mark.parametrize("on", ["counts", "log_counts"])
def test_both_orders_equal_scanpy_step_by_step(tmp_path: Path, on: str, total: float | None) -> None:
    config = {**overdispersed(tmp_path), "min_cells": 20, "dispersion": {"on": on}, "normalise_total": total}
    found = prepare_cells(SingleCellConfig.from_plain(config), tmp_path / "o.h5ad")
    theirs = anndata.AnnData(pd.read_csv(tmp_path / "rna.csv", index_col=0).T.astype(np.float32))
    bounds = {"min_mean": 0.0125, "max_mean": 3, "min_disp": -0.15}
    scanpy.pp.filter_cells(theirs, min_genes=10)
    if on == "log_counts":
        scanpy.pp.filter_genes(theirs, min_cells=20)
    if total:
        scanpy.pp.normalize_total(theirs, target_sum=total)
    if on == "log_counts":
        scanpy.pp.log1p(theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scanpy.pp.filter_genes_dispersion(theirs, log=on == "counts", **bounds)
    if on == "counts":
        scanpy.pp.filter_genes(theirs, min_cells=20)
        scanpy.pp.log1p(theirs)
    ours = anndata.read_h5ad(tmp_path / "o.h5ad")
    assert ours.var_names.tolist() == theirs.var_names.tolist()
    assert 20 < ours.n_vars < 200
    np.testing.assert_allclose(ours.X.toarray(), theirs.X, rtol=1e-5)
    names = {"counts": ["read", "variable", "in at least 20 cells"]}
    assert list(found.genes) == names.get(on, ["read", "in at least 20 cells", "variable"])


def test_the_default_is_the_papers_order_and_the_orders_differ(tmp_path: Path) -> None:
    config = {**overdispersed(tmp_path), "min_cells": 20}
    default, after = (
        prepare_cells(SingleCellConfig.from_plain({**config, **more}), tmp_path / "o.h5ad").genes
        for more in ({}, {"dispersion": {"on": "log_counts"}})
    )
    assert list(default) == ["read", "variable", "in at least 20 cells"]
    assert default["in at least 20 cells"] != after["variable"]


def test_no_cell_left_before_the_dispersion_filter_is_said(tmp_path: Path) -> None:
    config = SingleCellConfig.from_plain({**overdispersed(tmp_path), "min_genes": 500})
    with pytest.raises(InputError, match="the filters leave 0 cells and 300 genes"):
        prepare_cells(config, tmp_path / "o.h5ad")


@pytest.mark.real_data
def test_centred_log_ratios_equal_the_authors_table(real_data: Path) -> None:
    folder = real_data / "citeseq-gse100866"
    counts, published = (
        pd.read_csv(folder / f"GSE100866_CBMC_8K_13AB_10X-ADT_{what}.csv.gz", index_col=0)
        for what in ("umi", "clr-transformed")
    )
    np.testing.assert_allclose(centred_log_ratio(counts.T), published.T, atol=1e-8)
    # The table of CD8 cells was centred over proteins that are not in it: equal up to one number per cell.
    counts, published = (
        pd.read_csv(folder / f"GSE100866_CD8_merged-ADT_{what}.csv.gz", index_col=0)
        for what in ("umi", "clr-transformed")
    )
    difference = centred_log_ratio(counts.T) - published.T.to_numpy()
    assert np.ptp(difference, axis=1).max() < 1e-6
    assert np.abs(difference).max() > 0.1


@pytest.mark.real_data
def test_real_cd8_cells_are_prepared(tmp_path: Path, real_data: Path) -> None:
    base = str(real_data / "citeseq-gse100866" / "GSE100866_CD8_merged-")
    config = SingleCellConfig.from_plain(
        {"name": "CD8", "genes": f"{base}RNA_umi.csv.gz", "proteins": f"{base}ADT_umi.csv.gz", "clr": True}
    )
    found = prepare_cells(config, tmp_path / "cd8.h5ad")
    assert found.cells == {"read": 1774, "at least 200 genes": 1757}
    # Counted with scanpy alone, step by step: 4,678 genes are variable, 4,648 of them are seen in 20 cells or more.
    assert found.genes == {"read": 11757, "variable": 4678, "in at least 20 cells": 4648}
    assert found.markers == ("CD8", "CD56", "CD57", "CD3", "CD2")
    after = prepare_cells(
        config.model_copy(update={"dispersion": DispersionFilter(on="log_counts")}), tmp_path / "o.h5ad"
    )
    assert after.genes == {"read": 11757, "in at least 20 cells": 7398, "variable": 3089}
