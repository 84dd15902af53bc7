"""What every evaluation, every figure and every section of the report keeps."""

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
    """Tests of an evaluation; a subclass says ``name`` and has a fixture ``opened``, prediction files that it takes."""

    name: ClassVar[str]

    @pytest.fixture
    def dataset(self) -> Dataset | None:
        """The dataset they were made of, where the evaluation needs it."""
        return None

    def test_its_files_are_scored_and_the_headline_can_be_shown(
        self, opened: Sequence[Predictions], dataset: Dataset | None
    ) -> None:
        """A row for each thing that was scored; a table whose rows are no longer than its headers."""
        entry = EVALUATIONS.get(self.name)
        kind: EvaluationKind = entry.build()
        if isinstance(kind, ScoresPredictions):
            assert all(kind.takes(item) for item in opened)
            scored = kind.score(opened, dataset, entry.config())
            assert len(scored.rows)
            assert kind.also_csv <= set(scored.tables)
            summary = json.loads(scored.rows.to_json(orient="records"))
            shown = kind.table({"rows": summary, "notes": list(scored.notes), **self.summary()})
            assert shown.rows
            assert all(len(row) <= len(shown.headers) for row in shown.rows)

    def summary(self) -> dict[str, Any]:
        """Return what else ``table`` reads of ``evaluation.json``."""
        return {}


class FigureContract:
    """Tests of a figure; a subclass says ``name`` and has a fixture ``inputs`` with what the figure takes."""

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
    """Tests of a section of the report; a subclass says ``name`` and has a fixture ``inputs``, of a run folder."""

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
