"""Chains, controls, and the fit that a file keeps."""

from __future__ import annotations

import gzip
from pathlib import Path

import anndata
import numpy as np
import pytest

from framework.config import load_config
from framework.errors import ConfigError, InputError
from framework.files.h5_writing import write_h5ad
from framework.profiles import NormaliseConfig, apply_kept, normalise
from framework.profiles.methods import AsinhOptions, ZOptions
from wellstream.testing.profiles import plates

CHAIN = {"steps": ["z", {"name": "asinh", "scale": 1.0}, "whiten"]}


def test_a_chain_is_one_method_after_the_other() -> None:
    wells = plates(("p1", "p2"))
    chained = normalise(wells, load_config({"steps": ["z", {"name": "asinh", "scale": 2.0}]}, NormaliseConfig)).data.X
    alone = normalise(wells, NormaliseConfig(steps=(ZOptions(),))).data.X
    np.testing.assert_allclose(chained, 2 * np.arcsinh(alone / 2), rtol=1e-5, atol=1e-6)


def test_a_file_keeps_text_and_numbers_alone(tmp_path: Path) -> None:
    made = normalise(plates(("a/b", "p2")), load_config(CHAIN, NormaliseConfig), tmp_path / "fit.h5ad")
    kept = anndata.read_h5ad(tmp_path / "fit.h5ad").uns["wellstream"]["normalisation"]
    waiting, leaves = [kept], []
    while waiting:
        for value in waiting.pop().values():
            (waiting if isinstance(value, dict) else leaves).append(value)
    assert {np.asarray(leaf).dtype.kind for leaf in leaves} <= set("fiuUO")
    assert all(isinstance(text, str) for leaf in leaves if np.asarray(leaf).dtype.kind == "O" for text in leaf)
    assert "a/b" in kept["groups"]
    np.testing.assert_array_equal(apply_kept(plates(("a/b", "p2")), tmp_path / "fit.h5ad").data.X, made.data.X)


def test_new_plates_are_counted_and_kept(tmp_path: Path) -> None:
    fit = normalise(plates(("p1", "p2")), load_config(CHAIN, NormaliseConfig)).data
    made = apply_kept(plates(("p2", "p9"), seed=3), fit, out=tmp_path / "new.h5ad")
    assert made.notes == ("1 of 2 groups are known to the fit; 1 are new and use their own controls",)
    again = apply_kept(plates(("p9",), seed=3), tmp_path / "new.h5ad")
    assert again.notes == ("1 of 1 groups are known to the fit; 0 are new and use their own controls",)


def test_features_are_found_by_name() -> None:
    wells = plates(("p1", "p2"))
    fit = normalise(wells, NormaliseConfig()).data
    np.testing.assert_array_equal(apply_kept(wells[:, ::-1].copy(), fit).data.X, fit.X)
    with pytest.raises(InputError, match=r"does not have 1 of the 12 features of the fit in profiles: f00"):
        apply_kept(wells[:, 1:].copy(), fit)


def test_controls_are_named_by_type_or_by_value() -> None:
    wells = plates(("p1", "p2"))
    by_type = normalise(wells, NormaliseConfig()).data.X
    wells.obs["Metadata_Compound"] = np.where(wells.obs["Metadata_Control_Type"] == "negcon", "DMSO", "taxol")
    by_value = normalise(wells, NormaliseConfig(to="Metadata_Compound=DMSO")).data.X
    np.testing.assert_array_equal(by_type, by_value)
    jump = wells.copy()
    jump.obs = jump.obs.rename(columns={"Metadata_Control_Type": "Metadata_control_type"})
    np.testing.assert_array_equal(by_type, normalise(jump, NormaliseConfig()).data.X)
    with pytest.raises(InputError, match=r"no row is 'DMSO' in Metadata_Control_Type.*--to Metadata_Compound=DMSO"):
        normalise(wells, NormaliseConfig(to="DMSO"))
    with pytest.raises(
        InputError, match=r"no row has 'water' in column 'Metadata_Compound'; its values are DMSO, taxol"
    ):
        normalise(wells, NormaliseConfig(to="Metadata_Compound=water"))
    del wells.obs["Metadata_Control_Type"]
    with pytest.raises(InputError, match=r"no column says which rows are controls"):
        normalise(wells, NormaliseConfig())
    with pytest.raises(InputError, match=r"no column 'Metadata_Plat'.*did you mean 'Metadata_Plate'"):
        normalise(wells, NormaliseConfig(by=("Metadata_Plat",), to="all"))


def test_a_text_table_is_read_like_anndata(tmp_path: Path) -> None:
    wells = plates(("p1", "p2"))
    wells.X = np.round(wells.X, 3)
    table = wells.obs.join(wells.to_df())
    with gzip.open(tmp_path / "wells.csv.gz", "wt") as file:
        table.to_csv(file, index=False)
    made = normalise(tmp_path / "wells.csv.gz", NormaliseConfig()).data
    np.testing.assert_allclose(made.X, normalise(wells, NormaliseConfig()).data.X, rtol=1e-3, atol=1e-3)
    assert made.obs["Metadata_Well"].tolist() == wells.obs["Metadata_Well"].tolist()


def test_files_without_a_fit_or_with_a_damaged_one_are_sentences(tmp_path: Path) -> None:
    wells = plates(("p1", "p2"))
    with pytest.raises(InputError, match=r"keeps no fit of a normalisation"):
        apply_kept(wells, wells)
    made = normalise(wells, load_config(CHAIN, NormaliseConfig)).data
    kept = made.uns["wellstream"]["normalisation"]
    kept["steps"]["0"]["shared"]["spread"][:] = np.inf
    write_h5ad(tmp_path / "fit.h5ad", made)
    with pytest.raises(InputError, match=r"is damaged .'spread' holds values that are not finite numbers"):
        apply_kept(wells, tmp_path / "fit.h5ad")
    del kept["steps"]["1"]
    with pytest.raises(InputError, match=r"is damaged"):
        apply_kept(wells, made)
    kept["format"] = 7
    with pytest.raises(InputError, match=r"of format 7, expected 1"):
        apply_kept(wells, made)


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no normalisation is called 'whitn'.*did you mean 'whiten'"):
        load_config({"steps": ["z", "whitn"]}, NormaliseConfig)


def test_what_was_chosen_is_said() -> None:
    made = normalise(plates(("p1", "p2", "p3")), NormaliseConfig(steps=(ZOptions(), AsinhOptions())))
    assert made.steps == ("z", "asinh")
    assert any("most likely normal with scale" in note for note in made.notes)
    assert "1 features are equal on all controls: f03" in made.notes
    assert "AnnData" not in repr(made)
