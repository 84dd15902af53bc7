"""Figure 7: batches that CORAL brings together, groups that are coloured, tiles beside them."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset
from matplotlib.figure import Figure

from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, SOURCE, STIMULATION
from framework.errors import InputError
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from framework.report.omics.embedding_map import _callouts, apart, covered
from wellstream import testing

NAMES = ("NT", "STAT1", "STAT6", "KO1", "KO2")


def write_embeddings(file: Path, shift: float = 8.0, wells: int = 60) -> Path:
    """Two plates in two stimulations; plate 2 is moved by ``shift`` along every direction, KO2 lies far off."""
    rng = np.random.default_rng(0)
    rows, values = [], []
    for number in range(wells):
        name, plate, state = NAMES[number % 5], number // 5 % 2, number // 10 % 2
        kind = "negcon" if name == "NT" else "poscon" if name.startswith("STAT") else "treatment"
        rows.append((f"plate{plate + 1}", f"W{number:02d}", name, ("M1", "M2")[state], kind))
        centre = np.array([6.0 * state, 3.0 * (name == "STAT1"), 3.0 * (name == "STAT6"), 9.0 * (name == "KO2")])
        values.append(centre + shift * plate + rng.normal(0, 0.5, 4))
    obs = pd.DataFrame(rows, columns=[SOURCE, BAG, PERTURBATION, STIMULATION, CONTROL_TYPE])
    obs.index = obs.index.astype(str)
    anndata.AnnData(np.array(values, np.float32), obs, uns={"wellstream": {"kind": "embeddings"}}).write_h5ad(file)
    return file


class TestEmbeddingMap(testing.FigureContract):
    name = "embedding_map"

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> FigureInputs:
        return FigureInputs(embeddings=write_embeddings(tmp_path / "e.h5ad"))

    def test_controls_and_the_farthest_perturbation_are_coloured(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(highlight=2)).draw(inputs)
        numbers = drawn.numbers
        assert len(numbers) == 60
        expected = {f"{name} {state}" for name in ("NT", "STAT1", "STAT6", "KO2") for state in ("M1", "M2")}
        assert set(numbers["group"]) == expected | {""}
        assert drawn.notes == ()

    def test_groups_differ_in_shape_not_in_colour_alone(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        (panel,) = entry.build(entry.config(highlight=2)).draw(inputs).canvas.axes
        groups = [cloud for cloud in panel.collections if cloud.get_label() != "other wells"]
        shapes = {cloud.get_paths()[0].vertices.tobytes() for cloud in groups}
        assert len(shapes) == len(groups) == 8

    def test_coral_brings_plates_together(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        gaps = {}
        for how in ("none", "plates"):
            numbers = entry.build(entry.config(coral=how)).draw(inputs).numbers
            means = numbers[numbers["group"] == "STAT1 M1"].groupby(SOURCE)[["x", "y"]].mean().to_numpy()
            spread = numbers[["x", "y"]].std().mean()
            gaps[how] = float(np.linalg.norm(means[0] - means[1]) / spread)
        assert gaps["plates"] < 0.5 * gaps["none"]

    def test_a_reference_that_no_well_has_is_said(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        with pytest.raises(InputError, match="no well has the perturbation 'STAT3'"):
            entry.build(entry.config(reference=("STAT3",))).draw(inputs)


def test_tiles_of_reference_states_stand_beside_them(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=12, perturbations=["NT", "KO"])
    bags = dataset.bags
    obs = bags[[SOURCE, BAG, PERTURBATION, STIMULATION, CONTROL_TYPE]].set_index(bags["bag"].astype(str).rename(None))
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    anndata.AnnData(values, obs, uns={"wellstream": {"kind": "embeddings"}}).write_h5ad(tmp_path / "e.h5ad")
    entry = FIGURES.get("embedding_map")
    figure = entry.build(entry.config(reference=("NT",)))
    drawn = figure.draw(FigureInputs(embeddings=tmp_path / "e.h5ad", data=dataset.root))
    states = {name for name in drawn.numbers["group"] if name.startswith("NT")}
    boxes = [artist for artist in drawn.canvas.axes[0].artists if type(artist).__name__ == "AnnotationBbox"]
    assert len(boxes) == len(states) > 0
    obs[BAG] = "Z" + obs[BAG].astype(str)
    anndata.AnnData(values, obs, uns={"wellstream": {"kind": "embeddings"}}).write_h5ad(tmp_path / "other.h5ad")
    with pytest.raises(InputError, match=r"has no bag Z.*name the dataset they were made of"):
        figure.draw(FigureInputs(embeddings=tmp_path / "other.h5ad", data=dataset.root))


def test_a_name_under_an_inset_stands_on_the_other_side_of_its_wells() -> None:
    panel = Figure().subplots()
    panel.set(xlim=(0, 1), ylim=(0, 1))
    _callouts(panel, {"left": np.array([0.3, 0.5]), "right": np.array([0.7, 0.5])}, [(0.11, 0.5)])
    left, right = (text.get_position()[0] for text in panel.texts)
    assert left > 0.3, "an inset stands to its left"
    assert right > 0.7, "nothing stands to its right"


@pytest.mark.parametrize(
    ("place", "under"), [((0.2, 0.5), True), ((0.3, 0.5), False), ((0.2, 0.67), True), ((0.2, 0.3), False)]
)
def test_what_an_inset_covers(place: tuple[float, float], under: bool) -> None:
    assert covered(np.array(place), 0.1, [(0.11, 0.5)]) is under


def test_names_of_groups_that_lie_together_do_not_overlap() -> None:
    starts = np.array([[0.5, 0.5], [0.52, 0.49], [0.5, 0.48], [0.9, 0.5]])
    found = apart(starts, np.array([0.2, 0.2, 0.2, 0.1]), 0.04)
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.52, 0.46], [0.5, 0.42], [0.9, 0.5]])
