"""Sections of the page of a run: entries of ``SECTIONS``, each with its own order and its own "not shown because"."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias, TypeVar

from framework.config import StrictModel
from framework.evaluate import Evaluation, evaluation_kind
from framework.registry import Registry
from framework.report.page import Block, Grid, Note, Numbers, Section
from framework.report.page_inputs import Inputs


class SectionConfig(StrictModel):
    """Options of a section: none so far."""


class ReportSection(ABC):
    """A part of the page of a run.

    Attributes:
        order: its place: what was asked 0, scores 10, cells 20, plates 30 ... training 100, reproduce 900.
    """

    order: ClassVar[int]

    @abstractmethod
    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section; a note that says why it is not shown; or None where it has no place on this page."""


SECTIONS: Registry[type[ReportSection]] = Registry("report section")

ShowEvaluation: TypeAlias = Callable[[Evaluation], Section]

SCORES: Registry[ShowEvaluation] = Registry("section of an evaluation")
"""How an evaluation is shown, by its kind. One without an entry is shown by its headline."""


class Ordered(Protocol):
    """A section of any page."""

    order: ClassVar[int]


S = TypeVar("S", bound=Ordered)


def in_order(sections: Registry[type[S]]) -> list[S]:
    """Return all sections that are registered for a page, in reading order."""
    return sorted((sections.get(name).build() for name in sections.names()), key=lambda section: section.order)


def sections_in_order() -> list[ReportSection]:
    """Return all sections of the page of a run, in reading order."""
    return in_order(SECTIONS)


def show_evaluation(evaluation: Evaluation) -> Section:
    """Return the section of an evaluation: that of its kind, else its headline."""
    if evaluation.kind in SCORES.names():
        return SCORES.get(evaluation.kind).build(evaluation)
    kind = evaluation_kind(evaluation.kind)
    shown, numbers = kind.table(evaluation.summary), kind.numbers(evaluation.summary)
    blocks: list[Block] = [Note(text=str(note)) for note in evaluation.summary.get("notes", [])]
    if numbers:
        blocks.append(Numbers(items=numbers))
    width = len(shown.headers)
    blocks.append(
        Grid(
            headers=shown.headers,
            rows=[[*row, *[""] * (width - len(row))] for row in shown.rows],
            numeric=frozenset(range(1, width)),
            caption=shown.caption or shown.title,
        )
    )
    return Section(anchor="scores", title="Scores", lead=shown.title, blocks=blocks)


def load_sections(package: str) -> None:
    """Import every module of a package, so that its sections are registered: a new section is a new file."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
