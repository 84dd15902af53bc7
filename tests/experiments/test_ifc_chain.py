"""IFC-seq end to end on a small simulated pair, from the YAML files: label-free lands where it must."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch

from data_tools.pipeline import ingest, load_ingest_config
from data_tools.simulate import IfcConfig, simulate_ifc
from data_tools.single_cell import SingleCellConfig, prepare_cells
from experiments.ifc_seq.chain import EXPRESSED, FULL_GROWN, SCORED, compare
from experiments.ifc_seq.truth import ChainCheck, check_chain
from framework.config import load_config
from framework.errors import InputError
from framework.evaluate import evaluate
from framework.expression import ExpressionConfig, express
from framework.report import write_expression_report
from framework.run import fit, load_run_config, predict, saliency

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "ifc_seq"
SMALL = ["cells=320", "sequenced_cells=400", "genes=80", "informative=0.95", "foreign_cells=20", "foreign_genes=80"]
NETWORK = "objective.backbone={name: small_cnn, widths: [8, 16], norm: group, dense: []}"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every step of ``make ifc``, with fewer cells and a small network."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("ifc")
    raw = root / "raw"
    simulate_ifc(load_config(FOLDER / "simulate.yaml", IfcConfig, SMALL), raw)
    paths = [f"sources.0.reader.path={raw / 'images'}", f"sources.0.tables.0.table.path={raw / 'features.txt'}"]
    ingest(load_ingest_config(FOLDER / "ingest_simulated.yaml", paths), root / "dataset", workers=0)
    steps = ["train.steps=150", "train.evaluate_every=50", "optim.lr=0.01", "tracking.wandb=disabled", NETWORK]
    places = [f"run_dir={root / 'run'}", f"data.path={root / 'dataset'}"]
    fit(load_run_config(FOLDER / "train_simulated.yaml", [*places, *steps]))
    predict(root / "run", None, root / "markers.h5ad", part="all")
    saliency(root / "run", None, root / "maps.npz", tiles=40)
    tables = [f"{key}={raw / 'citeseq' / file}_umi.csv.gz" for key, file in (("genes", "rna"), ("proteins", "adt"))]
    prepare_cells(
        load_config(FOLDER / "cells_simulated.yaml", SingleCellConfig, [*tables, "min_genes=10"]), root / "cells.h5ad"
    )
    express(expression(root), root / "expression")
    return root


def expression(root: Path, *more: str) -> ExpressionConfig:
    files = [
        f"single_cell={root / 'cells.h5ad'}",
        f"images.predictions={root / 'markers.h5ad'}",
        f"images.saliency={root / 'maps.npz'}",
        f"images.truth.path={root / 'raw' / 'truth_expression.h5ad'}",
        "forest.trees=10",
        "resamples=200",
    ]
    return load_config(FOLDER / "express_simulated.yaml", ExpressionConfig, [*files, *more])


def test_label_free_lies_between_the_mean_and_measured_markers(chain: Path) -> None:
    check = check_chain(chain / "expression" / "truth.csv", chain / "raw" / "truth_genes.parquet")
    assert check.holds, check.sentence()
    assert check.r_label_free > 0.3
    assert abs(check.r_independent) < 0.15
    assert "as it must be" in check.sentence()


def test_what_the_chain_found_is_written(chain: Path) -> None:
    express(expression(chain, "forest.min_leaf=1"), chain / FULL_GROWN)
    evaluate([chain / "markers.h5ad"], chain / "dataset", chain / SCORED)
    check = compare(chain)
    written = json.loads((chain / "truth.json").read_text())
    assert written[EXPRESSED] == pytest.approx(asdict(check))
    assert written[FULL_GROWN]["rmse_standard"] > written[EXPRESSED]["rmse_standard"], "single trees repeat noise"
    assert {row["marker"] for row in written[SCORED]} == {"CD34", "FcgR"}
    assert all(row["r"] > 0.3 for row in written[SCORED])


def test_scores_against_the_truth_are_those_of_the_written_expression(chain: Path) -> None:
    table = pd.read_csv(chain / "expression" / "truth.csv").set_index("gene")
    written = anndata.read_h5ad(chain / "expression" / "expression_label_free.h5ad")
    truth = anndata.read_h5ad(chain / "raw" / "truth_expression.h5ad")
    cells, gene = written.obs["Metadata_Cell"].astype(str).to_numpy(), written.var_names[3]
    known = np.log1p(np.asarray(truth[cells, f"HUMAN_{gene}"].X, dtype=np.float64).ravel())
    said = np.asarray(written[:, gene].X, dtype=np.float64).ravel()
    assert table.loc[gene, "r_label_free"] == pytest.approx(np.corrcoef(said, known)[0, 1], abs=1e-5)
    assert table.loc[gene, "rmse_label_free"] == pytest.approx(np.sqrt(np.mean((said - known) ** 2)), rel=1e-5)
    sequenced = anndata.read_h5ad(chain / "cells.h5ad")[:, gene].X.toarray()
    # The mean predictor says one number: the mean of the sequenced training cells, near that of all of them.
    constant = np.sqrt(np.mean((sequenced.mean() - known) ** 2))
    assert table.loc[gene, "rmse_mean"] == pytest.approx(constant, rel=0.15)
    assert table["r_mean"].isna().all()


def test_the_report_shows_truth_and_maps_of_each_population(chain: Path) -> None:
    with np.load(chain / "expression" / "saliency.npz") as shown:
        assert shown["maps"].shape == (len(shown["tile"]), 2, 32, 32)
        assert {"CMP", "GMP", "MEP"} <= set(shown["population"].tolist())
        assert np.unique(shown["population"], return_counts=True)[1].max() <= 6
        written = anndata.read_h5ad(chain / "expression" / "expression_standard.h5ad").obs
        of_tile = dict(zip(written["tile"], written["population"].astype(str), strict=True))
        assert [of_tile[tile] for tile in shown["tile"].tolist()] == shown["population"].tolist()
    page = write_expression_report(chain / "expression").read_text()
    assert 'id="truth"' in page
    assert "saliency maps of CD34, FcgR" in page


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("images.truth.prefix=MOUSE_", r"no gene 'MOUSE_GENE.*check images\.truth\.prefix"),
        ("images.truth.cell=Metadata_Cel", "did you mean 'Metadata_Cell'"),
        ("images.truth.layer=count", "no layer 'count'; it has counts; did you mean 'counts'?"),
        ("images.truth.path=gone.h5ad", "no such file"),
        ("images.saliency=gone.npz", "make it with: wellstream saliency RUN"),
    ],
)
def test_truth_and_maps_that_do_not_fit_are_named(chain: Path, tmp_path: Path, change: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        express(expression(chain, change), tmp_path / "out")


def test_maps_of_other_pixels_or_other_cells_are_refused(chain: Path, tmp_path: Path) -> None:
    with np.load(chain / "maps.npz") as found:
        arrays = dict(found)
    np.savez(tmp_path / "other.npz", **{**arrays, "dataset_digest": np.array("0" * 64)})
    with pytest.raises(InputError, match="is from another dataset"):
        express(expression(chain, f"images.saliency={tmp_path / 'other.npz'}"), tmp_path / "out")
    np.savez(tmp_path / "absent.npz", **{**arrays, "tile": arrays["tile"] + 10**6})
    with pytest.raises(InputError, match="none of its 40 cells"):
        express(expression(chain, f"images.saliency={tmp_path / 'absent.npz'}"), tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"r_label_free": 0.9}, False),
        ({"r_label_free": -0.1}, False),
        ({"rmse_label_free": 0.6}, False),
        ({"rmse_label_free": 0.1}, False),
    ],
)
def test_what_holds_means(change: dict[str, float], holds: bool) -> None:
    numbers = {"r_standard": 0.8, "r_label_free": 0.6, "rmse_standard": 0.2, "rmse_label_free": 0.4, "rmse_mean": 0.5}
    check = ChainCheck(genes=3, r_independent=0.0, **{**numbers, **change})
    assert check.holds == holds
    assert ("NOT" in check.sentence()) != holds
