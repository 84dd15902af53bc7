"""How far work is: the callbacks that every long step takes, so that one bar can be given to any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, done, total): what is being done, how many units of it are done, and how many there are."""


def untold(stage: str, done: int, total: int) -> None:
    """Tell nobody: an ``OnProgress`` for whoever asked for none."""


OnCount: TypeAlias = Callable[[int, int], None]
"""Called with (done, total), where there is one stage."""
