"""TensorBoard beside the run folder, a run shown again, and the commit it was made from."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from framework.errors import RunError
from framework.tracking import Tracker, TrackingConfig, commit_of, places, read_metrics, replay, replay_run, tracker
from framework.tracking.places import Guarded


class Kept:
    """A place that remembers."""

    name = "kept"

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.shown: list[tuple[str, int]] = []
        self.code: int | None = None

    def log(self, step: int, values: Any) -> None:
        self.logged.append((step, dict(values)))

    def table(self, name: str, table: pd.DataFrame, step: int) -> None:
        self.shown.append((name, len(table)))

    def figure(self, name: str, file: Path, step: int) -> None:
        self.shown.append((name, step))

    def close(self, exit_code: int) -> None:
        self.code = exit_code


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    place = Kept()
    opened = [Guarded("kept", lambda: place)]
    monkeypatch.setattr(tracker, "open_places", lambda *given, **options: opened)
    monkeypatch.setattr(replay, "open_places", lambda *given, **options: opened)
    return place


def test_a_step_is_sent_once_and_written_down_as_often_as_it_was_made(tmp_path: Path, kept: Kept) -> None:
    for attempt, (start, steps) in enumerate([(0, (1, 2, 3)), (1, (2, 3, 4))]):
        made = Tracker.open(tmp_path, TrackingConfig(), True, attempt=attempt, start=start)
        for step in steps:
            made.log(step, {"loss": float(step)})
        made.close()
    assert [step for step, _ in kept.logged] == [1, 2, 3, 4]
    assert read_metrics(tmp_path)["attempt"].tolist() == [0, 1, 1, 1]


def test_a_run_is_shown_again_as_its_last_attempts_made_it(tmp_path: Path, kept: Kept) -> None:
    run = tmp_path / "run"
    for attempt, (start, values) in enumerate([(0, {1: 0.5, 2: 0.4}), (1, {2: 0.3})]):
        made = Tracker.open(run, TrackingConfig(wandb="disabled"), True, attempt=attempt, start=start)
        for step, loss in values.items():
            made.log(step, {"loss": loss})
        made.log(2, {"val_loss": float("nan")})
        made.close()
    kept.logged.clear()
    (run / "evaluation").mkdir()
    (run / "figures").mkdir()
    pd.DataFrame({"gene": ["A", "B"]}).to_parquet(run / "evaluation" / "per_gene.parquet")
    pd.DataFrame({"x": np.arange(10_001)}).to_parquet(run / "evaluation" / "long.parquet")
    (run / "figures" / "violin.png").write_bytes(b"png")
    summary = replay_run(run, tmp_path / "out", TrackingConfig(), {"a": 1})
    assert kept.logged == [(1, {"loss": 0.5, "attempt": 0}), (2, {"loss": 0.3, "attempt": 1})]
    assert kept.shown == [("evaluation/per_gene", 2), ("figures/violin", 2)]
    assert kept.code == 0
    assert (summary.steps, summary.tables, summary.figures) == (2, ("evaluation/per_gene",), ("figures/violin",))
    assert summary.left_out == ("evaluation/long",)
    with pytest.raises(RunError, match="nowhere to send the run to"):
        replay_run(run, tmp_path / "out", TrackingConfig(wandb="disabled"), {})


def test_a_place_that_fails_is_left_out_of_training_and_is_an_error_where_it_is_what_was_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(place: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Guarded("kept", Kept).do(full)
    assert "kept failed and is left out from here on" in caplog.text
    with pytest.raises(RunError, match=r"kept failed, so it holds only a part of the run: .*[Nn]o space left"):
        Guarded("kept", Kept, needed=True).do(full)
    with pytest.raises(RunError, match="kept failed"):
        Guarded("kept", lambda: full(None), needed=True)  # type: ignore[arg-type, return-value]


class Full(types.ModuleType):
    """Stands for torch.utils.tensorboard on a disk that takes the file and nothing of what is in it."""

    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            Path(log_dir).mkdir(parents=True)
            (Path(log_dir) / "events").touch()

        def add_text(self, *given: object) -> None:
            """The thread that writes does not answer."""

        add_scalar = add_text

        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            """Says nothing of what is not written."""


def test_a_full_disk_under_tensorboard_is_named_at_the_end_at_the_latest_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Full("torch.utils.tensorboard"))
    made = Tracker.open(tmp_path / "run", TrackingConfig(wandb="disabled"), True)
    made.log(1, {"loss": 0.5})
    made.close()
    out = tmp_path / "out"
    full = rf"tensorboard failed, .* a part of the run: {out}/tensorboard: no space left on device; make room"
    with pytest.raises(RunError, match=full):
        replay_run(tmp_path / "run", out, TrackingConfig(wandb="disabled", tensorboard=True), {})
    assert not out.exists()
    (out / "tensorboard-2").mkdir(parents=True)
    (out / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="no space left on device"):
        replay_run(tmp_path / "run", out, TrackingConfig(wandb="disabled", tensorboard=True), {})
    assert {path.name for path in out.iterdir()} == {"tensorboard-2", "mine.txt"}


def test_what_a_thread_of_tensorboard_meets_is_not_printed_by_it(capfd: pytest.CaptureFixture[str]) -> None:
    kind = type("Writer", (threading.Thread,), {"__module__": "tensorboard.writer", "run": lambda self: 1 / 0})
    with mock.patch.object(threading, "excepthook", threading.__excepthook__):
        for _ in range(2):
            places._hush_writers()
        for thread in (kind(), threading.Thread(target=lambda: [][0])):
            thread.start()
            thread.join()
    said = capfd.readouterr().err
    assert "ZeroDivisionError" not in said
    assert "IndexError" in said


def test_tensorboard_that_is_not_installed_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RunError, match=r"tracking\.tensorboard: the package tensorboard is not installed; .*pip"):
        Tracker.open(tmp_path, TrackingConfig(wandb="disabled", tensorboard=True), True)


def test_tensorboard_shows_curves_tables_and_figures_of_all_attempts(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    image = pytest.importorskip("matplotlib.image")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    picture = tmp_path / "p.png"
    image.imsave(picture, np.zeros((4, 5, 3)))
    config = TrackingConfig(wandb="disabled", tensorboard=True)
    for attempt, (start, steps) in enumerate([(0, (1, 2)), (1, (2, 3))]):
        made = Tracker.open(tmp_path, config, True, attempt=attempt, start=start, settings={"seed": 5})
        for step in steps:
            made.log(step, {"loss": 1.0 / step, "note": "text"})
        made.table("split", pd.DataFrame({"part": ["train"]}), step=step)
        made._do(lambda place: place.figure("p", picture, 3))
        made.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [
        (step, pytest.approx(1.0 / step)) for step in (1, 2, 3)
    ]
    assert events.Tags()["images"] == ["p"]
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert '"seed": 5' in text


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_the_commit_is_read_as_git_says_it(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    repository = tmp_path / "r"
    repository.mkdir()
    git(repository, "init")
    assert commit_of(repository) is None
    git(repository, "commit", "--allow-empty", "-m", "one")
    first = git(repository, "rev-parse", "HEAD").strip()
    (repository / "sub").mkdir()
    assert commit_of(repository / "sub") == first
    git(repository, "pack-refs", "--all")
    assert commit_of(repository) == first
    git(repository, "worktree", "add", "-b", "other", str(tmp_path / "w"))
    git(tmp_path / "w", "commit", "--allow-empty", "-m", "two")
    assert commit_of(tmp_path / "w") == git(tmp_path / "w", "rev-parse", "HEAD").strip() != first
    git(repository, "checkout", "--detach")
    assert commit_of(repository) == first
    (repository / ".git" / "HEAD").write_text("ref: ../../secret\n")
    assert commit_of(repository) is None
