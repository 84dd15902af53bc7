"""The whole chain on cells whose expression follows their markers: single cells, then imaged cells in both modes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from framework.errors import InputError
from framework.expression import ExpressionConfig, chain, express
from framework.report import write_expression_report
from framework.report.expression.coverage import Coverage
from framework.report.expression.sections import Expressed
from framework.report.page import Numbers

GATES = {"transform": "none", "populations": {"high": {"CD3": {"low": 60.0}}}}


def single_cells(folder: Path, cells: int = 300) -> Path:
    random = np.random.default_rng(0)
    markers = random.uniform(0, 100, (cells, 2))
    genes = np.column_stack([markers[:, 0] / 30, markers[:, 1] / 40, random.random(cells), random.random(cells)])
    genes += 0.1 * random.random((cells, 4))
    data = anndata.AnnData(
        genes.astype(np.float32),
        pd.DataFrame(
            {"population": pd.Categorical(np.where(markers[:, 0] >= 60, "high", "other"))},
            index=[f"c{i}" for i in range(cells)],
        ),
        pd.DataFrame({"marker_of": ["high", "high", "", ""]}, index=["A", "B", "noise 1", "noise 2"]),
    )
    data.obsm["markers"] = pd.DataFrame(
        np.column_stack([markers, markers[:, 0]]), index=data.obs_names, columns=["CD3", "CD8", "CD4"]
    )
    data.uns["wellstream"] = {"kind": "single_cell"}
    data.write_h5ad(folder / "cells.h5ad")
    return folder / "cells.h5ad"


def predictions(folder: Path, cells: int = 120, noise: float = 20.0) -> Path:
    random = np.random.default_rng(1)
    measured = random.uniform(0, 1000, (cells, 2))
    predicted = measured + noise * random.standard_normal((cells, 2))
    measured[30, 0] = np.nan
    obs = pd.DataFrame({"source": "p", "bag_name": "A01", "tile": np.arange(cells)})
    obs["part"] = np.where(np.arange(cells) < 20, "train", "test")
    data = anndata.AnnData(
        predicted,
        obs.set_index(obs.index.astype(str)),
        pd.DataFrame({"train_mean": 1.0, "train_sd": 1.0}, index=["CD3 PE-Cy7", "CD8"]),
        layers={"measured": measured},
        uns={"wellstream": {"kind": "predictions"}},
    )
    data.write_h5ad(folder / "predictions.h5ad")
    return folder / "predictions.h5ad"


def plain(folder: Path, **images: Any) -> dict[str, Any]:
    side = {"predictions": str(predictions(folder)), "names": {"CD3": "CD3 PE-Cy7"}, "transform": "none"}
    gates = {"transform": "none", "populations": {"high": {"CD3": {"low": 600.0}}}}
    return {
        "single_cell": str(single_cells(folder)),
        "markers": ["CD3", "CD8"],
        "forest": {"trees": 8},
        "resamples": 200,
        "images": {**side, "gates": gates, **images},
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("express")
    config = ExpressionConfig.from_plain(plain(folder) | {"also_predict": ["CD4"]})
    summary = express(config, folder / "out")
    assert summary.single_cells == {"train": 210, "test": 90}
    assert summary.imaged_cells == 99
    assert summary.notes == ("1 imaged cells were left out: a marker was not measured",)
    return folder / "out"


def test_genes_that_follow_the_markers_are_predicted_and_noise_is_not(done: Path) -> None:
    table = pd.read_csv(done / "per_gene.csv").set_index("gene")
    assert table.loc[["A", "B"], "r_forest"].min() > 0.9
    assert table.loc[["noise 1", "noise 2"], "r_forest"].abs().max() < 0.4
    assert table.loc["A", "rmse_forest"] < 0.5 * table.loc["A", "rmse_mean"]
    assert table.loc["CD4 (protein)", "r_forest"] > 0.9


def test_imaged_cells_get_expression_in_both_modes(done: Path) -> None:
    standard, free = (anndata.read_h5ad(done / f"expression_{mode}.h5ad") for mode in ("standard", "label_free"))
    assert list(standard.var_names) == ["A", "B", "CD4 (protein)"]
    assert standard.shape == free.shape == (99, 3)
    # Cell 20 is the first of the test part, and its identity came along.
    assert standard.obs["tile"].iloc[0] == 20
    scaled = standard.obsm["markers"]["CD3"]
    assert np.corrcoef(scaled, standard[:, "A"].X.ravel())[0, 1] > 0.95
    assert not np.array_equal(standard.X, free.X)


def test_intervals_of_imaged_cells_have_one_width_per_gene_and_the_page_says_what_is_held(tmp_path: Path) -> None:
    config = ExpressionConfig.from_plain({**plain(tmp_path), "interval": 0.9})
    summary = express(config, tmp_path / "out")
    found = anndata.read_h5ad(tmp_path / "out" / "expression_standard.h5ad")
    width = found.layers["upper"] - found.X
    np.testing.assert_allclose(width, np.broadcast_to(width[0], width.shape), atol=1e-5)
    np.testing.assert_allclose(found.X - found.layers["lower"], width, atol=1e-5)
    assert (width[0] > 0).all()
    facts = found.uns["wellstream"]["intervals"]
    assert (facts["level"], facts["rows"], list(facts["sources"])) == (0.9, 90, ["cells.h5ad"])
    covered = pd.read_csv(tmp_path / "out" / "per_gene.csv")["covered"]
    # 45 cells calibrate and 45 are counted: one share strays by some 6 points.
    assert 0.8 < covered.mean() <= 1
    (note,) = [note for note in summary.notes if note.startswith("intervals of nominal 90.0% hold")]
    page = write_expression_report(tmp_path / "out").read_text()
    assert note in page
    section = page[page.index('id="coverage"') : page.index('id="imaged"')]
    assert f"{covered.mean():.1%}" in section
    assert "of single cells in intervals of nominal 90.0%" in section
    # No truth of imaged cells is known here, so none is counted.
    assert "imaged cells, " not in section
    least = pd.read_csv(tmp_path / "out" / "per_gene.csv").sort_values("covered", kind="stable")["gene"].tolist()
    places = [section.rindex(f">{gene}<") for gene in least]
    assert places == sorted(places)


def test_a_truth_of_imaged_cells_adds_what_is_held_of_them(done: Path) -> None:
    section = Coverage()
    genes = pd.DataFrame({"gene": ["A", "B"], "marker_of": "", "r_forest": 0.5, "covered": [0.8, 1.0]})
    truth = pd.DataFrame({"covered_standard": [0.7, 0.9], "covered_label_free": [0.5, 0.6]})
    facts = {"root": done, "facts": {}, "config_text": ""}
    shown = section.build(
        Expressed(tables={"per_gene": genes, "truth": truth}, config={"interval": 0.9}, **facts)  # type: ignore[arg-type]
    )
    assert shown is not None
    numbers = shown.blocks[0]
    assert isinstance(numbers, Numbers)
    assert [value for value, _ in numbers.items] == ["90.0%", "80.0%", "55.0%"]
    without = Expressed(tables={"per_gene": genes}, config={"interval": None}, **facts)  # type: ignore[arg-type]
    assert section.build(without) is None


def test_populations_are_compared_with_measured_single_cells(done: Path) -> None:
    means = pd.read_csv(done / "populations.csv").set_index(["source", "population"])
    assert set(means.index.get_level_values("source")) == {"measured", "predicted", "standard", "label_free"}
    assert means.loc[("standard", "high"), "A"] > means.loc[("standard", "other"), "A"] + 1
    agreement = pd.read_csv(done / "agreement.csv")
    assert len(agreement) == 4
    assert (agreement["r_centred"] > 0.9).all()


def test_the_page_holds_figures_and_tables_and_loads_nothing(done: Path) -> None:
    page = write_expression_report(done).read_text()
    anchors = ("overview", "single-cells", "imaged", "populations", "reproduce")
    places = [page.index(f'id="{anchor}"') for anchor in anchors]
    assert places == sorted(places)
    assert 'id="coverage"' not in page
    assert page.count("<img") + page.count("data:image") >= 5
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_equal_configs_give_equal_tables(done: Path, tmp_path: Path) -> None:
    config = ExpressionConfig.from_plain(plain(tmp_path) | {"also_predict": ["CD4"]})
    express(config, tmp_path / "out")
    for name in ("per_gene.csv", "populations.csv", "similarity.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (done / name).read_bytes()


def test_nothing_of_an_earlier_call_stays_beside_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = plain(tmp_path)
    express(ExpressionConfig.from_plain(settings), tmp_path / "out")
    assert {"agreement.csv", "markers.csv"} < {file.name for file in (tmp_path / "out").iterdir()}
    alone = ExpressionConfig.from_plain({**settings, "images": None})

    def full(file: Path, table: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    for name in ("write_csv", "write_json"):
        with monkeypatch.context() as patched:
            patched.setattr(chain, name, full)
            with pytest.raises(OSError, match="No space left") as caught:
                express(alone, tmp_path / "out")
        assert Path(caught.value.filename).parent == tmp_path / "out"
        assert before == {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    express(alone, tmp_path / "out")
    left = {file.name for file in (tmp_path / "out").iterdir()}
    assert "expression.json" in left
    assert not left & {"agreement.csv", "markers.csv", "truth.csv", "saliency.npz"}
    assert not any(name.endswith(".h5ad") for name in left)


@pytest.mark.parametrize("scale", ["modality", "train", "part"])
def test_each_way_of_scaling_runs_and_is_said(tmp_path: Path, scale: str) -> None:
    config = ExpressionConfig.from_plain({**plain(tmp_path), "images": None, "scale": scale})
    summary = express(config, tmp_path / "out")
    assert ("its own range" in " ".join(summary.notes)) == (scale == "part")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"markers": ["CD3", "CD88"]}, "no surface marker 'CD88'; did you mean 'CD8'"),
        ({"single_cell": "gone.h5ad"}, "wellstream prepare"),
        ({"test_fraction": 0.001}, "cannot be split"),
    ],
)
def test_input_that_cannot_be_used_is_said(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        express(ExpressionConfig.from_plain({**plain(tmp_path), **change}), tmp_path / "out")
    assert sentence in str(caught.value)


def test_what_preparing_noted_is_said_again(tmp_path: Path) -> None:
    config = {**plain(tmp_path), "images": None}
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    data.uns["wellstream"]["notes"] = np.array(["rna.csv: 7 of 10 cells have proteins in adt.csv"])
    data.write_h5ad(tmp_path / "cells.h5ad")
    summary = express(ExpressionConfig.from_plain(config), tmp_path / "out")
    assert "rna.csv: 7 of 10 cells have proteins in adt.csv" in summary.notes


def test_a_marker_that_is_no_number_is_refused_with_its_cell(tmp_path: Path) -> None:
    config = ExpressionConfig.from_plain({**plain(tmp_path), "images": None})
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    data.obsm["markers"].iloc[3, 0] = np.inf
    data.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(InputError, match="'CD3' is NaN or infinite in 1 of 300 cells, first 'c3'"):
        express(config, tmp_path / "out")


def _without_genes(data: anndata.AnnData) -> anndata.AnnData:
    return data[:, :0].copy()


def _without_x(data: anndata.AnnData) -> anndata.AnnData:
    return anndata.AnnData(None, data.obs, data.var, obsm=dict(data.obsm), uns=dict(data.uns))


def _one_nan(data: anndata.AnnData) -> None:
    data.X[7, 1] = np.nan


def _cell_twice(data: anndata.AnnData) -> None:
    data.obs_names = ["c1", *data.obs_names[1:]]


def _gene_twice(data: anndata.AnnData) -> None:
    data.var_names = ["A", "A", "noise 1", "noise 2"]


def _markers_without_names(data: anndata.AnnData) -> None:
    data.obsm["markers"] = data.obsm["markers"].to_numpy()


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_without_genes, "holds no genes"),
        (_without_x, "no matrix X"),
        (_one_nan, "the gene 'B' of the cell 'c7' is nan; 1 values are NaN or infinite"),
        (_cell_twice, "the cell 'c1' appears twice"),
        (_gene_twice, "the gene 'A' appears twice"),
        (_markers_without_names, "obsm['markers'] is not a table"),
    ],
)
def test_single_cells_that_prepare_never_wrote_are_refused_before_a_tree_grows(
    tmp_path: Path, spoil: Any, sentence: str
) -> None:
    config = ExpressionConfig.from_plain({**plain(tmp_path), "images": None})
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    (spoil(data) or data).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(InputError) as caught:
        express(config, tmp_path / "out")
    assert sentence in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_populations_of_any_type_are_names(tmp_path: Path) -> None:
    config = ExpressionConfig.from_plain({**plain(tmp_path), "images": None})
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    numbers = np.where(data.obs["population"] == "high", 1.0, 0.0)
    numbers[0] = np.nan
    data.obs["population"] = numbers
    data.var["marker_of"] = [1, 1, 2, 2]
    data.write_h5ad(tmp_path / "cells.h5ad")
    express(config, tmp_path / "out")
    found = pd.read_csv(tmp_path / "out" / "populations.csv", dtype=str)
    assert sorted(set(found["population"])) == ["0.0", "1.0", "unknown"]
    assert pd.read_csv(tmp_path / "out" / "per_gene.csv", dtype=str)["marker_of"].tolist() == ["1", "1", "2", "2"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"also_predict": ["CD4", "CD4"]}, "names 'CD4' twice"),
        ({"markers": ["CD3", "CD3"]}, "names 'CD3' twice"),
        ({"names": {"CD3": "CD8"}}, "gives 'CD8' to both 'CD3' and 'CD8'"),
    ],
)
def test_a_name_that_stands_for_two_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    config = plain(tmp_path)
    config["images"] |= {key: change.pop(key) for key in ("names",) if key in change}
    with pytest.raises(ValidationError, match=sentence):
        ExpressionConfig.from_plain({**config, **change})


def test_a_marker_the_network_does_not_predict_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"predicts no marker 'CD3'; did you mean 'CD8'.*images\.names"):
        express(ExpressionConfig.from_plain(plain(tmp_path, names={})), tmp_path / "out")


def test_a_folder_of_something_else_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wellstream express CONFIG"):
        write_expression_report(tmp_path)
