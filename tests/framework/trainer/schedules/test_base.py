"""A schedule is one function: written by name alone or with options, and trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from fixtures.own_entries import reopened
from fixtures.tiny_run import TRIPLET, config, tiny_data

from framework.config import to_yaml
from framework.errors import ConfigError
from framework.run import fit, load_run_config
from framework.tracking import read_metrics
from framework.trainer.schedules import SCHEDULES, ScheduleConfig


def test_a_schedule_of_ones_own_sets_the_rate_of_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reopened(monkeypatch, SCHEDULES)

    class HalvedConfig(ScheduleConfig):
        name: Literal["halved"] = "halved"
        every: int = 1

    @SCHEDULES.register("halved", HalvedConfig)
    def halved(options: HalvedConfig, step: int, steps: int) -> float:
        return 0.5 ** (step // options.every)

    tiny_data(tmp_path / "data")
    options = ("optim.schedule={name: halved, every: 2}", "optim.warmup_steps=0", "optim.lr=0.008", "train.log_every=1")
    fit(config(TRIPLET, *options, "train.steps=5", run=tmp_path / "run", data=tmp_path / "data"))
    assert read_metrics(tmp_path / "run")["lr"].tolist() == [0.008, 0.008, 0.004, 0.004, 0.002]
    again = load_run_config(tmp_path / "run" / "config.yaml")
    assert again.optim.schedule == HalvedConfig(every=2)


def test_a_schedule_without_options_is_written_as_its_name(tmp_path: Path) -> None:
    written = to_yaml(config(TRIPLET, "optim.schedule={name: cosine}", run=tmp_path, data=tmp_path))
    assert "  schedule: cosine\n" in written
    assert "  schedule: constant\n" in to_yaml(config(TRIPLET, "optim.schedule=constant", run=tmp_path, data=tmp_path))


def test_a_name_alone_that_needs_a_key_says_which_and_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config(TRIPLET, "optim.schedule=step", run=tmp_path, data=tmp_path)
    assert str(caught.value) == (
        "override 'optim.schedule=step': optim.schedule: missing key 'every'; expected the number of steps after which "
        "the rate falls, >= 1; write {name: step, every: ...}"
    )
