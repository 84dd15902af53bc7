"""A run that learned how much each tile counts: what ``embed`` writes of it, what ``predict`` and ``export`` make."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.tiny_run import BAGS, HEADS, TRIPLET, config, tiny_data

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.loading.transform import scale
from framework.data.store import EmbeddingStore
from framework.run import embed, export, fit, open_run, predict


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and the finished runs ``bags`` (from scratch) and ``tuned`` (gated attention on a pretrained backbone)."""
    folder = tmp_path_factory.mktemp("attention")
    tiny_data(folder / "data")
    fit(config(BAGS, run=folder / "bags", data=folder / "data"))
    fit(config(TRIPLET, run=folder / "triplet", data=folder / "data"))
    tuned = BAGS.replace("  backbone: {{name: small_cnn, widths: [4, 8], dense: [8], norm: group}}\n", "").replace(
        "{{name: set_attention, heads: 2}}", f"gated_attention\n  pretrained: {folder / 'triplet'}"
    )
    fit(config(tuned, run=folder / "tuned", data=folder / "data"))
    return folder


@pytest.mark.parametrize("run", ["bags", "tuned"])
def test_attention_stands_beside_each_tile(root: Path, tmp_path: Path, run: str) -> None:
    embed(root / run, None, tmp_path / "tiles.h5ad")
    written, dataset = anndata.read_h5ad(tmp_path / "tiles.h5ad"), Dataset.open(root / "data")
    shares = written.obs["attention"].to_numpy()
    start = dataset.index.bag_start
    sums = np.add.reduceat(shares, start[:-1])
    np.testing.assert_allclose(sums, np.ones(24), rtol=1e-5)
    objective = open_run(root / run).objective
    with torch.inference_mode():
        mine = objective.bag_encoder.attention.shares(torch.from_numpy(written.X[start[2] : start[3]])[None])
    np.testing.assert_allclose(shares[start[2] : start[3]], mine[0].numpy(), rtol=1e-5)
    assert shares.std() > 0
    assert EmbeddingStore(tmp_path / "tiles.h5ad", dataset).sample_shape == (8,)


def test_the_attention_weighs_the_vectors_of_a_bag(root: Path, tmp_path: Path) -> None:
    for level in ("tile", "bag"):
        embed(root / "tuned", None, tmp_path / f"{level}.h5ad", level=level)
    tiles, bags = (anndata.read_h5ad(tmp_path / name) for name in ("tile.h5ad", "bag.h5ad"))
    assert "attention" not in bags.obs
    weighed = tiles.X * tiles.obs["attention"].to_numpy()[:, None]
    means = np.stack([weighed[tiles.obs["bag"].to_numpy() == bag].sum(axis=0) for bag in bags.obs["bag"]])
    np.testing.assert_allclose(bags.X, means, rtol=1e-4, atol=1e-5)


def test_predictions_come_with_the_attention_of_every_tile(root: Path, tmp_path: Path) -> None:
    embed(root / "tuned", None, tmp_path / "tiles.h5ad")
    own = anndata.read_h5ad(tmp_path / "tiles.h5ad").obs
    made = predict(root / "tuned", None, tmp_path / "p", part="all")
    assert made.attention == tmp_path / "p" / "attention.parquet"
    table = pd.read_parquet(made.attention).set_index("tile")
    assert len(table) == len(own)
    np.testing.assert_allclose(table["attention"][own["tile"]], own["attention"], rtol=1e-4)
    assert (table["draws"] == 1).all()
    assert list(table["Metadata_Well"][:3]) == list(own["Metadata_Well"].astype(str)[:3])
    plain = anndata.read_h5ad(tmp_path / "p" / "rna.h5ad").X
    opened = open_run(root / "tuned")
    first = opened.on(None, "all").pixels(np.arange(*Dataset.open(root / "data").index.bag_start[:2]))
    with torch.inference_mode():
        tiles = scale(torch.from_numpy(first), opened.scale)[None]
        row = torch.zeros(tiles.shape[:2], dtype=torch.int64)
        one = Batch(tiles=tiles, bags=row[:, 0], tile_ids=row, weights=torch.ones(1), labels={}, step=0, epoch=0)
        expected = opened.objective.predict(one)[0, :5].numpy()
    np.testing.assert_allclose(plain[0], expected, rtol=1e-4, atol=1e-4)


def test_attention_is_the_mean_over_draws_and_views(root: Path, tmp_path: Path) -> None:
    made = predict(root / "bags", None, tmp_path / "p", part="test", tiles=3, seeds=2, views=4)
    table = pd.read_parquet(made.attention)
    assert set(table["part"]) == {"test"}
    sums = table.groupby("bag", observed=True)[["attention", "draws"]].sum()
    np.testing.assert_allclose(sums["attention"], 1, rtol=1e-5)
    assert (sums["draws"] == 2 * 3).all()
    assert table["draws"].max() <= 2


def test_a_mean_has_no_attention_to_show(root: Path, tmp_path: Path) -> None:
    fit(config(HEADS, run=tmp_path / "heads", data=root / "data", pretrained=root / "triplet"))
    assert predict(tmp_path / "heads", None, tmp_path / "p", part="all").attention is None
    assert not (tmp_path / "p" / "attention.parquet").exists()
    embed(root / "triplet", None, tmp_path / "tiles.h5ad")
    assert "attention" not in anndata.read_h5ad(tmp_path / "tiles.h5ad").obs


def test_bags_are_predicted_and_the_network_exported(root: Path, tmp_path: Path) -> None:
    summary = predict(root / "bags", None, tmp_path / "predictions", part="all")
    assert [file.name for file in summary.files] == ["rna.h5ad", "prot.h5ad"]
    written = anndata.read_h5ad(tmp_path / "predictions" / "rna.h5ad")
    assert written.shape == (24, 5)
    assert np.isfinite(written.X).all()
    found = export(root / "bags", tmp_path / "export", program=False)
    assert (found.network, found.width) == ("small_cnn", 8)
