"""Results as a notebook shows them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

import wellstream
from data_tools.pipeline import CellsSummary, IngestSummary
from data_tools.simulate import CropsSummary, IfcSummary, PlateSummary
from data_tools.single_cell import PreparedCells
from framework.evaluate import Evaluation
from framework.expression import ExpressionSummary
from framework.result import Result, long_facts, short_facts
from framework.run.apply import results
from wellstream.starts import Start


@dataclass(frozen=True, kw_only=True, repr=False)
class Painted(Result):
    """A result of this test."""

    file: Path
    loss: float
    n_tiles: int
    channels: tuple[str, ...] = ()
    counts: dict[str, float] | None = None
    notes: tuple[str, ...] = ()


def test_one_line_per_attribute_and_nothing_for_what_is_not_there() -> None:
    assert repr(Painted(file=Path("a/b.npz"), loss=0.123456, n_tiles=12, counts={"a": 1.0, "b": 2.5})) == (
        "Painted\n  file     a/b.npz\n  loss     0.1235\n  n tiles  12\n  counts   a: 1, b: 2.5"
    )


def test_many_names_are_counted_and_many_sentences_get_lines() -> None:
    made = Painted(
        file=Path("x"),
        loss=1.0,
        n_tiles=1,
        channels=tuple(f"c{number}" for number in range(9)),
        notes=tuple(f"{number}: {'word ' * 10}".strip() for number in range(7)),
    )
    lines = repr(made).splitlines()
    assert "  channels  c0, c1, c2, c3, c4, c5, ... (9 in all)" in lines
    assert lines[5] == "  notes (7):"
    assert lines[6] == f"    0: {'word ' * 10}".rstrip()
    assert lines[-1] == "    ... and 2 more"


def test_sentences_have_a_line_each_also_when_they_are_few() -> None:
    made = Painted(file=Path("x"), loss=1.0, n_tiles=1, channels=("a", "b"), notes=("one, and two", "three"))
    assert repr(made).splitlines()[4:] == ["  channels  a, b", "  notes:", "    one, and two", "    three"]


def test_commands_to_copy_have_a_line_each_however_short_they_are() -> None:
    assert long_facts(Start(reader="harmony")) == []
    made = Start(reader="harmony", then=("wellstream ingest a.yaml", "wellstream train b.yaml"))
    assert long_facts(made) == [("then", ["wellstream ingest a.yaml", "wellstream train b.yaml"])]
    assert short_facts(made) == [("reader", "harmony")]
    assert repr(made).splitlines()[-3:] == ["  then:", "    wellstream ingest a.yaml", "    wellstream train b.yaml"]


def test_only_a_dataclass_is_a_result() -> None:
    with pytest.raises(TypeError, match="expected a dataclass, found dict"):
        short_facts({"a": 1})


def test_every_result_of_the_face_reads_so() -> None:
    of_runs = [each for name, each in vars(results).items() if name.endswith("Summary")]
    assert len(of_runs) == 8
    for each in (*of_runs, IngestSummary, CellsSummary, PlateSummary, CropsSummary, IfcSummary, PreparedCells):
        assert each.__repr__ is Result.__repr__, each.__name__
    assert ExpressionSummary.__repr__ is Result.__repr__


def test_an_evaluation_shows_its_headline_and_its_notes() -> None:
    row = {"marker": "CD3", "n": 40, "r": 0.5, "r_low": 0.4, "r_high": 0.6, "rmse": 1.0, "rmse_mean": 2.0}
    row |= {"r_linear": None, "r_linear_low": None, "r_linear_high": None, "rmse_linear": None}
    made = Evaluation(kind="markers", summary={"rows": [row], "notes": ["two cells are unknown"]}, tables={})
    assert "markers" in wellstream.EVALUATIONS.names()
    lines = repr(made).splitlines()
    assert lines[0].strip() == "Markers of single cells that were held out"
    assert any(line.split()[:2] == ["CD3", "40"] for line in lines)
    assert lines[-2:] == ["- two cells are unknown", "tables: "]
