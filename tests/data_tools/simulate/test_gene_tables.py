from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data_tools.simulate.biology import LATENTS, Conditions, draw_conditions
from data_tools.simulate.gene_tables import (
    GenePanel,
    Modality,
    noise_ceiling,
    sample_table,
    truth_table,
    well_name,
)
from data_tools.simulate.plate_config import PlateConfig

CONFIG = PlateConfig(perturbations=40, replicates=1, transcripts=200, proteins=100)


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    return draw_conditions(CONFIG)


def _table(conditions: Conditions, modality: Modality) -> tuple[GenePanel, pd.DataFrame]:
    panel = GenePanel.draw(CONFIG, conditions, modality)
    return panel, sample_table(CONFIG, conditions, panel)


def _explained(conditions: Conditions, table: pd.DataFrame, stimulation: int, gene: str) -> float:
    """Adjusted R2 of a linear fit of log expression on the true latent states, batch means removed."""
    rows = table[table["Metadata_Stimulation"] == conditions.stimulations[stimulation]]
    y = np.log(rows[gene].astype(float) + 1)
    y = (y - y.groupby(rows["Metadata_Plate"]).transform("mean")).to_numpy()
    number = {name: i for i, name in enumerate(conditions.perturbations)}
    x = conditions.latent[[number[name] for name in rows["Metadata_Perturbation"]], stimulation]
    x = np.column_stack([x, np.ones(len(x))])[~np.isnan(y)]
    y = y[~np.isnan(y)]
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return 1 - (rest**2).sum() / ((y - y.mean()) ** 2).sum()


@pytest.mark.parametrize("modality", ["transcripts", "proteins"])
def test_strong_genes_follow_the_latent_state_and_independent_ones_do_not(
    conditions: Conditions, modality: Modality
) -> None:
    panel, table = _table(conditions, modality)
    truth = truth_table(CONFIG, conditions, panel)
    r2: dict[str, list[float]] = {kind: [] for kind in ("strong", "weak", "independent")}
    for row in truth.itertuples():
        stimulation = conditions.stimulations.index(row.stimulation)
        r2[truth.at[row.Index, "class"]].append(_explained(conditions, table, stimulation, row.gene))
    assert np.quantile(r2["strong"], 0.05) > 0.35
    # Six latents and 40 random conditions: 6 / 39 of the variance by chance.
    assert np.median(r2["independent"]) < 0.2
    assert np.mean(r2["strong"]) > np.mean(r2["weak"]) > np.mean(r2["independent"])


def test_strength_is_the_share_of_variance_that_is_found(conditions: Conditions) -> None:
    # A sample's loading shifts all its genes and is not part of the truth, so it is taken out with independent genes.
    panel, table = _table(conditions, "proteins")
    truth = truth_table(CONFIG, conditions, panel).set_index(["gene", "stimulation"])
    values = np.log(table[list(panel.names)].astype(float))
    calm = [name for name in panel.names if not truth.loc[(name, "M1"), "depends"]]
    table[list(panel.names)] = np.exp(values.sub(values[calm].mean(axis=1), axis=0) + 14)
    pairs = [
        (truth.loc[(name, "M1"), "strength"], _explained(conditions, table, 0, name))
        for name in panel.names
        if truth.loc[(name, "M1"), "depends"]
    ]
    claimed, found = np.array(pairs).T
    assert np.corrcoef(claimed, found)[0, 1] > 0.9
    assert abs(np.median(found - claimed)) < 0.08


def test_independent_genes_vary_between_conditions_too(conditions: Conditions) -> None:
    panel, table = _table(conditions, "transcripts")
    truth = truth_table(CONFIG, conditions, panel)
    quiet = truth[~truth["depends"] & (truth["stimulation"] == "M1") & (truth["mean_expression"] > 50)]["gene"]
    rows = table[table["Metadata_Stimulation"] == "M1"]
    logs = np.log(rows[list(quiet)] + 1)
    between = logs.groupby(rows["Metadata_Perturbation"]).mean().var()
    within = logs.groupby(rows["Metadata_Perturbation"]).var().mean()
    assert np.median(between / within) > 1


def test_loadings_are_shared_between_stimulations_for_some_genes_only(conditions: Conditions) -> None:
    loading = GenePanel.draw(CONFIG, conditions, "transcripts").loading
    depends = np.any(loading != 0, axis=2)
    assert depends.sum(axis=0).tolist() == [60, 60]
    same = np.all(loading[:, 0] == loading[:, 1], axis=1) & depends[:, 0]
    assert same.sum() == 36
    assert (depends[:, 0] != depends[:, 1]).any()


def test_truth_table_lists_every_gene_and_stimulation_once(conditions: Conditions) -> None:
    truth = truth_table(CONFIG, conditions, GenePanel.draw(CONFIG, conditions, "transcripts"))
    assert len(truth) == 200 * 2
    assert not truth.duplicated(["gene", "modality", "stimulation"]).any()
    assert truth["strength"].between(0, 1).all()
    loadings = truth[[f"loading_{name}" for name in LATENTS]].to_numpy()
    np.testing.assert_array_equal(truth["depends"], (loadings != 0).any(axis=1))
    assert (truth["depends"] == (truth["class"] != "independent")).all()
    assert (truth.loc[truth["class"] == "strong", "strength"] >= 0.5).all()
    assert (truth.loc[truth["class"] == "weak", "strength"] < 0.5).all()


def test_transcripts_are_counts_with_depth_batch_and_low_genes(conditions: Conditions) -> None:
    panel, table = _table(conditions, "transcripts")
    counts = table[list(panel.names)]
    assert (counts.dtypes == np.int64).all()
    assert (counts >= 0).to_numpy().all()
    assert 0.15 < np.log(counts.sum(axis=1)).std() < 0.6
    assert ((counts > 0).mean() < 0.9).any()
    bright = counts.columns[counts.mean() > 50]
    by_plate = np.log(counts[bright] + 1).groupby(table["Metadata_Plate"]).mean()
    # The plate's effect has sd 0.25 on each gene; the mean of 80 samples is known to about 0.1.
    assert 0.15 < by_plate.std().median() < 0.4


def test_proteins_are_positive_with_weak_ones_missing(conditions: Conditions) -> None:
    panel, table = _table(conditions, "proteins")
    values = table[list(panel.names)]
    missing = values.isna()
    assert (values.to_numpy()[~missing.to_numpy()] > 0).all()
    assert 0.002 < missing.to_numpy().mean() < 0.1
    order = values.mean().sort_values().index
    assert missing[order[:20]].to_numpy().mean() > missing[order[-20:]].to_numpy().mean()


def test_each_condition_has_one_well_on_each_omics_plate(conditions: Conditions) -> None:
    _, table = _table(conditions, "transcripts")
    assert len(table) == 40 * 2 * 3
    assert table["Metadata_Plate"].unique().tolist() == ["SIM-RNA1", "SIM-RNA2", "SIM-RNA3"]
    assert not table.duplicated(["Metadata_Plate", "Metadata_Well"]).any()
    assert not table.duplicated(["Metadata_Plate", "Metadata_Perturbation", "Metadata_Stimulation"]).any()
    assert table["sample"].is_unique


def test_well_names() -> None:
    assert [well_name(0, 0), well_name(7, 11), well_name(15, 23)] == ["A01", "H12", "P24"]
    assert [well_name(25, 9), well_name(26, 0), well_name(31, 47)] == ["Z10", "AA01", "AF48"]


@pytest.mark.parametrize(("samples", "ceilings"), [(1, (0.5, 0.0)), (2, (0.6, 0.0)), (4, (2 / 3, 0.0))])
def test_a_noise_ceiling_by_hand(samples: int, ceilings: tuple[float, float]) -> None:
    truth = pd.DataFrame({"variance_state": [6.0, 0.0], "variance_specific": [2.0, 1.0], "variance_sample": [4.0, 1.0]})
    np.testing.assert_allclose(noise_ceiling(truth, samples), ceilings)


def test_the_ceiling_of_one_sample_is_the_strength_and_knowing_the_state_reaches_it(conditions: Conditions) -> None:
    panel, table = _table(conditions, "proteins")
    truth = truth_table(CONFIG, conditions, panel)
    of_m1 = truth[(truth["stimulation"] == "M1") & truth["depends"]]
    np.testing.assert_allclose(noise_ceiling(of_m1, 1), of_m1["strength"])
    values = np.log(table[list(panel.names)].astype(float))
    rest = [name for name in panel.names if name not in set(of_m1["gene"])]
    # A sample's loading shifts all its genes and is not part of the truth.
    values = values.sub(values[rest].mean(axis=1), axis=0)
    rows = (table["Metadata_Stimulation"] == "M1").to_numpy()
    values = (values - values.groupby(table["Metadata_Plate"]).transform("mean"))[rows]
    label = values.groupby(table.loc[rows, "Metadata_Perturbation"]).mean()
    number = {name: i for i, name in enumerate(conditions.perturbations)}
    known = conditions.latent[[number[name] for name in label.index], 0] @ panel.loading[:, 0].T
    reached = [np.corrcoef(known[:, panel.names.index(gene)], label[gene])[0, 1] ** 2 for gene in of_m1["gene"]]
    ceiling = noise_ceiling(of_m1, CONFIG.omics_replicates).to_numpy()
    assert np.corrcoef(ceiling, reached)[0, 1] > 0.9
    assert abs(np.median(np.array(reached) - ceiling)) < 0.05
