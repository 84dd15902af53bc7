"""A regular expression for file names whose parts tell well, site and channel apart, found from the names themselves.

Names are cut at ``_ - . /`` into parts. A part that is a well (or a letter followed by a number) in every name is
the well; of several the one that is not written like a site (``s1``, ``P1``), and of those the one that differs between
names. Of the others only those that differ say anything: text is the channel, a number is the site. A part that says
the same as another (``1`` beside ``DAPI``) is passed over. Where two readings remain, none is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from data_tools.wells import is_well

_CUT = re.compile(r"([_\-./]+)")
_SITE = re.compile(r"(?:s|f|fov|site|field|pos|p)?(\d+)", re.IGNORECASE)
_WAVE = re.compile(r"(?:w|c|ch|channel ?)(\d+)", re.IGNORECASE)
_MOST_CHANNELS, _SHOWN = 16, 4
_GROUPS = {
    "well": r"(?P<well>[A-Za-z]{1,2}\d{1,2})",
    "row": r"(?P<row>[A-Za-z])",
    "column": r"(?P<column>\d{1,2})",
    "channel": r"(?P<channel>[^_/]+?)",
}
_PREFIXED = r"(?:{prefix})(?P<{name}>\d+)"

Rows = list[tuple[str, ...]]


class NoPatternError(ValueError):
    """Names that do not say of themselves what they mean."""


def pattern_of(names: Sequence[str]) -> tuple[str, bool, bool]:
    """Return the pattern of image names, and whether it finds sites and channels.

    Args:
        names: relative to the folder, with ``/``; sorted.

    Raises:
        NoPatternError: they have no well, differ in their parts, or have two readings; says which.
    """
    shown = names if len({name.rpartition("/")[0] for name in names}) > 1 else [n.rpartition("/")[2] for n in names]
    stems = [name.rpartition(".")[0] for name in shown]
    cut = [_CUT.split(stem) for stem in stems]
    if len({tuple(parts[1::2]) for parts in cut}) > 1:
        other = next(one for one, parts in zip(shown, cut, strict=True) if parts[1::2] != cut[0][1::2])
        raise NoPatternError(f"the names do not have the same parts, such as {shown[0]} and {other}")
    columns = list(zip(*(parts[::2] for parts in cut), strict=True))
    roles = _roles(columns, shown[0])
    text = "".join(
        _piece(columns[place // 2], roles.get(place // 2)) if place % 2 == 0 else re.escape(part).replace("/", "/")
        for place, part in enumerate(cut[0])
    )
    return rf"{text}\.(?i:tiff?)", "site" in roles.values(), "channel" in roles.values()


def _roles(columns: list[tuple[str, ...]], example: str) -> dict[int, str]:
    """Return what each part is, by its place."""
    roles = _wells(columns, example)
    if not roles:
        raise NoPatternError(f"no part of the names is a well; an example is {example}")
    left = [place for place in range(len(columns)) if place not in roles and len(set(columns[place])) > 1]
    for place in list(left):
        if re.fullmatch(_WAVE, columns[place][0]) and all(_WAVE.fullmatch(text) for text in columns[place]):
            roles[place] = "channel"
    words = [place for place in left if not all(_SITE.fullmatch(text) for text in columns[place])]
    words = [place for place in words if roles.get(place) != "channel"]
    if "channel" not in roles.values() and words:
        roles[words[0]] = "channel"
    known = [place for place, role in roles.items() if role == "channel"]
    left = [place for place in left if place not in roles and not _told_by(columns[place], columns, [*roles])]
    if len(words) > len(known) or (known and len(set(columns[known[0]])) > _MOST_CHANNELS):
        differing = words[:_SHOWN] if len(words) > len(known) else known
        told = " and ".join(f"'{columns[place][0]}'" for place in differing)
        raise NoPatternError(
            f"in names like {example} the parts {told} differ, so it is not clear which one is the channel"
        )
    if len(left) > 1 or (left and not all(_SITE.fullmatch(text) for text in columns[left[0]])):
        told = " and ".join(f"'{columns[place][0]}'" for place in left[:_SHOWN])
        raise NoPatternError(
            f"in names like {example} the parts {told} differ, so it is not clear which one is the site"
        )
    return {**roles, **dict.fromkeys(left, "site")}


def _wells(columns: list[tuple[str, ...]], example: str) -> dict[int, str]:
    found = [place for place, texts in enumerate(columns) if _are_wells(texts)]
    found = [place for place in found if not all(_SITE.fullmatch(text) for text in columns[place])] or found
    found = [place for place in found if len(set(columns[place])) > 1] or found
    if len(found) > 1:
        told = " and ".join(f"'{columns[place][0]}'" for place in found[:_SHOWN])
        raise NoPatternError(f"in names like {example} the parts {told} look like wells, so it is not clear which is")
    if found:
        return {found[0]: "well"}
    for place in range(len(columns) - 1):
        rows, numbers = columns[place], columns[place + 1]
        if all(re.fullmatch(r"[A-P]", text) for text in rows) and all(re.fullmatch(r"\d{1,2}", n) for n in numbers):
            return {place: "row", place + 1: "column"}
    return {}


def _are_wells(texts: tuple[str, ...]) -> bool:
    if _WAVE.fullmatch(texts[0]):
        return False
    return all(re.fullmatch(r"[A-Za-z]{1,2}\d{1,2}", text) and is_well(text) for text in texts)


def _told_by(texts: tuple[str, ...], columns: list[tuple[str, ...]], known: list[int]) -> bool:
    """Whether a part follows from another that is understood already, as ``1`` from ``DAPI``."""
    return any(len(set(zip(columns[place], texts, strict=True))) == len(set(columns[place])) for place in known)


def _piece(texts: tuple[str, ...], role: str | None) -> str:
    """Return the pattern of one part."""
    if role == "site":
        prefixes = sorted({text[: len(text) - len(_SITE.fullmatch(text)[1])] for text in texts})  # type: ignore[index]
        return (
            _PREFIXED.format(prefix="|".join(map(re.escape, prefixes)), name="site")
            if any(prefixes)
            else (r"(?P<site>\d+)")
        )
    if role == "channel":
        return "(?P<channel>" + "|".join(re.escape(text) for text in sorted(set(texts))) + ")"
    if role is not None:
        return _GROUPS[role]
    if len(set(texts)) == 1:
        return re.escape(texts[0]) if not texts[0].isdigit() else texts[0]
    return r"[^_/]*?"
