"""The ``.HTD`` file of an ImageXpress: which wells, sites, wavelengths, planes and timepoints a plate was set up for.

It is text with one key per line, as ``"WaveName1", "DAPI"``, in whatever encoding the description was typed in. A key
that is not known is passed over; one that is known and has another kind of value is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_tools.wells import normalise_well
from framework.errors import InputError
from framework.files.text_file import open_text

_MOST_BYTES = 1 << 20
_MOST_ROWS, _MOST_COLUMNS = 32, 48
_MOST_SITES = 1000
_LINE = re.compile(r'^\s*"(?P<key>[A-Za-z]+)(?P<number>\d*)"\s*,\s*(?P<value>.*?)\s*$')
_NUMBERS = {"XWells": _MOST_COLUMNS, "YWells": _MOST_ROWS, "XSites": _MOST_SITES, "YSites": _MOST_SITES,
            "TimePoints": 1 << 20, "ZSteps": 1 << 20, "NWavelengths": 1000}  # fmt: skip
_KNOWN = {"HTSInfoFile", "WaveName", "WellsSelection", "SiteSelection", *_NUMBERS}
_AGAIN = "export the plate again, or take the file away"


@dataclass(frozen=True, kw_only=True)
class Htd:
    """What a ``.HTD`` file says; None where it does not.

    Attributes:
        file: it was read from.
        columns, rows: size of the plate, in wells.
        wells: wells that were chosen, normalised.
        n_sites: chosen per well.
        timepoints, planes: how many.
        waves: name of each wavelength by its number as text.
    """

    file: Path
    columns: int | None
    rows: int | None
    wells: tuple[str, ...] | None
    n_sites: int | None
    timepoints: int | None
    planes: int | None
    waves: dict[str, str]


def is_htd(file: Path) -> bool:
    """Whether a name is that of an ``.HTD`` file."""
    return file.suffix.lower() == ".htd" and not file.name.startswith(".")


def read_htd(file: Path) -> Htd:
    """Read a ``.HTD`` file.

    Raises:
        InputError: not readable, no text, no ``.HTD`` file, or a value of another kind than its key has; with the line.
    """
    text = open_text(file, what="an ImageXpress .HTD file", most_bytes=_MOST_BYTES)
    numbers: dict[str, int] = {}
    flags: dict[str, dict[int, list[bool]]] = {"WellsSelection": {}, "SiteSelection": {}}
    waves: dict[str, str] = {}
    with text.opened() as stream:
        for line, written in enumerate(stream, start=1):
            found = _LINE.match(written)
            if line == 1 and (found is None or found["key"] not in _KNOWN):
                raise InputError(
                    f'{file}: line 1: expected "HTSInfoFile" of an ImageXpress .HTD file, found '
                    f"{written[:60].strip()!r}; "
                    f"{_AGAIN}"
                )
            if found is None:
                continue
            key, number = found["key"], found["number"]
            if key in _NUMBERS and not number:
                numbers[key] = _number(file, line, key, found["value"])
            elif key in flags and number:
                flags[key][int(number)] = _flags(file, line, key + number, found["value"])
            elif key == "WaveName" and number:
                name = found["value"].strip().strip('"').strip()
                if name:
                    waves[str(int(number))] = name
    wells = _wells(file, flags["WellsSelection"], numbers)
    chosen = sum(sum(row) for row in flags["SiteSelection"].values())
    grid = numbers.get("XSites", 0) * numbers.get("YSites", 0)
    return Htd(
        file=file,
        columns=numbers.get("XWells"),
        rows=numbers.get("YWells"),
        wells=wells,
        n_sites=chosen or grid or None,
        timepoints=numbers.get("TimePoints"),
        planes=numbers.get("ZSteps"),
        waves=waves,
    )


def _number(file: Path, line: int, key: str, value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 8 and int(value) <= _NUMBERS[key]:
        return int(value)
    raise InputError(
        f"{file}: line {line}: '{key}': expected a whole number of at most {_NUMBERS[key]}, found "
        f"{value[:60]!r}; {_AGAIN}"
    )


def _flags(file: Path, line: int, key: str, value: str) -> list[bool]:
    words = [word.strip().upper() for word in value.split(",")]
    if not all(word in ("TRUE", "FALSE") for word in words):
        raise InputError(f"{file}: line {line}: '{key}': expected TRUE or FALSE, found {value[:60]!r}; {_AGAIN}")
    return [word == "TRUE" for word in words]


def _wells(file: Path, rows: dict[int, list[bool]], numbers: dict[str, int]) -> tuple[str, ...] | None:
    if not rows:
        return None
    size = f"a plate of {numbers.get('YWells', _MOST_ROWS)} rows and {numbers.get('XWells', _MOST_COLUMNS)} columns"
    wells = []
    for row, chosen in sorted(rows.items()):
        for column, is_chosen in enumerate(chosen, start=1):
            if not is_chosen:
                continue
            if not 1 <= row <= numbers.get("YWells", _MOST_ROWS) or column > numbers.get("XWells", _MOST_COLUMNS):
                raise InputError(f"{file}: 'WellsSelection{row}' chooses column {column}, beyond {size}; {_AGAIN}")
            wells.append(normalise_well((row, column)))
    return tuple(wells)


def one_htd(files: Sequence[Path], prefix: str) -> Path | None:
    """Return the ``.HTD`` file of the images whose names begin with ``prefix``, None where there is none.

    Raises:
        InputError: several, and none is named after the images.
    """
    if len(files) < 2:
        return files[0] if files else None
    named = [file for file in files if file.stem == prefix.rstrip("_")]
    if len(named) == 1:
        return named[0]
    shown = ", ".join(file.name for file in files[:4])
    raise InputError(
        f"{files[0].parent}: several .HTD files ({shown}), and none is named after the images ({prefix}...); keep one"
    )
