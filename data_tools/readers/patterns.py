"""Regular expressions over file names: their groups, where one stops fitting, and which names it left out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence


def groups_of(pattern: str, known: Sequence[str] | None = None) -> set[str]:
    """Return the named groups of a pattern, while a config is read.

    Args:
        pattern: as the config writes it.
        known: groups that it may have; None: any.

    Raises:
        ValueError: no regular expression, or a group that is not known.
    """
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"'pattern' is not a regular expression: {error}") from None
    unknown = sorted(groups - set(known)) if known is not None else []
    if known is not None and unknown:
        raise ValueError(f"'pattern' has unknown group(s) {', '.join(unknown)}; expected {', '.join(known)}")
    return groups


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern for ``matched``."""
    return re.compile(_composed(pattern))


def matched(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """Return the match of a whole name.

    Letters with marks are compared as one character each: some systems store ``ü`` as ``u`` and a mark, which look the
    same and are not.
    """
    return pattern.fullmatch(_composed(name))


def is_of_paths(pattern: str) -> bool:
    """Return whether a pattern is compared with whole paths.

    A class as ``[^/]`` speaks of one name; any other slash can only match a path.
    """
    return "/" in pattern.replace("[^/]", "")


def compared(pattern: str, name: str) -> str:
    """Return what of a file's path (relative, with ``/``) a pattern is compared with: all of it, or its last part."""
    return name if is_of_paths(pattern) else name.rpartition("/")[2]


def found_in(pattern: str, names: Iterable[str]) -> tuple[list[tuple[str, dict[str, str]]], list[str]]:
    """Return the names that a pattern matches, each with the text of its groups, and the names it does not match."""
    one = compiled(pattern)
    found, missed = [], []
    for name in names:
        match = matched(one, compared(pattern, name))
        if match is None:
            missed.append(name)
        else:
            found.append((name, {key: text for key, text in match.groupdict().items() if text is not None}))
    return found, missed


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def misfit(pattern: re.Pattern[str], name: str) -> str:
    """Return where a name that does not match stops fitting, and what the pattern expects there."""
    name = _composed(name)
    first = f"the first is {name}"
    if re.compile(pattern.pattern, pattern.flags | re.IGNORECASE).fullmatch(name):
        return f"{first}, which differs in upper and lower case only; begin 'pattern' with (?i)"
    for end in range(len(pattern.pattern), 0, -1):
        try:
            fits = re.compile(pattern.pattern[:end], pattern.flags & re.IGNORECASE).match(name)
        except (re.error, OverflowError):
            continue
        if fits is None:
            continue
        rest = pattern.pattern[end:]
        if not rest:
            return f"{first}, of which the pattern leaves out '{name[fits.end() :]}' at the end"
        where = f"fits up to '{fits[0]}'" if fits[0] else "does not fit from its beginning"
        return f"{first}, which {where}; then the pattern expects {rest!r}"
    return f"{first}, which does not fit from its beginning"


def missed_note(shown: str, names: list[str], missed: list[str]) -> tuple[str, ...]:
    """Return the sentence about images whose name does not match."""
    if not missed:
        return ()
    return (f"{shown}: {len(missed)} of {len(names)} images do not match the pattern and are not read, as {missed[0]}",)
