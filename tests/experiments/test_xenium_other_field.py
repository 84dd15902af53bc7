"""Trained on three strips of one field, asked about another: its own cells, its own genes, in an order of their own."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from data_tools.pipeline import ingest, load_ingest_config
from framework.data.dataset import Dataset
from framework.evaluate import evaluate
from framework.objectives import CellExpression
from framework.objectives.cell_expression import log_share
from framework.run import fit, load_run_config, open_run, predict

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "xenium_breast"
EDGE = 96
SMALL = ["sources.0.reader.crop_px=32", "tiles.size_px=32", "sources.0.reader.whole_px=16"]
COUNTS = {"ESR1": 14, "KRT5": 9, "ACTA2": 7, "CD3E": 5}
"""Gene -> mean transcripts per cell of the first field."""
KNOWN_COUNTS = {"KRT5": [1, 2, 3, 4, 5, 6], "ESR1": [6, 1, 5, 2, 4, 3], "ACTA2": [0, 1, 0, 1, 0, 1]}
"""Gene -> counts of cells c000 to c005, which somebody else holds."""


def a_field(folder: Path, genes: dict[str, int], cells: int, seed: int, width: int) -> list[str]:
    """Write image and table of a field, cells on a grid; return the words that name them to an ingest."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    tifffile.imwrite(folder / "dapi.tif", random.integers(100, 3000, (EDGE, width), dtype=np.uint16))
    rows = []
    for cell in range(cells):
        x, y = 20 + (cell * 17) % (width - 40), 20 + (cell * 29) % (EDGE - 40)
        for gene, mean in genes.items():
            rows += [(f"c{cell:03d}", gene, x, y, 1, 40)] * int(random.poisson(mean))
    names = ["cell_id", "feature_name", "x_px", "y_px", "overlaps_nucleus", "qv"]
    table = pd.DataFrame(rows, columns=names)
    table.sample(frac=1, random_state=seed).to_csv(folder / "transcripts.csv.gz", index=False)
    reader = "sources.0.reader."
    return [f"{reader}images.DAPI={folder}/dapi.tif", f"{reader}table={folder}/transcripts.csv.gz", *SMALL]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three strips, and another field, whose table has one gene more and one less."""
    root = tmp_path_factory.mktemp("fields")
    first = a_field(root / "first", COUNTS, 36, 0, 300)
    ingest(
        load_ingest_config(EXPERIMENT / "ingest.yaml", [*first, "sources.0.reader.blocks.x_px=100"]),
        root / "data",
        workers=0,
    )
    other = a_field(root / "second", {"ZNF1": 6, "KRT5": 20, "ESR1": 15, "ACTA2": 4}, 11, 1, 120)
    ingest(load_ingest_config(EXPERIMENT / "ingest.yaml", other), root / "other", workers=0)
    settings = [
        f"run_dir={root}/run",
        f"data.path={root}/data",
        'split={by: Metadata_Block, train: ["0", "1", "2"], test: []}',
        "train.steps=3",
        "train.save_every=3",
        "plan.tiles=8",
        "objective.min_cells=1",
        "objective.backbone={name: filter_bank, octaves: 1, seen_px: 16, rings_px: [0, 4, 8], dense: [8]}",
    ]
    fit(load_run_config(EXPERIMENT / "train.yaml", settings))
    return root


def test_cells_and_genes_come_in_order(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    predict(root / "run", root / "other", root / "out.h5ad", part="all")
    found = anndata.read_h5ad(root / "out.h5ad")
    assert list(found.var_names) == sorted(COUNTS)
    other = Dataset.open(root / "other")
    cells = other.tile_table()["Metadata_Cell"].tolist()
    assert found.obs["Metadata_Cell"].tolist() == cells
    assert sorted(cells) == [f"c{cell:03d}" for cell in range(11)]
    # The measured values of each cell, counted anew from its transcripts.
    table = pd.read_csv(root / "second" / "transcripts.csv.gz")
    counted = table.groupby(["cell_id", "feature_name"]).size().unstack(fill_value=0).loc[cells]
    shares = log_share(counted.to_numpy(np.float64), counted.sum(axis=1).to_numpy(np.float64))
    expected = pd.DataFrame(shares, index=cells, columns=counted.columns)
    for gene in ("ESR1", "KRT5", "ACTA2"):
        np.testing.assert_allclose(found[:, gene].layers["measured"].ravel(), expected[gene].to_numpy(), rtol=1e-5)
    assert np.isnan(found[:, "CD3E"].layers["measured"]).all()
    assert (
        "1 of the 4 genes of the run are not markers of it, so they are predicted and not compared: CD3E" in caplog.text
    )


def test_predictions_are_those_of_the_network(root: Path) -> None:
    """Each row by hand: pixels of the image around the cell, scaled as in training, through the network."""
    predict(root / "run", root / "other", root / "again.h5ad", part="all")
    found = anndata.read_h5ad(root / "again.h5ad")
    opened = open_run(root / "run")
    objective = opened.objective
    assert isinstance(objective, CellExpression)
    image = np.pad(tifffile.imread(root / "second" / "dapi.tif"), 32, mode="reflect")
    scale = opened.scale
    for row, (y, x) in enumerate(Dataset.open(root / "other").tile_table()[["y_px", "x_px"]].to_numpy(int)):
        tile = np.log1p(image[y + 16 : y + 48, x + 16 : x + 48].astype(np.float32))
        pixels = torch.from_numpy((tile - scale.mean[0]) / scale.sd[0])[None, None].float()
        with torch.no_grad():
            scores = objective.head(torch.relu(objective.embed_tiles(pixels)))
        expected = scores * objective.sd + objective.mean
        np.testing.assert_allclose(found.X[row], expected[0].numpy(), rtol=1e-4, atol=1e-5)
    assert found.X.std(axis=0).min() > 0


def test_a_field_that_was_only_imaged(root: Path) -> None:
    """A table of cells without any gene of the run: all is predicted, nothing is compared."""
    words = a_field(root / "third", {"OTHER": 40}, 5, 2, 120)
    ingest(load_ingest_config(EXPERIMENT / "ingest.yaml", words), root / "imaged", workers=0)
    predict(root / "run", root / "imaged", root / "imaged.h5ad", part="all")
    found = anndata.read_h5ad(root / "imaged.h5ad")
    assert found.shape == (5, 4)
    assert np.isfinite(found.X).all()
    assert np.isnan(found.layers["measured"]).all()


def test_a_strip_without_any_counts(root: Path) -> None:
    """Image and centres of cells alone, as of a strip whose counts somebody else holds; a run folder that was moved."""
    words = a_field(root / "fourth", {"OTHER": 40}, 6, 3, 120)
    table = pd.read_csv(root / "fourth" / "transcripts.csv.gz")
    centres = table.groupby("cell_id")[["x_px", "y_px"]].median().reset_index()
    centres.to_csv(root / "fourth" / "cells.csv", index=False)
    words[1] = f"sources.0.reader.table={root}/fourth/cells.csv"
    words += ["sources.0.reader.rows=cells", "markers={}"]
    ingest(load_ingest_config(EXPERIMENT / "ingest.yaml", words), root / "strip", workers=0)
    moved = root / "moved"
    shutil.copytree(root / "run", moved)
    predict(moved, root / "strip", root / "strip.h5ad", part="all")
    found = anndata.read_h5ad(root / "strip.h5ad")
    assert found.obs["Metadata_Cell"].tolist() == Dataset.open(root / "strip").tile_table()["Metadata_Cell"].tolist()
    assert sorted(found.obs["Metadata_Cell"]) == [f"c{cell:03d}" for cell in range(6)]
    assert list(found.var_names) == sorted(COUNTS)
    assert np.isnan(found.layers["measured"]).all()
    # Whoever holds the counts scores the file as docs/spatial.md says: gene by gene, the right cell beside each row.
    counts = table.groupby(["cell_id", "feature_name"]).size().unstack(fill_value=0).assign(**KNOWN_COUNTS)
    counts.to_csv(root / "fourth" / "counts.csv")
    page = (EXPERIMENT.parents[1] / "docs" / "spatial.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    for name, file in {"expression.h5ad": "strip.h5ad", "counts.csv": "fourth/counts.csv"}.items():
        code = code.replace(f'"{name}"', repr(str(root / file)))
    exec(code.replace('"scored.h5ad"', repr(str(root / "scored.h5ad"))), {})  # noqa: S102 - the code of our page
    scored = anndata.read_h5ad(root / "scored.h5ad")
    expected = np.log1p(100 * 6 / (counts.loc["c005"].sum()))
    assert scored[scored.obs["Metadata_Cell"] == "c005", "KRT5"].layers["measured"].item() == pytest.approx(expected)
    assert np.isnan(scored[:, "CD3E"].layers["measured"]).all()
    evaluation = evaluate([root / "scored.h5ad"], out=root / "scores")
    rows = evaluation.tables["per_marker"].set_index("marker")
    x, y = (scored[:, "KRT5"].layers["measured"].ravel(), np.asarray(scored[:, "KRT5"].X).ravel())
    assert rows.loc["KRT5", "r"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-5)
    # The same cells, listed with a table of transcripts, are predicted to the last bit.
    counted = a_field(root / "fifth", {"OTHER": 40}, 6, 3, 120)
    ingest(load_ingest_config(EXPERIMENT / "ingest.yaml", counted), root / "counted", workers=0)
    predict(root / "run", root / "counted", root / "counted.h5ad", part="all")
    np.testing.assert_array_equal(found.X, anndata.read_h5ad(root / "counted.h5ad").X)
