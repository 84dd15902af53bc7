"""The events of an FCS data set: where they lie, and what their bytes say, checked against what the file declares.

Instruments write wrong places of the events (in one of two headers, or an end one byte too far), and whole numbers of
24 bits. So the place is the one that holds as many events as ``$TOT`` says, and a place that was corrected is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framework.errors import InputError

F64 = npt.NDArray[np.float64]
_ORDERS = {"1,2,3,4": "little", "1,2": "little", "1": "little", "4,3,2,1": "big", "2,1": "big"}


def read_events(
    file: Path, text: Mapping[str, str], header: Mapping[str, int], offset: int
) -> tuple[F64, tuple[str, ...]]:
    """Return the events as stored, float64 (events, parameters), and what was corrected.

    Args:
        file: the FCS file.
        text: its keywords, small letters, without ``$``.
        header: ``data_start`` and ``data_stop`` of its header.
        offset: offset of the data set in the file.

    Raises:
        InputError: events of a kind that is not read, or not as many as the file declares.
    """
    _check_kind(file, text)
    parameters = _number(file, text, "par")
    widths = [_width(file, text, number) for number in range(1, parameters + 1)]
    size = sum(widths)
    start, events, notes = _place(file, text, header, size, file.stat().st_size - offset)
    with file.open("rb") as stream:
        stream.seek(offset + start)
        data = stream.read(events * size)
    rows = np.frombuffer(data, np.uint8).reshape(events, size)
    big = _order(file, text) == "big"
    values = np.empty((events, parameters))
    first = 0
    for place, width in enumerate(widths):
        part = np.ascontiguousarray(rows[:, first : first + width])
        values[:, place] = _decoded(part, text, place + 1, big=big)
        first += width
    return values, notes


def _check_kind(file: Path, text: Mapping[str, str]) -> None:
    mode, kind = text.get("mode", "L").strip().upper(), text.get("datatype", "").strip().upper()
    if mode != "L":
        raise InputError(f"{file}: holds a histogram ($MODE is {mode}), not a list of events; export the events")
    if kind not in ("I", "F", "D"):
        raise InputError(f"{file}: $DATATYPE is '{kind}'; expected I, F or D; export the events again")


def kind_of(text: Mapping[str, str], number: int) -> str:
    """Return how a parameter, from 1, is stored: ``I``, ``F`` or ``D``; FCS 3.2 may say it for each."""
    return (text.get(f"p{number}datatype", "").strip() or text["datatype"].strip()).upper()


def _number(file: Path, text: Mapping[str, str], name: str) -> int:
    word = text.get(name, "").strip()
    if not word.isdecimal():
        raise InputError(f"{file}: ${name.upper()} reads '{word}', expected a whole number; export the file again")
    return int(word)


def _width(file: Path, text: Mapping[str, str], number: int) -> int:
    """Return the bytes of a parameter."""
    kind, bits = kind_of(text, number), _number(file, text, f"p{number}b")
    if kind not in ("I", "F", "D"):
        raise InputError(f"{file}: $P{number}DATATYPE is '{kind}'; expected I, F or D; export the events again")
    allowed = {"I": (8, 16, 24, 32, 40, 48), "F": (32,), "D": (64,)}[kind]
    if bits not in allowed:
        raise InputError(
            f"{file}: parameter {number} has {bits} bits ($P{number}B), with the type {kind} expected "
            f"{', '.join(map(str, allowed))}; export the events again"
        )
    return bits // 8


def _order(file: Path, text: Mapping[str, str]) -> str:
    word = text.get("byteord", "").replace(" ", "")
    if word not in _ORDERS:
        raise InputError(f"{file}: $BYTEORD is '{word}'; expected 1,2,3,4 or 4,3,2,1; export the events again")
    return _ORDERS[word]


def _place(
    file: Path, text: Mapping[str, str], header: Mapping[str, int], size: int, available: int
) -> tuple[int, int, tuple[str, ...]]:
    """Return the first byte of the events, their number, and a note where the file contradicts itself."""
    told = {"header": (header["data_start"], header["data_stop"])}
    begin, end = (text.get(name, "").strip() for name in ("begindata", "enddata"))
    if begin.isdecimal() and end.isdecimal() and int(begin) > 0:
        told = {"text": (int(begin), int(end)), **told}
    told = {name: place for name, place in told.items() if place[0] > 0}
    if not told:
        raise InputError(f"{file}: does not say where its events begin ($BEGINDATA); export the file again")
    shown = ", ".join(f"{name} says bytes {first} to {last}" for name, (first, last) in told.items())
    word = text.get("tot", "").strip()
    if not word.isdecimal():
        first, last = next(iter(told.values()))
        last = min(last, available - 1)
        return first, (last - first + 1) // size, (f"{file}: does not say how many events it has ($TOT); {shown}",)
    events = int(word)
    wanted = events * size
    held = {name: place for name, place in told.items() if place[0] + wanted <= available}
    if not held:
        first = min(place[0] for place in told.values())
        raise InputError(
            f"{file}: cut off: it declares {events} events ($TOT) and holds {max(0, available - first) // size} "
            f"({shown}); export or copy it again"
        )
    exact = [place for place in held.values() if place[1] - place[0] + 1 == wanted]
    near = [place for place in held.values() if place[1] - place[0] + 1 == wanted + 1]
    places = exact or near
    starts = {place[0] for place in told.values()}
    if not places and len(starts) == 1:
        places = list(held.values())
    if not places:
        raise InputError(
            f"{file}: {events} events of {size} bytes are at none of the places that the file names "
            f"({shown}); export it again"
        )
    if exact and len(set(told.values())) == 1:
        return exact[0][0], events, ()
    first = places[0][0]
    note = f"{file}: its events do not lie where it says ({shown}); {events} events are read from byte {first}"
    return first, events, (note,)


def _decoded(part: npt.NDArray[np.uint8], text: Mapping[str, str], number: int, *, big: bool) -> F64:
    """Return one parameter, from its bytes (events, width)."""
    kind = kind_of(text, number)
    if kind in ("F", "D"):
        type_ = np.dtype("f4" if kind == "F" else "f8").newbyteorder(">" if big else "<")
        return part.view(type_).ravel().astype(np.float64)
    width = part.shape[1]
    whole = np.zeros((len(part), 8), np.uint8)
    whole[:, :width] = part[:, ::-1] if big else part
    values = whole.view("<u8").ravel()
    top = int(float(text.get(f"p{number}r", "0") or 0))
    if 1 < top < 1 << (8 * width):
        # Bits above the range are not data: the mask is the next power of two, less one.
        values = values & np.uint64((1 << (top - 1).bit_length()) - 1)
    return values.astype(np.float64)
