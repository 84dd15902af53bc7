"""Runs from Python: what a call returns is what its file holds."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from fixtures.tiny_run import MARKERS, config, tiny_data
from fixtures.wandb_file import read_offline
from typer.testing import CliRunner

import wellstream as ws
from framework.errors import RunError
from framework.files.h5ad import read_h5ad
from launch.cli import app


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ws.Run:
    folder = tmp_path_factory.mktemp("runs")
    tiny_data(folder / "data")
    return ws.fit(config(MARKERS, "train.steps=2", run=folder / "run", data=folder / "data"))


def test_embeddings_and_predictions_are_those_of_the_files(run: ws.Run, tmp_path: Path) -> None:
    written = run.write_embeddings(tmp_path / "e.h5ad")
    assert (written.file, written.level, written.step) == (tmp_path / "e.h5ad", "tile", 2)
    embedded = run.embed()
    assert embedded.shape == (written.rows, written.columns)
    assert np.array_equal(embedded.X, read_h5ad(written.file).X)
    predicted = run.predict(part="all")
    written = run.write_predictions(tmp_path / "p.h5ad", part="all")
    assert written.files == (tmp_path / "p.h5ad",)
    assert np.array_equal(predicted.X, read_h5ad(written.files[0]).X)
    assert list(predicted.var_names) == ["m1", "m2"]
    kept = run.predict(tmp_path / "q.h5ad", part="all")
    assert np.array_equal(kept.X, predicted.X)


def test_a_run_is_shown_again_in_wandb(run: ws.Run, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["track", str(run.folder), "--out", str(tmp_path / "shown"), "--name", "again"])
    assert done.exit_code == 0, done.output
    files = list((tmp_path / "shown" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 1
    deadline = time.monotonic() + 30
    while not (found := read_offline(files[0]))["is_ended"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [row["step"] for row in found["history"] if "loss" in row] == run.metrics["step"].tolist() == [2]
    data = run.opened.folder.objective_facts()
    assert found["config"]["lineage"]["dataset_digest"] == data.dataset_digest
    assert found["config"]["objective"]["name"] == "marker_regression"
    with pytest.raises(RunError, match="nowhere to send the run to"):
        ws.track(run.folder, tmp_path / "none", wandb="disabled")


def test_what_comes_after_reads_the_dataset_that_is_named(run: ws.Run) -> None:
    scored = ws.evaluate(run.predict(part="all"), resamples=100)
    assert "Markers of single cells" in repr(scored)
    assert all(row["r_linear"] is not None for row in scored.summary["rows"])
    shown = repr(run.saliency(run.folder / "s.npz", tiles=2)).splitlines()
    assert shown[2:] == ["  tiles    2", "  outputs  m1, m2", "  step     2", "  method   guided"]
    with pytest.raises(RunError, match="does not inpaint"):
        run.inpaint()
