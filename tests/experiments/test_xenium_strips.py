"""The table of held-out strips: predictions are put in their places, and baselines have the numbers known of them."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from data_tools.pipeline import ingest, load_ingest_config
from experiments.xenium_breast.strips import NETWORKS, Field, compare
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
def test_rows_of_the_table(out: Path) -> None:
    """Density, position, sum of transcripts as in the reference (.081, .052, .120 on 831 cells of a wider field)."""
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
