"""A new section, and the section of a new evaluation: one registered class each, and the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from framework.config import StrictModel
from framework.evaluate import EVALUATIONS, EvaluationKind, ScoreTable, read_evaluation, write_evaluation
from framework.report import write_report
from framework.report.page import Note, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig, sections_in_order


class Seeds(ReportSection):
    """Shows the seed of the run."""

    order = 15

    def build(self, inputs: Inputs) -> Section | Note | None:
        seed = inputs.run.section("train").get("seed")
        if seed is None:
            return Note(text="Seed: the config has none.", command="wellstream train CONFIG train.seed=1")
        return Section(anchor="seed", title="Seed", lead="Which seed?", blocks=[Note(text=f"The seed is {seed}.")])


class Plain(EvaluationKind):
    """Shows one number."""

    def table(self, summary: Mapping[str, Any]) -> ScoreTable:
        return ScoreTable(title="Ours", headers=("what", "value"), rows=[("all", "0.125"), ("missing",)])

    def numbers(self, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [("0.125", "of our score")]


def test_a_registered_section_stands_in_its_place_or_says_why_not(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SECTIONS, "_entries", dict(SECTIONS._entries))
    SECTIONS.register("seed", SectionConfig)(Seeds)
    page = write_report(world.run, out=tmp_path / "r.html").read_text()
    assert page.index('id="overview"') < page.index('id="seed"') < page.index('id="training"')
    assert "The seed is 7." in page
    (tmp_path / "config.yaml").write_text("objective: {name: triplet_mil}\n")
    bare = write_report(tmp_path).read_text()
    assert 'id="seed"' not in bare
    assert "Seed: the config has none." in bare


def test_an_evaluation_without_a_section_is_shown_by_its_headline(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EVALUATIONS, "_entries", dict(EVALUATIONS._entries))
    EVALUATIONS.register("ours", StrictModel)(Plain)
    summary = {"kind": "ours", "rows": [], "notes": ["made by hand"]}
    made = replace(read_evaluation(world.omics), kind="ours", summary=summary, tables={})
    write_evaluation(tmp_path / "e", made)
    page = write_report(world.run, evaluation=tmp_path / "e", out=tmp_path / "r.html").read_text()
    assert 'id="scores"' in page
    assert page.count("0.125") == 3  # overview, headline of the section, table
    assert "made by hand" in page


def test_each_section_has_a_place_of_its_own() -> None:
    orders = [section.order for section in sections_in_order()]
    assert orders == sorted(set(orders))
