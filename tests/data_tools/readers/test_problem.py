"""A problem reads the same wherever the input lies."""

from __future__ import annotations

from pathlib import Path

from data_tools.readers.problem import Problem, relative_text


def test_texts_leave_out_the_folder_of_the_command() -> None:
    problem = Problem(plate="P", well="A01", file="/lab/P/a.tif", reason="x", detail="/lab/P/a.tif: bad; not /lab2/b")
    shown = problem.relative_to(Path("/lab"))
    assert shown == Problem(plate="P", well="A01", file="P/a.tif", reason="x", detail="P/a.tif: bad; not /lab2/b")
    assert problem.file == "/lab/P/a.tif"


def test_a_problem_of_a_whole_plate_has_no_file() -> None:
    problem = Problem(plate="P", reason="x", detail="/lab/P: empty")
    assert problem.relative_to(Path("/lab")) == Problem(plate="P", reason="x", detail="P: empty")
    assert relative_text("/elsewhere/P: empty", Path("/lab")) == "/elsewhere/P: empty"
