"""Which targets and genes a figure shows: those its options name, checked against what there is."""

from __future__ import annotations

from collections.abc import Sequence

from framework.errors import InputError, did_you_mean
from framework.report.figure import FigureConfig
from framework.report.figure_inputs import FigureInputs

_SHOWN = 8


class OfTargets(FigureConfig):
    """Options of a figure with a part for each target."""

    targets: tuple[str, ...] = ()
    """Which targets are shown; none named: all."""


def chosen_targets(inputs: FigureInputs, named: Sequence[str]) -> list[str]:
    """Return the targets that an option names, or all.

    Raises:
        InputError: there is no such target.
    """
    return [one_of(name, inputs.targets, "target") for name in named] if named else inputs.targets


def one_of(name: str, known: Sequence[str], what: str) -> str:
    """Return ``name`` where it is known.

    Raises:
        InputError: it is not; lists what there is, and the nearest.
    """
    if name in known:
        return name
    listed = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    raise InputError(f"no {what} is called '{name}'; there are {listed or 'none'}" + did_you_mean(name, known))
