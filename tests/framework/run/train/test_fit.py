"""A run folder: what is written, what reproduces it, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import HEADS, MARKERS, TRIPLET, config, same_bits, tiny_data, weights

from framework import checkpoint
from framework.data.dataset import Dataset
from framework.errors import CheckpointError, ConfigError, DatasetError, RunError
from framework.run import embed, fit, load_run_config, verify_run
from framework.run.train import prepare
from framework.tracking import read_metrics


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data and ``pretrained``, a finished triplet run of 12 steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fit")
    tiny_data(folder / "data")
    fit(config(TRIPLET, run=folder / "pretrained", data=folder / "data"))
    return folder


def test_the_run_folder_holds_everything(root: Path) -> None:
    run = root / "pretrained"
    names = {path.name for path in run.iterdir()} - {".lock"}
    assert names == {
        "audit",
        "checkpoints",
        "config.yaml",
        "metrics.jsonl",
        "objective.json",
        "scale.json",
        "split.csv",
        "summary.json",
    }
    assert sorted(p.name for p in (run / "checkpoints").glob("step-*")) == ["step-00000009", "step-00000012"]
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["world_size"]) == ("finished", 12, 1)
    assert 0 <= summary["wait_share"] <= 1
    assert summary["checkpoint"] == "step-00000012"
    assert read_metrics(run)["step"].tolist() == [4, 8, 12]
    state = checkpoint.load(run / "checkpoints" / "step-00000012").state
    assert (state["channels"], state["seed"], state["attempt"]) == (["A", "B"], 0, 0)
    assert state["scale"]["name"] == "per_tile_standardise"
    assert (
        state["objective"]["profile"]["classes"] == ["P1", "P4", "P5"]
        or len(state["objective"]["profile"]["classes"]) == 3
    )
    assert {"torch", "wellstream"} <= state["versions"].keys()


def test_the_config_in_the_run_folder_reproduces_the_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # From another folder, since the copy must not depend on where the command ran.
    monkeypatch.chdir("/")
    again = load_run_config(root / "pretrained" / "config.yaml", [f"run_dir={root}/again"])
    fit(again)
    assert same_bits(weights(root / "again", 12), weights(root / "pretrained", 12))
    assert (root / "again" / "split.csv").read_bytes() == (root / "pretrained" / "split.csv").read_bytes()
    assert (root / "again" / "objective.json").read_bytes() == (root / "pretrained" / "objective.json").read_bytes()


def test_the_dataset_and_the_pretrained_run_are_opened_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    for owner, name in ((Dataset, "open"), (prepare, "foundation_to_train_on")):
        original = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *given, name=name, original=original: opened.append(name) or original(*given)
        )
    places = {"data": root / "data", "pretrained": root / "pretrained"}
    fit(config(HEADS, "train.steps=1", "train.evaluate_every=null", run=root / "once", **places))
    assert sorted(opened) == ["foundation_to_train_on", "open"]
    fit(config(HEADS, "train.steps=1", "train.evaluate_every=null", run=root / "once", **places))
    assert sorted(opened) == ["foundation_to_train_on", "open", "open"]


def test_another_seed_gives_other_weights(root: Path) -> None:
    fit(config(TRIPLET, "train.seed=1", run=root / "seed1", data=root / "data"))
    assert not same_bits(weights(root / "seed1", 12), weights(root / "pretrained", 12))


def test_a_finished_run_is_left_alone(root: Path) -> None:
    before = json.loads((root / "pretrained" / "summary.json").read_text())
    fit(config(TRIPLET, run=root / "pretrained", data=root / "data"))
    after = json.loads((root / "pretrained" / "summary.json").read_text())
    assert after == before
    verify_run(root / "pretrained")


def test_more_steps_go_on_where_a_run_ended(root: Path) -> None:
    changes = ("optim.schedule=constant",)
    fit(config(TRIPLET, *changes, "train.steps=20", run=root / "long", data=root / "data"))
    for steps in (12, 20):
        fit(config(TRIPLET, *changes, f"train.steps={steps}", run=root / "longer", data=root / "data"))
    assert same_bits(weights(root / "long", 20), weights(root / "longer", 20))
    with pytest.raises(RunError, match=r"train.steps: 12 there, 20 here"):
        fit(config(TRIPLET, "train.steps=20", run=root / "pretrained", data=root / "data"))


def test_another_config_or_a_new_run_in_the_same_folder_is_refused(root: Path) -> None:
    run, data = root / "pretrained", root / "data"
    with pytest.raises(RunError, match=r"objective.margin: 0.2 there, 0.5 here. Choose another run_dir"):
        fit(config(TRIPLET, "objective.margin=0.5", run=run, data=data))
    with pytest.raises(RunError, match="already holds a run and --resume none starts a new one"):
        fit(config(TRIPLET, run=run, data=data), resume="none")
    fit(config(TRIPLET, "train.keep=5", "train.threads=1", "tracking.name=x", run=run, data=data))


def test_a_run_without_a_checkpoint_may_be_begun_again_with_another_config(root: Path) -> None:
    with pytest.raises(RunError, match="no condition"):
        fit(config(TRIPLET, "plan.by=[Metadata_Well]", run=root / "begun", data=root / "data"))
    fit(config(TRIPLET, "train.steps=3", run=root / "begun", data=root / "data"))
    assert verify_run(root / "begun").sentences[0].startswith(f"{root}/begun: each of the 3 steps")


def test_other_data_under_the_same_path_are_refused(root: Path, tmp_path: Path) -> None:
    tiny_data(tmp_path / "data")
    settings = config(TRIPLET, "train.steps=4", run=tmp_path / "run", data=tmp_path / "data")
    fit(settings)
    shutil.rmtree(tmp_path / "data")
    make_dataset(tmp_path / "data", bags=24, perturbations=tuple(f"P{i}" for i in range(6)), seed=5)
    with pytest.raises(RunError, match="was trained on the dataset 'data'"):
        fit(settings)


def test_resuming_from_a_path(root: Path) -> None:
    whole = config(TRIPLET, "optim.schedule=constant", "train.keep=9", run=root / "paths", data=root / "data")
    fit(whole)
    before = weights(root / "paths", 12)
    fit(whole, resume=str(root / "paths" / "checkpoints" / "step-00000003"))
    assert same_bits(weights(root / "paths", 12), before)
    told = verify_run(root / "paths").sentences
    assert "over 1 restart(s), no step was lost and none counted twice" in told

    other = config(TRIPLET, "optim.schedule=constant", "train.steps=15", run=root / "other", data=root / "data")
    fit(other, resume=str(root / "paths"))
    assert "steps 0 to 12 belong to the checkpoint of another run and are not proved here" in (
        verify_run(root / "other").sentences
    )
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        fit(config(TRIPLET, run=root / "nowhere", data=root / "data"), resume=str(root / "none"))


def test_all_checkpoints_damaged_is_no_silent_restart(root: Path) -> None:
    settings = config(TRIPLET, "train.steps=3", run=root / "broken", data=root / "data")
    fit(settings)
    (root / "broken" / "checkpoints" / "step-00000003" / "optimiser.pt").unlink()
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        fit(settings)


def test_cached_embeddings_train_the_same_heads_as_pixels(root: Path) -> None:
    pretrained, data = root / "pretrained", root / "data"
    cache = root / "tiles.h5ad"
    embed(pretrained, None, cache)
    online = config(HEADS, run=root / "online", data=data, pretrained=pretrained)
    cached = config(HEADS, f"data.embeddings={cache}", run=root / "cached", data=data, pretrained=pretrained)
    fit(online)
    fit(cached)
    first, second = weights(root / "online", 10), weights(root / "cached", 10)
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[key], second[key], rtol=1e-5, atol=1e-7) for key in first)
    backbone = weights(pretrained, 12)
    assert all(torch.equal(first[key], backbone[key]) for key in backbone)


def test_embeddings_of_other_weights_are_refused(root: Path) -> None:
    fit(config(TRIPLET, "train.seed=3", run=root / "elsewhere", data=root / "data"))
    embed(root / "elsewhere", None, root / "elsewhere.h5ad")
    settings = config(
        HEADS,
        f"data.embeddings={root}/elsewhere.h5ad",
        run=root / "wrong",
        data=root / "data",
        pretrained=root / "pretrained",
    )
    with pytest.raises(RunError, match=r"made with other weights than objective\.pretrained"):
        fit(settings)
    anndata.AnnData(np.zeros((2, 2), np.float32)).write_h5ad(root / "elsewhere.h5ad")
    with pytest.raises(RunError, match="not readable as a file of 'wellstream embed'"):
        fit(settings)


def test_heads_take_channels_and_scaling_from_their_backbone(root: Path) -> None:
    places = {"data": root / "data", "pretrained": root / "pretrained"}
    for change, text in (
        ("data.scale=unit_range", "data.scale: expected per_tile_standardise, the value of the pretrained run"),
        ("data.channels=[B, A]", "data.channels: expected A, B, the value of the pretrained run, found B, A"),
    ):
        with pytest.raises(RunError, match=text):
            fit(config(HEADS, change, run=root / "refused", **places))
    with pytest.raises(RunError, match=r"expected a run folder, found a dataset folder"):
        fit(config(HEADS, run=root / "refused", data=root / "data", pretrained=root / "data"))
    with pytest.raises(RunError, match=r"no config.yaml, so this is not a run folder"):
        fit(config(HEADS, run=root / "refused", data=root / "data", pretrained=root / "none"))


def test_a_run_and_a_dataset_in_place_of_each_other_are_named(root: Path) -> None:
    with pytest.raises(RunError, match=r"data: is a dataset folder, but a run needs its own folder"):
        fit(config(TRIPLET, run=root / "data", data=root / "data"))
    assert not (root / "data" / "config.yaml").exists()
    with pytest.raises(DatasetError, match=r"pretrained: expected a dataset folder, found a run folder"):
        Dataset.open(root / "pretrained")
    with pytest.raises(ConfigError, match=r"e\.csv: the output is an \.h5ad file"):
        embed(root / "pretrained", None, root / "e.csv")


def test_markers_train_on_measured_tiles_alone(root: Path) -> None:
    fit(config(MARKERS, run=root / "markers", data=root / "data"))
    scale = json.loads((root / "markers" / "scale.json").read_text())
    assert scale["name"] == "log1p_standardise"
    told = verify_run(root / "markers").sentences[-1]
    # 96 tiles of stimulation M1 (bags 0-5, 12-17), of which every seventh tile of the dataset is not measured.
    sizes = [(7, 9, 8)[bag % 3] for bag in range(24)]
    first = np.concatenate([[0], np.cumsum(sizes)])
    inside = [t for b in (*range(6), *range(12, 18)) for t in range(first[b], first[b + 1])]
    assert f"every one of {sum(t % 7 != 6 for t in inside)} tiles exactly once" in told


@pytest.mark.parametrize("kind", ["local", "sync"])
def test_an_epoch_may_end_with_one_row_that_batch_norm_sees_as_one_value(root: Path, kind: str) -> None:
    """Five halvings leave one pixel of 16 px, and the last step holds one of 83 tiles."""
    deep = "objective.backbone={name: small_cnn, widths: [4, 4, 4, 4, 4], norm: batch, dense: [4]}"
    changes = (deep, "plan.tiles=82", "train.steps=2", f"train.batch_norm={kind}")
    fit(config(MARKERS, *changes, run=root / f"one-row-{kind}", data=root / "data"))
    assert "every one of 83 tiles exactly once" in verify_run(root / f"one-row-{kind}").sentences[-1]
    assert all(value.isfinite().all() for value in weights(root / f"one-row-{kind}", 2).values())


def test_validation_and_patience_choose_the_checkpoint(root: Path) -> None:
    changes = ("train.steps=60", "train.evaluate_every=2", "train.patience=2", "optim.lr=0.3", "train.save_every=100")
    places = {"data": root / "data", "pretrained": root / "pretrained"}
    fit(config(HEADS, *changes, run=root / "patient", **places))
    summary = json.loads((root / "patient" / "summary.json").read_text())
    assert summary["ended_by"] == "patience"
    assert summary["steps"] == summary["best_step"] + 4
    assert summary["checkpoint"] == f"step-{summary['best_step']:08d}"
    table = read_metrics(root / "patient").set_index("step")
    assert table["val_loss"].idxmin() == summary["best_step"]
