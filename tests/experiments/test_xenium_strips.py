"""The table of held-out strips: predictions are put in their places, and baselines have the numbers known of them."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from data_tools.pipeline import ingest, load_ingest_config
from experiments.xenium_breast import features
from experiments.xenium_breast.features import Field, of_neighbours, principal, shape_of
from experiments.xenium_breast.strips import NETWORKS, _beyond_region, _region, _together, compare
from framework.data.dataset import Dataset

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "xenium_breast"


@pytest.fixture(scope="module")
def out(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset, and predictions that are right for the network and noise for the others."""
    root = tmp_path_factory.mktemp("xenium")
    field = real_data / "xenium-breast-dapi"
    reader = "sources.0.reader."
    places = [f"{reader}images.DAPI={field}/morphology_mip.tif", f"{reader}table={field}/transcripts.csv.gz"]
    ingest(load_ingest_config(EXPERIMENT / "ingest.yaml", places), root / "data", workers=0)
    cells = Field.read(root / "data")
    random = np.random.default_rng(0)
    for network in NETWORKS:
        for strip in cells.strips:
            tiles = random.permutation(np.flatnonzero(cells.strip == strip))
            right = cells.measured[tiles] * 2 + 1
            values = right if network == "network" else random.normal(size=right.shape)
            # Columns in another order, and one gene that the run left out.
            genes = cells.genes[:0:-1]
            found = anndata.AnnData(
                values[:, :0:-1],
                obs=pd.DataFrame({"tile": tiles}, index=tiles.astype(str)),
                var=pd.DataFrame(index=genes),
            )
            file = root / "runs" / f"{network.replace(' ', '-')}-0-{strip}" / "predictions" / "expression.h5ad"
            file.parent.mkdir(parents=True)
            found.write_h5ad(file)
    return root


@pytest.mark.real_data
def test_the_field_is_read_as_its_source_says(out: Path) -> None:
    field = Field.read(out / "data")
    assert [int((field.strip == strip).sum()) for strip in field.strips] == [331, 283, 207]
    assert len(field.genes) == 207
    assert Dataset.open(out / "data").manifest.tile.channels == ("DAPI",)


@pytest.mark.real_data
def test_rows_of_the_table(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Density, position, sum of transcripts as in the reference (.081, .052, .120 on 831 cells of a wider field)."""
    # In a fifth of the pixels: the network of ImageNet takes most of the time, and is above place all the same.
    monkeypatch.setattr(features, "SEEN_PX", 96)
    found = compare(out, seeds=(0,), resamples=20)
    rows = {row["row"]: row for row in found["rows"]}
    assert rows["network"]["median_r"] == pytest.approx(1)
    assert rows["network"]["above_0.4"] == len(found["genes"]["network"]) - 1
    assert abs(rows["nucleus alone"]["median_r"]) < 0.02
    assert abs(rows["the filters, cells shuffled within strips"]["median_r"]) < 0.03
    known = {"density of cells within 60, 120, 240 px": 0.081, "position x, y, xy, xx, yy": 0.052}
    for name, expected in {**known, "log of all transcripts (no image)": 0.120}.items():
        assert rows[name]["median_r"] == pytest.approx(expected, abs=0.02), name
        assert rows[name]["low"] < rows[name]["high"]
    middle, low, high = rows["position x, y, xy, xx, yy"]["network_is_above_by"]
    assert low < middle < high
    assert rows["network"]["median_r_beyond_region"] == pytest.approx(1, abs=0.01)
    assert abs(rows["nucleus alone"]["median_r_beyond_region"]) < 0.03
    assert rows["27 statistics of the nucleus"]["median_r"] > 0.14
    assert rows["ImageNet network"]["median_r"] > rows["position x, y, xy, xx, yy"]["median_r"]
    assert rows["network and density, averaged"]["median_r"] > 0.6


def a_field(cells: int, genes: int) -> Field:
    """Cells in two strips, with expression that is noise."""
    random = np.random.default_rng(3)
    place = random.uniform(0, 500, (cells, 2))
    return Field(
        dataset=None,  # type: ignore[arg-type]
        strip=np.where(np.arange(cells) % 2, "0", "1").astype(object),
        place=place,
        total=np.ones(cells),
        genes=[f"g{gene}" for gene in range(genes)],
        measured=random.normal(size=(cells, genes)),
        listed=place,
    )


def test_what_the_region_explains_is_taken_away() -> None:
    """A prediction made of place and neighbours alone holds nothing beyond them; the nucleus' own share stays."""
    field = a_field(120, 3)
    region = _region(field)
    assert np.abs(_beyond_region(field, region[1] + field.place[:, :1], region)).max() < 0.05
    np.testing.assert_allclose(_beyond_region(field, field.measured + region[1], region), 1, atol=1e-6)


def test_neighbours_are_of_the_same_strip_and_never_the_cell_itself() -> None:
    field = a_field(30, 2)
    for cell in (0, 7):
        rows = np.setdiff1d(field.rows(str(field.strip[cell])), [cell])
        near = rows[np.argsort(np.hypot(*(field.place[rows] - field.place[cell]).T))[:10]]
        np.testing.assert_allclose(of_neighbours(field)[cell], field.measured[near].mean(axis=0))


def test_predictions_of_any_scale_count_alike_when_averaged() -> None:
    field = a_field(40, 2)
    first, second = field.measured, np.roll(field.measured, 1, axis=1)
    np.testing.assert_allclose(_together(field, 1000 * first + 5, second), _together(field, first, second))


def test_shape_of_an_ellipse() -> None:
    """Half axes 12 and 6 px: area 72 pi; both axes are four times the root of the variance along them."""
    y, x = (np.arange(64) - 32.0 for _ in range(2))
    crop = np.where((y[:, None] / 6) ** 2 + (x[None] / 12) ** 2 <= 1, 9.0, 1.0).astype(np.float32)
    area, long, short, ratio, mean, sd, contrast = shape_of(crop)
    assert area == pytest.approx(72 * np.pi, rel=0.06)
    assert [long, short] == pytest.approx([24, 12], rel=0.05)
    assert ratio == pytest.approx(0.5, rel=0.06)
    assert mean == pytest.approx(9, abs=1)
    assert contrast == pytest.approx(8, abs=1)
    assert sd < 2
    assert shape_of(np.ones((64, 64), np.float32)) == [0.0] * 7


def test_principal_components_are_those_of_the_correlation() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)) * [1, 10, 100, 1000]
    found = principal(values)
    expected = np.linalg.eigvalsh(np.corrcoef(values.T))[::-1]
    np.testing.assert_allclose((found**2).mean(axis=0), expected)
