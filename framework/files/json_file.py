"""JSON and plain text in UTF-8."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framework.errors import DatasetError, WellstreamError
from framework.files.failures import AGAIN, check_regular, reading


def read_json(
    file: Path | str, *, error: type[WellstreamError] = DatasetError, what: str = "a JSON file", then: str = AGAIN
) -> Any:
    """Return the value of a JSON file.

    Raises:
        WellstreamError: of class ``error``: no such regular file, not JSON, nested too deeply, or a key written twice
            in one object.
    """
    return parse_json(read_text(file, error=error, what=what, then=then), file, error=error, what=what, then=then)


def parse_json(
    text: str | bytes,
    file: Path | str,
    *,
    error: type[WellstreamError] = DatasetError,
    what: str = "a JSON file",
    then: str = AGAIN,
) -> Any:
    """Return the value of JSON text; ``file`` is where it is from. Raises as ``read_json``."""
    with reading(file, error, what, then):
        value = json.loads(text, object_pairs_hook=_distinct)
        if (b"\\ud" if isinstance(text, bytes) else "\\ud") in text.lower():  # type: ignore[operator]
            # Half of a letter passes as an escape, and then no file or terminal takes it.
            json.dumps(value, ensure_ascii=False).encode()
        return value


def read_mapping(
    file: Path | str, *, error: type[WellstreamError] = DatasetError, what: str = "a JSON object", then: str = AGAIN
) -> dict[str, Any]:
    """Return the object of a JSON file. Raises as ``read_json``, and where it holds anything but an object."""
    value = read_json(file, error=error, what=what, then=then)
    if not isinstance(value, dict):
        raise error(f"{file}: expected {what}, found a JSON {type(value).__name__}; {then}")
    return value


def read_text(
    file: Path | str, *, error: type[WellstreamError] = DatasetError, what: str = "a text file", then: str = AGAIN
) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        WellstreamError: of class ``error``: no such regular file, or not UTF-8.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then):
        return Path(file).read_text(encoding="utf-8")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' is written twice")
    return found
