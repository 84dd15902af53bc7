"""Baseline features of a tiny dataset: values, channels, parts, weights, and what is refused."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import edit_manifest, make_dataset, stored_tiles
from safetensors.torch import save_file

from framework.data import split
from framework.data.dataset import Dataset
from framework.data.store import dataset_digest
from framework.errors import CheckpointError, ConfigError, DatasetError
from framework.features.classic import classic, crop_range, intensity
from framework.features.regions import region_names, regions
from framework.models.imagenet import ImageNetTrunk
from framework.models.resnet import ResNet18Trunk
from framework.run import features as measure
from framework.run.apply import features as baseline_features


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data", channels=("gfp", "rfp"), size=20)


def test_intensity_of_every_tile_in_order(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_features, "TILES_PER_BLOCK", 7)
    told: list[tuple[str, int, int]] = []
    summary = measure(dataset.root, tmp_path / "x.h5ad", progress=lambda *tick: told.append(tick))
    table = anndata.read_h5ad(tmp_path / "x.h5ad")
    tiles = stored_tiles(dataset)
    np.testing.assert_allclose(table.X, intensity(tiles), rtol=1e-6)
    assert table.X.dtype == np.float32
    assert list(table.var_names[:2]) == ["gfp_mean", "gfp_sd"]
    assert list(table.obs_names[:2]) == ["tile-0", "tile-1"]
    assert table.obs["Metadata_Perturbation"].iloc[0] == "P0"
    assert set(table.obs["part"]) == {"unseen"}
    assert table.uns["wellstream"]["kind"] == "features"
    assert table.uns["wellstream"]["dataset_digest"] == dataset_digest(dataset)
    assert summary.rows == len(tiles)
    assert told[-1] == ("features", len(tiles), len(tiles))


def test_classic_of_scaled_crops_with_named_channels(dataset: Dataset, tmp_path: Path) -> None:
    measure(
        dataset.root,
        tmp_path / "x.h5ad",
        kind="classic",
        protein=("rfp",),
        scale="per_tile_minmax",
        scales_px=(1, 3),
    )
    table = anndata.read_h5ad(tmp_path / "x.h5ad")
    tiles = crop_range(stored_tiles(dataset))
    np.testing.assert_allclose(table.X, classic(tiles[:, 1:], tiles[:, :1], scales_px=(1, 3)), rtol=1e-6)
    assert list(table.var_names[:5]) == ["rfp_sum", "rfp_mean", "rfp_sd", "rfp_correlation_with_gfp", "rfp_asm_1px"]


def test_regions_of_the_channel_that_shows_the_object(dataset: Dataset, tmp_path: Path) -> None:
    measure(dataset.root, tmp_path / "x.h5ad", kind="regions", outline="rfp", scales_px=(2,))
    table = anndata.read_h5ad(tmp_path / "x.h5ad")
    tiles = stored_tiles(dataset).astype(float)
    np.testing.assert_allclose(table.X, regions(tiles[:, 1], tiles, scales_px=(2,)), rtol=1e-6)
    assert list(table.var_names) == region_names("rfp", ["gfp", "rfp"], (2,))
    area = table.to_df()["rfp_area"].groupby(table.obs["Metadata_Perturbation"].to_numpy()).mean()
    assert area["P0"] < area["P1"] < area["P2"], "the radius of the disc is set by the perturbation"


def test_regions_outline_the_channel_that_nuclei_were_found_in(dataset: Dataset, tmp_path: Path) -> None:
    edit_manifest(dataset.root, source={"nuclei": {"channel": "rfp"}})
    measure(dataset.root, tmp_path / "x.h5ad", kind="regions", protein=("gfp",), scales_px=(2,))
    assert list(anndata.read_h5ad(tmp_path / "x.h5ad").var_names) == region_names("rfp", ["gfp"], (2,))


def test_the_file_is_the_same_again_and_carries_parts(dataset: Dataset, tmp_path: Path) -> None:
    parts = np.array(["train", "test", "train", "val", "test", "train"])
    split.write(tmp_path / "split.csv", dataset.bags, parts)
    for name in ("a.h5ad", "b.h5ad"):
        measure(dataset.root, tmp_path / name, parts=tmp_path / "split.csv")
    first, second = (anndata.read_h5ad(tmp_path / name) for name in ("a.h5ad", "b.h5ad"))
    np.testing.assert_array_equal(first.X, second.X)
    np.testing.assert_array_equal(first.obs["part"].to_numpy(str), parts[dataset.index.bag])


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_transfer_shows_grey_crops_to_a_network(dataset: Dataset, tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    trunk = ResNet18Trunk(3, 64).eval()
    weights = {name: value for name, value in trunk.state_dict().items() if "num_batches" not in name}
    weights |= {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    file = tmp_path / f"resnet18{suffix}"
    save_file(weights, file) if suffix == ".safetensors" else torch.save(weights, file)
    measure(
        dataset.root,
        tmp_path / "x.h5ad",
        kind="transfer",
        protein=("gfp",),
        scale="per_tile_minmax",
        weights=file,
        layer="layer2",
    )
    table = anndata.read_h5ad(tmp_path / "x.h5ad")
    grey = torch.from_numpy(crop_range(stored_tiles(dataset))[:3, :1]).float().repeat(1, 3, 1, 1)
    shown = (grey - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    with torch.inference_mode():
        stem = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(shown))))
        expected = trunk.layer2(trunk.layer1(stem)).amax(dim=(2, 3))
    assert table.shape == (len(dataset.index), 128)
    np.testing.assert_allclose(table.X[:3], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "classics"}, "kind: expected one of: intensity, classic, regions, transfer"),
        ({"scale": "unit"}, "scale: expected one of: none, per_tile_minmax"),
        ({"kind": "classic"}, "which channel shows the protein.*gfp, rfp"),
        ({"kind": "classic", "protein": ("gfp",)}, "distances from 1 to 19 px.*8, 30"),
        ({"kind": "transfer"}, "needs --weights"),
        ({"kind": "regions"}, "which channel shows the object.*gfp, rfp"),
        ({"kind": "regions", "outline": "gfp"}, "distances from 1 to 19 px.*8, 30"),
        ({"outline": "gfp"}, "only kind 'regions' uses an outline, found kind 'intensity'"),
        ({"structure": ("rfp",)}, "structure channels are for kind 'classic'"),
        ({"kind": "classic", "protein": ("gfp",), "structure": ("gfp",)}, "as protein and as structure"),
    ],
)
def test_options_that_do_not_fit(dataset: Dataset, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure(dataset.root, tmp_path / "x.h5ad", **{"scales_px": (8, 30), **options})
    assert not list(tmp_path.glob("*.h5ad*"))


def test_an_unknown_channel_is_named(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no channel 'gpf'.*did you mean 'gfp'"):
        measure(dataset.root, tmp_path / "x.h5ad", protein=("gpf",))


def test_pixels_that_are_nan_name_the_tile(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", dtype="float32", bags=1, tiles_per_bag=3)
    shard = dataset.root / dataset.manifest.shards[0].name
    content = bytearray(shard.read_bytes())
    begin = int(dataset.index.offset[1])
    content[begin : begin + 4] = np.float32(np.nan).tobytes()
    shard.write_bytes(bytes(content))
    with pytest.raises(ConfigError, match=r"tile 1 .*Metadata_Well A01.* NaN"):
        measure(dataset.root, tmp_path / "x.h5ad")
    assert not list(tmp_path.glob("*.h5ad*"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "grey.pt")
    with pytest.raises(CheckpointError, match=r"not the weights of a ResNet-18.*conv1\.weight"):
        ImageNetTrunk.load(tmp_path / "grey.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(CheckpointError, match="not readable as a file of weights"):
        ImageNetTrunk.load(tmp_path / "text.pt")
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(CheckpointError, match="not readable as a file of weights"):
        ImageNetTrunk.load(tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="no such file"):
        ImageNetTrunk.load(tmp_path / "none.pt")
    with pytest.raises(ConfigError, match="layer: expected one of"):
        ImageNetTrunk.load(tmp_path / "grey.pt", "layer5")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match="it holds more than tensors and plain values, which would run code"):
        ImageNetTrunk.load(tmp_path / "module.pt")
