"""Freed memory that a process finds again, counted in pages that the system had to hand out."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

_WORK = """
import resource
import sys
import numpy as np
from framework.allocator import keep_freed_memory

exec(sys.argv[1])
def work():
    np.ones(int(sys.argv[2]) << 20, np.uint8)
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
_PAGES_PER_MB = (1 << 20) // 4096


def _pages(call: str, megabytes: int) -> int:
    """Return how many pages ten uses of a block of memory took, after a first one."""
    command = [sys.executable, "-c", _WORK, call, str(megabytes)]
    # numpy would ask for pages of 2 MB, where the system has them.
    env = {**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0"}
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="a C library without mallopt")
@pytest.mark.parametrize(
    ("call", "megabytes", "is_kept"),
    [
        ("", 96, False),
        ("keep_freed_memory()", 96, True),
        ("keep_freed_memory(1 << 29)", 96, False),  # larger than a block that may be kept
        ("keep_freed_memory(1 << 29)", 24, True),
    ],
)
def test_what_is_kept_costs_no_pages(call: str, megabytes: int, is_kept: bool) -> None:
    pages, handed_out_each_time = _pages(call, megabytes), 10 * megabytes * _PAGES_PER_MB
    if is_kept:
        assert pages < handed_out_each_time / 20
    else:
        assert pages > handed_out_each_time / 20
