"""The page of compared feature sets: all its parts from real files, self-contained, the same again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.errors import InputError
from framework.evaluate import read_evaluation
from framework.features import FeatureEvaluateConfig, FeatureTable, evaluate_features, open_same_cells
from framework.features.profiles import mean_profiles, spread_sample, ward_order
from framework.report import write_feature_report
from framework.report.features import page as feature_page
from framework.report.features.sections import best_set
from framework.report.figures.embedding import principal
from framework.report.sections import show_evaluation as scores
from framework.run import features as measure

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_page, "project", lambda values, **_: (principal(values, 2), "PCA"))


def compared(folder: Path) -> tuple[Path, list[FeatureTable], Path]:
    """Features of a tiny dataset, evaluated: folder of the evaluation, tables, dataset."""
    data = make_dataset(folder / "data", bags=12, channels=("gfp", "rfp"), size=20, perturbations=("P0", HOSTILE, "P2"))
    measure(data.root, folder / "intensity.h5ad")
    measure(data.root, folder / "classic.h5ad", kind="classic", protein=("gfp",), scales_px=(1, 2))
    tables = open_same_cells([folder / "intensity.h5ad", f"haralick={folder / 'classic.h5ad'}"])
    config = FeatureEvaluateConfig(
        label="Metadata_Perturbation",
        k=5,
        resamples=100,
        cell_line="Metadata_Stimulation",
        compartments=("P0/P2",),
        missing={"transfer": "no weights"},
    )
    evaluate_features(tables, config, folder / "out")
    return folder / "out", tables, data.root


@pytest.mark.usefixtures("no_umap")
def test_a_page_with_every_section(tmp_path: Path) -> None:
    folder, tables, data = compared(tmp_path)
    page = write_feature_report(folder, tables, dataset=data)
    text = page.read_text(encoding="utf-8")
    for anchor in ("features", "classes", "distances", "compartments", "maps", "proteins", "made-from"):
        assert f'id="{anchor}"' in text
    assert HOSTILE not in text
    assert "missing: no weights" in text
    assert "with the crop of each" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    figures = {file.name for file in (folder / "figures").iterdir()}
    assert {"features-1.svg", "classes-1.png", "maps-1.png", "maps-2.png", "proteins-1.png"} <= figures
    assert (folder / "figures" / "maps-1.png").read_bytes()[:4] == b"\x89PNG"
    again = write_feature_report(folder, tables, dataset=data).read_text(encoding="utf-8")
    assert again == text


@pytest.mark.usefixtures("no_umap")
def test_without_a_dataset_there_are_no_crops(tmp_path: Path) -> None:
    folder, tables, _ = compared(tmp_path)
    text = write_feature_report(folder, tables).read_text(encoding="utf-8")
    assert "with the crop of each" not in text
    assert 'id="maps"' in text


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    folder, tables, _ = compared(tmp_path)
    with pytest.raises(InputError, match="not the evaluation of intensity; evaluate again"):
        write_feature_report(folder, tables[:1])
    other = make_dataset(tmp_path / "other", bags=2, seed=5)
    with pytest.raises(InputError, match="made from another dataset"):
        write_feature_report(folder, tables, dataset=other.root)
    with pytest.raises(InputError, match=r"no evaluation\.json"):
        write_feature_report(tmp_path, tables)


def test_a_report_of_a_run_shows_the_comparison(tmp_path: Path) -> None:
    folder, _, _ = compared(tmp_path)
    section = scores(read_evaluation(folder))
    assert section.anchor == "features"
    assert any(getattr(block, "headers", ("",))[0] == "features" for block in section.blocks)


def test_profiles_by_hand() -> None:
    scaled = np.array([[1, 0], [3, 0], [5, 0], [9, 0]], np.float32)
    profiles = mean_profiles(scaled, np.array([1, 1, 0, 2]), 3)
    means = np.array([5, 2, 9])
    np.testing.assert_allclose(profiles[:, 0], (means - means.mean()) / means.std())
    np.testing.assert_array_equal(profiles[:, 1], 0)


def test_like_rows_come_together() -> None:
    order = ward_order(np.array([[0.0], [10], [0.1], [10.1], [5]]))
    places = np.argsort(order)
    assert abs(places[0] - places[2]) == 1
    assert abs(places[1] - places[3]) == 1
    np.testing.assert_array_equal(ward_order(np.ones((2, 1))), [0, 1])


def test_a_sample_is_even_over_labels() -> None:
    label = np.repeat([0, 1, 2], [100, 10, 3])
    chosen = spread_sample(label, 15)
    np.testing.assert_array_equal(np.bincount(label[chosen]), [6, 6, 3])
    assert len(set(chosen.tolist())) == 15
    np.testing.assert_array_equal(chosen, spread_sample(label, 15))
    np.testing.assert_array_equal(spread_sample(label, 500), np.arange(113))


def row(name: str, knn: float, low: float, *, below: float = 0.0) -> dict[str, object]:
    ends = {"knn_low": low, "knn_high": knn + 0.1}
    return {"set": name, "knn": knn, **ends, "knn_difference": below + 0.1, "knn_difference_low": below,
            "knn_difference_high": below + 0.2}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "said", "holds"),
    [
        ([row("a", 0.6, 0.55), row("b", 0.5, 0.4)], "a tells classes apart best: balanced accuracy 0.600", True),
        ([row("a", 0.5, 0.4), row("b", 0.6, 0.5, below=0.01)], "is below it: +0.110 [+0.010, +0.210]", False),
        ([row("a", 0.5, 0.4), row("b", 0.6, 0.5, below=-0.01)], "a, the first, is level with it: +0.090", True),
        ([row("a", 0.3, 0.2)], "Nearest neighbours by a: balanced accuracy 0.300; chance is 0.250.", False),
        ([row("a", 0.3, 0.26), {"set": "b", "missing": "no weights"}], "Nearest neighbours by a", True),
    ],
)  # fmt: skip
def test_the_answer_names_the_best_set(rows: list[dict[str, object]], said: str, *, holds: bool) -> None:
    verdict = best_set({"rows": rows, "classes": ["P0", "P1", "P2", "P3"]})
    assert verdict is not None
    assert said in verdict.text
    assert verdict.holds is holds
