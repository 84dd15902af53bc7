"""Saliency of bags: with a linear head of a mean it is exact, and of other bags it is said that it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.tiny_run import HEADS, TRIPLET, config, tiny_data
from typer.testing import CliRunner

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.loading.transform import scale
from framework.errors import ConfigError, RunError
from framework.files.h5ad import read_h5ad
from framework.run import fit, open_run, predict, saliency
from framework.run.apply.bag_saliency import BagMaps
from launch.cli import app


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and heads on two backbones: ``heads`` of the mean of tiles, ``scaled`` of that mean at length 1."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bag_saliency")
    tiny_data(folder / "data")
    for name, words in (("heads", ()), ("scaled", ("objective.l2_normalise=true",))):
        backbone = folder / f"{name}-backbone"
        fit(config(TRIPLET, *words, run=backbone, data=folder / "data"))
        fit(config(HEADS, run=folder / name, data=folder / "data", pretrained=backbone))
    return folder


def test_a_bag_is_the_mean_of_what_its_tiles_say(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps.npz"
    made = saliency(root / "heads", None, out, "all", tiles=3, outputs=("rna/rna_G0", "prot_G0"), bags=3, samples=2)
    assert (made.exact, made.bags, made.tiles, made.method) == (True, 3, 9, "smoothgrad")
    assert made.gap is not None
    assert made.gap < 1e-4
    predict(root / "heads", None, tmp_path / "p", "all", tiles=10_000)
    rna = read_h5ad(tmp_path / "p" / "rna.h5ad")
    table = pd.read_csv(tmp_path / "maps.tiles.csv")
    names = list(zip(rna.obs[SOURCE].astype(str), rna.obs[BAG].astype(str), strict=True))
    counts = Dataset.open(root / "data").bags.set_index([SOURCE, BAG])["n_tiles"]
    groups = table[table["target"] == "rna"].groupby([SOURCE, BAG])
    assert len(groups) == 3
    for key, rows in groups:
        predicted = float(rna[names.index(key), "rna_G0"].X[0, 0])
        assert len(rows) == counts[key], "every tile of the bag is listed"
        assert rows["value"].mean() == pytest.approx(predicted, abs=1e-4)
        mean = float(rna.var.loc["rna_G0", "train_mean"])
        assert rows["contribution"].sum() == pytest.approx(predicted - mean, abs=1e-4)
        assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
        assert rows["contribution"].is_monotonic_decreasing
    assert made.most[0].startswith("rna/rna_G0: raise it most: tile ")


def test_a_mean_that_is_scaled_to_length_1_is_said_to_be_none(root: Path, tmp_path: Path) -> None:
    made = saliency(root / "scaled", None, tmp_path / "m.npz", "all", tiles=2, outputs=("rna_G0",), bags=2, samples=1)
    assert made.exact is False
    table = pd.read_csv(tmp_path / "m.tiles.csv")
    opened = open_run(root / "scaled")
    on = opened.on(None, "all")
    _key, rows = next(iter(table[table["target"] == "rna"].groupby([SOURCE, BAG])))
    ids = np.sort(rows["tile"].to_numpy())
    images = np.empty((len(ids), *on.store.sample_shape), dtype=on.store.dtype)
    on.store.gather(ids, images)
    with torch.inference_mode():
        embedded = opened.objective.embed_tiles(scale(torch.from_numpy(images), opened.scale))
        whole, without = (_predict(opened.objective, part)[0, 0] for part in (embedded, embedded[1:]))
    n = len(ids)
    expected = float(n * whole - (n - 1) * without)
    assert rows.set_index("tile")["value"][ids[0]] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def _predict(objective, tiles: torch.Tensor) -> torch.Tensor:  # type: ignore[no-untyped-def]
    one = torch.zeros(1, len(tiles), dtype=torch.int64)
    batch = Batch(tiles=tiles[None], bags=one[:, 0], tile_ids=one, weights=torch.ones(1), labels={}, step=0, epoch=0)
    found: torch.Tensor = objective.predict(batch)
    return found


def test_maps_without_noise_are_the_gradient_of_what_a_tile_says(root: Path, tmp_path: Path) -> None:
    saliency(
        root / "heads", None, tmp_path / "m.npz", "all", tiles=2, outputs=("rna/rna_G1",), bags=1, samples=1, noise=0
    )
    with np.load(tmp_path / "m.npz", allow_pickle=False) as found:
        written = dict(found)
    opened = open_run(root / "heads")
    pixels = scale(torch.from_numpy(written["images"]), opened.scale).double()
    opened.objective.double()
    place = [each.name for each in opened.objective.outputs()].index("rna_G1")
    for tile in range(2):
        direction = torch.randn(pixels.shape[1:], generator=torch.Generator().manual_seed(tile), dtype=torch.float64)
        step = 1e-4
        with torch.inference_mode():
            up, down = (
                _predict(opened.objective, (pixels[tile] + sign * step * direction)[None])[0, place] for sign in (1, -1)
            )
        slope = float((up - down) / (2 * step))
        assert float((torch.from_numpy(written["maps"][tile, 0]) * direction).sum()) == pytest.approx(slope, rel=1e-2)


def test_what_is_asked_for_must_be_there(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.npz"
    with pytest.raises(ConfigError, match=r"no output is called 'rna_g0'; did you mean 'rna_G0'"):
        saliency(root / "heads", None, out, "all", outputs=("rna_g0",))
    with pytest.raises(ConfigError, match=r"no bag 'Z99' with tiles in part 'all'"):
        saliency(root / "heads", None, out, "all", outputs=("rna_G0",), bags=("Z99",))
    with pytest.raises(ConfigError, match="samples >= 1"):
        saliency(root / "heads", None, out, "all", outputs=("rna_G0",), samples=0)
    with pytest.raises(RunError, match="does not predict"):
        saliency(root / "heads-backbone", None, out, "all")
    assert not out.exists()


def test_the_command_takes_names_and_prints_the_tiles(root: Path, tmp_path: Path) -> None:
    bag = Dataset.open(root / "data").bags.iloc[2]
    words = ["saliency", root / "heads", "-o", tmp_path / "m.npz", "--part", "all", "--outputs", "rna/rna_G0"]
    words += ["--bags", f"{bag[SOURCE]}/{bag[BAG]}", "--tiles", "2", "--samples", "1"]
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output + repr(result.exception)
    assert f"of {bag[SOURCE]}/{bag[BAG]} (" in result.output
    table = pd.read_csv(tmp_path / "m.tiles.csv")
    assert set(table[BAG]) == {bag[BAG]}
    drawn = pd.read_csv(tmp_path / "m.figures" / "tile_votes.csv")
    assert (tmp_path / "m.figures" / "tile_votes.png").stat().st_size > 5000
    ranked = table[table["output"] == "rna_G0"]["tile"].tolist()
    half = (len(ranked) + 1) // 2
    assert drawn[drawn["side"] == "raise"]["tile"].tolist() == ranked[:half][:6]
    assert drawn[drawn["side"] == "lower"]["tile"].tolist() == ranked[half:][::-1][:6]


def test_the_strongest_tiles_are_kept_with_their_pixels(root: Path, tmp_path: Path) -> None:
    saliency(root / "heads", None, tmp_path / "m.npz", "all", tiles=1, outputs=("rna/rna_G1",), bags=3, samples=1)
    with np.load(tmp_path / "m.npz", allow_pickle=False) as found:
        kept = dict(found)
    table = pd.read_csv(tmp_path / "m.tiles.csv").sort_values("contribution", ascending=False)
    np.testing.assert_allclose(kept["extreme_contribution"][:6], table["contribution"].head(6))
    np.testing.assert_allclose(kept["extreme_contribution"][6:], table["contribution"].tail(6)[::-1])
    np.testing.assert_array_equal(kept["extreme_side"], [1] * 6 + [-1] * 6)
    pixels = np.asarray(Dataset.open(root / "data").index.bag)[kept["extreme_tile"]]
    bags = Dataset.open(root / "data").bags
    assert [f"{bags[SOURCE].iloc[bag]}/{bags[BAG].iloc[bag]}" for bag in pixels] == kept["extreme_bag"].tolist()
    on = open_run(root / "heads").on(None, "all")
    np.testing.assert_array_equal(kept["extreme_images"], on.pixels(kept["extreme_tile"]))


def test_options_of_the_call_are_those_of_the_config() -> None:
    assert (BagMaps().bags, BagMaps().samples, BagMaps().noise) == (4, 25, 0.15)
