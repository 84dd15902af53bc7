"""The code of each page of docs/extending is loaded as a plugin and put through its contract."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures.labelled_plate import write_labelled_plate
from fixtures.omics_predictions import write_predictions
from fixtures.own_entries import reopened
from fixtures.tiny_dataset import make_dataset

from framework import plugins
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.evaluate import EVALUATIONS
from framework.evaluate.predictions import Predictions, open_predictions
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.page import Section
from framework.report.page_inputs import Inputs, read_inputs
from framework.report.run import page as _sections  # noqa: F401 (registers ours)
from framework.report.sections import SECTIONS
from wellstream import testing

PAGES = Path(__file__).resolve().parents[2] / "docs" / "extending"


def block(page: str, head: str) -> str:
    return re.findall(rf"```{head}\n(.*?)```", (PAGES / f"{page}.md").read_text(), re.DOTALL)[0]


class Page:
    """Loads the code of ``page`` before each test of the contract, and takes its entry back after it."""

    page: str
    registry: Any

    @pytest.fixture
    def options(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        code = block(self.page, "python")
        assert sum(bool(line.strip()) for line in code.splitlines()) <= 40  # blank lines are not counted
        (tmp_path / "mylab.py").write_text(code)
        reopened(monkeypatch, self.registry)
        monkeypatch.setattr(plugins, "_loaded", {})
        monkeypatch.setattr(plugins, "_names", {})
        monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
        before = set(sys.modules)
        plugins.load_plugins(["./mylab.py"], folder=tmp_path)
        plain = yaml.safe_load(block(self.page, "yaml\n# options"))
        self.prepare(tmp_path, plain)
        yield self.registry.get(plain[self.key]).config.from_plain(plain)  # type: ignore[attr-defined]
        for name in set(sys.modules) - before:
            if name.startswith("plugin_mylab"):
                del sys.modules[name]

    def prepare(self, folder: Path, plain: dict[str, Any]) -> None:
        """Make the files that the options name."""


class TestNucleusMethod(Page, testing.NucleiContract):
    page = "nucleus_method"


class TestIllumination(Page, testing.IlluminationContract):
    page = "illumination"


class TestScale(Page, testing.ScaleContract):
    page = "scale"

    @pytest.fixture
    def store(self, tmp_path: Path) -> TileStore:
        return TileStore(make_dataset(tmp_path / "data"))


class TestNormalisation(Page, testing.NormalisationContract):
    page = "normalisation"


class TestAugmentation(Page, testing.AugmentationContract):
    page = "augmentation"


class TestOptimiser(Page, testing.OptimiserContract):
    page = "optimiser"


class TestSchedule(Page, testing.ScheduleContract):
    page = "schedule"


class TestPlan(Page, testing.PlanContract):
    page = "plan"


class TestBackbone(Page, testing.BackboneContract):
    page = "backbone"


class TestBaseline(Page, testing.BaselineContract):
    page = "baseline"

    @pytest.fixture
    def dataset(self, tmp_path: Path) -> Dataset:
        return make_dataset(tmp_path / "data", bags=4)


class TestPool(Page, testing.PoolContract):
    page = "pool"


class TestPlateReader(Page, testing.ReaderContract):
    page = "plate_reader"

    def prepare(self, folder: Path, plain: dict[str, Any]) -> None:
        write_labelled_plate(folder)
        plain["path"] = str(folder / "P1")


class TestCellReader(Page, testing.CellReaderContract):
    page = "cell_reader"

    def prepare(self, folder: Path, plain: dict[str, Any]) -> None:
        np.save(folder / "cells.npy", np.arange(4 * 2 * 5 * 6, dtype=np.uint16).reshape(4, 2, 5, 6))
        plain["path"] = str(folder / "cells.npy")

    def channels(self, options: Any) -> tuple[str, ...]:
        return ("b", "a")


class TestObjective(Page, testing.ObjectiveContract):
    page = "objective"

    @pytest.fixture(scope="class")
    def dataset(self, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
        return make_dataset(tmp_path_factory.mktemp("data") / "tiny", bags=12, markers=("FRA1",))


class TestEvaluation(testing.EvaluationContract):
    page = "evaluation"
    name = "lab_bias"

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reopened(monkeypatch, EVALUATIONS)
        code = block(self.page, "python")
        assert sum(bool(line.strip()) for line in code.splitlines()) <= 40
        exec(code, {"__name__": "mylab"})  # noqa: S102

    @pytest.fixture
    def opened(self) -> list[Predictions]:
        """Two genes in two test wells, too high by 1 and by 3; the training well counts for nothing."""
        return [open_predictions(two_genes([[2.0, 6.0], [4.0, 8.0], [99.0, 99.0]]))]

    def test_the_bias_is_that_of_the_test_rows(self, opened: list[Predictions]) -> None:
        entry = EVALUATIONS.get(self.name)
        scored = entry.build().score(opened, None, entry.config(factor=2.0))
        assert scored.rows["bias"].tolist() == [2.0, 6.0]


def two_genes(predicted: list[list[float]]) -> anndata.AnnData:
    wells = {"source": "P", "bag_name": ["A01", "A02", "A03"], "part": ["test", "test", "train"]}
    return anndata.AnnData(
        X=np.array(predicted, np.float32),
        obs=pd.DataFrame(wells, index=["0", "1", "2"]),
        var=pd.DataFrame({"train_mean": 0.0, "target": "rna", "gene": ["G1", "G2"]}, index=["rna/G1", "rna/G2"]),
        layers={"measured": np.array([[1.0, 3.0], [3.0, 5.0], [0.0, 0.0]], np.float32)},
        uns={"wellstream": {"kind": "predictions", "objective": "omics_heads"}},
    )


class TestSection(testing.SectionContract):
    page = "section"
    name = "lab_seed"

    @pytest.fixture
    def inputs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
        reopened(monkeypatch, SECTIONS)
        exec(block(self.page, "python"), {"__name__": "mylab"})  # noqa: S102
        (tmp_path / "config.yaml").write_text("train: {seed: 7}\n")
        return read_inputs(tmp_path, None, None, None)

    def test_the_page_shows_it(self, inputs: Inputs) -> None:
        found = SECTIONS.get("lab_seed").build().build(inputs)
        assert isinstance(found, Section)
        assert "The seed is 7." in str(found.blocks[0])


class TestFigure(testing.FigureContract):
    page = "figure"
    name = "lab_errors"

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reopened(monkeypatch, FIGURES)
        code = block(self.page, "python")
        assert sum(bool(line.strip()) for line in code.splitlines()) <= 40
        exec(code, {"__name__": "mylab"})  # noqa: S102

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> FigureInputs:
        return FigureInputs(predictions=write_predictions(tmp_path, ["G1", "G2", "G3"], ("rna_M1",), splits=1))

    def test_its_numbers_are_those_of_its_bins(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        numbers = entry.build(entry.config(bins=4)).draw(inputs).numbers
        assert (len(numbers), numbers["genes"].sum()) == (4, 3)


def test_every_page_is_tested_and_listed() -> None:
    pages = {file.stem for file in PAGES.glob("*.md")} - {"README"}
    assert {kind.page for kind in (*Page.__subclasses__(), TestEvaluation, TestSection, TestFigure)} == pages
    assert all(f"({page}.md)" in (PAGES / "README.md").read_text() for page in pages)


def test_the_tests_that_the_list_shows_run_as_they_stand(tmp_path: Path) -> None:
    """In a folder of one's own, with a dataset of one's own."""
    (tmp_path / "mylab.py").write_text(block("schedule", "python") + block("scale", "python"))
    shown = re.findall(r"```python\n(.*?)```", (PAGES / "README.md").read_text(), re.DOTALL)
    (tmp_path / "test_mylab.py").write_text("\n".join(shown))
    make_dataset(tmp_path / "demo" / "data")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mylab.py"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert re.search(r"^\d+ passed in", ended.stdout, re.MULTILINE), ended.stdout
