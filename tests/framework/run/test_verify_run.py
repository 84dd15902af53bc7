"""``wellstream verify RUN``: what it proves, and that it sees records missing, repeated and altered."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fixtures.tiny_run import TRIPLET, config, tiny_data

from framework.errors import RunError
from framework.run import fit, verify_run

Lines = list[dict[str, object]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 steps."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("verify")
    tiny_data(folder / "data")
    return fit(config(TRIPLET, run=folder / "run", data=folder / "data"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def records(lines: Lines) -> list[int]:
    """Positions of the lines that record a step."""
    return [position for position, line in enumerate(lines) if "digest" in line]


def edit(run: Path, change: Callable[[Lines], None]) -> None:
    file = run / "audit" / "rank-00000.jsonl"
    lines = [json.loads(text) for text in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def drop(lines: Lines) -> None:
    del lines[records(lines)[5]]


def repeat(lines: Lines) -> None:
    lines.insert(records(lines)[5], dict(lines[records(lines)[5]]))


def alter(lines: Lines) -> None:
    line = lines[records(lines)[5]]
    line["digest"] = lines[records(lines)[6]]["digest"]


def lose_a_row(lines: Lines) -> None:
    line = lines[records(lines)[5]]
    line["rows"] = int(str(line["rows"])) - 1


def test_a_finished_run_is_proved(run: Path) -> None:
    sentences = verify_run(run).sentences
    assert "each of the 12 steps behind step-00000012 was consumed exactly as planned" in sentences[0]
    assert "exactly once" in sentences[-1]


@pytest.mark.parametrize("change", [drop, repeat, alter, lose_a_row])
def test_a_record_that_is_not_the_plans_is_named_by_its_step(run: Path, change: Callable[[Lines], None]) -> None:
    edit(run, change)
    with pytest.raises(RunError, match=r"step 5 \(attempt 0\)"):
        verify_run(run)


def test_another_seed_in_the_config_is_noticed(run: Path) -> None:
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("\n  seed: 0\n  precision", "\n  seed: 1\n  precision"))
    assert "seed: 1" in file.read_text()
    with pytest.raises(RunError, match="12 step"):
        verify_run(run)
