"""Saliency maps of a run: which tiles, of which pixels, and that they are guided gradients of its predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.tiny_run import MARKERS, TRIPLET, config, tiny_data

from framework.data.dataset import Dataset
from framework.data.loading.transform import scale
from framework.data.store import TileStore, dataset_digest
from framework.errors import ConfigError, RunError
from framework.models import guided_gradients
from framework.run import fit, open_run, saliency


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and the finished runs ``triplet`` and ``markers``."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("saliency")
    tiny_data(folder / "data")
    fit(config(TRIPLET, run=folder / "triplet", data=folder / "data"))
    fit(config(MARKERS, run=folder / "markers", data=folder / "data"))
    return folder


def test_the_file_holds_guided_gradients_of_test_tiles(root: Path, tmp_path: Path) -> None:
    summary = saliency(root / "markers", None, tmp_path / "maps.npz", tiles=40)
    assert (summary.tiles, summary.outputs) == (40, ("m1", "m2"))
    dataset = Dataset.open(root / "data")
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as found:
        written = dict(found)
    ids = written["tile"]
    assert len(set(ids.tolist())) == 40
    stimulations = dataset.bags["Metadata_Stimulation"].to_numpy()[dataset.index.bag[ids]]
    assert set(stimulations) == {"M2"}
    assert str(written["dataset_digest"]) == dataset_digest(dataset)
    opened = open_run(root / "markers")
    store = TileStore(dataset, opened.scale.channels)
    stored = np.empty((40, *store.sample_shape), dtype=store.dtype)
    store.gather(ids, stored)
    np.testing.assert_array_equal(written["images"], stored)
    pixels = scale(torch.from_numpy(stored), opened.scale)
    model = opened.objective

    def score(tiles: torch.Tensor) -> torch.Tensor:
        heads: torch.Tensor = model.heads(model.embed_tiles(tiles[:, None])[:, 0])
        return heads * model.sd + model.mean

    np.testing.assert_allclose(written["maps"], guided_gradients(score, pixels).numpy(), rtol=1e-4, atol=1e-6)
    assert np.abs(written["maps"]).max() > 0


def test_the_draw_depends_on_the_seed_alone(root: Path, tmp_path: Path) -> None:
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        saliency(root / "markers", None, tmp_path / f"{number}.npz", part="all", tiles=20, seed=seed)
        drawn.append(np.load(tmp_path / f"{number}.npz")["tile"].tolist())
    assert drawn[0] == drawn[1] != drawn[2]
    assert (tmp_path / "0.npz").read_bytes() == (tmp_path / "1.npz").read_bytes()


@pytest.mark.parametrize(
    ("run", "out", "options", "error", "sentence"),
    [
        ("triplet", "x.npz", {}, RunError, "objective 'triplet_mil' does not predict"),
        ("markers", "x.h5ad", {}, ConfigError, r"expected a name that ends in \.npz"),
        ("markers", "x.npz", {"part": "tset"}, ConfigError, "did you mean 'test'"),
        ("markers", "x.npz", {"part": "val"}, RunError, "no tile in part 'val'"),
        ("markers", "x.npz", {"tiles": 0}, ConfigError, "tiles >= 1"),
    ],
)
def test_what_cannot_be_mapped_is_said(
    root: Path, tmp_path: Path, run: str, out: str, options: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        saliency(root / run, None, tmp_path / out, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
