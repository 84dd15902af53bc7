"""Targets as they come: wells without omics, NaN, constant genes, genes of one modality, lone wells, other plates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, resealed
from fixtures.tiny_run import BAGS, HEADS, TRIPLET, config

from framework.data.dataset import Dataset
from framework.errors import DatasetError
from framework.evaluate import evaluate
from framework.files.h5ad import read_h5ad
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.drawing import draw_figures
from framework.run import embed, fit, load_heads_config, predict
from framework.run.heads.fit import fit_heads

ONLY = "only_here"
NAMES = tuple(f"P{number}" for number in range(9))
pytestmark = pytest.mark.filterwarnings("ignore:target 'rna'")


def write(data: Dataset, name: str, table: anndata.AnnData) -> None:
    table.write_h5ad(data.root / "targets" / f"{name}.h5ad")
    resealed(data.root)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Backbone and embeddings of data whose targets have all that is listed above.

    ``rna``: G0 follows the perturbation, G1 is 7 everywhere, G2 is measured nowhere, G3 in every second well, and one
    gene that ``prot`` does not have; the last well is the only one of its perturbation. ``prot`` is of half the wells.
    """
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("messy")
    data = make_dataset(
        folder / "data", bags=37, targets={"rna": 5, "prot": 4}, perturbations=(*NAMES, *NAMES, *NAMES, *NAMES, "LONE")
    )
    rna, prot = data.target("rna"), data.target("prot")
    rna.X[:, 1] = 7.0
    rna.X[:, 2] = np.nan
    rna.X[::2, 3] = np.nan
    rna.var_names = ["G0", "G1", "G2", "G3", ONLY]
    prot.var_names = ["G0", "G1", "G2", "G3"]
    write(data, "rna", rna)
    write(data, "prot", prot[::2].copy())
    fit(config(TRIPLET, "train.steps=2", "optim.warmup_steps=0", run=folder / "triplet", data=folder / "data"))
    embed(folder / "triplet", None, folder / "tiles.h5ad")
    return folder


def bags_run(root: Path, run: Path) -> Path:
    fit(config(BAGS, "train.steps=3", "train.evaluate_every=3", "train.save_every=3", run=run, data=root / "data"))
    return run


def heads_run(root: Path, run: Path) -> Path:
    words = ("train.steps=3", "train.evaluate_every=3", "train.save_every=3")
    fit(config(HEADS, *words, run=run, data=root / "data", pretrained=root / "triplet"))
    return run


def all_heads(root: Path, run: Path) -> Path:
    plain = {
        "run_dir": str(run),
        "data": {"path": str(root / "data"), "embeddings": str(root / "tiles.h5ad")},
        "split": {"fractions": [0.5, 0.34, 0.16]},
        "plan": {"name": "bags", "bags": 5, "tiles": 4},
        "objective": {"name": "omics_heads", "pretrained": str(root / "triplet"), "targets": ["rna"]},
        "train": {"steps": 3, "evaluate_every": 3, "device": "cpu"},
        "tracking": {"wandb": "disabled"},
        "heads": {"seeds": [0]},
    }
    return fit_heads(load_heads_config(plain)).runs[0]


@pytest.mark.parametrize("train", [bags_run, heads_run, all_heads])
def test_what_is_measured_is_learned_and_scored_and_the_rest_is_named(
    root: Path, tmp_path: Path, train: Callable[[Path, Path], Path]
) -> None:
    run = train(root, tmp_path / "run")
    predict(run, None, tmp_path / "p", part="test")
    file = tmp_path / "p" / "rna.h5ad"
    rna = read_h5ad(file)
    assert list(rna.var_names) == ["G0", "G1", "G3", ONLY], "a gene that is measured nowhere has no output"
    assert np.isfinite(rna.X).all()
    np.testing.assert_allclose(rna[:, "G1"].layers["measured"], 7.0)
    assert rna.var.loc["G1", "train_sd"] == 1, "a constant gene is not divided by 0"
    made = evaluate([file], None, tmp_path / "scores")
    genes = made.tables["per_gene"].set_index("gene")
    assert np.isnan(genes.loc["G1", "r2"]), "a constant gene has no correlation"
    assert np.isfinite(genes.loc["G0", "smape"])
    drawn = draw_figures(["omics_r2", "omics_shares"], FigureInputs(predictions=[file]), tmp_path / "figures")
    assert drawn.figures == ("omics_r2", "omics_shares")


def test_a_target_of_a_well_twice_or_of_another_plate_is_refused(root: Path, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", bags=8, targets={"rna": 3})
    table = data.target("rna")
    twice = anndata.concat([table, table[:1]], index_unique="-")
    write(data, "rna", twice)
    with pytest.raises(DatasetError, match=r"targets/rna\.h5ad.*has several rows of bag 0"):
        bags_only(tmp_path)
    other = table.copy()
    other.obs["Metadata_Plate"] = "ANOTHER"
    write(data, "rna", other)
    with pytest.raises(DatasetError, match=r"targets/rna\.h5ad.*ANOTHER"):
        bags_only(tmp_path)


def bags_only(folder: Path) -> None:
    fit(config(BAGS, "objective.targets=[rna]", run=folder / "run", data=folder / "data"))
