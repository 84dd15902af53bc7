"""Contracts of evaluations, figures and sections of the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from framework.data.dataset import Dataset
from framework.evaluate import EVALUATIONS
from framework.evaluate.kinds import EvaluationKind, ScoresPredictions
from framework.evaluate.predictions import Predictions
from framework.report.canvas import rendered, styled
from framework.report.figure import FIGURES
from framework.report.figure_inputs import INPUTS, FigureInputs
from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection


class EvaluationContract:
    """Tests of an evaluation; a subclass sets ``name`` and has a fixture ``opened``, prediction files that it takes.

    Where something else than ``wellstream evaluate`` makes it, a subclass has a fixture ``headline`` in place of that.
    """

    name: ClassVar[str]

    @pytest.fixture
    def dataset(self) -> Dataset | None:
        """The dataset they were made of, where the evaluation needs it."""
        return None

    @pytest.fixture
    def kind(self) -> EvaluationKind:
        """The evaluation."""
        made: EvaluationKind = EVALUATIONS.get(self.name).build()
        return made

    @pytest.fixture
    def headline(self, request: pytest.FixtureRequest, kind: EvaluationKind) -> dict[str, Any]:
        """What ``evaluation.json`` says, as ``table`` reads it: a row for each thing that was scored."""
        if not isinstance(kind, ScoresPredictions):
            raise NotImplementedError(f"'{self.name}' scores no prediction files: write a fixture 'headline'")
        opened: Sequence[Predictions] = request.getfixturevalue("opened")
        assert all(kind.takes(item) for item in opened)
        options = EVALUATIONS.get(self.name).config()
        scored = kind.score(opened, request.getfixturevalue("dataset"), options)
        assert len(scored.rows)
        assert kind.also_csv <= set(scored.tables)
        rows = json.loads(scored.rows.to_json(orient="records"))
        return {"rows": rows, "notes": list(scored.notes), "options": options.plain(), **self.summary()}

    def test_the_headline_can_be_shown(self, kind: EvaluationKind, headline: dict[str, Any]) -> None:
        """As text, in rows no longer than the headers."""
        shown = kind.table(headline)
        assert shown.title
        assert shown.rows
        for row in shown.rows:
            assert 0 < len(row) <= len(shown.headers)
            assert all(isinstance(cell, str) for cell in row)
            assert row[0]

    def test_its_few_numbers_are_texts(self, kind: EvaluationKind, headline: dict[str, Any]) -> None:
        """Each a value and what it is; there may be none."""
        for value, what in kind.numbers(headline):
            assert isinstance(value, str)
            assert isinstance(what, str)
            assert value
            assert what

    def summary(self) -> dict[str, Any]:
        """Return what else ``table`` reads of ``evaluation.json``."""
        return {}


class FigureContract:
    """Tests of a figure; a subclass sets ``name`` and has a fixture ``inputs`` with what the figure takes."""

    name: ClassVar[str]

    def test_it_says_what_it_shows_and_takes(self) -> None:
        """A line for ``--list``, and inputs that there are."""
        kind = FIGURES.get(self.name).build
        assert kind.shows
        assert "\n" not in kind.shows
        assert set(kind.takes) | set(kind.also) <= set(INPUTS)

    def test_it_draws_the_same_twice_with_its_numbers_and_words(self, inputs: FigureInputs) -> None:
        """Equal inputs give equal bytes; the numbers can be written as CSV; text stands beside the picture."""
        entry = FIGURES.get(self.name)
        assert all(inputs.has(each) for each in entry.build.takes)
        drawn = [styled(entry.build(entry.config()).draw)(inputs) for _ in range(2)]
        pictures = [styled(rendered)(each.canvas, "png") for each in drawn]
        assert pictures[0] == pictures[1]
        assert len(drawn[0].numbers) > 0
        assert drawn[0].numbers.to_csv(index=False) == drawn[1].numbers.to_csv(index=False)
        assert all((drawn[0].title, drawn[0].caption, drawn[0].alt))


class SectionContract:
    """Tests of a section of the report; a subclass sets ``name`` and has a fixture ``inputs``, of a run folder."""

    name: ClassVar[str]

    def test_it_shows_something_or_says_why_not(self, inputs: Inputs) -> None:
        """A section with an anchor, or a sentence; its place is its own."""
        section: ReportSection = SECTIONS.get(self.name).build()
        found = section.build(inputs)
        assert found is None or isinstance(found, Section | Note)
        if isinstance(found, Section):
            assert found.anchor
            assert found.title
            assert found.blocks
        others = [SECTIONS.get(name).build.order for name in SECTIONS.names() if name != self.name]
        assert section.order not in others
