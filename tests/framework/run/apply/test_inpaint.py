"""A run of paired inpainting from config to features, panels and losses with right and wrong sources."""

from __future__ import annotations

import json
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import MARKERS, PAIRS, TRIPLET, by_hand, config, tiny_data

from framework.data.dataset import Dataset
from framework.errors import ConfigError, RunError
from framework.models import pooled_layers
from framework.objectives import PairedInpainting
from framework.run import embed, embed_layers, fit, inpaint, open_run, verify_run
from framework.run.apply.tables import StreamedTable
from framework.tracking import read_metrics


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and the finished run ``pairs``."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("inpaint")
    tiny_data(folder / "data")
    fit(config(PAIRS, run=folder / "pairs", data=folder / "data"))
    return folder


def test_it_learns_and_every_pair_is_proved(root: Path) -> None:
    told = " ".join(verify_run(root / "pairs").sentences)
    assert "each visiting every one of" in told
    metrics = read_metrics(root / "pairs")
    assert metrics["loss"].iloc[-1] < 0.7 * metrics["loss"].iloc[0]
    assert metrics["val_mse/B"].notna().sum() == 2


@pytest.mark.parametrize("pool", ["max", "mean"])
def test_layers_are_files_in_tile_order(root: Path, tmp_path: Path, pool: str) -> None:
    layers = ("conv5", "conv1", "conv2.0")
    summary = embed_layers(root / "pairs", None, tmp_path / "layers", layers, pool)
    dataset, opened = Dataset.open(root / "data"), open_run(root / "pairs")
    ids = np.asarray([3, 0, 150])
    with torch.inference_mode():
        network = opened.objective.feature_network()
        mine = pooled_layers(network, layers, by_hand(root / "pairs", dataset, ids), pool)
    assert summary.files == tuple(tmp_path / "layers" / f"{layer}.h5ad" for layer in layers)
    for layer in layers:
        written = anndata.read_h5ad(tmp_path / "layers" / f"{layer}.h5ad")
        assert written.shape == (len(dataset.index), mine[layer].shape[1])
        np.testing.assert_allclose(written.X[ids], mine[layer].numpy(), rtol=1e-4, atol=1e-5)
        facts = written.uns["wellstream"]
        assert (facts["kind"], facts["level"], facts["layer"], facts["pool"]) == ("embeddings", "tile", layer, pool)
        assert {"bag", "tile", "part", "Metadata_Perturbation"} <= set(written.obs.columns)
    assert sorted(p.name for p in (tmp_path / "layers").iterdir()) == sorted(f"{layer}.h5ad" for layer in layers)


def test_no_more_than_two_blocks_are_ever_held(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks: list[weakref.ref[np.ndarray]] = []
    alive = []

    def append(table: StreamedTable, rows: np.ndarray, original: Any = StreamedTable.append) -> None:
        original(table, rows)
        blocks.append(weakref.ref(rows))
        alive.append(sum(block() is not None for block in blocks))

    monkeypatch.setattr(sys.modules["framework.run.apply.embed"], "TILES_PER_STEP", 8)
    monkeypatch.setattr(StreamedTable, "append", append)
    rows = embed_layers(root / "pairs", None, tmp_path / "layers", ["conv4"]).rows
    assert len(blocks) == -(-rows // 8) == 24
    assert max(alive) <= 2


def test_eight_views_are_the_mean_over_the_symmetries_of_the_square(root: Path, tmp_path: Path) -> None:
    summary = embed_layers(root / "pairs", None, tmp_path / "layers", ["conv3"], "mean", views=8)
    ids = np.asarray([5, 90])
    network = open_run(root / "pairs").objective.feature_network()
    cells = by_hand(root / "pairs", Dataset.open(root / "data"), ids)
    turned = [torch.rot90(flipped, turns, (2, 3)) for flipped in (cells, cells.flip(3)) for turns in range(4)]
    with torch.inference_mode():
        mine = torch.stack([pooled_layers(network, ["conv3"], each, "mean")["conv3"] for each in turned]).mean(0)
    written = anndata.read_h5ad(tmp_path / "layers" / "conv3.h5ad")
    np.testing.assert_allclose(written.X[ids], mine.numpy(), rtol=1e-4, atol=1e-5)
    assert (summary.views, written.uns["wellstream"]["views"]) == (8, 8)


def test_the_embedding_is_the_layer_of_the_config(root: Path, tmp_path: Path) -> None:
    embed(root / "pairs", None, tmp_path / "tiles.h5ad")
    embed_layers(root / "pairs", None, tmp_path / "layers", ["conv4"])
    tiles, layer = (anndata.read_h5ad(tmp_path / name) for name in ("tiles.h5ad", "layers/conv4.h5ad"))
    np.testing.assert_allclose(tiles.X, layer.X, rtol=1e-5, atol=1e-6)


def test_untrained_features_are_those_of_the_weights_the_run_began_with(root: Path, tmp_path: Path) -> None:
    fit(
        config(
            PAIRS,
            "train.steps=1",
            "train.evaluate_every=null",
            "optim.lr=1e-30",
            run=root / "still",
            data=root / "data",
        )
    )
    before = torch.random.get_rng_state()
    first, again = (open_run(root / "pairs", untrained=True).objective for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    still = open_run(root / "still").objective
    for (name, weight), other, third in zip(
        first.named_parameters(), still.parameters(), again.parameters(), strict=True
    ):
        torch.testing.assert_close(weight, other, msg=name)
        assert torch.equal(weight, third)
    embed_layers(root / "pairs", None, tmp_path / "untrained", ["conv4"], untrained=True)
    embed_layers(root / "pairs", None, tmp_path / "trained", ["conv4"])
    untrained, trained = (anndata.read_h5ad(tmp_path / name / "conv4.h5ad") for name in ("untrained", "trained"))
    assert untrained.uns["wellstream"]["step"] == 0
    assert untrained.uns["wellstream"]["weights"] == "untrained"
    assert not np.allclose(untrained.X, trained.X)
    embed(root / "pairs", None, tmp_path / "u.h5ad", untrained=True)
    np.testing.assert_allclose(anndata.read_h5ad(tmp_path / "u.h5ad").X, untrained.X, rtol=1e-5, atol=1e-6)


def test_layers_of_another_objectives_backbone(root: Path, tmp_path: Path) -> None:
    fit(config(TRIPLET, "train.steps=3", run=tmp_path / "triplet", data=root / "data"))
    embed_layers(tmp_path / "triplet", None, tmp_path / "layers", ["trunk.layers.2", "head"])
    assert anndata.read_h5ad(tmp_path / "layers" / "trunk.layers.2.h5ad").n_vars == 4
    assert anndata.read_h5ad(tmp_path / "layers" / "head.h5ad").n_vars == 8


def test_wrong_requests_for_layers_leave_nothing(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no layer is called 'conv6'"):
        embed_layers(root / "pairs", None, tmp_path / "x", ["conv6"])
    with pytest.raises(RunError, match="layer 'pool' is called several times"):
        embed_layers(root / "pairs", None, tmp_path / "x", ["conv1", "pool"])
    with pytest.raises(ConfigError, match="pool: expected one of: max, mean, found 'median'"):
        embed_layers(root / "pairs", None, tmp_path / "x", ["conv1"], "median")
    with pytest.raises(ConfigError, match="each layer gets its own file; name a folder"):
        embed_layers(root / "pairs", None, tmp_path / "x.h5ad", ["conv1"])
    with pytest.raises(ConfigError, match="expected at least one name"):
        embed_layers(root / "pairs", None, tmp_path / "x", [])
    with pytest.raises(ConfigError, match="views: expected one of: 1, 4, 8, image2omics, found 3"):
        embed_layers(root / "pairs", None, tmp_path / "x", ["conv1"], views=3)
    assert not list(tmp_path.iterdir())


def test_the_network_needs_the_right_source(root: Path) -> None:
    """The disc's radius follows the perturbation, so a source of another one must cost something."""
    summary = inpaint(root / "pairs", part="train", panels=2)
    folder = root / "pairs" / "inpainting"
    facts = json.loads((folder / "inpainting.json").read_text())
    first = (folder / "inpainting.json").read_bytes()
    assert facts["loss_mismatched"] > 1.05 * facts["loss"]
    assert facts["difference"][1] > 0
    assert facts["right_is_better"] > 0.5
    assert summary.ratio == pytest.approx(facts["loss_mismatched"] / facts["loss"])
    groups = facts["by_condition"].values()
    assert sum(group["pairs"] for group in groups) == facts["pairs"]
    mean = sum(group["loss"] * group["pairs"] for group in groups) / facts["pairs"]
    assert mean == pytest.approx(facts["loss"])
    assert (facts["structure"], facts["protein"], facts["channels"]) == (["A"], ["B"], ["A", "B"])
    inpaint(root / "pairs", part="train", panels=2)
    assert (folder / "inpainting.json").read_bytes() == first


def test_panels_are_what_the_network_saw_and_painted(root: Path, tmp_path: Path) -> None:
    inpaint(root / "pairs", out=tmp_path / "out", part="all", panels=3)
    rows = json.loads((tmp_path / "out" / "inpainting.json").read_text())["panels"]
    arrays = np.load(tmp_path / "out" / "panels.npz", allow_pickle=False)
    dataset, opened = Dataset.open(root / "data"), open_run(root / "pairs")
    assert isinstance(opened.objective, PairedInpainting)
    assert len(rows) == 3
    named = dataset.bags["Metadata_Perturbation"].to_numpy()[dataset.index.bag]
    for place, row in enumerate(rows):
        assert named[row["source"]] == named[row["target"]] == row["condition"]
        assert named[row["stranger"]] == row["stranger_condition"] != row["condition"]
        source, target, stranger = by_hand(
            root / "pairs", dataset, np.asarray([row["source"], row["target"], row["stranger"]])
        )
        with torch.inference_mode():
            right, wrong = opened.objective.inpaint(torch.stack([source, stranger]), torch.stack([target, target]))
        for name, expected in (
            ("source", source),
            ("stranger", stranger),
            ("target", target),
            ("painted", right),
            ("painted_after_stranger", wrong),
        ):
            np.testing.assert_allclose(arrays[name][place], expected, rtol=1e-4, atol=1e-5)


def test_inpaint_refuses_what_it_cannot_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part: expected one of: train, val, test, all, found 'tests'; did you mean"):
        inpaint(root / "pairs", part="tests")
    fit(config(MARKERS, "train.steps=1", run=tmp_path / "markers", data=root / "data"))
    with pytest.raises(
        RunError,
        match="objective 'marker_regression' does not inpaint; those that do: paired_inpainting; this run can: ",
    ):
        inpaint(tmp_path / "markers")
    with pytest.raises(RunError, match="all cells show the same protein"):
        inpaint(root / "pairs", part="val")


def test_bags_left_out_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_dataset(tmp_path / "data", bags=6, tiles_per_bag=(5, 1, 6, 0, 4, 5))
    settings = config(
        PAIRS,
        "plan.by=[]",
        "split={by: Metadata_Well, test: [A06]}",
        "train.steps=1",
        "train.evaluate_every=null",
        run=tmp_path / "run",
        data=tmp_path / "data",
    )
    with caplog.at_level(logging.WARNING):
        fit(settings)
    assert "part 'train': 1 bag(s) left out (plate1 A02): one tile, which has no partner" in caplog.text
    assert "part 'train': 1 bag(s) left out (plate1 A04): no tiles" in caplog.text


def test_a_plan_without_pairs_is_refused_with_the_config() -> None:
    with pytest.raises(
        ConfigError, match=r"objective 'paired_inpainting' needs plan: \{name: pairs\}, found .*'tiles'"
    ):
        config(PAIRS, "plan={name: tiles, tiles: 4}", run=Path("r"), data=Path("d"))
    with pytest.raises(ConfigError, match=r"data.floor: needs scaled pixels in 0\.\.1"):
        config(PAIRS, "data.scale=none", run=Path("r"), data=Path("d"))
