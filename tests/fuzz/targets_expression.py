"""Targets: what ``wellstream express`` reads and writes: single cells, markers, maps, the truth, its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from fuzz.target import Target, of_files

from framework.expression import ExpressionConfig, express
from framework.expression.imaged_cells import open_imaged_cells
from framework.expression.shown_maps import shown_maps
from framework.expression.single_cells import open_single_cells
from framework.expression.truth import open_truth
from framework.report import write_expression_report

_CELLS, _IMAGED = 60, 24
_GATES = {"transform": "none", "populations": {"high": {"CD3": {"low": 60.0}}}}
_TABLES = ("per_gene", "summary", "populations", "similarity", "cells", "agreement", "markers", "truth")


def _inputs(folder: Path) -> None:
    random = np.random.default_rng(0)
    markers = random.uniform(0, 100, (_CELLS, 2))
    genes = np.column_stack([markers[:, 0] / 30, markers[:, 1] / 40, random.random(_CELLS)])
    population = pd.Categorical(np.where(markers[:, 0] >= 60, "high", "other"))
    obs = pd.DataFrame({"population": population}, index=[f"c{row}" for row in range(_CELLS)])
    var = pd.DataFrame({"marker_of": ["high", "high", ""]}, index=["A", "B", "noise"])
    data = anndata.AnnData(genes.astype(np.float32), obs, var)
    data.obsm["markers"] = pd.DataFrame(markers, index=data.obs_names, columns=["CD3", "CD8"])
    data.uns["wellstream"] = {"kind": "single_cell"}
    data.write_h5ad(folder / "cells.h5ad")
    _imaged(folder, random)


def _imaged(folder: Path, random: np.random.Generator) -> None:
    measured = random.uniform(0, 100, (_IMAGED, 2))
    names = [f"i{row}" for row in range(_IMAGED)]
    obs = pd.DataFrame({"Metadata_Plate": "p", "Metadata_Well": "A01", "Metadata_Cell": names, "part": "test"})
    obs["tile"] = range(_IMAGED)
    obs.index = obs.index.astype(str)
    var = pd.DataFrame({"train_mean": 1.0, "train_sd": 1.0}, index=["CD3", "CD8"])
    facts = {"wellstream": {"kind": "predictions", "dataset_digest": "d"}}
    data = anndata.AnnData(measured + random.normal(0, 5, measured.shape), obs, var, layers={"measured": measured})
    data.uns |= facts
    data.write_h5ad(folder / "predictions.h5ad")
    true = random.poisson(5, (_IMAGED, 3)).astype(np.float32)
    known = anndata.AnnData(true, pd.DataFrame(index=names), pd.DataFrame(index=["A", "B", "noise"]))
    known.write_h5ad(folder / "truth.h5ad")
    np.savez(
        folder / "maps.npz",
        tile=np.arange(_IMAGED),
        images=random.integers(0, 255, (_IMAGED, 2, 8, 8)).astype(np.uint16),
        maps=random.normal(0, 1, (_IMAGED, 2, 2, 8, 8)).astype(np.float32),
        outputs=np.array(["CD3", "CD8"]),
        channels=np.array(["a", "b"]),
        dataset_digest=np.array("d"),
    )


def _config(folder: Path) -> ExpressionConfig:
    files = {name: str(folder / f"{name}.h5ad") for name in ("cells", "predictions", "truth")}
    images = {"predictions": files["predictions"], "transform": "none", "gates": _GATES}
    images |= {"saliency": str(folder / "maps.npz"), "truth": {"path": files["truth"]}}
    plain = {"single_cell": files["cells"], "markers": ["CD3", "CD8"], "forest": {"trees": 2}, "resamples": 100}
    return ExpressionConfig.from_plain({**plain, "transform": "none", "images": images})


def _done(folder: Path) -> None:
    _inputs(folder)
    express(_config(folder), folder / "out")


def _read_cells(folder: Path) -> Any:
    found = open_single_cells(_config(folder))
    return [found.names, found.expression, found.genes, found.marker_of, np.asarray(found.population), found.scaled]


def _read_imaged(folder: Path) -> Any:
    config = _config(folder)
    assert config.images is not None
    imaged = open_imaged_cells(config.images, config.markers)
    shown = shown_maps(config.images, config.markers, imaged)
    return [imaged.measured, imaged.scaled, np.asarray(imaged.population), shown.images, shown.maps, shown.tile]


def _read_truth(folder: Path) -> Any:
    config = _config(folder)
    assert config.images is not None
    assert config.images.truth is not None
    return open_truth(config.images.truth, open_imaged_cells(config.images, config.markers).rows, ["A", "B", "noise"])


def _expressed(folder: Path) -> Any:
    express(_config(folder), folder / "again")
    return (folder / "again" / "summary.csv").read_text()


def _reported(folder: Path) -> Any:
    write_expression_report(folder / "out")
    return "written"


TARGETS: list[Target] = [
    *of_files("express", _inputs, ("cells.h5ad",), _read_cells),
    *of_files("express", _inputs, ("predictions.h5ad", "maps.npz"), _read_imaged),
    *of_files("express", _inputs, ("truth.h5ad",), _read_truth),
    *of_files("expressed", _inputs, ("cells.h5ad", "predictions.h5ad"), _expressed, costly=True),
    *of_files(
        "expression page",
        _done,
        (*(f"out/{name}.csv" for name in _TABLES), "out/expression.json", "out/config.yaml", "out/saliency.npz"),
        _reported,
        needed=False,
        costly=True,
    ),
]
