"""Events of an FCS file (flow cytometry standard) as a table; data sets are found with the library FlowIO."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from data_tools.formats.fcs import read_events
from data_tools.formats.fcs_scale import linear
from data_tools.formats.fcs_text import read_keywords
from data_tools.readers.tables.base import CELL_TABLES, NumberTable
from framework.config import StrictModel
from framework.errors import InputError
from framework.files.failures import check_regular, found_instead, reading, reason

_MOST_SETS = 1000
_SPILLOVER = re.compile("spillover|spill|comp|dfc[0-9]+to[0-9]+")
"""Keywords under which instruments write it."""


class FcsConfig(StrictModel):
    """One FCS file (2.0, 3.0 or 3.1).

    Attributes:
        names: ``pnn`` takes the short names of the parameters, which every file has; ``pns`` the long ones (often the
            marker), and the short one where a parameter has no long one. Parameters that share a name are called
            ``NAME (P3)``, after their number.
        scale: ``stored`` keeps the numbers of the file, ``linear`` undoes gains and logarithmic storage.
        data_set: which data set, from 1, of a file with several.
    """

    name: Literal["fcs"] = "fcs"
    path: str = Field(description="the .fcs file")
    names: Literal["pnn", "pns"] = "pnn"
    scale: Literal["stored", "linear"] = "linear"
    data_set: int | None = Field(default=None, ge=1)


@CELL_TABLES.register("fcs", FcsConfig)
def read_fcs(config: FcsConfig, wanted: Collection[str] | None = None) -> NumberTable:
    """Read the events of an FCS file.

    Returns:
        One row per event in stored order, a float64 column per parameter.

    Raises:
        InputError: FlowIO is not installed, no such file, damaged, or several data sets and none is chosen.
    """
    try:
        import flowio
    except ImportError:
        raise InputError(
            f"{config.path}: reading FCS files needs the library FlowIO; install it with: pip install 'wellstream[ifc]'"
        ) from None
    file = Path(config.path)
    size = check_regular(file, InputError, "an FCS file", "correct 'path'")
    with reading(file, InputError, "an FCS file"), file.open("rb") as stream:
        head = stream.read(6)
    if not head.startswith(b"FCS"):
        raise InputError(
            f"{file}: not an FCS file: expected FCS at its beginning, found {found_instead(file)}; correct "
            "'path', or export it again"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about gains of parameters nobody asked for
            sets, notes = _data_sets(flowio.FlowData, file, size)
            offset, flow = _chosen(config, sets)
            text = read_keywords(file, flow.header, offset)
            events, corrected = read_events(file, text, flow.header, offset)
            _check_named(file, text, events.shape[1])
            short = [text[f"p{number}n"] for number in range(1, events.shape[1] + 1)]
            if config.scale == "linear":
                events, doubts = linear(file, text, events, short)
                notes += doubts
    except InputError:
        raise
    except Exception as error:  # FlowIO raises whatever a damaged byte leads it to
        raise InputError(f"{file}: not a readable FCS file ({reason(error)}); export it again") from None
    columns, shared = _names(config, short, [text.get(f"p{number}s", "") for number in range(1, len(short) + 1)])
    if any(value.strip() for name, value in text.items() if _SPILLOVER.fullmatch(name)):
        notes.append(f"{file}: holds a spillover matrix, which is not applied: values are not compensated")
    factors = {number: text.get(f"p{number}calibration", "").strip() for number in range(1, len(short) + 1)}
    if told := ", ".join(f"$P{number}CALIBRATION {word}" for number, word in factors.items() if word):
        notes.append(f"{file}: gives factors to other units, which are not applied: {told}")
    return NumberTable(columns=pd.DataFrame(events, columns=pd.Index(columns)), notes=(*notes, *corrected, *shared))


def _data_sets(flow_data: Any, file: Path, size: int) -> tuple[list[tuple[int, Any]], list[str]]:
    """Return offset and keywords of each data set, and a note about one that is announced and not there."""
    sets: list[tuple[int, Any]] = []
    offset = 0
    while len(sets) < _MOST_SETS:
        flow = flow_data(file, only_text=True, ignore_offset_discrepancy=True, nextdata_offset=offset)
        sets.append((offset, flow))
        word = flow.text.get("nextdata", "0").strip() or "0"
        step = int(word) if word.isdecimal() else 0
        if step == 0:
            return sets, []
        offset += step
        with file.open("rb") as stream:
            stream.seek(min(offset, size))
            if stream.read(3) != b"FCS":
                return sets, [f"{file}: $NEXTDATA announces another data set at byte {offset}, where none is"]
    raise InputError(f"{file}: more than {_MOST_SETS} data sets; export the events of one")


def _chosen(config: FcsConfig, sets: Sequence[tuple[int, Any]]) -> tuple[int, Any]:
    if config.data_set is None and len(sets) > 1:
        counts = ", ".join(f"{number}: {flow.event_count} events" for number, (_, flow) in enumerate(sets, start=1))
        raise InputError(f"{config.path}: {len(sets)} data sets ({counts}); choose one with 'data_set'")
    number = config.data_set or 1
    if number > len(sets):
        raise InputError(f"{config.path}: has {len(sets)} data set(s), 'data_set' names number {number}")
    return sets[number - 1]


def _check_named(file: Path, text: Mapping[str, str], parameters: int) -> None:
    """Refuse parameters without a name, and names of more than there are: names would move to other columns."""
    named = {int(found[1]) for found in map(re.compile("p([0-9]+)n").fullmatch, text) if found is not None}
    wanted = range(1, parameters + 1)
    bare = [number for number in wanted if number not in named]
    if bare:
        raise InputError(f"{file}: parameter {bare[0]} of {parameters} has no name ($P{bare[0]}N); export it again")
    surplus = [number for number in sorted(named) if number not in wanted]
    if surplus:
        raise InputError(
            f"{file}: names a parameter {surplus[0]} ($P{surplus[0]}N), but declares {parameters} ($PAR); export it "
            "again"
        )


def _names(config: FcsConfig, short: Iterable[str], long: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return distinct names of the parameters, and what to say about those that share one."""
    pairs = [
        (one.strip() or f"P{place}", other.strip())
        for place, (one, other) in enumerate(zip(short, long, strict=True), start=1)
    ]
    names = [full or name for name, full in pairs] if config.names == "pns" else [name for name, _ in pairs]
    shared = {name for name in names if names.count(name) > 1}
    found = [f"{name} (P{place})" if name in shared else name for place, name in enumerate(names, start=1)]
    notes = [
        f"{config.path}: {names.count(name)} parameters are called '{name}'; they are named "
        + ", ".join(f"'{item}'" for item, before in zip(found, names, strict=True) if before == name)
        for name in sorted(shared)
    ]
    return found, notes
