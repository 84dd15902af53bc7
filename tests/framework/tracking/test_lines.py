"""JSON lines: a torn last line is dropped, everything before it stays."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from framework.errors import RunError
from framework.tracking.lines import LONGEST_LINE, Lines, raw_lines, read_lines


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.jsonl"
    lines = Lines(file)
    lines.append({"step": 1, "name": "µ"})
    assert list(read_lines(file)) == [{"step": 1, "name": "µ"}]
    lines.close()
    lines.close()


@pytest.mark.parametrize("whole", [0, 1, 700])
def test_a_torn_tail_is_cut_before_new_lines_follow(tmp_path: Path, whole: int) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("".join(f'{{"step":{i}}}\n' for i in range(whole)) + '{"step":99' + "9" * 5000)
    assert [record["step"] for record in read_lines(file)] == list(range(whole))
    lines = Lines(file)
    lines.append({"step": -1})
    assert [record["step"] for record in read_lines(file)] == [*range(whole), -1]


def test_damage_in_the_middle_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step":1}\ngarbage\n[3]\n{"step":2}\n')
    assert [record["step"] for record in read_lines(file)] == [1, 2]
    assert f"{file}:2" in caplog.text
    assert f"{file}:3" in caplog.text


def test_a_file_that_never_ends_its_line_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step":1}\n')
    with file.open("rb+") as stream:
        stream.truncate(8 << 30)
    with pytest.raises(RunError, match=rf"a\.jsonl: line 2 is longer than {LONGEST_LINE >> 20} MB"):
        list(read_lines(file))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    for read in (lambda file: list(read_lines(file)), Lines):
        with pytest.raises(RunError, match=r"a\.jsonl: a pipe, socket or device"):
            read(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("/proc/self/mem")  # it opens, and reading it is an error of the disk
    for each in (read_lines(tmp_path / "b.jsonl"), raw_lines(tmp_path / "b.jsonl", 100)):
        with pytest.raises(RunError, match=r"b\.jsonl: not readable as a file of JSON lines: Input/output error"):
            list(each)


def test_lines_are_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all my work, without a line end")
    (tmp_path / "a.jsonl").symlink_to("thesis.txt")
    with pytest.raises(OSError, match="a symbolic link, which is not written through") as found:
        Lines(tmp_path / "a.jsonl")
    assert found.value.filename == str(tmp_path / "a.jsonl")
    assert (tmp_path / "thesis.txt").read_text() == "all my work, without a line end"


def test_a_disk_that_takes_no_more_is_named_with_the_file(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "a.jsonl")
    lines.append({"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (25, hard))
    try:
        with pytest.raises(OSError, match="File too large") as found:
            lines.append({"step": 2, "loss": 0.12345})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert found.value.filename == str(tmp_path / "a.jsonl")
    lines.close()
    assert list(read_lines(tmp_path / "a.jsonl")) == [{"step": 1}], "what was torn is not a line"
