"""The keywords of an FCS data set, from its TEXT segment and the supplemental one.

A value that is empty, an end that lies one byte too early and a keyword that is written with and without ``$`` are
common, and each would give a parameter the gain, the name or the scale of another, or none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from framework.errors import InputError

_PADDING = " \x00\r\n"
_MOST_BYTES = 1 << 26


def read_keywords(file: Path, header: Mapping[str, int], offset: int) -> dict[str, str]:
    """Return keywords, small letters, without ``$`` -> value.

    A keyword with ``$`` counts where the same one stands without it too, and TEXT before its supplement.

    Args:
        file: the FCS file.
        header: ``text_start`` and ``text_stop`` of its header.
        offset: offset of the data set in the file.

    Raises:
        InputError: a supplement outside the file.
    """
    found = _pairs(_segment(file, offset, header["text_start"], header["text_stop"]))
    first, last = (found.get(name, "").strip() for name in ("beginstext", "endstext"))
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) < int(last)):
        return found
    if (int(first), int(last)) == (header["text_start"], header["text_stop"]):
        return found
    if offset + int(last) >= file.stat().st_size:
        raise InputError(
            f"{file}: names further keywords at bytes {first} to {last} ($BEGINSTEXT), where the file has ended; "
            "export or copy it again"
        )
    return _pairs(_segment(file, offset, int(first), int(last))) | found


def _segment(file: Path, offset: int, first: int, last: int) -> str:
    """Return the text of a segment; with the byte behind its end where that is the delimiter."""
    with file.open("rb") as stream:
        stream.seek(offset + first)
        data = stream.read(min(last - first + 1, _MOST_BYTES))
        behind = stream.read(1)
    if behind == data[:1]:
        data += behind
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _pairs(words: str) -> dict[str, str]:
    """Split a segment at its delimiter, which it begins with.

    A value may be empty; within a value, a doubled delimiter stands for one. No value begins with it.
    """
    if not words:
        return {}
    sign = re.escape(words[0])
    body = words[1:].rstrip(_PADDING.replace(words[0], ""))
    if not body.endswith(words[0]):
        body += words[0]
    pair = re.compile(f"([^{sign}]+){sign}((?:[^{sign}](?:[^{sign}]|{sign}{sign})*)?){sign}")
    found: dict[str, str] = {}
    of_standard: set[str] = set()
    place = 0
    while (match := pair.match(body, place)) is not None:
        place = match.end()
        key, value = match[1].strip().lower(), match[2].replace(words[0] * 2, words[0])
        name = key.removeprefix("$")
        if key != name:
            of_standard.add(name)
        elif name in of_standard:
            continue
        found[name] = value
    return found
