"""Kinds of evaluation: entries of ``EVALUATIONS``. What is added here is scored, written, printed and reported."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from framework.data.dataset import Dataset
from framework.errors import InputError, RegistryError, some_of
from framework.evaluate.predictions import Predictions
from framework.registry import Registry

_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """The headline of an evaluation as text, for the terminal and for pages.

    Attributes:
        title: what the numbers are.
        headers: names of the columns; the first one names the rows.
        rows: text of each cell; a row may end early.
        caption: what a reader must know of the numbers; may be empty.
        wraps: the first column may take several lines.
    """

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    wraps: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of an evaluation, in a sentence.

    Attributes:
        text: how good the model is beside its baseline.
        holds: whether it is better than its baseline, throughout.
    """

    text: str
    holds: bool


def against_baseline(errors: Sequence[tuple[str, float, float]], baseline: str, error: str) -> Verdict | None:
    """Return whether a model is better than its baseline.

    Args:
        errors: name, error of the model, error of the baseline, of each thing that is predicted; NaN: not known.
        baseline: what it is.
        error: how errors are measured.

    Returns:
        None where nothing is known.
    """
    known = [(name, mine, theirs) for name, mine, theirs in errors if not (math.isnan(mine) or math.isnan(theirs))]
    if not known:
        return None
    lost = [name for name, mine, theirs in known if mine >= theirs]
    told = "; ".join(f"{name} {mine:.3g} against {theirs:.3g}" for name, mine, theirs in known[:_SHOWN])
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    if not lost:
        begins = f"The model beats {baseline}"
    elif len(lost) == len(known):
        begins = f"The model loses to {baseline}"
    else:
        begins = (
            f"The model beats {baseline} for {len(known) - len(lost)} of {len(known)}, and loses for {some_of(lost, 5)}"
        )
    return Verdict(text=f"{begins} ({error}: {told}{more}).", holds=not lost)


class EvaluationKind(ABC):
    """What all kinds of evaluation can do with a finished one.

    Attributes:
        asks: the question that it answers; may be empty.
        also_csv: tables that people read, so that they are written as CSV too.
    """

    asks: ClassVar[str] = ""
    also_csv: ClassVar[frozenset[str]] = frozenset()

    def verdict(self, summary: Mapping[str, Any]) -> Verdict | None:
        """Return the answer: whether the model is better than its baseline; None where there is none."""
        return None

    @abstractmethod
    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        """Return the headline of ``evaluation.json``: one row per target, marker or whatever was scored."""

    def numbers(self, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the few values a reader wants first: (value, what it is)."""
        return []


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a kind of evaluation found.

    Attributes:
        rows: the headline, one row per target, marker or whatever was scored.
        tables: name -> table, the files of the evaluation.
        notes: sentences a reader of the numbers must know.
    """

    rows: pd.DataFrame
    tables: Mapping[str, pd.DataFrame]
    notes: Sequence[str] = ()


class ScoresPredictions(EvaluationKind):
    """A kind of evaluation that ``wellstream evaluate`` makes from prediction files."""

    @abstractmethod
    def takes(self, predictions: Predictions) -> bool:
        """Return whether it can score this file."""

    @abstractmethod
    def score(self, opened: Sequence[Predictions], dataset: Dataset | None, options: Any) -> Scored:
        """Score the files; ``options`` is of the config that the entry was registered with.

        Raises:
            InputError: files that do not go together.
        """


EVALUATIONS: Registry[type[EvaluationKind]] = Registry("evaluation")


def evaluation_kind(name: str) -> EvaluationKind:
    """Return the entry of ``EVALUATIONS`` called ``name``.

    Raises:
        InputError: there is none.
    """
    try:
        return EVALUATIONS.get(name).build()
    except RegistryError as error:
        raise InputError(f"{error}; if a plugin adds this kind, load it with: --plugin NAME") from None


def kind_for(opened: Sequence[Predictions], chosen: str | None) -> tuple[str, ScoresPredictions]:
    """Return name and entry of the evaluation for these files: the chosen one, or the only one that takes them all.

    Raises:
        InputError: none or several take them, or the chosen one does not.
    """
    kinds = {name: evaluation_kind(name) for name in ([chosen] if chosen is not None else EVALUATIONS.names())}
    fitting = [
        (name, kind)
        for name, kind in kinds.items()
        if isinstance(kind, ScoresPredictions) and all(kind.takes(item) for item in opened)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        raise InputError(f"{opened[0].name}: no evaluation of {', '.join(kinds)} takes these predictions")
    names = ", ".join(name for name, _ in fitting)
    raise InputError(f"{opened[0].name}: several evaluations take these predictions: {names}; choose one with --kind")
