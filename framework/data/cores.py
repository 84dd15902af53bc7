"""How many cores a process and its threads may use: ranks of a machine share them, and so do threads of a rank."""

from __future__ import annotations

import os

MOST_DECODERS = 16
"""Threads that unpack tiles for one caller: more fight over memory and Python, and take the cores of others."""


def processes_here() -> int:
    """Return how many ranks of the run share this machine, as its launcher says; 1 without a launcher."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def decoders_per_process() -> int:
    """Return how many threads unpack tiles in this process: its share of the cores, 1 to ``MOST_DECODERS``."""
    return max(1, min(MOST_DECODERS, len(os.sched_getaffinity(0)) // processes_here()))
