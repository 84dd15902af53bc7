"""Files of embeddings: CORAL on controls, and what learned features have in common with measured ones."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, SOURCE, STIMULATION
from framework.errors import ConfigError, InputError
from framework.evaluate import align, correlate


def write(file: Path, values: np.ndarray, obs: pd.DataFrame, kind: str = "embeddings") -> Path:
    obs = obs.set_index(pd.Index([str(number) for number in range(len(obs))]))
    names = pd.DataFrame(index=[f"{kind[0]}{number}" for number in range(values.shape[1])])
    anndata.AnnData(values.astype(np.float32), obs, names, uns={"wellstream": {"kind": kind}}).write_h5ad(file)
    return file


def wells(count: int, control_every: int = 2) -> pd.DataFrame:
    number = np.arange(count)
    kind = np.where(number // 4 % control_every == 0, "negcon", "treatment")
    return pd.DataFrame(
        {
            SOURCE: np.where(number % 2, "plate2", "plate1"),
            BAG: [f"W{each:03d}" for each in number],
            PERTURBATION: np.where(kind == "negcon", "NT", "KO"),
            STIMULATION: np.where(number // 2 % 2, "M2", "M1"),
            CONTROL_TYPE: kind,
        }
    )


def plates(folder: Path, count: int = 160) -> tuple[Path, np.ndarray, pd.DataFrame]:
    """Plate 2 is moved and stretched; M2 lies elsewhere on both plates."""
    rng = np.random.default_rng(0)
    obs = wells(count)
    values = rng.normal(size=(count, 3)) + 4 * (obs[STIMULATION] == "M2").to_numpy()[:, None]
    second = (obs[SOURCE] == "plate2").to_numpy()
    values[second] = values[second] * [1.0, 3.0, 1.0] + [20.0, -5.0, 0.0]
    return write(folder / "e.h5ad", values, obs), values, obs


def test_plates_are_brought_together_and_stimulations_stay_apart(tmp_path: Path) -> None:
    file, values, obs = plates(tmp_path)
    summary = align(file, tmp_path / "a.h5ad")
    moved = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert (summary.rows, summary.columns, summary.groups, summary.notes) == (160, 3, 4, ())
    assert summary.batch_before > 0.3
    assert summary.batch_after < 1e-6
    control = (obs[CONTROL_TYPE] == "negcon").to_numpy()
    for state in ("M1", "M2"):
        mine = (obs[STIMULATION] == state).to_numpy() & control
        means = [moved.X[mine & (obs[SOURCE] == name).to_numpy()].mean(axis=0) for name in ("plate1", "plate2")]
        np.testing.assert_allclose(means[0], means[1], atol=1e-4)
        np.testing.assert_allclose(means[0], values[mine].mean(axis=0), atol=1e-4)
    assert list(moved.obs[BAG]) == list(obs[BAG])
    assert moved.uns["wellstream"]["coral"] == "plates"
    align(file, tmp_path / "b.h5ad", by="authors")
    other = anndata.read_h5ad(tmp_path / "b.h5ad").X
    mine = (obs[STIMULATION] == "M1").to_numpy() & control
    np.testing.assert_allclose(other[mine].mean(axis=0), values[mine].mean(axis=0), atol=1e-4)


def test_tiles_are_averaged_by_well_first(tmp_path: Path) -> None:
    file, values, obs = plates(tmp_path)
    align(file, tmp_path / "a.h5ad")
    twice = pd.concat([obs, obs], ignore_index=True).assign(tile=np.arange(320))
    offset = np.ones_like(values)
    write(tmp_path / "t.h5ad", np.concatenate([values - offset, values + offset]), twice)
    align(tmp_path / "t.h5ad", tmp_path / "b.h5ad")
    first, second = (anndata.read_h5ad(tmp_path / name) for name in ("a.h5ad", "b.h5ad"))
    np.testing.assert_allclose(first.X, second.X, rtol=1e-4, atol=1e-4)
    assert "tile" not in second.obs.columns


def test_wells_have_the_names_that_embed_gives_them(tmp_path: Path) -> None:
    """They had others, so the two could not be compared as features of the same wells."""
    _, values, obs = plates(tmp_path)
    bags = obs.assign(bag=np.arange(160)[::-1])
    align(write(tmp_path / "w.h5ad", values, bags), tmp_path / "a.h5ad")
    assert anndata.read_h5ad(tmp_path / "a.h5ad").obs_names[:2].tolist() == ["bag-159", "bag-158"]


def test_a_plate_without_two_controls_stays_and_is_named(tmp_path: Path) -> None:
    _, values, obs = plates(tmp_path)
    lone = (obs[SOURCE] == "plate2") & (obs[STIMULATION] == "M2")
    obs.loc[lone, CONTROL_TYPE] = "treatment"
    file = write(tmp_path / "lone.h5ad", values, obs)
    summary = align(file, tmp_path / "a.h5ad")
    assert summary.notes == ("plate2, M2: fewer than two negative controls, not aligned",)
    assert summary.groups == 3
    np.testing.assert_allclose(anndata.read_h5ad(tmp_path / "a.h5ad").X[lone], values[lone], rtol=1e-4, atol=1e-4)
    obs[CONTROL_TYPE] = "treatment"
    summary = align(write(tmp_path / "none.h5ad", values, obs), tmp_path / "b.h5ad")
    assert "CORAL has nothing to align" in summary.notes[0]
    assert summary.batch_before is None


def test_a_shared_factor_is_found_and_chance_is_lower(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    obs = wells(100)
    factor = rng.normal(size=100)
    learned, measured = rng.normal(size=(100, 4)), rng.normal(size=(100, 5))
    learned[:, 1] = -factor
    measured[:, 3] = factor + rng.normal(0, 0.1, 100)
    order = rng.permutation(100)
    left = write(tmp_path / "e.h5ad", learned, obs)
    right = write(tmp_path / "f.h5ad", measured[order], obs.iloc[order], "features")
    summary = correlate(left, right, tmp_path / "out", shuffles=40)
    assert summary.wells == 100
    assert summary.correlations[0] > 0.98 > 0.6 > summary.by_chance[0]
    assert summary.most[0].startswith("f3 (")
    similarity = pd.read_csv(tmp_path / "out" / "similarity.csv", index_col="feature")
    assert similarity.abs().stack().idxmax() == ("f3", "e1")
    assert similarity.loc["f3", "e1"] < -0.9
    loadings = pd.read_csv(tmp_path / "out" / "loadings.csv").set_index(["table", "feature"])
    assert loadings.loc[("learned", "e1"), "pair_1"] * loadings.loc[("measured", "f3"), "pair_1"] < -0.9
    table = pd.read_csv(tmp_path / "out" / "correlations.csv")
    assert list(table.columns) == ["pair", "correlation", "by_chance_95"]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"by": "stains"}, ConfigError, "by: expected one of: plates, authors, found 'stains'"),
        ({"out": "a.csv"}, ConfigError, r"expected a name that ends in \.h5ad"),
        ({"kind": "predictions"}, InputError, "of wellstream embed, align or features, found kind 'predictions'"),
        ({"value": np.nan}, InputError, r"e\.h5ad: well 3, feature 2 is nan"),
    ],
)
def test_what_cannot_be_aligned_is_said(tmp_path: Path, change: dict, error: type, said: str) -> None:
    _, values, obs = plates(tmp_path)
    values[2, 1] = change.get("value", 0.0)
    file = write(tmp_path / "e.h5ad", values, obs, change.get("kind", "embeddings"))
    with pytest.raises(error, match=said):
        align(file, tmp_path / change.get("out", "a.h5ad"), by=change.get("by", "plates"))


def test_files_of_other_wells_are_not_correlated(tmp_path: Path) -> None:
    file, values, obs = plates(tmp_path)
    other = write(tmp_path / "f.h5ad", values, obs.assign(**{BAG: "Z" + obs[BAG]}), "features")
    with pytest.raises(InputError, match=r"have 0 wells in common; expected at least 10"):
        correlate(file, other, tmp_path / "out")
    with pytest.raises(ConfigError, match="pairs >= 1"):
        correlate(file, file, tmp_path / "out", pairs=0)
