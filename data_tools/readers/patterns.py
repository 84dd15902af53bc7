"""Where a regular expression stops fitting a file name, and which names it left out."""

from __future__ import annotations

import re


def misfit(pattern: re.Pattern[str], name: str) -> str:
    """Return where a name that does not match stops fitting, and what the pattern expects there."""
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
