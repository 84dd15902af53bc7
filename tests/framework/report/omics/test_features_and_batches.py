"""Figures 9 and 13: components of controls, and canonical correlation, of data whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, PLATE, SOURCE, STIMULATION
from framework.errors import InputError
from framework.evaluate.canonical import canonical
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from wellstream import testing


def write_omics(file: Path, shift: float) -> Path:
    """Two plates of 12 wells in two stimulations, half of them controls; plate 2 is higher by ``shift``."""
    rng = np.random.default_rng(0)
    rows, values = [], []
    for state in ("M1", "M2"):
        for plate in ("plate1", "plate2"):
            for well in range(12):
                rows.append((plate, "NT" if well % 2 else "KO", state, "negcon" if well % 2 else "treatment"))
                values.append(rng.normal(size=6) + shift * (plate == "plate2"))
    facts = pd.DataFrame(rows, columns=[PLATE, PERTURBATION, STIMULATION, CONTROL_TYPE])
    genes = [f"G{number}" for number in range(6)]
    if file.suffix == ".h5ad":
        facts.index = facts.index.astype(str)
        anndata.AnnData(np.array(values), facts, pd.DataFrame(index=genes)).write_h5ad(file)
    else:
        pd.concat([facts, pd.DataFrame(np.round(values, 6), columns=genes)], axis=1).to_csv(file, index=False)
    return file


class TestBatchPca(testing.FigureContract):
    name = "batch_pca"

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> FigureInputs:
        before, after = write_omics(tmp_path / "before.csv", 6.0), write_omics(tmp_path / "after.h5ad", 0.0)
        return FigureInputs(before=before, after=after)

    def test_plates_lie_apart_before_and_mix_after(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config()).draw(inputs)
        assert len(drawn.numbers) == 2 * 2 * 12
        assert set(drawn.numbers[PERTURBATION]) == {"NT"}
        means = drawn.numbers.groupby(["state", STIMULATION, PLATE])["pc1"].mean().unstack()
        gap = (means["plate1"] - means["plate2"]).abs()
        assert (gap["before"] > 10).all()
        assert (gap["after"] < 3).all()
        titles = [axes.get_title() or axes.get_title("left") for axes in drawn.canvas.axes]
        assert titles[0].startswith("M1, before\n9")
        named = entry.build(entry.config(controls=("KO",))).draw(inputs).numbers
        assert set(named[PERTURBATION]) == {"KO"}

    def test_batches_differ_in_shape_not_in_colour_alone(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        for panel in entry.build(entry.config()).draw(inputs).canvas.axes:
            shapes = {cloud.get_paths()[0].vertices.tobytes() for cloud in panel.collections}
            assert len(shapes) == len(panel.collections) == 2

    def test_all_wells_are_drawn_where_no_batch_has_two_controls(self, inputs: FigureInputs, tmp_path: Path) -> None:
        files = []
        for state in ("before", "after"):
            table = pd.read_csv(tmp_path / "before.csv")
            lone = table.index[table[PERTURBATION] == "NT"].difference([1, 13, 25, 37])
            table.loc[lone, [PERTURBATION, CONTROL_TYPE]] = ["KO2", "treatment"]
            table.to_csv(tmp_path / f"lone-{state}.csv", index=False)
            files.append(tmp_path / f"lone-{state}.csv")
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config()).draw(FigureInputs(before=files[0], after=files[1]))
        assert len(drawn.numbers) == 2 * 48
        assert drawn.caption.startswith("All wells by")
        assert drawn.notes == ("controls: no batch has two control wells of a stimulation, so all are drawn",)

    def test_what_is_missing_is_said(self, inputs: FigureInputs, tmp_path: Path) -> None:
        entry = FIGURES.get(self.name)
        with pytest.raises(InputError, match="no control well; name their perturbations"):
            entry.build(entry.config(controls=("nt",))).draw(inputs)
        with pytest.raises(InputError, match=r"no column 'Metadata_Plat'.*did you mean 'Metadata_Plate'"):
            entry.build(entry.config(batch="Metadata_Plat")).draw(inputs)
        lone = FigureInputs(before=tmp_path / "none.csv", after=inputs.after)
        with pytest.raises(InputError, match=r"none\.csv: no such file; expected omics of wells"):
            entry.build(entry.config()).draw(lone)

    def test_files_of_other_programs(self, inputs: FigureInputs, tmp_path: Path) -> None:
        entry = FIGURES.get(self.name)
        foreign = anndata.AnnData(np.ones((3, 2)), pd.DataFrame({"cell_type": list("abc")}, index=list("123")))
        foreign.write_h5ad(tmp_path / "foreign.h5ad")
        empty = anndata.read_h5ad(tmp_path / "after.h5ad")
        empty.X = None
        empty.write_h5ad(tmp_path / "empty.h5ad")
        for name, said in (("foreign", "no column 'Metadata_Plate'; it has cell_type$"), ("empty", "no matrix X")):
            with pytest.raises(InputError, match=rf"{name}\.h5ad: {said}"):
                entry.build(entry.config()).draw(FigureInputs(before=inputs.before, after=tmp_path / f"{name}.h5ad"))


def test_a_dataset_that_keeps_its_samples_needs_no_files(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", targets={"rna_M1": 3})
    after = anndata.read_h5ad(write_omics(tmp_path / "after.h5ad", 0.0))
    after.layers["before"] = anndata.read_h5ad(write_omics(tmp_path / "before.h5ad", 6.0)).X
    kept = {"rna_M1": {"samples_file": "qc/omics/rna_M1.h5ad"}, "prot_M1": {"samples_file": "../after.h5ad"}, "old": {}}
    (dataset.root / "qc" / "omics").mkdir(parents=True)
    after[after.obs[STIMULATION] == "M1"].copy().write_h5ad(dataset.root / "qc" / "omics" / "rna_M1.h5ad")
    (dataset.root / "qc" / "index.json").write_text(json.dumps({"targets": kept}))
    entry = FIGURES.get("batch_pca")
    inputs = FigureInputs(data=dataset.root)
    assert inputs.has("corrections")
    assert list(inputs.kept_samples) == ["rna_M1"], "a name that leads out of the dataset is not followed"
    numbers = entry.build(entry.config()).draw(inputs).numbers
    assert set(numbers["target"]) == {"rna_M1"}
    means = numbers.groupby(["state", PLATE])["pc1"].mean().unstack()
    gap = (means["plate1"] - means["plate2"]).abs()
    assert gap["before"] > 10
    assert gap["after"] < 3
    assert not FigureInputs(data=make_dataset(tmp_path / "bare").root).has("corrections")


def write_wells(file: Path, values: np.ndarray, names: list[str], kind: str, wells: int) -> Path:
    obs = pd.DataFrame({SOURCE: "P", BAG: [f"W{n:03d}" for n in range(wells)]}, index=[str(n) for n in range(wells)])
    uns = {"wellstream": {"kind": kind}}
    anndata.AnnData(values.astype(np.float32), obs, pd.DataFrame(index=names), uns=uns).write_h5ad(file)
    return file


class TestFeatureCorrelation(testing.FigureContract):
    name = "feature_correlation"

    @pytest.fixture
    def inputs(self, tmp_path: Path) -> FigureInputs:
        """Learned d0 is the measured area, d1 the measured texture; d2 and noise belong to nothing."""
        rng = np.random.default_rng(3)
        learned, noise = rng.normal(size=(200, 3)), rng.normal(size=(200, 4))
        measured = np.column_stack([learned[:, 0], learned[:, 1], noise[:, 0], noise[:, 1]]) + 0.05 * noise
        names = ["area", "texture", "noise1", "noise2"]
        embeddings = write_wells(tmp_path / "e.h5ad", learned, ["d0", "d1", "d2"], "embeddings", 200)
        features = write_wells(tmp_path / "f.h5ad", measured[:150], names, "features", 150)
        return FigureInputs(embeddings=embeddings, features=features)

    def test_each_learned_feature_lies_with_what_it_was_made_of(self, inputs: FigureInputs) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config(components=2)).draw(inputs)
        table = drawn.numbers.pivot(index="feature", columns="learned", values="similarity")
        assert table.loc["area", "d0"] > 0.9
        assert table.loc["texture", "d1"] > 0.9
        assert table.loc[["noise1", "noise2"]].abs().to_numpy().max() < 0.4
        assert table["d2"].abs().max() < 0.4
        assert drawn.notes == ("200 wells have embeddings, 150 have features, 150 have both and are used",)


def test_canonical_correlations_are_the_eigenvalues_of_hotelling() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    y = x[:, :3] @ rng.normal(size=(3, 3)) + rng.normal(size=(300, 3))
    whole = np.cov(np.column_stack([x, y]).T)
    xx, xy, yy = whole[:4, :4], whole[:4, 4:], whole[4:, 4:]
    squares = np.linalg.eigvals(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)).real
    expected = np.sqrt(np.sort(squares)[::-1][:3])
    assert canonical(x, y).correlations == pytest.approx(expected, rel=1e-6)


def test_few_wells_do_not_correlate_by_themselves() -> None:
    rng = np.random.default_rng(1)
    found = canonical(rng.normal(size=(40, 60)), rng.normal(size=(40, 80)))
    assert found.correlations[0] < 0.8
