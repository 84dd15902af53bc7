"""What a rank leaves behind when it is stopped."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from framework.exit_codes import Terminated
from launch.rank import carried_out


class _Open:
    """Something open that only a cycle of references still holds, as a table that a signal cut short."""

    def __init__(self, closed: list[str]) -> None:
        self.itself = self
        self._closed = closed

    def __del__(self) -> None:
        self._closed.append("closed")


@pytest.mark.parametrize(("error", "code"), [(Terminated, 143), (KeyboardInterrupt, 130), (None, 0)])
def test_what_a_signal_cuts_short_is_closed_before_python_ends(error: Any, code: int) -> None:
    closed: list[str] = []

    def work() -> None:
        table = _Open(closed)
        if error is not None:
            raise error()
        assert table.itself is table

    gc.disable()  # only what is asked for collects
    try:
        assert carried_out(work, terminated=143, again="to start anew") == code
    finally:
        gc.enable()
    assert closed == ["closed"]
