"""The tracker: the table survives restarts, wandb keeps one id and can never stop a run."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import wandb

from framework.errors import RunError
from framework.tracking import Tracker, TrackingConfig, read_metrics

DISABLED = TrackingConfig(wandb="disabled")


def test_a_later_attempt_replaces_the_steps_done_again(tmp_path: Path) -> None:
    first = Tracker.open(tmp_path, DISABLED, True)
    for step in (10, 20, 30):
        first.log(step, {"loss": float(step)})
    second = Tracker.open(tmp_path, DISABLED, True, attempt=1, start=20)
    second.log(25, {"loss": 0.5})
    second.log(25, {"val_loss": 0.25})
    second.close()
    table = read_metrics(tmp_path)
    assert table["step"].tolist() == [10, 20, 25]
    assert table["loss"].tolist() == [10.0, 20.0, 0.5]
    assert table["attempt"].tolist() == [0, 0, 1]
    assert np.isnan(table["val_loss"][0])
    assert table["val_loss"][2] == 0.25


def test_no_metrics_is_an_empty_table_and_no_file_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is .* a run folder"):
        read_metrics(tmp_path)
    Tracker.open(tmp_path, DISABLED, True).close()
    assert read_metrics(tmp_path)["step"].tolist() == []


def test_numbers_that_are_none_become_null(tmp_path: Path) -> None:
    tracker = Tracker.open(tmp_path, DISABLED, True)
    tracker.log(1, {"loss": float("nan"), "lr": 0.1})
    assert '"loss":null,"lr":0.1' in (tmp_path / "metrics.jsonl").read_text()


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    tracker = Tracker.open(tmp_path, TrackingConfig(), False)
    tracker.log(1, {"loss": 1.0})
    tracker.summary({"loss": 1.0})
    tracker.sync()
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_wandb_writes_offline_files_under_one_id(tmp_path: Path) -> None:
    ids = []
    for attempt in range(2):
        tracker = Tracker.open(tmp_path, TrackingConfig(project="p"), True, attempt=attempt, settings={"a": 1})
        tracker.log(attempt + 1, {"loss": 1.0})
        tracker.close()
        ids.append(tracker.wandb_id)
    assert ids[0] == ids[1] == (tmp_path / "wandb-id").read_text().strip()
    assert len(ids[0]) == 12
    # wandb names its folders by the second, so two quick starts may share one; its own process writes a moment later.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        files = list((tmp_path / "wandb").glob("offline-run-*/run-*.wandb"))
        if files and all(file.stat().st_size > 100 for file in files):
            break
        time.sleep(0.05)
    assert {file.name for file in files} == {f"run-{ids[0]}.wandb"}
    assert min(file.stat().st_size for file in files) > 100


def test_wandb_failing_is_said_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def define_metric(self, *args: object, **kwargs: object) -> None: ...

        def log(self, *args: object) -> None:
            raise ConnectionError("no route")

    monkeypatch.setattr(wandb, "init", lambda **kwargs: Broken())
    tracker = Tracker.open(tmp_path, TrackingConfig(), True)
    for step in range(3):
        tracker.log(step, {"loss": 1.0})
    tracker.close()
    assert [m for m in caplog.messages if "wandb" in m] == [
        "wandb failed and is left out from here on: no route; metrics.jsonl is complete"
    ]
    assert read_metrics(tmp_path)["step"].tolist() == [0, 1, 2]


def test_wandb_that_cannot_start_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**kwargs: object) -> None:
        raise wandb.errors.UsageError("no key")

    monkeypatch.setattr(wandb, "init", refuse)
    tracker = Tracker.open(tmp_path, TrackingConfig(wandb="online"), True)
    tracker.log(1, {"loss": 1.0})
    tracker.close()
    assert read_metrics(tmp_path)["loss"].tolist() == [1.0]
