"""Ranks that share ``embed``, ``predict`` and ``inpaint``: the files of one, two and three are the same bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fixtures.ranks import run_ranks
from fixtures.shared_work import write_all
from fixtures.tiny_run import FORMS, brief_runs, tiny_data

from framework.objectives import OBJECTIVES
from framework.run.apply.sharing import write_beside


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a run of each objective, and what one rank writes, in ``1``."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sharing")
    tiny_data(folder / "data")
    brief_runs(folder, *FORMS)
    run_ranks(write_all, 1, folder / "ranks", [str(folder / name) for name in FORMS], str(folder / "1"))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_every_objective_takes_part() -> None:
    own = {name for name in OBJECTIVES.names() if OBJECTIVES.get(name).build.__module__.startswith("framework.")}
    assert set(FORMS) == own


@pytest.mark.distributed
@pytest.mark.parametrize("world", [2, 3])
def test_the_files_do_not_depend_on_the_number_of_ranks(root: Path, tmp_path: Path, world: int) -> None:
    names = [str(root / name) for name in FORMS]
    said = run_ranks(write_all, world, tmp_path / "ranks", names, str(tmp_path / "shared"))
    alone, shared = files(root / "1"), files(tmp_path / "shared")
    assert len(alone) > 40
    assert sorted(shared) == sorted(alone)
    assert [name for name in alone if shared[name] != alone[name]] == []
    assert said == [torch.load(root / "ranks" / "rank0.pt", weights_only=True)] * world


def test_a_block_is_written_while_the_next_is_made() -> None:
    made, written = threading.Event(), []

    def blocks() -> Iterator[int]:
        yield 0
        made.set()
        yield 1
        yield 2

    def write(block: int) -> None:
        assert made.wait(60)
        written.append((block, threading.current_thread() is threading.main_thread()))

    write_beside(blocks(), write)
    assert written == [(0, False), (1, False), (2, False)]


def test_a_block_that_cannot_be_written_ends_the_walk() -> None:
    asked = []

    def blocks() -> Iterator[int]:
        for block in range(9):
            asked.append(block)
            yield block

    def write(block: int) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        write_beside(blocks(), write)
    assert asked == [0, 1]
