"""``wellstream evaluate``: its named options reach the numbers, in the folder and on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset
from typer.testing import CliRunner

from framework.data.format.schema import BAG, PERTURBATION, SOURCE
from framework.errors import ConfigError, WellstreamError
from framework.evaluate import EvaluateConfig
from framework.run.apply.bag_saliency import BagMaps
from framework.run.apply.saliency import _TILES
from launch.cli import app

CLAIMS = {
    **{
        (command, "data"): "the one the run trained on"
        for command in ("embed", "predict", "inpaint", "saliency", "report", "export")
    },
    **{
        (command, "device"): "the device of the run's config, or the CPU if there is no such device"
        for command in ("embed", "predict", "inpaint", "saliency")
    },
    ("inpaint", "out"): "inpainting in the run",
    ("saliency", "tiles"): f"{_TILES}, or {BagMaps.tiles} per bag",
    **{
        ("evaluate", name): str(EvaluateConfig.model_fields[name].default)
        for name in ("test", "unit", "correction", "alpha", "interval", "ranked")
    },
    ("evaluate", "data"): "the one that the predictions name",
    ("evaluate", "run"): "the run that they name",
    ("evaluate", "out"): "in the run",
    ("evaluate", "kind"): "the only one that takes these files",
    ("report", "evaluation"): "evaluation in the run",
    ("report", "figures"): "figures in the run",
    ("report", "out"): "report.html in the run",
    ("track", "out"): "tracked in the run folder",
    ("track", "name"): "the name of the run folder",
}
"""(command, option) -> what its help says the default is."""


def predictions(folder: Path, seed: int, wells: int = 40, genes: int = 30) -> Path:
    """Predictions of 20 test wells under noise that grows from gene to gene."""
    rng = np.random.default_rng(seed)
    measured = np.random.default_rng(1).normal(50, 3, (wells, genes))
    names = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 11)]
    obs = pd.DataFrame({SOURCE: "P", BAG: names, PERTURBATION: names}, index=names)
    obs["part"] = np.where(rng.permutation(wells) < 20, "test", "train")
    train = measured[(obs["part"] == "train").to_numpy()]
    var = pd.DataFrame({"train_mean": train.mean(0), "train_sd": 1.0}, index=[f"G{gene}" for gene in range(genes)])
    noise = rng.normal(size=measured.shape) * np.linspace(0.5, 4, genes)
    facts = {"kind": "predictions", "target": "rna", "split": {"by": PERTURBATION, "seed": seed}}
    data = anndata.AnnData(measured + noise, obs, var, layers={"measured": measured}, uns={"wellstream": facts})
    data.write_h5ad(folder / f"{seed}.h5ad")
    return folder / f"{seed}.h5ad"


def evaluated(tmp_path: Path, *words: str) -> tuple[str, dict[str, Any]]:
    files = [predictions(tmp_path, seed) for seed in range(4)]
    command = ["evaluate", *map(str, files), "--out", str(tmp_path / "out"), *words]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "120"})
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output, json.loads((tmp_path / "out" / "evaluation.json").read_text())


def test_the_interval_is_the_authors_unless_another_is_named(tmp_path: Path) -> None:
    output, summary = evaluated(tmp_path)
    assert summary["options"]["interval"] == "p_quantiles"
    assert summary["options"]["ranked"] == "significant"
    row = summary["rows"][0]
    assert row["share_low"] < row["share"] < row["share_high"]
    assert f"{row['share']:.1%} [{100 * row['share_low']:.1f}, {100 * row['share_high']:.1f}]" in output
    output, summary = evaluated(tmp_path, "--interval", "split_shares", "--ranked", "all")
    assert summary["options"]["ranked"] == "all"
    ends = f"[{100 * row['split_share_low']:.1f}, {100 * row['split_share_high']:.1f}]"
    assert f"{row['split_share']:.1%} {ends}" in output
    assert "median of the shares of splits" in " ".join(output.split())


@pytest.mark.parametrize("words", [("--interval", "p_quantile"), ("--ranked", "some")])
def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path, words: tuple[str, str]) -> None:
    command = ["evaluate", str(predictions(tmp_path, 0)), "--out", str(tmp_path / "out"), *words]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, ConfigError)
    expected = {"--interval": "p_quantiles, split_shares", "--ranked": "significant, all"}
    assert f"expected one of: {expected[words[0]]}" in str(result.exception)


def test_a_higher_alpha_calls_more_genes_significant(tmp_path: Path) -> None:
    shares = [evaluated(tmp_path, "--alpha", alpha)[1]["rows"][0]["share"] for alpha in ("0.0001", "0.5")]
    assert shares[0] < shares[1]
    command = ["evaluate", str(predictions(tmp_path, 0)), "--out", str(tmp_path / "out"), "--alpha", "5"]
    assert "alpha" in str(CliRunner().invoke(app, command).exception)


def exported(*words: object) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, words)], env={"COLUMNS": "160"})
    if isinstance(result.exception, WellstreamError):
        return str(result.exception)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_export_sees_that_it_got_a_dataset(tmp_path: Path) -> None:
    make_dataset(tmp_path / "data", bags=3)
    said = exported(tmp_path / "data", "--to", "tiff", "-o", tmp_path / "out", "--channels", "B", "per=bag")
    assert "cells       24" in said
    assert "channels    B" in said
    assert sorted(file.name for file in (tmp_path / "out" / "plate1").iterdir()) == [
        "A01.ome.tif", "A02.ome.tif", "A03.ome.tif",
    ]  # fmt: skip


def test_export_says_what_belongs_to_runs_and_what_to_datasets(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", bags=1).root
    out = ("-o", tmp_path / "out")
    said = exported(data, *out)
    assert said == f"{data}: this is a dataset; name a format with --to: h5sc, omezarr, tiff, webdataset"
    assert "--licence and --no-program are for runs" in exported(data, *out, "--to", "tiff", "--licence", "MIT")
    assert "not a dataset, but --to" in exported(tmp_path, *out, "--to", "tiff")
    assert "not a dataset, but --to" in exported(tmp_path, *out, "per=bag")
    assert "did you mean 'tiff'" in exported(data, *out, "--to", "tif")
    assert not (tmp_path / "out").exists()
