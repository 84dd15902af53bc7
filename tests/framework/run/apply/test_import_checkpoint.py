"""A published checkpoint as a run: its predictions are those of the authors' network, worked out here by hand."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.small_release import CHANNELS, GENES, write_checkpoint, write_release

from data_tools.pipeline import ingest, load_ingest_config
from data_tools.release import import_release
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import CheckpointError, ConfigError, DatasetError, RunError
from framework.run import embed, export, import_checkpoint, open_run, predict
from framework.run.apply.import_checkpoint import ORDERS

TARGET = "transcriptomics_m1"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    import_release(write_release(folder / "data"), folder / "prepared")
    ingest(load_ingest_config(folder / "prepared" / "ingest.yaml"), folder / "dataset", workers=0)
    write_checkpoint(folder / "m1.ckpt")
    import_checkpoint(folder / "m1.ckpt", folder / "dataset", TARGET, folder / "run")
    return folder


def by_hand(state: dict[str, torch.Tensor], tiles: torch.Tensor) -> torch.Tensor:
    """(N, 3, 128, 128) tiles of a well -> (G,) z-scores, in the authors' order: mean, then dense layers."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        parts = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return torch.nn.functional.batch_norm(x, *parts, eps=1e-5)

    def convolved(x: torch.Tensor, name: str, stride: int = 1, padding: int = 1) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, state[f"{name}.weight"], stride=stride, padding=padding)

    x = norm(convolved(tiles, "base.0", 2, 3), "base.1").relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    for stage in (4, 5, 6, 7):
        for block in (0, 1):
            name, stride = f"base.{stage}.{block}", 2 if stage > 4 and block == 0 else 1
            y = norm(convolved(x, f"{name}.conv1", stride), f"{name}.bn1").relu()
            y = norm(convolved(y, f"{name}.conv2"), f"{name}.bn2")
            if f"{name}.downsample.0.weight" in state:
                x = norm(convolved(x, f"{name}.downsample.0", stride, 0), f"{name}.downsample.1")
            x = (x + y).relu()
    pooled = x.mean(dim=(2, 3)).mean(dim=0)
    dense = torch.nn.functional.linear
    hidden = dense(pooled, state["head.module.1.weight"], state["head.module.1.bias"]).relu()
    embedding = dense(hidden, state["head.module.4.weight"], state["head.module.4.bias"])
    return dense(embedding.relu(), state["head.final.weight"], state["head.final.bias"])


def test_predictions_are_those_of_the_authors_network(root: Path, tmp_path: Path) -> None:
    predict(root / "run", None, tmp_path / "all.h5ad", part="all")
    written, dataset = anndata.read_h5ad(tmp_path / "all.h5ad"), Dataset.open(root / "dataset")
    assert tuple(written.var_names) == GENES
    store, start = TileStore(dataset, CHANNELS), dataset.index.bag_start
    state = torch.load(root / "m1.ckpt", weights_only=True)["state_dict"]
    measured = dataset.target(TARGET).to_df()
    train = measured[(dataset.bags["Metadata_Fold_transcriptomics_m1"] == "train").to_numpy()]
    for bag in (0, 7):
        ids = np.arange(start[bag], start[bag + 1])
        out = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
        store.gather(ids, out)
        pixels = torch.from_numpy(out.astype(np.float32))
        mean, sd = (getattr(pixels, key)(dim=(2, 3), keepdim=True) for key in ("mean", "std"))
        tiles = (pixels - mean) / (pixels.std(dim=(2, 3), keepdim=True, correction=0) + 1e-8)
        assert sd.min() > 0
        expected = by_hand(state, tiles).numpy() * train.std(ddof=1).to_numpy() + train.mean().to_numpy()
        np.testing.assert_allclose(written.X[bag], expected, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(written.layers["measured"], measured.to_numpy(), rtol=1e-6)
    assert written.obs["part"].tolist()[:6] == ["train"] * 4 + ["val", "test"]


def test_other_commands_take_the_run(root: Path, tmp_path: Path) -> None:
    opened = open_run(root / "run")
    assert (opened.step, opened.objective.bag_encoder.aggregate) == (0, "backbone")
    assert opened.folder.taken()["layout"] == "Image2Omics"
    assert embed(root / "run", None, tmp_path / "tiles.h5ad").columns == 32
    assert export(root / "run", tmp_path / "export", program=False).channels == CHANNELS


def test_a_gene_without_a_training_well_has_no_output(root: Path, tmp_path: Path) -> None:
    data = root / "data" / "GT" / "transcriptomics_m1.csv"
    table = pd.read_csv(data)
    few = table[~((table["gene/protein"] == "Actb") & (table["fold"] == "train"))]
    (tmp_path / "data").mkdir()
    for name in ("ICF", "TILES"):
        (tmp_path / "data" / name).symlink_to(root / "data" / name)
    (tmp_path / "data" / "GT").mkdir()
    few = pd.concat([table.iloc[:3], few.iloc[2:]]).drop_duplicates(["plate_barcode", "well_id", "gene/protein"])
    few.loc[few["gene/protein"].eq("Actb") & few["fold"].eq("train"), "measured (absolute)"] = np.nan
    few.to_csv(tmp_path / "data" / "GT" / "transcriptomics_m1.csv", index=False)
    import_release(tmp_path / "data", tmp_path / "prepared")
    ingest(load_ingest_config(tmp_path / "prepared" / "ingest.yaml"), tmp_path / "dataset", workers=0)
    with pytest.warns(UserWarning, match="measured in no training bag"):
        summary = import_checkpoint(root / "m1.ckpt", tmp_path / "dataset", TARGET, tmp_path / "run")
    assert (summary.genes, summary.excluded) == (2, 1)
    whole, part = (open_run(run).objective.heads[0].weight for run in (root / "run", tmp_path / "run"))
    torch.testing.assert_close(part, whole[[0, 2]], rtol=0, atol=0)


def test_what_does_not_fit_is_refused(root: Path, tmp_path: Path) -> None:
    data, file = root / "dataset", root / "m1.ckpt"
    write_checkpoint(tmp_path / "four.ckpt", genes=4)
    with pytest.raises(CheckpointError, match=r"head.final is 4 x 6, target 'transcriptomics_m1' .* has 3 genes"):
        import_checkpoint(tmp_path / "four.ckpt", data, TARGET, tmp_path / "run")
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"key 'fc\.weight' is not of an Image2Omics checkpoint"):
        import_checkpoint(tmp_path / "other.ckpt", data, TARGET, tmp_path / "run")
    with pytest.raises(DatasetError, match="no target 'transcriptomics_m2'"):
        import_checkpoint(file, data, "transcriptomics_m2", tmp_path / "run")
    with pytest.raises(RunError, match="no column 'Metadata_Fold' with the parts train, val and test"):
        import_checkpoint(file, data, TARGET, tmp_path / "run", split_by="Metadata_Fold")
    with pytest.raises(CheckpointError, match="the network takes 3 channels, but the dataset has 2"):
        import_checkpoint(file, data, TARGET, tmp_path / "run", channels=CHANNELS[:2])
    with pytest.raises(RunError, match="already holds files; name a new folder"):
        import_checkpoint(file, data, TARGET, root / "run")
    with pytest.raises(ConfigError, match="expected one of: backbone, tile_embedding, found 'mean'"):
        import_checkpoint(file, data, TARGET, tmp_path / "run", aggregate="mean")
    assert not (tmp_path / "run").exists()
    assert list(ORDERS) == ["backbone", "tile_embedding"]


def test_an_import_that_finds_no_room_leaves_nothing_and_is_made_anew(root: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    given = (root / "m1.ckpt", root / "dataset", TARGET, tmp_path / "run")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match=rf"^{re.escape(str(tmp_path))}/run/checkpoints/step-00000000: "):
            import_checkpoint(*given)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    import_checkpoint(*given)
    assert open_run(tmp_path / "run").config.run_dir == str(tmp_path / "run")
