"""Marker regression: masks, units of predictions, and that it learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from framework.data.dataset import Dataset
from framework.errors import DatasetError
from framework.models import SmallCnnConfig
from framework.objectives import MarkerRegression, MarkerRegressionConfig

SMALL = SmallCnnConfig(widths=(4, 8), norm="group", dense=())
TRAIN = np.arange(8)


def built(dataset: Dataset, **options: Any) -> MarkerRegression:
    config = MarkerRegressionConfig(**{"markers": ("FRA1", "MITF"), "backbone": SMALL, **options})
    torch.manual_seed(0)
    return MarkerRegression(config, MarkerRegression.measure(config, dataset, ("A", "B"), TRAIN))


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def test_the_profile_is_measured_on_training_tiles(dataset: Dataset) -> None:
    scale = built(dataset, transform="log10").facts.markers[1]
    tiles = dataset.tile_table()
    train = np.log10(tiles.loc[tiles["bag"].isin(TRAIN), "Marker_MITF"].to_numpy(np.float64))
    assert np.isnan(train).any()
    assert scale.mean == pytest.approx(np.nanmean(train))
    assert scale.sd == pytest.approx(np.nanstd(train, ddof=1))


@pytest.mark.parametrize("loss", ["mae", "mse"])
@pytest.mark.parametrize("standardise", [True, False])
def test_loss_by_hand(dataset: Dataset, make_batch: Any, loss: str, standardise: bool) -> None:
    objective = built(dataset, loss=loss, standardise=standardise, transform="log10")
    batch = make_batch(objective, [0, 2, 3], tiles=12)
    raw = dataset.markers(("FRA1", "MITF"))[batch.tile_ids.numpy()]
    difference = objective.predict(batch).detach().numpy() - np.log10(raw)
    if standardise:
        difference = difference / np.array([scale.sd for scale in objective.facts.markers])
    each = np.abs(difference) if loss == "mae" else difference**2
    losses = objective(batch, alone)
    assert losses.total.item() == pytest.approx(np.nansum(each), rel=1e-4)
    assert losses.count == np.isfinite(raw).sum() < raw.size
    total, count = losses.parts[f"{loss}/MITF"]
    assert total.item() == pytest.approx(np.nansum(each[..., 1]), rel=1e-4)
    assert count == np.isfinite(raw[..., 1]).sum()


def test_standardised_predictions_start_near_the_training_mean(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    with torch.no_grad():
        objective.heads.weight.zero_()
    predicted = objective.predict(make_batch(objective, [0, 2]))
    expected = torch.tensor([scale.mean for scale in objective.facts.markers]).expand(2, 3, 2)
    torch.testing.assert_close(predicted, expected)
    assert [output.train_mean for output in objective.outputs()] == [scale.mean for scale in objective.facts.markers]


def test_labels_and_transform_markers_agree(dataset: Dataset) -> None:
    objective = built(dataset, transform="log10p1")
    values = objective.labels(dataset)["markers"].values.numpy()
    raw = dataset.markers(("FRA1", "MITF"))
    np.testing.assert_allclose(values, np.log10(raw + 1), rtol=1e-6)
    np.testing.assert_array_equal(objective.transform_markers(raw[None, :5]), values[None, :5])


def test_markers_keep_the_order_of_the_config(dataset: Dataset) -> None:
    objective = built(dataset, markers=("MITF", "FRA1"))
    assert [output.name for output in objective.outputs()] == ["MITF", "FRA1"]
    raw = dataset.markers(("FRA1", "MITF"))
    np.testing.assert_allclose(objective.labels(dataset)["markers"].values.numpy(), raw[:, ::-1])


def test_heads_start_as_separate_glorot_layers(dataset: Dataset) -> None:
    heads = built(dataset).heads
    assert heads.weight.shape == (2, 8)
    assert heads.weight.abs().max().item() <= (6 / 9) ** 0.5
    assert (heads.bias == 0).all()


def test_the_published_network_is_the_default(dataset: Dataset) -> None:
    config = MarkerRegressionConfig(markers=("FRA1", "MITF"))
    objective = MarkerRegression(config, MarkerRegression.measure(config, dataset, ("A",), TRAIN))
    assert sum(p.numel() for p in objective.parameters()) == 693_842
    assert config.loss == "mae"


def test_what_cannot_be_trained_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"no marker 'FRA'.*did you mean 'FRA1'"):
        built(dataset, markers=("FRA",))
    with pytest.raises(ValueError, match="MITF is listed twice"):
        MarkerRegressionConfig(markers=("MITF", "MITF"))


def test_it_learns_the_radius(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset, markers=("FRA1",))
    optimiser = torch.optim.Adam(objective.parameters(), lr=1e-2)
    for seed in range(60):
        losses = objective(make_batch(objective, [*range(8)], tiles=6, seed=seed), alone)
        optimiser.zero_grad()
        (losses.total / losses.count).backward()
        optimiser.step()
    batch = make_batch(objective, [8, 9, 10, 11], tiles=8, seed=99)
    predicted = objective.predict(batch).detach().numpy().ravel()
    measured = batch.labels["markers"].numpy().ravel()
    known = np.isfinite(measured)
    assert np.corrcoef(predicted[known], measured[known])[0, 1] > 0.9
