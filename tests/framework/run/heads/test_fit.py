"""Heads trained at once: the weights, files and predictions of runs of their own, and what is refused."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, resealed
from fixtures.tiny_run import TRIPLET, config

from framework import checkpoint
from framework.data.store import EmbeddingStore
from framework.distributed import Ranks
from framework.durable import TEMPORARY_PREFIX, temporary_name
from framework.errors import CheckpointError, ConfigError, RunError, sentence_of
from framework.run import embed, fit, open_run, predict, verify_run
from framework.run.heads import prepare
from framework.run.heads.config import HeadsConfig, each_head, load_heads_config
from framework.run.heads.fit import HeadsSummary, fit_heads
from framework.tracking import read_metrics

SEEDS = (0, 3, 5)
pytestmark = pytest.mark.filterwarnings("ignore:target 'rna'")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data with gaps (a gene that one split never measures in training), a backbone and its tile embeddings."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("heads")
    names = tuple(f"P{number}" for number in range(9))
    data = make_dataset(
        folder / "data",
        bags=36,
        tiles_per_bag=(7, 9, 8),
        targets={"rna": 5, "prot": 3, "lipids": 5},
        perturbations=names,
    )
    table = data.target("rna")
    table.X[::3, 1] = np.nan
    table.X[np.isin(table.obs["bag"].to_numpy() % 9, (1, 2, 3, 5, 6, 7, 8)), 4] = np.nan  # kept for P0 and P4 alone
    table.write_h5ad(data.root / "targets" / "rna.h5ad")
    few = data.target("lipids")[:30].copy()
    few.write_h5ad(data.root / "targets" / "lipids.h5ad")
    few = data.target("prot")[4:].copy()
    few.write_h5ad(data.root / "targets" / "prot.h5ad")
    resealed(data.root)
    fit(config(TRIPLET, "train.steps=2", "optim.warmup_steps=0", run=folder / "triplet", data=folder / "data"))
    embed(folder / "triplet", None, folder / "tiles.h5ad")
    return folder


def plain(root: Path, run: Path, **train: Any) -> dict[str, Any]:
    return {
        "run_dir": str(run),
        "data": {"path": str(root / "data"), "embeddings": str(root / "tiles.h5ad")},
        "split": {"fractions": [0.5, 0.25, 0.25], "seed": 9},
        "plan": {"name": "bags", "bags": 5, "tiles": 4},
        "objective": {"name": "omics_heads", "pretrained": str(root / "triplet"), "targets": ["rna", "prot", "lipids"]},
        "optim": {"lr": 0.02, "weight_decay": 0.1, "schedule": "cosine", "warmup_steps": 3},
        "train": {"steps": 23, "log_every": 5, "evaluate_every": 4, "device": "cpu", **train},
        "tracking": {"wandb": "disabled"},
        "heads": {"seeds": list(SEEDS)},
    }


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "patience": {"train": {"patience": 1, "evaluate_every": 2}, "optim": {"lr": 0.3, "schedule": "constant"}},
    "clip": {"optim": {"clip_norm": 0.05}},
    "dropout": {"objective": {"dropout": 0.4, "authors_relu": True}},
    "sgd": {"optim": {"name": "sgd", "lr": 0.1}},
    "adam": {"optim": {"name": "adam"}, "train": {"evaluate_every": None}},
}


def changed(made: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: {**value, **changes[key]} if key in changes else value for key, value in made.items()}


@pytest.mark.parametrize("case", CASES)
def test_each_model_is_that_of_a_run_of_its_own(root: Path, tmp_path: Path, case: str) -> None:
    made = load_heads_config(changed(plain(root, tmp_path / "all"), CASES[case]))
    summary = fit_heads(made)
    assert (summary.models, summary.already) == (9, 0)
    steps = set()
    for one in each_head(made.resolved()):
        alone = fit(one.config.model_copy(update={"run_dir": str(tmp_path / "alone" / one.name)}))
        together = Path(one.config.run_dir)
        steps |= same_run(alone, together)
    assert len(steps) > (1 if case == "patience" else 0)


def test_a_pool_that_is_not_the_mean_is_handed_the_tiles(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "MeanPool", str)  # no pool is one
    monkeypatch.setattr(EmbeddingStore, "means", None)
    made = load_heads_config(plain(root, tmp_path / "all"))
    fit_heads(made)
    one = each_head(made.resolved())[0]
    same_run(fit(one.config.model_copy(update={"run_dir": str(tmp_path / "alone")})), Path(one.config.run_dir))


def same_run(alone: Path, together: Path) -> set[int]:
    first, second = (open_run(run) for run in (alone, together))
    assert first.step == second.step
    assert first.objective.profile == second.objective.profile
    for which in ("latest", "best"):
        pointed = [checkpoint.read_pointer(run / "checkpoints", which) for run in (alone, together)]
        assert (pointed[0] and pointed[0].name) == (pointed[1] and pointed[1].name)
        if pointed[0] is not None and pointed[1] is not None:
            same_checkpoint(checkpoint.load(pointed[0]), checkpoint.load(pointed[1]))
    numbers = [read_metrics(run).drop(columns=["tiles_per_s", "wait_share", "wait_rank"], errors="ignore")
               for run in (alone, together)]  # fmt: skip
    pd.testing.assert_frame_equal(*numbers, rtol=1e-5, atol=1e-6, check_like=True)
    assert (alone / "split.csv").read_bytes() == (together / "split.csv").read_bytes()
    strict = [(run / "audit" / "rank-00000.jsonl").read_bytes() for run in (alone, together)]
    assert strict[0] == strict[1]
    assert verify_run(together).sentences[0].startswith(str(together))
    summaries = [json.loads((run / "summary.json").read_text()) for run in (alone, together)]
    assert summaries[0].keys() == summaries[1].keys()
    for key in ("status", "ended_by", "steps", "checkpoint", "best_step"):
        assert summaries[0][key] == summaries[1][key]
    return {first.step}


def same_checkpoint(alone: checkpoint.Checkpoint, together: checkpoint.Checkpoint) -> None:
    assert alone.weights.keys() == together.weights.keys()
    for name, value in alone.weights.items():
        torch.testing.assert_close(together.weights[name], value, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(together.optimiser["state"], alone.optimiser["state"], rtol=1e-4, atol=1e-6)
    assert together.optimiser["param_groups"] == alone.optimiser["param_groups"]
    assert together.scheduler == alone.scheduler
    for key in ("progress", "run", "objective", "attempt", "seed"):
        if key == "progress":
            losses = [each.state[key].pop("best_loss") or 0.0 for each in (alone, together)]
            assert losses[1] == pytest.approx(losses[0], rel=1e-5)
            assert together.state[key] == alone.state[key]
        elif key == "run":
            assert together.state[key]["split_sha256"] == alone.state[key]["split_sha256"]
        else:
            assert together.state[key] == alone.state[key]


@pytest.fixture(scope="module")
def finished(root: Path) -> HeadsSummary:
    return fit_heads(load_heads_config(plain(root, root / "all", steps=5)))


def test_the_folder_lists_its_models_and_each_predicts(finished: HeadsSummary, tmp_path: Path) -> None:
    table = pd.read_csv(finished.folder / "heads.csv")
    assert table["run"].tolist() == [f"{target}-split-{seed}" for target in ("rna", "prot", "lipids") for seed in SEEDS]
    assert table["steps"].eq(5).all()
    assert [run.name for run in finished.runs] == table["run"].tolist()
    made = predict(finished.folder / "prot-split-3", None, tmp_path / "p.h5ad", tiles=4, seeds=2)
    assert anndata.read_h5ad(made.files[0]).var_names.tolist() == ["prot_G0", "prot_G1", "prot_G2"]


def test_what_is_there_stays_and_what_is_missing_is_trained(root: Path, finished: HeadsSummary) -> None:
    kept, lost = finished.runs[0], finished.runs[4]
    before = (kept / "checkpoints" / "step-00000005" / "model.safetensors").stat().st_mtime_ns
    weights = checkpoint.load(lost / "checkpoints" / "step-00000005").weights
    shutil.rmtree(lost)
    leftover = temporary_name(lost)
    leftover.mkdir()  # what a killed call left
    again = fit_heads(load_heads_config(plain(root, root / "all", steps=5)))
    assert again.already == 8
    assert (kept / "checkpoints" / "step-00000005" / "model.safetensors").stat().st_mtime_ns == before
    remade = checkpoint.load(lost / "checkpoints" / "step-00000005").weights
    for name, value in weights.items():
        torch.testing.assert_close(remade[name], value, rtol=1e-6, atol=1e-6)
    assert not leftover.exists()


def test_little_memory_trains_in_groups_with_the_same_weights(
    root: Path, finished: HeadsSummary, tmp_path: Path
) -> None:
    made = plain(root, tmp_path / "few", steps=5)
    made["heads"] = {"seeds": list(SEEDS), "memory_gb": 1e-9}
    apart = fit_heads(load_heads_config(made))
    for one, other in zip(finished.runs, apart.runs, strict=True):
        first, second = (checkpoint.load(run / "checkpoints" / "step-00000005").weights for run in (one, other))
        for name, value in first.items():
            torch.testing.assert_close(second[name], value, rtol=1e-6, atol=1e-6)


def test_a_folder_of_something_else_is_not_touched(root: Path, finished: HeadsSummary, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"rna-split-0: was trained with train.patience None, but now 3 is set"):
        fit_heads(load_heads_config(plain(root, root / "all", steps=5, patience=3)))
    other = plain(root, root / "all", steps=5)
    other["optim"]["lr"] = 0.5
    with pytest.raises(RunError, match=r"holds a run of another config: optim.lr: 0.02 there, 0.5 here"):
        fit_heads(load_heads_config(other))
    (tmp_path / "mine" / "rna-split-0").mkdir(parents=True)
    with pytest.raises(RunError, match="rna-split-0: holds something that is not a finished run"):
        fit_heads(load_heads_config(plain(root, tmp_path / "mine", steps=5)))


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("data", {"embeddings": None}, "data.embeddings: expected cached tile embeddings"),
        ("plan", {"name": "tiles", "bags": None}, "plan"),
        ("train", {"precision": "bf16"}, "train.precision: heads train in fp32"),
        ("heads", {"seeds": [1, 1]}, "seeds: 1 is listed twice"),
        ("heads", {"seeds": [-1]}, "expected whole numbers >= 0, found -1"),
        ("split", {"fractions": None, "test": ["P1"], "val": ["P2"]}, "a split by listed values has no seed"),
    ],
)
def test_what_cannot_be_trained_together_is_said(
    root: Path, tmp_path: Path, section: str, change: dict[str, Any], said: str
) -> None:
    made = changed(plain(root, tmp_path / "run"), {section: change})
    with pytest.raises(ConfigError, match=said):
        load_heads_config(made)


def test_a_backbone_per_split_is_named_by_the_seed(root: Path, tmp_path: Path) -> None:
    made = plain(root, tmp_path / "run")
    made["objective"]["pretrained"] = str(tmp_path / "pretrain-{seed}")
    made["data"]["embeddings"] = str(tmp_path / "{seed}" / "tiles.h5ad")
    models = each_head(load_heads_config(made).resolved())
    assert models[1].config.objective.builds_on == str(tmp_path / "pretrain-3")
    assert models[1].config.data.embeddings == str(tmp_path / "3" / "tiles.h5ad")
    assert (models[1].config.split.seed, models[1].name) == (3, "rna-split-3")


def test_a_full_disk_names_the_folder_of_the_model_and_leaves_nothing_of_it(root: Path, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.raises((OSError, CheckpointError)) as caught:
            fit_heads(load_heads_config(plain(root, tmp_path / "run")))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sentence_of(caught.value).startswith(f"{tmp_path}/run/")
    assert TEMPORARY_PREFIX not in sentence_of(caught.value)
    assert {entry.name for entry in (tmp_path / "run").iterdir()} <= {".lock"}
    fit_heads(load_heads_config(plain(root, tmp_path / "run")))


def test_the_same_bits_are_asked_for_where_the_config_asks(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def open_(*_: Any, deterministic: bool) -> Any:
        asked.append(deterministic)
        raise RunError("enough")

    monkeypatch.setattr(Ranks, "open", open_)
    for deterministic in (True, False):
        settings = plain(root, tmp_path / f"run{deterministic}", deterministic=deterministic)
        with pytest.raises(RunError, match="enough"):
            fit_heads(HeadsConfig.from_plain(settings))
    assert asked == [True, False]
