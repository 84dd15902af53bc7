"""Feature sets beside baselines: a set that knows more, one that is a baseline itself, and what cannot be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset
from fixtures.tiny_run import TRIPLET, config, tiny_data

import wellstream as ws
from framework.baselines import BASELINES, BaselinesConfig, Rows, features_with_baselines
from framework.data.dataset import Dataset
from framework.errors import ConfigError, InputError
from framework.evaluate import beside_baselines
from framework.features import FeatureEvaluateConfig, FeatureTable
from framework.run import fit

CLASSES = 3
PLAIN = ("classic", "count", "intensity", "mean", "position")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny", bags=24, tiles_per_bag=8)


def table(data: Dataset, values: np.ndarray, name: str = "set") -> FeatureTable:
    """Cells of a dataset in another order than its own; the class is dealt and follows nothing that pixels show."""
    order = np.random.default_rng(1).permutation(len(data.index))
    label = np.random.default_rng(2).integers(0, CLASSES, len(order))
    bags = data.bags.iloc[data.index.bag[order]].reset_index(drop=True)
    cells = bags[["source", "bag_name", "Metadata_Well"]].assign(
        tile=order, Metadata_Class=[f"C{one}" for one in label]
    )
    cells["part"] = np.where(np.arange(len(order)) % 2 == 0, "train", "test")
    cells.index = pd.Index([f"tile-{tile}" for tile in order])
    return FeatureTable(
        name=name,
        file=f"{name}.h5ad",
        kind="",
        digest="",
        cells=cells,
        columns=tuple(f"f{place}" for place in range(values.shape[1])),
        values=values.astype(np.float32),
    )


def config_of(**changes: object) -> FeatureEvaluateConfig:
    options: dict[str, object] = {"label": "Metadata_Class", "k": 5, "ks": (5,), "resamples": 200}
    return FeatureEvaluateConfig(**{**options, **changes})  # type: ignore[arg-type]


def label_of(data: Dataset) -> np.ndarray:
    return table(data, np.zeros((len(data.index), 1))).cells["Metadata_Class"].str[1:].astype(int).to_numpy()


def test_a_set_that_knows_the_class_is_above_and_the_commonest_class_scores_one_over_their_number(
    data: Dataset,
) -> None:
    knows = table(data, np.eye(CLASSES)[label_of(data)])
    made = features_with_baselines([knows], config_of(), BaselinesConfig(names=PLAIN), dataset=data.root)
    found = made.summary["baselines"]
    (target,) = found["targets"]
    assert (target["target"], target["model"], target["verdict"]) == ("set", 1.0, "above")
    rows = {row["baseline"]: row for row in found["rows"]}
    assert set(rows) == set(PLAIN)
    assert rows["mean"]["score"] == pytest.approx(1 / CLASSES)
    assert rows["mean"]["difference"] == pytest.approx(1 - 1 / CLASSES)
    assert all(row["score"] < 0.6 for row in rows.values())
    verdict = beside_baselines(made.summary)
    assert verdict is not None
    assert verdict.holds
    assert verdict.text.startswith("set: the model is above the best baseline (")
    assert "balanced accuracy 1.000 against" in verdict.text
    assert made.tables["baselines"]["baseline"].tolist() == [row["baseline"] for row in found["rows"]]


def test_a_set_that_is_a_baseline_is_level_with_it(data: Dataset) -> None:
    entry = BASELINES.get("intensity")
    of_tiles = entry.build(entry.config()).features(Rows.of(data, "tile", np.arange(len(data.index))))
    order = table(data, np.zeros((len(data.index), 1))).cells["tile"].to_numpy()
    same = table(data, of_tiles[order])
    made = features_with_baselines([same], config_of(), BaselinesConfig(names=("intensity",)), dataset=data.root)
    (row,) = made.summary["baselines"]["rows"]
    assert (row["difference"], row["difference_low"], row["difference_high"]) == (0, 0, 0)
    assert row["verdict"] == "level with"


def test_a_set_that_bears_the_name_of_a_baseline_keeps_its_own_score(data: Dataset) -> None:
    """``intensity.h5ad`` of ``wellstream features`` is such a set; it was given the score of the baseline."""
    knows = table(data, np.eye(CLASSES)[label_of(data)], name="intensity")
    made = features_with_baselines([knows], config_of(), BaselinesConfig(names=("intensity",)), dataset=data.root)
    (target,), (row,) = made.summary["baselines"]["targets"], made.summary["baselines"]["rows"]
    assert (target["target"], target["model"], target["verdict"]) == ("intensity", 1.0, "above")
    assert row["score"] < 0.6


def test_every_classifier_is_compared_with_the_same_one_on_the_baselines(data: Dataset) -> None:
    knows = table(data, np.eye(CLASSES)[label_of(data)])
    chosen = config_of(classifiers=("knn", "logistic"))
    made = features_with_baselines([knows], chosen, BaselinesConfig(names=("mean", "count")), dataset=data.root)
    found = made.summary["baselines"]
    assert [target["target"] for target in found["targets"]] == ["set, knn", "set, logistic"]
    assert {(row["target"], row["baseline"]) for row in found["rows"]} == {
        (f"set, {name}", baseline) for name in ("knn", "logistic") for baseline in ("mean", "count")
    }


def test_the_network_of_a_run_is_compared_untrained_and_with_shuffled_classes(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tiny_data(tmp_path / "data")
    fit(config(TRIPLET, "train.steps=2", "train.save_every=2", "optim.warmup_steps=0", run=run, data=data.root))
    ws.Run(run).embed(tmp_path / "cells.h5ad", level="tile")
    made = ws.evaluate_features(
        [tmp_path / "cells.h5ad"],
        label="Metadata_Perturbation",
        out=tmp_path / "out",
        page=True,
        k=3,
        resamples=100,
        protocol="leave_one_out",
        baselines="untrained,shuffled,position",
    )
    found = made.summary["baselines"]
    assert found["missing"] == {}
    assert {row["baseline"] for row in found["rows"]} == {"untrained", "shuffled", "position"}
    assert "Baselines" in (tmp_path / "out" / "report.html").read_text()
    assert (tmp_path / "out" / "baselines.csv").is_file()


def test_what_cannot_be_had_is_said(data: Dataset) -> None:
    knows = table(data, np.eye(CLASSES)[label_of(data)])
    one = replace(knows, cells=knows.cells.assign(source=knows.cells["Metadata_Class"]))
    options = BaselinesConfig(names=("shuffled", "untrained", "count"))
    made = features_with_baselines([one], config_of(), options, dataset=data.root)
    assert "the run of these predictions is not known" in made.summary["baselines"]["missing"]["untrained"]
    with pytest.raises(InputError, match=r"baselines need the dataset: add --data DATASET"):
        features_with_baselines([knows], config_of(), options)
    nameless = replace(knows, cells=knows.cells.drop(columns="tile"))
    with pytest.raises(InputError, match=r"set\.h5ad: no column 'tile', so baselines cannot find its cells"):
        features_with_baselines([nameless], config_of(), options, dataset=data.root)
    other = replace(knows, cells=knows.cells.assign(tile=knows.cells["tile"] + len(data.index)))
    with pytest.raises(InputError, match=r"column 'tile' names tiles that are not in"):
        features_with_baselines([other], config_of(), options, dataset=data.root)
    with pytest.raises(ConfigError, match=r"baselines\.seed=1: no baseline was asked for"):
        ws.evaluate_features(["x.h5ad"], label="a", overrides=["baselines.seed=1"])
