"""The tracker: the table survives restarts, wandb keeps one id and can never stop a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb
from fixtures.wandb_file import read_offline

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
    tracker.table("split", pd.DataFrame({"a": [1]}), 0)
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


def test_the_offline_file_holds_config_curves_and_tables_under_steps_that_only_grow(tmp_path: Path) -> None:
    """A restart goes back from step 30 to its checkpoint at 20: what was sent is not sent again."""
    settings = {"lineage": {"dataset_digest": "d" * 64, "git_commit": "c" * 40}, "train": {"steps": 40}}
    found: list[dict[str, Any]] = []
    for attempt, (start, steps) in enumerate([(0, (10, 20, 30)), (20, (30, 40))]):
        tracker = Tracker.open(tmp_path, TrackingConfig(), True, attempt=attempt, start=start, settings=settings)
        if not attempt:
            tracker.table("split", pd.DataFrame({"part": ["train"], "bags": [7]}), step=0)
        for step in steps:
            tracker.log(step, {"loss": 1.0 / step})
            tracker.log(step, {"val_loss": 2.0 / step})
        tracker.close()
        found.append(settled(tmp_path))
    first, last = found[0], found[-1]
    assert first["ids"] == last["ids"] == {tracker.wandb_id}
    for config in last["configs"]:
        assert {key: config[key] for key in settings} == settings
    rows = last["history"]
    assert [row["_step"] for row in rows if "loss" in row] == [10, 20, 30, 40]
    assert [row["step"] for row in rows if "loss" in row] == [10, 20, 30, 40]
    assert [row["val_loss"] for row in rows if "loss" in row] == [2.0 / step for step in (10, 20, 30, 40)]
    table = next(row for row in rows if "split._type" in row)
    assert (table["split._type"], table["split.nrows"], table["split.ncols"]) == ("table-file", 1, 2)


def settled(run: Path) -> dict[str, Any]:
    """Read all offline files once wandb's own process has written their ends; a part that shares a second joins."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        files = sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))
        read = [read_offline(file) for file in files]
        if read and all(each["is_ended"] for each in read):
            break
        time.sleep(0.05)
    return {
        "ids": {each["id"] for each in read},
        "configs": [each["config"] for each in read],
        "history": [row for each in read for row in each["history"]],
    }


def test_wandb_failing_is_said_once_and_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def define_metric(self, *args: object, **kwargs: object) -> None: ...

        def log(self, *args: object, **kwargs: object) -> None:
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
