"""The commands normalise, aggregate and retrieve, and the calls they stand for."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest
from typer.testing import CliRunner

import wellstream as ws
from framework.errors import ConfigError
from framework.profiles import AggregateConfig, NormaliseConfig, RetrieveConfig
from launch.cli import app
from wellstream.testing.profiles import plates

CLAIMS = {
    ("normalise", "by"): ",".join(NormaliseConfig.model_fields["by"].default),
    ("normalise", "to"): NormaliseConfig.model_fields["to"].default,
    ("normalise", "method"): ",".join(options.name for options in NormaliseConfig().steps),
    ("aggregate", "by"): ",".join(AggregateConfig.model_fields["by"].default),
    **{("aggregate", name): AggregateConfig.model_fields[name].default for name in ("how", "weights")},
    ("retrieve", "treatment"): ",".join(RetrieveConfig.model_fields["treatment"].default),
    **{("retrieve", name): str(RetrieveConfig.model_fields[name].default) for name in ("plate", "to", "how", "seed")},
}
"""(command, option) -> what its help says the default is."""


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result.output


def test_from_wells_to_scores(tmp_path: Path) -> None:
    wells = plates(("p1", "p2", "p3"))
    wells.obs["Metadata_Perturbation"] = [f"t{each % 4}" for each in range(36)]
    wells.write_h5ad(tmp_path / "wells.h5ad")
    chain = ["--method", "z", "--method", "whiten", "steps.1.strength=0.5"]
    said = run("normalise", tmp_path / "wells.h5ad", "--out", tmp_path / "normal.h5ad", *chain)
    assert "z, whiten" in said
    assert "controls  24" in said
    (tmp_path / "chain.yaml").write_text("steps: [z, {name: whiten, strength: 0.5}]\n")
    called = ws.normalise(tmp_path / "wells.h5ad", config=tmp_path / "chain.yaml", to="negcon")
    np.testing.assert_array_equal(anndata.read_h5ad(tmp_path / "normal.h5ad").X, called.data.X)
    said = run(
        "normalise", tmp_path / "wells.h5ad", "--apply-from", tmp_path / "normal.h5ad", "-o", tmp_path / "b.h5ad"
    )
    assert "3 of 3 groups are known" in said
    said = run(
        "aggregate", tmp_path / "normal.h5ad", "--by", "Metadata_Plate", "--how", "mean", "-o", tmp_path / "p.h5ad"
    )
    assert "profiles  3" in said
    said = run("retrieve", tmp_path / "normal.h5ad", "--out", tmp_path / "scores", "permutations=200")
    assert "mAP activity" in said
    assert (tmp_path / "scores" / "treatments.csv").is_file()


@pytest.mark.parametrize("words", [["normalise"], ["aggregate"], ["align"], ["normalise", "other", "--apply-from"]])
def test_an_input_is_not_replaced(tmp_path: Path, words: list[str]) -> None:
    wells = tmp_path / "wells.h5ad"
    plates(("p1", "p2")).write_h5ad(wells)
    plates(("p1", "p2")).write_h5ad(tmp_path / "other.h5ad")
    before = wells.read_bytes()
    typed = [str(tmp_path / "other.h5ad") if word == "other" else word for word in words]
    result = CliRunner().invoke(app, [*typed, str(wells), "--out", str(tmp_path / "." / "wells.h5ad")])
    assert isinstance(result.exception, ConfigError)
    assert "wells.h5ad: is read by this command" in str(result.exception)
    assert wells.read_bytes() == before


def test_a_fit_that_is_applied_takes_no_other_methods(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="steps: with apply_from, methods and groups come from the fit"):
        ws.normalise(plates(("p1",)), apply_from=tmp_path / "fit.h5ad", steps=["z"])
