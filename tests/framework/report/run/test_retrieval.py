"""The section about profiles: its numbers are those of the evaluation."""

from __future__ import annotations

from pathlib import Path

from fixtures.profile_screen import COLUMNS, screen

from framework.evaluate import read_evaluation
from framework.profiles import RetrieveConfig, retrieve
from framework.report.page import Grid, Note, Numbers, render_page
from framework.report.run import page as _sections  # noqa: F401 (registers ours)
from framework.report.sections import show_evaluation


def test_scores_classes_and_batches_are_shown(tmp_path: Path) -> None:
    retrieve(screen(), RetrieveConfig(**COLUMNS, permutations=200), tmp_path)
    section = show_evaluation(read_evaluation(tmp_path))
    grids = [block for block in section.blocks if isinstance(block, Grid)]
    assert [grid.headers[0] for grid in grids] == ["score", "class", "score"]
    shown = {row[0]: row[1] for row in grids[0].rows}
    assert shown["NSC"].startswith("1.000")
    assert [row[0] for row in grids[1].rows] == ["m0", "m1", "m2"]
    assert {"mixing", "kept", "total"} <= {row[0] for row in grids[2].rows}
    assert [numbers.items[0] for numbers in section.blocks if isinstance(numbers, Numbers)] == [
        ("1.000", "NSC: not same compound")
    ]
    assert "What do profiles of 12 treatments (12 compounds) retrieve?" in render_page("run", "profiles", [section])


def test_what_was_not_asked_for_is_said() -> None:
    made = retrieve(screen(), RetrieveConfig(treatment=("Metadata_Compound",), to="Metadata_Compound=DMSO"))
    section = show_evaluation(made)
    assert [block.text for block in section.blocks if isinstance(block, Note)] == made.summary["notes"]
    assert sum(isinstance(block, Grid) for block in section.blocks) == 1
