"""Headers that stand behind the sign of a comment."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import InputError
from framework.files.delimited import TextTable, read_text_table


def _read(tmp_path: Path, text: str, name: str = "t.csv") -> TextTable:
    (tmp_path / name).write_text(text)
    return read_text_table(tmp_path / name, what="a table")


def test_a_header_behind_the_comment_sign(tmp_path: Path) -> None:
    table = _read(tmp_path, "# made by a program\n#OTU ID\tS1\tS2\nt1\t5\t6\n", "t.tsv")
    assert table.names == ("#OTU ID", "S1", "S2")
    assert len(table) == 1


@pytest.mark.parametrize(
    "text",
    [
        "# seed = 0\n# it   GATA1    FOG1\n   0  0.8032 -0.0005\n  10  0.7239  0.0016\n",
        "# seed = 0\n\n# it,GATA1,FOG1\n0,0.8032,-0.0005\n10,0.7239,0.0016\n",
        "# it\tGATA1\tFOG1\n0\t0.8032\t-0.0005\n10\t0.7239\t0.0016\n",
    ],
)
def test_a_header_that_is_the_last_comment_of_rows_of_numbers(tmp_path: Path, text: str) -> None:
    table = _read(tmp_path, text, "t.txt")
    assert table.names == ("it", "GATA1", "FOG1")
    assert table.text["it"].tolist() == ["0", "10"]
    assert table.numbers("GATA1").tolist() == [0.8032, 0.7239]
    assert table.numbers("FOG1").tolist() == [-0.0005, 0.0016]


def test_rows_of_numbers_below_comments_are_no_header(tmp_path: Path) -> None:
    sentence = "line 3 holds only numbers where the header of a table is expected; .* remove the # of"
    with pytest.raises(InputError, match=sentence):
        _read(tmp_path, "# seed = 0\n## a b c\n0,0.8,1\n1,0.7,1\n")
    with pytest.raises(
        InputError, match=r"line 1 holds only numbers where the header .* write the names of the columns above it"
    ):
        _read(tmp_path, "   0  0.8052  0.7880\n   1  0.7378  0.7237\n   2  0.65  0.65\n")
    assert _read(tmp_path, "1,2,3.0\n5,6,7\n").names == ("1", "2", "3.0")
    assert _read(tmp_path, "# seed\n,1,2\ng,5,6\n").names == ("", "1", "2")
