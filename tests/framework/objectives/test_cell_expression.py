"""Expression of cells: likelihoods by scipy, which genes are kept, where training begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from scipy import stats

from framework.data.dataset import Dataset
from framework.errors import DatasetError, RunError
from framework.models import SmallCnnConfig
from framework.objectives import CellExpression, CellExpressionConfig
from framework.objectives.cell_expression import log_share
from wellstream.testing import ranks

SMALL = SmallCnnConfig(widths=(4, 8), norm="group", dense=())
TRAIN = np.arange(8)
GENES = ("ESR1", "KRT5")


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A dataset of counts: tiles with 0 to 9 transcripts per gene, some tiles without any count."""
    return make_dataset(
        tmp_path_factory.mktemp("counted") / "tiny", bags=12, markers=(*GENES, "RARE", "transcripts"), targets={}
    )


@pytest.fixture(scope="module")
def values(counted: Dataset) -> np.ndarray:
    """(tiles, 4) counts that stand in for those of the dataset."""
    draw = np.random.default_rng(0)
    table = draw.poisson([3, 1, 0, 0], (len(counted.index), 4)).astype(np.float32)
    table[:3, 2] = 1
    table[:, 3] = table[:, :3].sum(axis=1) + draw.integers(1, 20, len(table))
    table[5] = np.nan
    return table


@pytest.fixture(autouse=True)
def _counts(monkeypatch: pytest.MonkeyPatch, values: np.ndarray) -> None:
    names = [*GENES, "RARE", "transcripts"]
    real = Dataset.markers

    def markers(self: Dataset, wanted: tuple[str, ...]) -> np.ndarray:
        real(self, wanted)
        return values[:, [names.index(name) for name in wanted]]

    monkeypatch.setattr(Dataset, "markers", markers)


def built(dataset: Dataset, **options: Any) -> CellExpression:
    config = CellExpressionConfig(**{"backbone": SMALL, "min_cells": 5, **options})
    torch.manual_seed(0)
    return CellExpression(config, CellExpression.measure(config, dataset, ("A", "B"), TRAIN))


def test_genes_are_those_seen_in_enough_training_cells(counted: Dataset, values: np.ndarray) -> None:
    facts = built(counted).expression
    assert facts.genes == GENES
    assert facts.excluded == ("RARE",)
    train = np.isin(counted.index.bag, TRAIN)
    expected = np.log1p(100 * values[train, :2] / values[train, 3:])
    np.testing.assert_allclose(facts.train_mean, np.nanmean(expected, axis=0), rtol=1e-6)
    np.testing.assert_allclose(facts.train_sd, np.nanstd(expected, axis=0, ddof=1), rtol=1e-6)


def test_log_share_by_hand() -> None:
    found = log_share(np.array([[1.0, 4.0], [0.0, 0.0], [np.nan, 1.0]]), np.array([8.0, 0.0, 2.0]))
    np.testing.assert_allclose(found[0], np.log([13.5, 51.0]))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[2, 0])
    assert found[2, 1] == pytest.approx(np.log(51))


@pytest.mark.parametrize("likelihood", ["log_share", "poisson", "negative_binomial"])
def test_the_loss_by_scipy(counted: Dataset, values: np.ndarray, likelihood: str) -> None:
    objective = built(counted, likelihood=likelihood)
    batch = ranks.make_batch(counted, objective, [0, 1, 2], tiles=6)
    with torch.no_grad():
        objective.head.weight.normal_(std=0.5)
        if likelihood == "negative_binomial":
            objective.log_theta.copy_(torch.tensor([0.3, -0.7]))
    raw = values[batch.tile_ids.numpy()].astype(np.float64)
    predicted = objective.predict(batch).detach().numpy().astype(np.float64)
    mean = np.expm1(predicted) / 100 * raw[..., 3:]
    if likelihood == "log_share":
        wanted = np.log1p(100 * raw[..., :2] / raw[..., 3:])
        each = ((predicted - wanted) / np.array(objective.expression.train_sd)) ** 2
    elif likelihood == "poisson":
        each = -stats.poisson.logpmf(np.nan_to_num(raw[..., :2]), mean)
    else:
        theta = np.exp([0.3, -0.7])
        each = -stats.nbinom.logpmf(np.nan_to_num(raw[..., :2]), theta, theta / (theta + mean))
    each[np.isnan(raw[..., 3])] = np.nan
    losses = objective(batch, lambda rows: rows)
    assert losses.count == np.isfinite(each).sum() < each.size
    assert losses.total.item() == pytest.approx(np.nansum(each), rel=1e-4)


@pytest.mark.parametrize("likelihood", ["log_share", "poisson", "negative_binomial"])
def test_training_begins_with_the_mean_of_the_training_cells(counted: Dataset, likelihood: str) -> None:
    objective = built(counted, likelihood=likelihood)
    with torch.no_grad():
        objective.head.weight.zero_()
    predicted = objective.predict(ranks.make_batch(counted, objective, [9], tiles=3))
    expected = torch.tensor(objective.expression.train_mean).expand_as(predicted)
    torch.testing.assert_close(predicted, expected, rtol=1e-5, atol=1e-6)


def test_predictions_stand_beside_what_was_measured(counted: Dataset, values: np.ndarray) -> None:
    """The first table of labels has the shape and the units of the predictions."""
    objective = built(counted)
    name, table = next(iter(objective.labels(counted).items()))
    assert name == "expression"
    np.testing.assert_allclose(table.values.numpy(), np.log1p(100 * values[:, :2] / values[:, 3:]), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"genes": ("ESR",)}, RunError, "no marker matches objective.genes .ESR.; it has ESR1, KRT5, RARE"),
        (
            {"min_cells": 10_000},
            RunError,
            "no gene is seen in 10000 training cells; the most frequent one, ESR1, is seen in",
        ),
        ({"total": "sum"}, DatasetError, "sum"),
    ],
)
def test_options_that_fit_no_dataset(counted: Dataset, options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        built(counted, **options)


def test_a_pretrained_run_is_found_from_any_folder() -> None:
    """Its place is made absolute when the config is kept."""
    config = CellExpressionConfig(pretrained="runs/first").located(lambda path: f"/here/{path}")
    assert config.builds_on == "/here/runs/first"
    assert CellExpressionConfig().located(lambda path: f"/here/{path}").builds_on is None


def test_values_below_zero_are_no_counts(counted: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dataset, "markers", lambda self, names: np.full((len(counted.index), len(names)), -1.0))
    with pytest.raises(RunError, match="'ESR1' has values that are infinite or below 0, so these are not counts"):
        built(counted)
