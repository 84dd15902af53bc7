"""Phases by nearest neighbours: scores worked out by hand, and features that know more than intensities."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from experiments.ifc_seq.phase import compare, intensity_statistics, neighbours_say, score
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import InputError


def test_scores_by_hand() -> None:
    scores = score(["a", "a", "a", "a", "b"], ["a", "a", "a", "b", "b"])
    assert scores.accuracy == 0.8
    assert scores.recall == {"a": 0.75, "b": 1.0}
    assert scores.balanced == 0.875
    assert scores.low < 0.875 <= scores.high


def test_neighbours_are_looked_for_among_training_cells_on_standardised_features() -> None:
    # Unscaled, the second column would decide, and say left.
    features = np.array([[0.0, 200.0], [10.0, 0.0], [9.0, 110.0]])
    labels = np.array(["left", "right", "left"])
    test = np.array([False, False, True])
    assert neighbours_say(features, labels, test, 1) == ["right"]
    assert np.abs(features[0] - features[2]).max() < np.abs(features[1] - features[2]).max()


def test_statistics_are_of_pixels_as_stored(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=2, tiles_per_bag=3)
    statistics = intensity_statistics(dataset)
    store = TileStore(dataset, None)
    tile = np.empty((1, *store.sample_shape), dtype=store.dtype)
    store.gather(np.array([4]), tile)
    second = tile[0, 1].astype(np.float64)
    expected = [second.mean(), second.std(), second.min(), np.median(second), second.max()]
    np.testing.assert_allclose(statistics[4, 1::2], expected)


@pytest.fixture
def learned(tmp_path: Path) -> tuple[Dataset, Path]:
    """Features that tell the phase, on images that do not."""
    dataset = make_dataset(tmp_path / "data", bags=6, tiles_per_bag=20)
    random = np.random.default_rng(0)
    phase = random.permutation(np.repeat(["G1", "G2"], 60))
    obs = pd.DataFrame({"Metadata_Phase": phase, "part": np.where(np.arange(120) < 40, "test", "train")})
    values = (phase == "G2")[:, None] + 0.1 * random.standard_normal((120, 4))
    data = anndata.AnnData(values.astype(np.float32), obs.set_index(obs.index.astype(str)))
    data.write_h5ad(tmp_path / "fold.h5ad")
    return dataset, tmp_path / "fold.h5ad"


def test_features_that_know_the_phase_win(learned: tuple[Dataset, Path]) -> None:
    dataset, file = learned
    found = compare(dataset.root, [file])
    assert found["learned", 5].accuracy == found["learned", 5].balanced == 1
    assert found["15 intensity statistics", 5].balanced < 0.75


def test_files_that_do_not_fit_are_named(learned: tuple[Dataset, Path], tmp_path: Path) -> None:
    dataset, file = learned
    data = anndata.read_h5ad(file)
    data[:50].write_h5ad(tmp_path / "short.h5ad")
    with pytest.raises(InputError, match="expected 120 tiles"):
        compare(dataset.root, [tmp_path / "short.h5ad"])
    data.obs["part"] = "train"
    data.write_h5ad(tmp_path / "train.h5ad")
    with pytest.raises(InputError, match="some tiles in the test part"):
        compare(dataset.root, [tmp_path / "train.h5ad"])
