"""Mistakes of newcomers: each is made, and the answer is that of the page, with its exit code and without a traceback.

``WELLSTREAM_WRITE_PAGE=1 python -m pytest tests/mistakes`` writes the page anew; look at the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mistakes.mistake import Mistake
from mistakes.page import GROUPS, MISTAKES, PAGE, answers_of, page
from mistakes.world import answer, commanded, make_world, spoilt

from framework.distributed import failures

WRITING = bool(os.environ.get("WELLSTREAM_WRITE_PAGE"))
_MADE: dict[str, str] = {}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("mistakes") / "world")


@pytest.fixture(scope="module", autouse=True)
def _page() -> Iterator[None]:
    yield
    if WRITING and len(_MADE) == len(MISTAKES):
        PAGE.write_text(page(_MADE))


@pytest.fixture(autouse=True)
def _as_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(failures, "_TOLD", [])  # a process tells of one failure, and here many share one


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.done)
def test_a_mistake_gets_the_answer_of_the_page(
    mistake: Mistake, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    spoilt(mistake, world, tmp_path)
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    code = commanded(mistake.typed)
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    told = answer(mistake, out, err, tmp_path)
    assert told, out + err
    assert code == mistake.code, out + err
    _MADE[mistake.done] = told
    if not WRITING:
        assert told == answers_of(PAGE.read_text()).get(mistake.done)


def test_the_page_shows_these_mistakes_and_no_others() -> None:
    assert len(MISTAKES) >= 45
    assert len({mistake.done for mistake in MISTAKES}) == len(MISTAKES)
    if not WRITING:
        assert PAGE.read_text() == page(answers_of(PAGE.read_text()))
        assert all(f"## {title}\n" in PAGE.read_text() for title in GROUPS)
