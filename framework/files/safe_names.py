"""Any text as a part of a file name: plates, wells and proteins are called as people like."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def safe_name(text: str) -> str:
    """Return ``text`` as a part of a file name or sample key: letters, digits, ``_`` and ``-``, at most 60 of them."""
    return _UNSAFE.sub("_", text)[:60] or "_"


def safe_names(texts: Sequence[str]) -> dict[str, str]:
    """Return a distinct safe name for each distinct text; the second of two that become alike gets ``-2``."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for text in dict.fromkeys(texts):
        base = name = safe_name(text)
        count = 1
        while name.lower() in taken:  # file systems that ignore case
            count += 1
            name = f"{base}-{count}"
        taken.add(name.lower())
        names[text] = name
    return names
