from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from framework.data.format.schema import BAG, SOURCE
from framework.evaluate import EvaluateConfig, evaluate_markers, linear_baseline, tile_mean_intensities

QUICK = EvaluateConfig(resamples=200)


class Tiles:
    """A store of constant tiles: tile i, channel c is 10 i + c."""

    sample_shape = (3, 4, 4)
    dtype = np.dtype(np.uint16)

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 100

    def gather(self, tile_ids: np.ndarray, out: np.ndarray) -> None:
        self.asked.append(len(tile_ids))
        out[:] = (10 * tile_ids[:, None] + np.arange(3))[:, :, None, None]


def cells(n: int = 120) -> anndata.AnnData:
    rng = np.random.default_rng(0)
    measured = rng.normal(5, 2, (n, 2))
    measured[::10, 1] = np.nan
    predicted = np.nan_to_num(measured) + rng.normal(0, 1, (n, 2))
    part = np.where(np.arange(n) < n // 2, "train", "test")
    obs = pd.DataFrame({SOURCE: "P", BAG: np.where(part == "train", "A01", "A02"), "tile": np.arange(n), "part": part})
    obs.index = obs.index.astype(str)
    mean = np.nanmean(measured[: n // 2], axis=0)
    return anndata.AnnData(
        X=predicted,
        obs=obs,
        var=pd.DataFrame({"train_mean": mean, "train_sd": 1.0}, index=["FRA1", "MITF"]),
        layers={"measured": measured},
        uns={"wellstream": {"kind": "predictions", "objective": "marker_regression"}},
    )


def test_scores_equal_scipy_on_known_test_cells() -> None:
    data = cells()
    table = evaluate_markers(data, QUICK).markers.set_index("marker")
    known = np.flatnonzero((np.arange(120) >= 60) & ~np.isnan(data.layers["measured"][:, 1]))
    p, t = np.asarray(data.X)[known, 1], data.layers["measured"][known, 1]
    row = table.loc["MITF"]
    assert row["n"] == len(known) == 54
    assert row["r"] == pytest.approx(stats.pearsonr(p, t).statistic)
    assert row["spearman"] == pytest.approx(stats.spearmanr(p, t).statistic)
    assert row["rmse"] == pytest.approx(np.sqrt(((p - t) ** 2).mean()))
    assert row["rmse_mean"] == pytest.approx(np.sqrt(((data.var["train_mean"].iloc[1] - t) ** 2).mean()))
    assert row["mae_mean"] == pytest.approx(np.abs(data.var["train_mean"].iloc[1] - t).mean())
    fisher = stats.pearsonr(p, t).confidence_interval(0.95)
    assert (row["r_fisher_low"], row["r_fisher_high"]) == pytest.approx(tuple(fisher))
    assert row["r_low"] < row["r"] < row["r_high"]
    assert np.isnan(row["r_linear"])
    assert np.isnan(row["rmse_linear"])


def test_linear_predictions_are_scored_beside() -> None:
    data = cells()
    exact = np.nan_to_num(data.layers["measured"][60:])
    result = evaluate_markers(data, QUICK, linear=exact)
    np.testing.assert_allclose(result.markers["r_linear"], 1.0)
    np.testing.assert_allclose(result.markers["rmse_linear"], 0.0)
    np.testing.assert_allclose(result.markers["r_linear_low"], 1.0)
    assert len(result.cells) == 60 + 54
    with pytest.raises(ValueError, match=r"shape \(60, 2\)"):
        evaluate_markers(data, QUICK, linear=exact[:3])


def test_linear_baseline_recovers_a_line_and_skips_unknown() -> None:
    rng = np.random.default_rng(1)
    train, test = rng.random((50, 2)) * [1, 1e4] + [0, 1e5], rng.random((8, 2))
    targets = np.column_stack([3 + 2 * train[:, 0] - 0.5 * train[:, 1], np.full(50, np.nan)])
    targets[::7, 0] = np.nan
    predicted = linear_baseline(train, targets, test)
    np.testing.assert_allclose(predicted[:, 0], 3 + 2 * test[:, 0] - 0.5 * test[:, 1], rtol=1e-7)
    assert np.isnan(predicted[:, 1]).all()


def test_linear_baseline_with_a_dead_channel() -> None:
    train = np.column_stack([np.arange(10.0), np.zeros(10)])
    predicted = linear_baseline(train, 2 * train[:, :1], train)
    np.testing.assert_allclose(predicted, 2 * train[:, :1], atol=1e-9)


def test_tile_means_come_in_chunks() -> None:
    store = Tiles()
    ids = np.array([3, 0, 7, 2, 2])
    means = tile_mean_intensities(store, ids, chunk=2)
    assert store.asked == [2, 2, 1]
    np.testing.assert_allclose(means, 10 * ids[:, None] + np.arange(3))
    np.testing.assert_allclose(tile_mean_intensities(store, ids, log10=True), np.log10(means + 1))
    assert tile_mean_intensities(store, ids[:0]).shape == (0, 3)
