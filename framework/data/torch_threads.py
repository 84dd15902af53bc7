"""Threads that compute with PyTorch on one core, whatever the others of the process do."""

from __future__ import annotations

import threading

import torch

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
