"""Names: those that two files should share, and those that files get.

Of names that should match: how many do, examples of those that do not, and why they may not. Plates, wells and proteins
are called as people like, so the names of their files are made from these.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})")
_BARCODE = re.compile(r"[ACGTN]{12,}")


def _core(name: str) -> str:
    found = _BARCODE.search(name)
    return found[0] if found else name


def plain(name: str) -> str:
    """Return a name without invisible characters, each letter in one form (of the two micro signs and the like)."""
    visible = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Cc"))
    return " ".join(unicodedata.normalize("NFKC", visible).split())


_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in capitals and small letters alike", str.casefold),
    ("without blanks around them", str.strip),
    ("without invisible characters, each letter in one form", plain),
    ("without zeros before numbers", lambda name: re.sub(r"(?<![0-9.])0+(?=[0-9])", "", name)),
    ("without '.0' after whole numbers", lambda name: re.sub(r"(?<=[0-9])\.0+$", "", name)),
    ("without the 'X' that R puts before numbers", lambda name: re.sub(r"^X(?=[0-9])", "", name)),
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


def one_off(left: Sequence[str], right: Sequence[str]) -> str:
    """Return what is said of numbered names that begin one apart and fit better so: each would get its neighbour.

    Args:
        left: distinct names of one side: one beginning and a whole number, as ``7`` or ``cell_7``.
        right: of the other.

    Returns:
        A part of a sentence; empty where names are called otherwise, or fit best as they are.
    """
    numbers, heads = [], set()
    for names in (left, right):
        found = [_NUMBERED.fullmatch(name) for name in names]
        whole = [one for one in found if one is not None]
        if 2 * len(whole) <= len(found):  # a name as Total among numbers says nothing of them
            return ""
        heads |= {one[1] for one in whole}
        numbers.append({int(one[2]) for one in whole})
    mine, theirs = numbers
    if len(heads) > 1 or abs(min(mine) - min(theirs)) != 1:
        return ""
    matched = len(mine & theirs)
    for shift, text in ((-1, "1 less"), (1, "1 more")):
        better = len(mine & {number + shift for number in theirs})
        if better > matched:
            ranges = " and ".join(f"{min(each)} to {max(each)}" for each in numbers)
            return f"numbers seem to be one off ({ranges}): {matched} match, {better} would if the latter were {text}"
    return ""


def near_names(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Return a note for the first names that count as two and differ in case, blanks or invisible characters alone."""
    seen: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        other = seen.setdefault(re.sub(r"[\s_-]+", "", plain(name)).casefold(), name)
        if other != name:
            pairs.append((other, name))
    if not pairs:
        return ()
    one, two = (ascii(name) if plain(pairs[0][0]) == plain(pairs[0][1]) else f"'{name}'" for name in pairs[0])
    more = f", and so it is with {len(pairs) - 1} more" if len(pairs) > 1 else ""
    return (
        f"{what}: {one} and {two} differ in capitals, blanks or invisible characters alone and count as two{more}; "
        "if they are one, write them alike",
    )


_SAID_OF_NOTHING = frozenset(("NA", "N/A", "#N/A", "nan", "NaN", "<NA>", "null", "NULL", "-666"))
"""What programs write for a missing value, where a person seldom means a name."""


def missing_names(names: Iterable[str], what: str, each: str = "row") -> tuple[str, ...]:
    """Return a note where things are called as programs write a missing value; names stay as they are written.

    Args:
        names: the name of each.
        what: where they stand.
        each: what bears such a name.
    """
    counted = Counter(name for name in names if name in _SAID_OF_NOTHING)
    if not counted:
        return ()
    name, count = counted.most_common(1)[0]
    rows = f"1 {each} is" if count == 1 else f"{count} {each}s are"
    return (
        f"{what}: {rows} called '{name}', as programs write a missing value; it counts as a name. If nothing was given "
        "there, leave the cell blank",
    )


def doubtful_names(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the notes of ``near_names`` and ``missing_names``."""
    known = list(names)
    return (*near_names(known, what), *missing_names(known, what))


def left_over(count: int, what: str, example: str) -> str:
    """Return what to add about names without a match: ``; 3 rows have no cell, as x``; empty where ``count`` is 0."""
    return f"; {count} {what}, as {example}" if count else ""


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
