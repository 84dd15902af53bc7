"""The page says how a model stands beside its baselines, or how to find out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from framework.report.page import Answer, Grid, Note, Picture, Section
from framework.report.page_inputs import read_inputs
from framework.report.run.page import build_report
from framework.report.sections import SECTIONS

SAYS = "number of cells and their density"
BOUNDS = {"difference": 0.01, "difference_low": -0.02, "difference_high": 0.04}
COUNT = {"target": "transcripts_M1", "says": SAYS, "score": 0.41, **BOUNDS, "p": 0.5, "verdict": "level with"}
FOUND: dict[str, Any] = {
    "rows": [{**COUNT, "baseline": "count", "features": 3, "strength": 1.0}],
    "targets": [{**COUNT, "model": 0.42, "best": "count", "units": 9}],
    "missing": {"imagenet": "not installed"},
    "unit": "condition",
    "resamples": 100,
    "score": "r",
    "how": "r: median over columns.",
}


def test_a_tie_is_told_as_a_tie(world: Any) -> None:
    inputs = read_inputs(world.run, world.dataset, world.omics, None)
    asked = SECTIONS.get("baselines").build().build(inputs)
    assert isinstance(asked, Note)
    assert asked.command.endswith("--baselines all")
    assert inputs.evaluation is not None
    beside = replace(inputs.evaluation, summary={**inputs.evaluation.summary, "baselines": FOUND})
    inputs = replace(inputs, evaluation=beside)
    found = SECTIONS.get("baselines").build().build(inputs)
    assert isinstance(found, Section)
    picture, grid = found.blocks
    assert isinstance(picture, Picture)
    assert isinstance(grid, Grid)
    assert [row[0] for row in grid.rows] == ["the model", f"count: {SAYS}", "imagenet: not there: not installed"]


def test_the_answer_stands_once_per_target_and_first_on_the_page(world: Any) -> None:
    above = {**COUNT, "target": "proteins", "model": 0.5, "best": "count", "units": 9, "verdict": "above"}
    rows = [*FOUND["rows"], {**above, "baseline": "count", "features": 3, "strength": 1.0}]
    found = {**FOUND, "rows": rows, "targets": [*FOUND["targets"], above]}
    inputs = read_inputs(world.run, world.dataset, world.omics, None)
    assert inputs.evaluation is not None
    beside = replace(inputs.evaluation, summary={**inputs.evaluation.summary, "baselines": found})
    inputs = replace(inputs, evaluation=beside)
    overview = SECTIONS.get("overview").build().build(inputs)
    assert isinstance(overview, Section)
    tie, better = overview.blocks[:2]
    assert isinstance(tie, Answer)
    assert tie.text.startswith("transcripts_M1: the model is level with the best baseline (count, number of cells")
    assert tie.text.endswith("r 0.420 against 0.410, difference +0.010 [-0.020, +0.040].")
    assert isinstance(better, Answer)
    assert better.text.startswith("proteins: the model is above")
    assert (tie.good, better.good) == (False, True)
    assert build_report(inputs).count("transcripts_M1: the model is level with the best baseline") == 1
