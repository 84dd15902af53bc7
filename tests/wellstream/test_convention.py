"""Every command that reads or writes ``.h5ad`` keeps to the ``Metadata_*`` names of JUMP and mantispy."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import resealed
from fixtures.tiny_run import BAGS, HEADS, TRIPLET, config, tiny_data

import wellstream as ws
from framework.data.dataset import Dataset
from framework.data.format.schema import BAGS_NAME, CONTROL_TYPE, PLATE, WELL
from framework.run import fit

JUMP = {
    "Metadata_Source": "source_4",
    "Metadata_Batch": "2021_04_26_Batch1",
    "Metadata_PlateType": "TARGET2",
}
"""Columns of the plates of JUMP (``plate.csv.gz`` of its metadata), which a plate map may bring."""
PER_WELL = ("Metadata_JCP2022", "Metadata_pert_type", "Metadata_InChIKey")
MANTISPY = {
    *("Metadata_Plate", "Metadata_Well", "Metadata_Site", "Metadata_Perturbation", "Metadata_Control_Type"),
    "Metadata_Control",
    *("Metadata_CellCount", "Metadata_SiteCount", "Metadata_Center_X", "Metadata_Center_Y"),
}
"""What mantispy requires (plate and well) or reserves (schema 2.0) of what Wellstream writes."""
OURS = {"Metadata_Stimulation"}
WELL_NAME = re.compile(r"[A-Z]{1,2}[0-9]{2}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("convention") / "data"
    tiny_data(folder)
    bags = pd.read_parquet(folder / BAGS_NAME)
    names = bags["Metadata_Perturbation"]
    bags = bags.assign(
        **JUMP,
        Metadata_JCP2022="JCP2022_" + names,
        Metadata_pert_type=np.where(names == "P0", "negcon", "trt"),
        Metadata_InChIKey="KEY-" + names,
    ).drop(columns=CONTROL_TYPE)
    bags[CONTROL_TYPE] = "treatment"
    bags.to_parquet(folder / BAGS_NAME, index=False)
    return resealed(folder)


@pytest.fixture(scope="module")
def runs(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    few = ("train.steps=2", "train.save_every=2")
    fit(config(TRIPLET, *few, "optim.warmup_steps=0", run=folder / "triplet", data=data.root))
    fit(config(BAGS, *few, run=folder / "bags", data=data.root))
    ws.Run(folder / "triplet").embed(folder / "tiles.h5ad", level="tile")
    ws.Run(folder / "triplet").embed(folder / "wells.h5ad", level="bag")
    return folder


def checked(file: Path, data: Dataset) -> anndata.AnnData:
    """Return a file after a look at its names and at what they say of each well."""
    found = anndata.read_h5ad(file)
    assert found.X.dtype == np.float32
    named = {name for name in found.obs.columns if name.startswith("Metadata_")}
    assert {PLATE, WELL, *JUMP, *PER_WELL} <= named
    assert named <= {*JUMP, *PER_WELL, *MANTISPY, *OURS}
    assert all(WELL_NAME.fullmatch(str(well)) for well in found.obs[WELL])
    known = data.bags.set_index([PLATE, WELL])[[*JUMP, *PER_WELL]].astype(str)
    told = found.obs[[PLATE, WELL, *JUMP, *PER_WELL]].astype(str).set_index([PLATE, WELL])
    assert told.to_numpy().tolist() == known.loc[list(told.index)].to_numpy().tolist()
    return found


def test_embed_features_and_predict_write_the_names(data: Dataset, runs: Path) -> None:
    ws.features(data.root, runs / "intensity.h5ad")
    for name in ("tiles", "intensity"):
        rows = checked(runs / f"{name}.h5ad", data).obs
        np.testing.assert_array_equal(rows["Metadata_Center_X"], rows["x_px"])
        np.testing.assert_array_equal(rows["Metadata_Center_Y"], rows["y_px"])
        np.testing.assert_array_equal(rows["Metadata_Site"], rows["site"])
    wells = checked(runs / "wells.h5ad", data).obs
    np.testing.assert_array_equal(wells["Metadata_CellCount"], data.bags["n_cells"])
    np.testing.assert_array_equal(wells["Metadata_SiteCount"], data.bags["n_sites"])
    np.testing.assert_array_equal(wells["Metadata_Control"], data.bags[CONTROL_TYPE] != "treatment")
    ws.Run(runs / "bags").predict(runs / "predictions", part="all")
    for target in ("rna", "prot"):
        checked(runs / "predictions" / f"{target}.h5ad", data)


def test_profiles_take_and_give_them(data: Dataset, runs: Path) -> None:
    ws.normalise(runs / "wells.h5ad", runs / "normal.h5ad", to="negcon", steps=["z"])
    wells = checked(runs / "normal.h5ad", data)
    controls = (wells.obs["Metadata_pert_type"] == "negcon").to_numpy()
    # They are found by the column of JUMP, because ours names no control here.
    np.testing.assert_allclose(wells.X[controls].mean(axis=0), 0, atol=1e-4)
    ws.aggregate(runs / "tiles.h5ad", runs / "aggregated.h5ad", by=[PLATE, WELL], how="mean")
    one = checked(runs / "aggregated.h5ad", data)
    assert len(one) == len(data.bags)
    found = ws.retrieve(
        runs / "normal.h5ad",
        treatment=["Metadata_JCP2022"],
        batch="Metadata_Batch",
        label="Metadata_InChIKey",
        to="Metadata_pert_type=negcon",
        permutations=100,
        resamples=100,
    )
    assert found.summary["rows"]


def test_heads_and_evaluations_take_them(data: Dataset, runs: Path) -> None:
    heads = HEADS.format(run=runs / "heads", data=data.root, pretrained=runs / "triplet")
    file = runs / "heads.yaml"
    file.write_text(heads)
    few = ["train.steps=2", "train.save_every=2", "train.evaluate_every=null"]
    ws.fit_heads(file, overrides=[*few, f"data.embeddings={runs / 'tiles.h5ad'}"])
    trained = next(folder for folder in sorted((runs / "heads").iterdir()) if folder.name.startswith("rna"))
    ws.Run(trained).predict(runs / "of_heads.h5ad", part="all")
    ours = checked(runs / "of_heads.h5ad", data)
    # A file of another program names plate and well alone.
    theirs = ours.copy()
    theirs.obs = theirs.obs.drop(columns=["source", "bag_name"])
    rows = [ws.evaluate(each).summary["rows"] for each in (ours, theirs)]
    assert repr(rows[0]) == repr(rows[1])
    made = ws.evaluate_features(
        [runs / "tiles.h5ad"], label="Metadata_JCP2022", group=["Metadata_Well"], k=3, resamples=100
    )
    assert len(made.summary["classes"]) == 4, "the parts train and test of the run"


def test_negative_controls_may_be_marked_by_yes_and_no(runs: Path) -> None:
    wells = anndata.read_h5ad(runs / "wells.h5ad")
    by_type = ws.normalise(wells, to="negcon", steps=["z"]).data.X
    yes = (wells.obs["Metadata_pert_type"] == "negcon").to_numpy()
    wells.obs = wells.obs.drop(columns=["Metadata_pert_type", CONTROL_TYPE]).assign(Metadata_negcon=yes)
    np.testing.assert_array_equal(ws.normalise(wells, to="negcon", steps=["z"]).data.X, by_type)
    wells.obs["Metadata_negcon"] = yes.astype(int)
    np.testing.assert_array_equal(ws.normalise(wells, to="negcon", steps=["z"]).data.X, by_type)
