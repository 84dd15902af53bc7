"""Memory that a process keeps when it frees it, so that the next step or the next image finds it there.

The C library gives large blocks (of more than 32 MB at most) back to the system when they are freed. The system hands
new ones out page by page, cleared, and that can take longer than the arithmetic of a layer of a network.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_NEVER = -1
_LARGEST_THRESHOLD = 1 << 25


def keep_freed_memory(most_bytes: int | None = None) -> None:
    """Let this process keep freed memory until it ends; nothing where the C library has no such setting.

    Call it once, in a process of our own: never in one that a notebook or a library may live in.

    Args:
        most_bytes: free bytes to keep at the end of the heap, below 2^31, where no block is larger than 32 MB; None
            keeps all, of any size. Then the process stays at about the most that it ever held at once.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        if most_bytes is None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, _NEVER)
        else:
            mallopt(_M_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
            mallopt(_M_TRIM_THRESHOLD, most_bytes)
