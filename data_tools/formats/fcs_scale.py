"""Events of an FCS data set on a linear scale: logarithmic storage, gains and steps of time are undone.

``$PnE`` is ``decades,zero``: a stored x of a range r is 10 ** (decades * x / r) * zero (FCS 3.1, section 3.2.20). A
``$PnG`` is a factor in the stored number. ``$TIMESTEP`` is seconds per unit of the parameter Time, which has no gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_tools.formats.fcs import kind_of
from framework.errors import InputError

F64 = npt.NDArray[np.float64]


def linear(file: Path, text: Mapping[str, str], events: F64, names: Sequence[str]) -> tuple[F64, tuple[str, ...]]:
    """Return the events on a linear scale, float64 (events, parameters), and what is in doubt.

    Args:
        file: for messages.
        text: keywords, small letters, without ``$``.
        events: as stored.
        names: short names of the parameters.

    Raises:
        InputError: a scale, gain or range that is not a number.
    """
    values, notes = events.copy(), list[str]()
    step, said = _step(file, text)
    untold, odd = [], []
    for place, name in enumerate(names):
        number = place + 1
        decades, zero = _decades(file, text, number)
        if f"p{number}e" not in text:
            untold.append(number)
        if decades > 0:
            if kind_of(text, number) != "I":
                odd.append(number)
            width = _float(file, text, f"p{number}r", 0.0)
            if width <= 0:
                raise InputError(
                    f"{file}: parameter {number} is stored as a logarithm, but $P{number}R is {width:g}; expected a "
                    "range above 0: export it again, or write 'scale: stored'"
                )
            values[:, place] = 10 ** (decades * values[:, place] / width) * zero
        if name.strip().lower() == "time":
            values[:, place] *= step
            notes.extend(said)
            continue
        gain = _float(file, text, f"p{number}g", 1.0)
        if gain not in (0.0, 1.0):
            values[:, place] /= gain
    if untold:
        notes.append(f"{file}: does not say how {_listed(untold)} stored ($PnE); taken as linear")
    if odd:
        notes.append(
            f"{file}: says that {_listed(odd)} stored as a logarithm ($PnE) and with fractions ($DATATYPE), which FCS "
            "does not allow; the logarithm is undone. If the numbers are linear already, write 'scale: stored'"
        )
    return values, tuple(notes)


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (" ..." if len(numbers) > 5 else "")
    return f"parameter {shown} is" if len(numbers) == 1 else f"parameters {shown} are"


def _decades(file: Path, text: Mapping[str, str], number: int) -> tuple[float, float]:
    """Return ``$PnE``: decades, 0 for linear, and the value of a stored 0, for which a wrong 0 counts as 1."""
    word = text.get(f"p{number}e", "").strip() or "0,0"
    try:
        decades, zero = (float(part) for part in word.split(","))
    except ValueError:
        raise InputError(
            f"{file}: $P{number}E reads '{word}', expected two numbers as 0,0 or 4,1; export it again, or write "
            "'scale: stored'"
        ) from None
    return decades, zero or 1.0


def _float(file: Path, text: Mapping[str, str], name: str, default: float) -> float:
    word = text.get(name, "").strip()
    try:
        found = float(word) if word else default
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InputError(
            f"{file}: ${name.upper()} reads '{word}', expected a number; export it again, or write 'scale: stored'"
        )
    return found


def _step(file: Path, text: Mapping[str, str]) -> tuple[float, tuple[str, ...]]:
    word = text.get("timestep", "").strip()
    try:
        step = float(word or 1)
    except ValueError:
        step = math.nan
    if math.isfinite(step) and step > 0:
        return step, ()
    return 1.0, (f"{file}: $TIMESTEP reads '{word}', expected a number above 0; times are as stored",)
