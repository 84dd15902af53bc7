"""Embeddings and predictions as AnnData: what is in the file, and that it is what the objective says."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anndata
import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import edit_manifest
from fixtures.tiny_run import HEADS, MARKERS, TRIPLET, by_hand, config, tiny_data

from framework.data.batch import Batch, LabelTable
from framework.data.dataset import Dataset
from framework.data.store import EmbeddingStore
from framework.durable import file_checksum
from framework.errors import ConfigError, DatasetError, RunError
from framework.objectives import OBJECTIVES, Gather, Losses, ObjectiveConfig, Output, Predicts
from framework.run import embed, embed_layers, features, fit, open_run, predict


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data, and the finished runs ``triplet``, ``heads`` and ``markers``."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("predict")
    tiny_data(folder / "data")
    fit(config(TRIPLET, run=folder / "triplet", data=folder / "data"))
    places = {"data": folder / "data", "pretrained": folder / "triplet"}
    fit(config(HEADS, run=folder / "heads", **places))
    fit(config(MARKERS, run=folder / "markers", data=folder / "data"))
    return folder


def test_tile_embeddings_are_the_objectives_and_can_be_trained_on(root: Path, tmp_path: Path) -> None:
    embed(root / "triplet", None, tmp_path / "tiles.h5ad")
    dataset = Dataset.open(root / "data")
    written = anndata.read_h5ad(tmp_path / "tiles.h5ad")
    assert written.n_obs == len(dataset.index)
    assert {"bag", "tile", "site", "y_px", "x_px", "part"} <= set(written.obs.columns)
    ids = np.asarray([3, 0, 50])
    with torch.inference_mode():
        mine = open_run(root / "triplet").objective.embed_tiles(by_hand(root / "triplet", dataset, ids)[None])[0]
    np.testing.assert_allclose(written.X[ids], mine.numpy(), rtol=1e-4, atol=1e-5)
    store = EmbeddingStore(tmp_path / "tiles.h5ad", dataset)
    out = np.empty((3, *store.sample_shape), dtype=np.float32)
    store.gather(ids, out)
    np.testing.assert_array_equal(out, written.X[ids])


def test_no_output_replaces_what_a_run_reads(root: Path, tmp_path: Path) -> None:
    target = next((root / "data" / "targets").glob("*.h5ad"))
    before = target.read_bytes()
    embed(root / "triplet", None, tmp_path / "tiles.h5ad")
    places = {"data": root / "data", "pretrained": root / "triplet"}
    cached = fit(config(HEADS, "data.embeddings=" + str(tmp_path / "tiles.h5ad"), run=tmp_path / "cached", **places))
    for write in (
        partial(embed, cached, None, tmp_path / "tiles.h5ad"),
        partial(predict, cached, None, target.parent),
        partial(features, root / "data", target),
    ):
        with pytest.raises(ConfigError, match=r"\.h5ad: is read by this command"):
            write()
    assert target.read_bytes() == before


def test_bag_embeddings_are_the_means_of_their_tiles(root: Path, tmp_path: Path) -> None:
    embed(root / "triplet", None, tmp_path / "tiles.h5ad")
    embed(root / "triplet", None, tmp_path / "bags.h5ad", level="bag")
    tiles, bags = (anndata.read_h5ad(tmp_path / name) for name in ("tiles.h5ad", "bags.h5ad"))
    means = [tiles.X[tiles.obs["bag"].to_numpy() == bag].mean(axis=0) for bag in bags.obs["bag"]]
    np.testing.assert_allclose(bags.X, np.stack(means), rtol=1e-4, atol=1e-5)
    facts = bags.uns["wellstream"]
    assert (facts["kind"], facts["level"]) == ("embeddings", "bag")
    assert {"config", "split", "versions", "dataset_digest"} <= set(facts)


def test_markers_are_predicted_for_every_tile_beside_what_was_measured(root: Path, tmp_path: Path) -> None:
    predict(root / "markers", None, tmp_path / "p.h5ad")
    written, dataset = anndata.read_h5ad(tmp_path / "p.h5ad"), Dataset.open(root / "data")
    assert list(written.var_names) == ["m1", "m2"]
    assert set(written.obs["part"]) == {"test"}
    assert set(written.obs["Metadata_Stimulation"]) == {"M2"}
    ids = written.obs["tile"].to_numpy()
    np.testing.assert_array_equal(written.layers["measured"], dataset.markers(("m1", "m2"))[ids])
    opened, few = open_run(root / "markers"), ids[:5]
    tiles = by_hand(root / "markers", dataset, few)[:, None]
    batch = Batch(
        tiles=tiles, bags=torch.zeros(5, dtype=torch.int64), tile_ids=torch.from_numpy(few)[:, None],
        weights=torch.ones(5), labels={}, step=0, epoch=0,
    )  # fmt: skip
    with torch.inference_mode():
        np.testing.assert_allclose(written.X[:5], opened.objective.predict(batch)[:, 0].numpy(), rtol=1e-4, atol=1e-5)


def test_views_average_the_symmetries_of_the_square(root: Path, tmp_path: Path) -> None:
    predict(root / "markers", None, tmp_path / "one.h5ad")
    predict(root / "markers", None, tmp_path / "eight.h5ad", views=8)
    one, eight = (anndata.read_h5ad(tmp_path / name) for name in ("one.h5ad", "eight.h5ad"))
    opened, tile = open_run(root / "markers"), int(one.obs["tile"].iloc[0])
    stored = by_hand(root / "markers", Dataset.open(root / "data"), np.asarray([tile]))[0].numpy()
    turned = [np.rot90(side, turn, axes=(1, 2)) for side in (stored, stored[..., ::-1]) for turn in range(4)]
    batch = Batch(
        tiles=torch.from_numpy(np.stack(turned))[:, None], bags=torch.zeros(8, dtype=torch.int64),
        tile_ids=torch.zeros(8, 1, dtype=torch.int64), weights=torch.ones(8), labels={}, step=0, epoch=0,
    )  # fmt: skip
    with torch.inference_mode():
        mean = opened.objective.predict(batch)[:, 0].mean(dim=0)
    np.testing.assert_allclose(eight.X[0], mean.numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(one.X[0], eight.X[0], rtol=1e-4)
    assert (one.uns["wellstream"]["views"], eight.uns["wellstream"]["views"]) == (1, 8)


def test_the_four_views_of_image2omics_can_be_named(root: Path, tmp_path: Path) -> None:
    summary = predict(root / "markers", None, tmp_path / "named.h5ad", views="image2omics")
    written = anndata.read_h5ad(tmp_path / "named.h5ad")
    assert (summary.views, written.uns["wellstream"]["views"]) == ("image2omics", "image2omics")
    tile = int(written.obs["tile"].iloc[0])
    stored = by_hand(root / "markers", Dataset.open(root / "data"), np.asarray([tile]))[0]
    seen = torch.stack([stored, stored.flip(-2), stored.flip(-1), stored.transpose(-1, -2)])
    batch = Batch(
        tiles=seen[:, None], bags=torch.zeros(4, dtype=torch.int64), tile_ids=torch.zeros(4, 1, dtype=torch.int64),
        weights=torch.ones(4), labels={}, step=0, epoch=0,
    )  # fmt: skip
    with torch.inference_mode():
        mean = open_run(root / "markers").objective.predict(batch)[:, 0].mean(dim=0)
    np.testing.assert_allclose(written.X[0], mean.numpy(), rtol=1e-4, atol=1e-5)


def test_genes_are_predicted_a_file_a_target(root: Path, tmp_path: Path) -> None:
    predict(root / "heads", None, tmp_path / "out", part="all")
    rna, dataset = anndata.read_h5ad(tmp_path / "out" / "rna.h5ad"), Dataset.open(root / "data")
    assert rna.shape == (24, 5)
    assert anndata.read_h5ad(tmp_path / "out" / "prot.h5ad").shape == (24, 3)
    assert {"train_mean", "train_sd"} <= set(rna.var.columns)
    measured = dataset.target("rna")
    rows = rna.obs["bag"].isin(measured.obs["bag"]).to_numpy()
    np.testing.assert_allclose(rna.layers["measured"][rows], measured.X, rtol=1e-6)
    assert np.isnan(rna.layers["measured"][~rows]).all()
    train = (rna.obs["part"] == "train").to_numpy() & rows
    np.testing.assert_allclose(rna.var["train_mean"], rna.layers["measured"][train].mean(axis=0), rtol=1e-5)


def test_few_tiles_drawn_often_come_near_all_tiles(root: Path, tmp_path: Path) -> None:
    predict(root / "heads", None, tmp_path / "whole", part="all")
    predict(root / "heads", None, tmp_path / "one", part="all", tiles=3, seeds=1)
    predict(root / "heads", None, tmp_path / "many", part="all", tiles=3, seeds=40)
    whole, one, many = (anndata.read_h5ad(tmp_path / name / "rna.h5ad").X for name in ("whole", "one", "many"))
    assert np.abs(many - whole).mean() < 0.5 * np.abs(one - whole).mean()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"part": "tset"}, ConfigError, "part: expected one of: .*did you mean 'test'"),
        ({"tiles": 0}, ConfigError, "expected tiles >= 1 and seeds >= 1"),
        ({"views": 3}, ConfigError, "views: expected one of: 1, 4, 8, image2omics, found 3"),
        ({"data": "nowhere"}, DatasetError, "nowhere: no such dataset folder"),
    ],
)
def test_what_cannot_be_predicted_is_said(root: Path, tmp_path: Path, words: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        predict(root / "markers", words.pop("data", None), tmp_path / "p.h5ad", **words)


def test_an_objective_without_predictions_points_to_embed(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as error:
        predict(root / "triplet", None, tmp_path / "p.h5ad")
    assert str(error.value) == (
        f"{root}/triplet: objective 'triplet_mil' does not predict; those that do: cell_expression, "
        "marker_regression, omics_bags, "
        f"omics_heads; this run can: wellstream embed {root}/triplet"
    )


class BrightnessConfig(ObjectiveConfig):
    name: Literal["brightness"] = "brightness"
    columns: int = 2


class Brightness(Predicts):
    """What somebody writes who wants numbers per cell and nothing else: no embeddings, nothing measured."""

    profile_type = BrightnessConfig
    predicts_per = "tile"

    def __init__(self, config: BrightnessConfig, profile: BrightnessConfig) -> None:
        super().__init__(config, profile)
        self.gain = torch.nn.Parameter(torch.ones(2))

    @classmethod
    def measure(cls, config: BrightnessConfig, *given: Any) -> BrightnessConfig:
        return config

    def labels(self, dataset: Dataset) -> dict[str, LabelTable]:
        return {}

    def forward(self, batch: Batch, gather: Gather) -> Losses:
        values = self.predict(batch.without_padding())
        return Losses(total=values.square().sum(), count=torch.tensor(float(values.numel())), parts={})

    def predict(self, batch: Batch) -> torch.Tensor:
        return batch.tiles.mean(dim=(-1, -2)) * self.gain

    def outputs(self) -> list[Output]:
        return [Output(target=f"of_{name}", name=name, train_sd=2.0) for name in "ABC"[: self.config.columns]]


@pytest.fixture
def brightness(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Function (overrides) -> the folder of a run of ``Brightness``, which is registered for this test alone."""
    monkeypatch.setattr(OBJECTIVES, "_entries", dict(OBJECTIVES._entries))
    OBJECTIVES.register("brightness", BrightnessConfig)(Brightness)
    template = (
        MARKERS[: MARKERS.index("objective:")]
        + "objective: {{name: brightness}}\n"
        + MARKERS[MARKERS.index("optim:") :]
    )

    def train(*overrides: str) -> Path:
        return fit(config(template, "train.steps=1", *overrides, run=tmp_path / "run", data=root / "data"))

    return train


def test_an_objective_that_only_predicts_writes_its_files(
    root: Path, tmp_path: Path, brightness: Callable[..., Path]
) -> None:
    run = brightness("data.scale=none")
    summary = predict(run, None, tmp_path / "out")
    assert summary.files == tuple(tmp_path / "out" / f"of_{name}.h5ad" for name in "AB")
    assert (summary.columns, summary.rows) == (2, 96)
    dataset, gain = Dataset.open(root / "data"), open_run(run).objective.state_dict()["gain"].numpy()
    for column, name in enumerate("AB"):
        written = anndata.read_h5ad(tmp_path / "out" / f"of_{name}.h5ad")
        assert list(written.var_names) == [name]
        assert np.isnan(written.var["train_mean"]).all()
        assert written.var["train_sd"].tolist() == [2.0]
        ids = written.obs["tile"].to_numpy()[[0, 50]]
        means = by_hand(run, dataset, ids)[:, column].mean(dim=(1, 2)).numpy()
        np.testing.assert_allclose(written.X[[0, 50], 0], means * gain[column], rtol=1e-5)
        assert np.isnan(written.layers["measured"]).all()


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (0, r"Brightness\.outputs\(\) names no column"),
        (3, r"Brightness\.predict gives 2 column\(s\), its outputs\(\) names 3"),
    ],
)
def test_outputs_that_are_not_the_columns_are_refused(
    tmp_path: Path, brightness: Callable[..., Path], columns: int, sentence: str
) -> None:
    run = brightness(f"objective.columns={columns}")
    with pytest.raises(RunError, match=sentence):
        predict(run, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_objective_that_only_predicts_says_so_to_embed(tmp_path: Path, brightness: Callable[..., Path]) -> None:
    run = brightness()
    with pytest.raises(
        RunError, match=rf"objective 'brightness' does not embed; .*; this run can: wellstream predict {run}$"
    ):
        embed(run, None, tmp_path / "e.h5ad")
    with pytest.raises(RunError, match="'brightness' does not embed; "):
        embed_layers(run, None, tmp_path / "layers", ["conv1"])


def _damaged(source: Path, folder: Path) -> Path:
    """A copy of a dataset with a checksum for each shard, in which one pixel was changed afterwards."""
    shutil.copytree(source, folder)
    manifest = json.loads((folder / "dataset.json").read_text())
    shards = [record["name"] for record in manifest["shards"]]
    sums = {name: [zlib.crc32((folder / name).read_bytes())] for name in shards}
    file = folder / "checksums.json"
    file.write_text(json.dumps({"block_bytes": 8 << 20, "crc32": sums}))
    listed = {"name": file.name, "bytes": file.stat().st_size, "blake3": file_checksum(file)}
    edit_manifest(folder, files=[each for each in manifest["files"] if each["name"] != file.name] + [listed])
    index = Dataset.open(folder).index
    shard = folder / shards[int(index.shard[0])]
    data = bytearray(shard.read_bytes())
    data[int(index.offset[0])] ^= 1
    shard.write_bytes(data)
    return folder


@pytest.mark.parametrize("command", [embed, partial(predict, part="all")])
def test_data_check_of_the_run_also_acts_on_what_the_run_is_applied_to(
    root: Path, tmp_path: Path, command: Callable[..., object]
) -> None:
    data, run, out = _damaged(root / "data", tmp_path / "data"), tmp_path / "run", tmp_path / "out.h5ad"
    shutil.copytree(root / "markers", run)
    command(run, data, out)  # the run did not ask for it
    file = run / "config.yaml"
    text = file.read_text()
    assert "  check: false\n" in text
    file.write_text(text.replace("  check: false\n", "  check: true\n"))
    out.unlink()
    with pytest.raises(DatasetError, match=r"data/shards/.*differ from their recorded.*wellstream verify"):
        command(run, data, out)
    assert not out.exists()
