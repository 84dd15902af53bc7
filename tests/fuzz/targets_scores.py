"""Targets: features, predictions, evaluations, embeddings, weights of others, and the report that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from fixtures.report_world import make_world
from fuzz.target import Target, of_files
from safetensors.torch import save_file

from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL
from framework.evaluate import read_evaluation
from framework.evaluate.predictions import open_predictions
from framework.features.table import open_features
from framework.models.imagenet import ImageNetTrunk
from framework.models.resnet import ResNet18Trunk
from framework.report import write_report
from framework.report.page_inputs import read_embeddings

_DRUGS = ("drugA", "drugB")


def _features(folder: Path) -> None:
    table = pd.DataFrame({"Metadata_Cell": [f"c{row}" for row in range(10)], "Metadata_Drug": [*_DRUGS] * 5})
    table["f1"], table["f2"] = np.arange(10) * 0.25, np.arange(10) * 2.0
    table.to_csv(folder / "features.csv", index=False)
    obs = table[["Metadata_Drug"]].set_axis(table["Metadata_Cell"])
    values = table[["f1", "f2"]].to_numpy(dtype=np.float32)
    anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=["f1", "f2"])).write_h5ad(folder / "features.h5ad")


def _read_features(file: str) -> Any:
    def read(folder: Path) -> Any:
        return [
            {"cells": one.cells, "names": one.columns, "values": one.values} for one in open_features(folder / file)
        ]

    return read


def _predictions(folder: Path) -> None:
    obs = pd.DataFrame({PLATE: "P1", WELL: [f"A{row + 1:02d}" for row in range(8)], PERTURBATION: [*_DRUGS] * 4})
    obs = obs.assign(part="test", bag=range(8), **{STIMULATION: "lps", CONTROL_TYPE: "treatment"})
    obs.index = obs.index.astype(str)
    values = np.random.default_rng(1).poisson(50, (8, 6)).astype(np.float32)
    data = anndata.AnnData(
        X=values + 1,
        obs=obs,
        var=pd.DataFrame({"train_mean": values.mean(0)}, index=[f"GENE{number:02d}" for number in range(6)]),
    )
    data.layers["measured"] = values
    data.uns["wellstream"] = {"kind": "predictions", "level": "bag", "target": "rna"}
    data.write_h5ad(folder / "predictions.h5ad")


def _read_predictions(folder: Path) -> Any:
    read = open_predictions(folder / "predictions.h5ad")
    return {"predicted": read.predicted, "measured": read.measured, "rows": read.rows.astype(str)}


_EVALUATED = ("evaluation.json", "per_gene.parquet", "per_split.parquet", "per_well.parquet")


def _world(folder: Path) -> None:
    make_world(folder, bags=12, genes=8)


def _reported(folder: Path) -> Any:
    write_report(
        folder / "run",
        dataset=folder / "tiny",
        evaluation=folder / "omics",
        embeddings=folder / "embeddings.h5ad",
        out=folder / "page.html",
    )
    return "written"


def _evaluated(folder: Path) -> Any:
    found = read_evaluation(folder / "omics")
    return {"summary": dict(found.summary), "tables": dict(found.tables)}


def _embeddings(folder: Path) -> Any:
    data = read_embeddings(folder / "embeddings.h5ad")
    return {"x": np.asarray(data.X), "rows": data.obs.astype(str)}


def _weights(folder: Path) -> None:
    torch.manual_seed(0)
    found = {name: value.clone() for name, value in ResNet18Trunk(3, 64).state_dict().items()}
    save_file(found, folder / "net.safetensors")
    torch.save(found, folder / "net.pt")


def _loaded(file: str) -> Any:
    def read(folder: Path) -> Any:
        return ImageNetTrunk.load(folder / file).network.state_dict()["conv1.weight"].numpy()

    return read


_REPORT = ("report", "{folder}/run", "--data", "{folder}/tiny", "--evaluation", "{folder}/omics")

TARGETS: list[Target] = [
    *of_files(
        "features",
        _features,
        ("features.csv",),
        _read_features("features.csv"),
        table=True,
        names=_DRUGS,
        refuses=("row_twice", "transposed", "infinite", "word_among_numbers", "missing_number"),
    ),
    *of_files("features", _features, ("features.h5ad",), _read_features("features.h5ad")),
    *of_files(
        "predictions",
        _predictions,
        ("predictions.h5ad",),
        _read_predictions,
        command=("evaluate", "{folder}/predictions.h5ad", "--out", "{folder}/scores"),
    ),
    *of_files("evaluation", _world, tuple(f"omics/{name}" for name in _EVALUATED), _evaluated),
    *of_files("embeddings", _world, ("embeddings.h5ad",), _embeddings),
    *of_files(
        "report",
        _world,
        ("run/config.yaml", "run/metrics.jsonl", "run/summary.json", "tiny/qc/index.json", "tiny/qc/*.png"),
        _reported,
        needed=False,
        costly=True,
        command=_REPORT,
    ),
    *of_files("report", _world, ("omics/evaluation.json", "embeddings.h5ad"), _reported, costly=True),
    *of_files("weights", _weights, ("net.safetensors",), _loaded("net.safetensors")),
    *of_files("weights", _weights, ("net.pt",), _loaded("net.pt")),
]
