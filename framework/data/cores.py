"""How many cores a process and its threads may use: ranks of a machine share them, and so do threads of a rank."""

from __future__ import annotations

import os
import threading

import torch

MOST_DECODERS = 16
"""Threads that unpack tiles for one caller: more fight over memory and Python, and take the cores of others."""
_SETTING = threading.Lock()


def compute_alone() -> None:
    """Let PyTorch compute on one core in this thread, and leave all other threads as they are."""
    with _SETTING:
        usual = torch.get_num_threads()
        torch.set_num_threads(1)
        # That is also what threads begin with that are yet to come; only another thread can set it back.
        restoring = threading.Thread(target=torch.set_num_threads, args=(usual,))
        restoring.start()
        restoring.join()


def processes_here() -> int:
    """Return how many ranks of the run share this machine, as its launcher says; 1 without a launcher."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def decoders_per_process() -> int:
    """Return how many threads unpack tiles in this process: its share of the cores, 1 to ``MOST_DECODERS``."""
    return max(1, min(MOST_DECODERS, len(os.sched_getaffinity(0)) // processes_here()))
