"""Names that two files should share: how many do, examples of those that do not, and why they may not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_BARCODE = re.compile(r"[ACGTN]{12,}")


def _core(name: str) -> str:
    found = _BARCODE.search(name)
    return found[0] if found else name


_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in capitals and small letters alike", str.casefold),
    ("without blanks around them", str.strip),
    ("without zeros before numbers", lambda name: re.sub(r"(?<![0-9.])0+(?=[0-9])", "", name)),
    ("without '.0' after whole numbers", lambda name: re.sub(r"(?<=[0-9])\.0+$", "", name)),
    ("with '-' and '.' alike, as R changes one into the other", lambda name: name.replace("-", ".")),
    ("without a number at the end, as '-1'", lambda name: re.sub(r"[-_.][0-9]+$", "", name)),
    ("without what stands before the last '_'", lambda name: name.rpartition("_")[2]),
    ("without what stands before the last ':'", lambda name: name.rpartition(":")[2]),
    ("without file folders", lambda name: re.split(r"[/\\]", name)[-1]),
    ("without the ending of a file name", lambda name: re.sub(r"\.[A-Za-z0-9]{1,5}$", "", name)),
    ("by their DNA barcode alone", _core),
)
"""How names of one thing are written in two ways, the commonest first."""


def why_unmatched(left: Sequence[str], right: Sequence[str]) -> str:
    """Return how names would match if they were written alike: ``; without a number at the end ... 40 would match``.

    Args:
        left: distinct names of one side.
        right: of the other.

    Returns:
        What to add to a message; empty where no way is known by which more names would match, each with one other.
    """
    best, most = "", len(set(left) & set(right))
    for text, changed in _WAYS:
        mine, theirs = ([changed(name) for name in names] for names in (left, right))
        matched = len(set(mine) & set(theirs))
        if matched > most and len(set(mine)) == len(set(left)) and len(set(theirs)) == len(set(right)):
            best, most = f"; {text} {matched} would match: write the names alike in both", matched
    return best


def left_over(count: int, what: str, example: str) -> str:
    """Return what to add about names without a match: ``; 3 rows have no cell, as x``; empty where ``count`` is 0."""
    return f"; {count} {what}, as {example}" if count else ""
