"""How two configs differ, by dotted key, and which differences leave pixels as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TABLES = re.compile(r"(?:omics|plates\.\d+\.(?:platemap|cells)|sources\.\d+\.tables|markers)(?:\..*)?")
"""What shapes tables alone: omics, plate maps, tables of cells, and which of their measurements are kept."""


def changed_keys(one: Any, other: Any, prefix: str = "") -> list[str]:
    """Return the dotted keys in which two plain configs differ, sorted; lists of other lengths differ as a whole."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        pairs = [(str(key), one.get(key), other.get(key)) for key in {*one, *other}]
    elif _same_length(one, other):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [prefix]
    found = [key for name, a, b in pairs for key in changed_keys(a, b, f"{prefix}.{name}" if prefix else name)]
    return sorted(found)


def _same_length(one: Any, other: Any) -> bool:
    lists = isinstance(one, list | tuple) and isinstance(other, list | tuple)
    return lists and len(one) == len(other)


def of_pixels(keys: Sequence[str]) -> list[str]:
    """Return those of the keys whose change would change pixels, tiles or which of them there are."""
    return [key for key in keys if not _TABLES.fullmatch(key)]


def value_at(plain: Any, key: str) -> Any:
    """Return what stands at a dotted key; None where nothing does."""
    for part in key.split("."):
        if isinstance(plain, Mapping):
            plain = plain.get(part)
        elif isinstance(plain, list | tuple) and part.isdigit() and int(part) < len(plain):
            plain = plain[int(part)]
        else:
            return None
    return plain
