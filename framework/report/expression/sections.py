"""Sections of the page about expression: entries of ``EXPRESSION_SECTIONS``, as those of a run's page are of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from framework.registry import Registry
from framework.report.page import Listing, Section
from framework.report.sections import SectionConfig, in_order, load_sections


@dataclass(frozen=True, kw_only=True, eq=False)
class Expressed:
    """A folder of ``wellstream express``.

    Attributes:
        root: the folder.
        tables: name -> table; of those that a chain may lack, the ones that are there.
        facts: its summary.
        config: what was done.
        config_text: the same, as it was written.
    """

    root: Path
    tables: Mapping[str, pd.DataFrame]
    facts: Mapping[str, Any]
    config: Mapping[str, Any]
    config_text: str


class ExpressionSection(ABC):
    """A part of the page about expression.

    Attributes:
        order: its place: overview 0, single cells 10, intervals 15, imaged cells 20 ... reproduce 900.
    """

    order: ClassVar[int]

    @abstractmethod
    def build(self, of: Expressed) -> Section | None:
        """Return the section; None where it has nothing to show."""


EXPRESSION_SECTIONS: Registry[type[ExpressionSection]] = Registry("section of expression")


@EXPRESSION_SECTIONS.register("reproduce", SectionConfig)
class Reproduce(ExpressionSection):
    """The config."""

    order = 900

    def build(self, of: Expressed) -> Section | None:
        """Return the resolved config."""
        return Section(
            anchor="reproduce",
            title="Reproduce",
            lead="The resolved config: wellstream express config.yaml --out FOLDER",
            blocks=[Listing(title="config.yaml", text=of.config_text)],
        )


def expression_sections() -> list[ExpressionSection]:
    """Return all sections, in reading order."""
    load_sections("framework.report.expression")
    return in_order(EXPRESSION_SECTIONS)
