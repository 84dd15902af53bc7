"""Our own evaluations and sections of the report keep the contracts that labs test theirs with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fixtures.profile_screen import COLUMNS, screen
from fixtures.report_world import World, make_world
from fixtures.tiny_dataset import make_dataset

from framework.data.dataset import Dataset
from framework.evaluate import EVALUATIONS
from framework.evaluate.predictions import Predictions, open_predictions
from framework.features import FeatureEvaluateConfig, evaluate_features, open_same_cells
from framework.profiles import RetrieveConfig, retrieve
from framework.report.figures.embedding import project
from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs, read_inputs
from framework.report.run import embeddings
from framework.report.sections import SECTIONS
from framework.run import features as measure
from wellstream.testing import EvaluationContract, SectionContract


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run, its dataset and predictions, small."""
    return make_world(tmp_path_factory.mktemp("world"), bags=24, genes=6)


class OfWorld(EvaluationContract):
    files: ClassVar[tuple[str, ...]]

    @pytest.fixture
    def opened(self, world: World) -> Sequence[Predictions]:
        return [open_predictions(world.run.parent / file) for file in self.files]

    @pytest.fixture
    def dataset(self, world: World) -> Dataset:
        return Dataset.open(world.dataset)


class TestOmics(OfWorld):
    name = "omics"
    files = ("predictions-0.h5ad", "predictions-1.h5ad")


class TestMarkers(OfWorld):
    name = "markers"
    files = ("markers.h5ad",)


class TestFeatures(EvaluationContract):
    name = "features"

    @pytest.fixture
    def headline(self, tmp_path: Path) -> dict[str, Any]:
        data = make_dataset(tmp_path / "data", bags=12, channels=("gfp", "rfp"), size=20)
        measure(data.root, tmp_path / "intensity.h5ad")
        config = FeatureEvaluateConfig(
            label="Metadata_Perturbation", k=3, resamples=100, missing={"deep": "no weights"}
        )
        return dict(evaluate_features(open_same_cells([tmp_path / "intensity.h5ad"]), config, tmp_path / "out").summary)


class TestRetrieval(EvaluationContract):
    name = "retrieval"

    @pytest.fixture
    def headline(self, tmp_path: Path) -> dict[str, Any]:
        return dict(retrieve(screen(), RetrieveConfig(**COLUMNS, permutations=100), tmp_path / "out").summary)


def test_every_evaluation_is_here() -> None:
    kinds = (TestOmics, TestMarkers, TestFeatures, TestRetrieval)
    assert {kind.name for kind in kinds} == set(EVALUATIONS.names())


class TestSections(SectionContract):
    """Every section, on a page with all that there can be and on one of a run alone."""

    @pytest.fixture(autouse=True, params=SECTIONS.names())
    def of_page(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = request.param
        # UMAP compiles for seconds.
        monkeypatch.setattr(embeddings, "project", lambda vectors: project(vectors, "pca"))

    @pytest.fixture(params=["whole", "run alone"])
    def inputs(self, request: pytest.FixtureRequest, world: World) -> Inputs:
        if request.param == "whole":
            return read_inputs(world.run, world.dataset, world.omics, world.embeddings)
        return read_inputs(world.run, None, None, None)


def test_a_run_alone_is_told_why_sections_are_not_shown(world: World) -> None:
    alone = read_inputs(world.run, None, None, None)
    found = {name: SECTIONS.get(name).build().build(alone) for name in ("scores", "training", "tiles")}
    assert isinstance(found["training"], Section)
    assert isinstance(found["scores"], Note)
    assert isinstance(found["tiles"], Note)
