"""The comparison of Image2Omics with a simulation's truth, by hand on small cases."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from experiments.image2omics.truth import effects
from experiments.image2omics.truth.arms import Experiment, evaluated, ridge
from experiments.image2omics.truth.effects import _order, auroc, null_of, scores_of
from experiments.image2omics.truth.page import write_page
from framework.baselines import BASELINES, Rows


def test_auroc_by_hand() -> None:
    positive = np.array([True, True, False, False])
    assert auroc(np.array([3.0, 2.0, 1.0, 0.0]), positive) == 1.0
    assert auroc(np.array([3.0, 0.0, 1.0, 2.0]), positive) == 0.5
    assert auroc(np.array([1.0, 1.0, 1.0, 0.0]), positive) == 0.75
    assert auroc(np.array([3.0, np.nan, 1.0, 0.0]), positive) == 1.0
    assert np.isnan(auroc(np.array([1.0, 2.0]), np.array([True, True])))


def test_ridge_finds_a_linear_map_and_shrinks_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 5))
    told = vectors @ rng.normal(size=(5, 3))
    noise = rng.normal(size=(300, 3))
    train, val = np.arange(300) < 200, (np.arange(300) >= 200) & (np.arange(300) < 250)
    held = ~train & ~val
    wanted = told - told[train].mean(axis=0)
    np.testing.assert_allclose(ridge(vectors, wanted, train, val)[held], wanted[held], atol=0.02)
    flat = ridge(vectors, noise - noise[train].mean(axis=0), train, val)
    assert flat[held].std() < 0.3


@pytest.fixture
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """64 wells of 16 perturbations x 2 stimulations; gene 0 of each target is said to depend."""
    folder = tmp_path_factory.mktemp("truth")
    names = [f"P{number:02d}" for number in range(16)]
    targets = {"transcripts_M1": 4, "proteins_M1": 4}
    dataset = make_dataset(folder / "data", bags=64, tiles_per_bag=2, size=8, perturbations=names, targets=targets)
    rows = [
        (target, target.partition("_")[0], gene, gene == genes[0], "strong" if gene == genes[0] else "independent")
        for target in targets
        if (genes := list(dataset.target(target).var_names))
        for gene in genes
    ]
    truth = pd.DataFrame(rows, columns=["target", "modality", "gene", "depends", "class"])
    truth = truth.assign(variance_state=1.0, variance_specific=0.5, variance_sample=1.0)
    return Experiment(out=folder, dataset=dataset, truth=truth, seeds=(0,))


def test_scores_join_an_evaluation_with_the_truth(experiment: Experiment) -> None:
    genes = experiment.truth[["target", "gene"]].assign(p_wilcoxon=0.5, r2=0.25)
    first = experiment.truth["depends"].to_numpy()
    genes.loc[first, "p_wilcoxon"] = 0.01
    genes.loc[genes.index[1], "p_wilcoxon"] = 0.04
    scores = scores_of(genes, experiment, samples=2)
    assert scores["transcripts"]["auroc"] == 1.0
    assert scores["transcripts"]["significant_strong"] == 1.0
    assert scores["transcripts"]["significant_independent"] == pytest.approx(1 / 3)
    assert scores["proteins"]["significant_independent"] == 0.0
    # The ceiling is 1 / (1 + 0.5 + 1 / 2).
    assert scores["proteins"]["r2_over_ceiling"] == pytest.approx(0.5)


@pytest.mark.parametrize("installed", [True, False])
def test_imagenet_is_compared_where_its_weights_are(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    nothing = np.zeros((64, 1))
    for name in ("states", "counted", "intensities", "embedded", "centred", "labels"):
        monkeypatch.setattr(Experiment, name, lambda *_, **__: nothing)
    monkeypatch.setattr(Experiment, "imagenet", lambda _: nothing if installed else None)
    monkeypatch.setattr(Experiment, "sizes", lambda _: {"tiles_per_well": 2})
    monkeypatch.setattr(effects, "evaluated", lambda *_: SimpleNamespace(genes=None))
    monkeypatch.setattr(effects, "scores_of", lambda *_: {})
    arms = effects.arms_of(experiment, lambda _: None)
    assert ("ImageNet backbone, 2 tiles per well" in [arm["value"] for arm in arms]) is installed
    assert [arm["value"] for arm in arms if arm["varied"] == "tiles per well"] == ["1", "2", "all (median 2)"]


def test_what_imagenet_says_is_kept_per_well(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def features(self: object, rows: Rows) -> np.ndarray[Any, np.dtype[np.float64]]:
        seen.append(len(rows.tiles))
        return rows.ids[:, None] * 10.0

    monkeypatch.setattr(BASELINES.get("imagenet").build, "features", features)
    found = experiment.imagenet()
    np.testing.assert_array_equal(found, np.arange(64)[:, None] * 10.0)
    np.testing.assert_array_equal(experiment.imagenet(), found)
    assert seen == [128], "two tiles of each well, read once"


def test_many_tiles_are_compared_on_a_plate_that_has_them(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(Experiment, "embedded", lambda _, name, most=None: drawn.append(most))
    monkeypatch.setattr(Experiment, "sizes", lambda _: {"tiles_per_well": 528})
    monkeypatch.setattr(effects, "evaluated", lambda *_: SimpleNamespace(genes=None))
    monkeypatch.setattr(effects, "scores_of", lambda *_: {})
    values = [arm["value"] for arm in effects.depths_of(experiment, lambda _: None)]
    assert values == ["1", "2", "8", "64", "512", "all (median 528)"]
    assert sorted(map(str, drawn)) == sorted(["1", "2", "8", "64", "512", "None"])


@pytest.mark.parametrize("across", ["wells", "conditions"])
def test_shuffled_images_stay_in_their_stimulation(experiment: Experiment, across: str) -> None:
    bags = experiment.dataset.bags
    order = _order(experiment, across, 3)
    assert (order != np.arange(len(bags))).mean() > 0.5
    given = bags.iloc[order].reset_index(drop=True)
    assert (given["Metadata_Stimulation"] == bags["Metadata_Stimulation"]).all()
    if across == "wells":
        assert sorted(order) == list(range(len(bags)))
    else:
        keys = [bags["Metadata_Stimulation"], bags["Metadata_Perturbation"]]
        assert (given["Metadata_Perturbation"].groupby(keys).nunique() == 1).all()


def beside() -> dict[str, Any]:
    """Return what an evaluation of one target says of two baselines: one that loses, one that is level."""
    row = {
        "target": "transcripts_M1",
        "score": 0.2,
        "difference": 0.05,
        "difference_low": 0.01,
        "difference_high": 0.09,
    }
    return {
        "rows": [
            row | {"baseline": "count", "says": "number of cells", "verdict": "above"},
            row | {"baseline": "classic", "says": "shape", "difference_low": -0.01, "verdict": "level with"},
        ],
        "targets": [row | {"model": 0.25, "best": "classic", "says": "shape", "verdict": "level with"}],
        "score": "r",
        "how": "r is r.",
        "resamples": 9,
        "unit": "condition",
    }


def test_predictions_of_vectors_are_scored_and_the_page_shows_them(experiment: Experiment) -> None:
    rng = np.random.default_rng(1)
    table = experiment.dataset.target("transcripts_M1")
    vectors = rng.normal(size=(len(experiment.dataset.bags), 2))
    vectors[table.obs["bag"].to_numpy(), 0] = np.asarray(table.X)[:, 0]
    labels = {"transcripts_M1": table, "proteins_M1": experiment.dataset.target("proteins_M1")}
    genes = evaluated(experiment, vectors, labels, (0,)).genes.set_index(["target", "gene"])
    first = ("transcripts_M1", table.var_names[0])
    assert genes.loc[first, "r2"] > 0.99
    scores = scores_of(genes.reset_index(), experiment)
    drawn = {
        "modality": ["transcripts", "proteins"],
        "class": ["strong", "weak"],
        "r2": [0.5, 0.1],
        "p": [0.01, 0.2],
        "ceiling": [0.6, 0.3],
    }
    null = {"across": "wells", "unit": "well", "test": "wilcoxon", "share": 0.04, "genes": 6, "limits": [0.0, 0.2],
            "inside": 3, "shuffles": 4}  # fmt: skip
    sizes = dict.fromkeys(
        (
            "conditions",
            "wells",
            "imaging_plates",
            "tiles",
            "tiles_per_well",
            "sites",
            "transcripts",
            "proteins",
            "splits",
        ),
        7,
    )
    found = {
        "baselines": beside(),
        "sizes": sizes,
        "study": {"over_splits": scores, "unseen_split": scores, "genes": drawn},
        "arms": [{"varied": "tiles per well", "value": "8", "scores": scores}],
        "deep": {"sizes": sizes, "arms": [{"varied": "tiles per well", "value": "512", "scores": scores}]},
        "null": [null],
    }
    text = write_page(experiment.out, found).read_text()
    assert (
        "| wells | error below that of the train mean (signed-rank) | wells | 4.00% | 0.00% to 20.00% | 3 of 4 |"
        in text
    )
    assert "| the model | 0.250 |" in text
    assert "| number of cells | 0.200 (**+0.050 [+0.010, +0.090]**) |" in text
    assert "| shape | 0.200 (+0.050 [-0.010, +0.090]) |" in text
    assert "- transcripts_M1: the model is level with the best baseline (classic, shape): r 0.250 against 0.200" in text
    assert "| tiles per well | 8 | transcripts |" in text
    assert "| tiles per well | 512 | proteins |" in text
    assert {"ceiling.png", "effects.png", "null.png"} <= {file.name for file in experiment.out.iterdir()}


def test_a_null_counts_independent_genes_alone(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    monkeypatch.setattr(Experiment, "embedded", lambda *_: rng.normal(size=(len(experiment.dataset.bags), 2)))
    entries = null_of(experiment, 2)
    assert len(entries) == 8
    assert {entry["genes"] for entry in entries} == {6}
    assert all(entry["shuffles"] == 2 and 0 <= entry["share"] <= 1 for entry in entries)
