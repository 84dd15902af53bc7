"""Compiled functions work where the machine code cannot be kept."""

from __future__ import annotations

import numba
import pytest

from framework.compiled import compiled


def total(n: int) -> int:
    found = 0
    for i in range(n):
        found += i
    return found


@pytest.mark.parametrize("kept", [True, False])
def test_a_function_is_compiled_with_or_without_a_folder_to_keep_it(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = numba.njit

    def without_folder(**options: bool) -> object:
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'total': no locator available for file")
        return original(**options)

    if not kept:
        monkeypatch.setattr(numba, "njit", without_folder)
    function = compiled(total)
    assert function(5) == 10
    assert function.nopython_signatures
