"""The label protocol: which omics samples label which imaging well."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, build_targets, draw_samples, remove_batch, size_factors
from framework.errors import InputError


def _bags() -> pd.DataFrame:
    rows = [
        (plate, f"A{well:02d}", drug, stimulation, kind)
        for plate in ("P1", "P2")
        for well, (drug, stimulation, kind) in enumerate(
            [
                ("a", "M1", "treatment"),
                ("a", "M1", "treatment"),
                ("b", "M1", "treatment"),
                ("a", "M2", "treatment"),
                ("c", "M2", "treatment"),
                ("none", "none", "empty"),
            ],
            start=1,
        )
    ]
    columns = [f"Metadata_{name}" for name in ("Plate", "Well", "Perturbation", "Stimulation", "Control_Type")]
    return pd.DataFrame(rows, columns=columns).assign(bag=np.arange(len(rows), dtype=np.int32))


def _samples() -> pd.DataFrame:
    rows = [
        (f"{drug}{stimulation}-{replicate}", f"R{replicate}", drug, stimulation)
        for drug, stimulation in (("a", "M1"), ("b", "M1"), ("a", "M2"), ("d", "M2"), ("a", "M3"))
        for replicate in range(1, 6)
    ]
    names = ["sample", "Metadata_Plate", "Metadata_Perturbation", "Metadata_Stimulation"]
    counts = np.random.default_rng(0).integers(50, 500, (len(rows), 20))
    genes = pd.DataFrame(counts, columns=[f"g{i}" for i in range(20)])
    genes["rare"] = [1] + [0] * (len(rows) - 1)
    return pd.concat([pd.DataFrame(rows, columns=names), genes], axis=1)


@pytest.fixture
def config(tmp_path: Path) -> OmicsConfig:
    _samples().to_csv(tmp_path / "rna.csv", index=False)
    return OmicsConfig.from_plain(
        {"name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts", "plate": None, "min_share": 0.2}
    )


def test_wells_of_one_condition_and_plate_share_one_label(config: OmicsConfig) -> None:
    m1, m2 = build_targets(config, _bags(), seed=0)
    assert (m1.name, m2.name) == ("rna_M1", "rna_M2")
    assert m1.data.obs["bag"].tolist() == [0, 1, 2, 6, 7, 8]
    values = m1.data.X
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])
    names = m1.data.obs["omics_samples"]
    assert all(len(text.split(";")) == 2 for text in names)
    assert names.iloc[0] != names.iloc[3], "the plates draw on their own"
    assert m1.data.obs_names[0] == "P1:A01"


def test_a_label_is_the_mean_of_its_two_normalised_samples(config: OmicsConfig) -> None:
    target = build_targets(config, _bags(), seed=0)[0].data
    table = _samples().query("Metadata_Stimulation == 'M1'").reset_index(drop=True)
    counts = table.filter(regex="^g").to_numpy(float)
    usable = np.log(counts).mean(axis=0)
    factors = np.exp(np.median(np.log(counts) - usable, axis=1))
    logged = np.log2(counts / factors[:, None] + 1)
    for row, samples in zip(target.X, target.obs["omics_samples"], strict=True):
        expected = logged[table["sample"].isin(samples.split(";"))].mean(axis=0)
        np.testing.assert_allclose(row, expected, rtol=1e-6)


def test_what_has_no_partner_is_listed_and_drops_are_named(config: OmicsConfig) -> None:
    m1, m2 = build_targets(config, _bags(), seed=0)
    assert (m1.without_images, m1.without_omics) == ((), ())
    assert m2.without_images == (("d", "M2"),)
    assert m2.without_omics == (("c", "M2"),)
    assert m2.data.obs["bag"].tolist() == [3, 9]
    facts = m1.data.uns["wellstream"]
    assert facts["dropped_genes"].tolist() == ["rare"]
    assert "rare" not in m1.data.var_names
    assert len(facts["factors"]) == 10


def test_a_gene_too_low_on_one_omics_plate_is_dropped_and_counted(tmp_path: Path) -> None:
    table = _samples()
    table.loc[table["Metadata_Plate"] == "R5", "g3"] = 0
    table.to_csv(tmp_path / "rna.csv", index=False)
    plain = {"name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts"}
    strict, loose = (
        build_targets(OmicsConfig.from_plain({**plain, "expressed_in": where}), _bags(), seed=0)[0].data
        for where in ("every_plate", "any_plate")
    )
    assert strict.uns["wellstream"]["dropped_genes"].tolist() == ["g3", "rare"]
    assert "g3" in loose.var_names
    # Gene "rare" has one count in one sample of plate R1.
    assert strict.uns["wellstream"]["filtered_plates"].tolist() == ["R1", "R2", "R3", "R4", "R5"]
    assert strict.uns["wellstream"]["low_genes"].tolist() == [0, 1, 1, 1, 2]
    assert strict.uns["wellstream"]["expressed_in"] == "every_plate"
    assert OmicsConfig.from_plain(plain).expressed_in == "every_plate"


def test_draws_depend_on_seed_plate_and_condition_alone(config: OmicsConfig) -> None:
    names = list("abcdef")
    draws = {
        tuple(draw_samples(names, 2, seed, "rna", plate, drug, "M1"))
        for seed in (0, 1, 2)
        for plate in ("P1", "P2")
        for drug in ("a", "b")
    }
    assert len(draws) > 4
    assert all(len(draw) == 2 and draw[0] < draw[1] for draw in draws)
    assert draw_samples(["only"], 2, 0, "rna", "P1", "a", "M1") == [0]
    shuffled = build_targets(config, _bags().iloc[::-1].reset_index(drop=True), seed=0)[0].data
    straight = build_targets(config, _bags(), seed=0)[0].data
    assert shuffled.obs["omics_samples"].to_dict() == straight.obs["omics_samples"].to_dict()


def test_a_table_without_stimulation_labels_every_well(tmp_path: Path) -> None:
    table = _samples().query("Metadata_Stimulation == 'M1'").drop(columns="Metadata_Stimulation")
    table.to_csv(tmp_path / "t.csv", index=False)
    plain: dict[str, Any] = {"name": "rna", "table": str(tmp_path / "t.csv"), "kind": "counts", "stimulation": None}
    (target,) = build_targets(OmicsConfig.from_plain(plain), _bags(), seed=0)
    assert target.name == "rna"
    assert target.data.obs["bag"].tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    assert target.data.obs["Metadata_Stimulation"].tolist() == ["M1", "M1", "M1", "M2"] * 2, "obs tells the truth"


def test_files_are_byte_identical(config: OmicsConfig, tmp_path: Path) -> None:
    for name in ("one.h5ad", "two.h5ad"):
        build_targets(config, _bags(), seed=0)[0].data.write_h5ad(tmp_path / name)
    one, two = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("one.h5ad", "two.h5ad"))
    assert one == two


def test_nothing_in_common_is_an_error_with_a_hint(config: OmicsConfig) -> None:
    bags = _bags().assign(Metadata_Stimulation="m1")
    with pytest.raises(InputError, match=r"not one \(perturbation, stimulation\) in common.*did you mean 'a/m1'"):
        build_targets(config, bags, seed=0)


def test_several_batch_factors_and_covariates_of_a_table(tmp_path: Path) -> None:
    table = _samples()
    table["Multiplex"] = np.tile([f"x{number}" for number in (1, 2, 3)], 9)[: len(table)]
    table["RIN"] = np.linspace(6, 9, len(table))
    table.to_csv(tmp_path / "rna.csv", index=False)
    plain = {"name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts"}
    more: dict[str, Any] = {"batches": ["Multiplex"], "covariates": ["RIN"]}
    one, all_of_them = (
        build_targets(OmicsConfig.from_plain({**plain, **keys}), _bags(), seed=0)[0].data
        for keys in ({"facts": ["RIN"]}, more)
    )
    assert "RIN" not in all_of_them.var_names, "a covariate is not a gene"
    assert all_of_them.uns["wellstream"]["batches"].tolist() == ["Metadata_Plate", "Multiplex"]
    assert all_of_them.uns["wellstream"]["covariates"].tolist() == ["RIN"]
    part = table[table["Metadata_Stimulation"] == "M1"]
    counts = part[[f"g{number}" for number in range(20)]].to_numpy(float)
    logged = np.log2(counts / size_factors(counts)[:, None] + 1)
    batches = {name: part[name].to_numpy(dtype=object) for name in ("Metadata_Plate", "Multiplex")}
    condition = part["Metadata_Perturbation"].to_numpy(dtype=object)
    expected = remove_batch(logged, batches, condition=condition, covariates={"RIN": part["RIN"].to_numpy()}).values
    for data, wanted in ((one, False), (all_of_them, True)):
        chosen = part["sample"].isin(data.obs["omics_samples"].iloc[0].split(";")).to_numpy()
        assert np.allclose(data.X[0], expected[chosen].mean(axis=0), rtol=1e-5) is wanted


def test_a_plate_that_cannot_be_told_from_its_conditions_is_said(tmp_path: Path) -> None:
    table = _samples()
    table.loc[table["Metadata_Perturbation"] == "b", "Metadata_Plate"] = "R9"
    table.to_csv(tmp_path / "rna.csv", index=False)
    config = OmicsConfig.from_plain({"name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts"})
    m1, m2 = build_targets(config, _bags(), seed=0)
    low = "1 of 21 genes are seen in less than 13% of the samples"
    dropped = f"{low} ('min_share', 'expressed_in: every_plate') and are dropped: 'rare'"
    assert m1.notes == (
        "target 'rna_M1': batch factor 'Metadata_Plate': 1 of its 5 differences cannot be told from those of the "
        "conditions, because 'R9' shares no condition with the others; values there do not compare with those of the "
        "others",
        f"target 'rna_M1': {dropped}",
    )
    assert m2.notes == (f"target 'rna_M2': {dropped}",)
    assert m1.data.uns["wellstream"]["plate_effect"] == "partly"
