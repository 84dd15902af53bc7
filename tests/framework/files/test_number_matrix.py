"""Wide matrices in blocks: the numbers of the file, and a sentence for every row that is not one."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from framework.errors import InputError
from framework.files.delimited import NumberBlock, read_numbers_matrix


def _blocks(file: Path, text: str | bytes, cells_at_once: int = 1_000_000) -> list[NumberBlock]:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_numbers_matrix(file, what="a table of counts", cells_at_once=cells_at_once))


def test_blocks_hold_the_numbers_of_the_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (23, 7))
    frame = pd.DataFrame(values, index=[f"g{i:02d}" for i in range(23)], columns=[f"c{i}" for i in range(7)])
    text = frame.to_csv()
    for name, content in (
        ("t.csv", text),
        ("t.csv.gz", gzip.compress(text.encode())),
        ("u.csv", text.encode("utf-16")),
    ):
        blocks = _blocks(tmp_path / name, content, cells_at_once=80)
        assert [len(block.rows) for block in blocks] == [10, 10, 3]
        np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), values)
        assert [row for block in blocks for row in block.rows] == frame.index.tolist()
        assert blocks[0].columns == tuple(frame.columns)


def test_names_of_rows_stay_text_and_r_headers_are_read(tmp_path: Path) -> None:
    (block,) = _blocks(tmp_path / "t.csv", '"c1" "c2"\n'.replace(" ", ",") + 'NA,1,2\n"007",3,\nnan,-1.5e2,inf\n')
    assert block.rows == ("NA", "007", "nan")
    assert (block.corner, block.columns) == ("", ("c1", "c2"))
    np.testing.assert_array_equal(block.values, [[1, 2], [3, np.nan], [-150, np.inf]])
    assert "no name for the column of row names" in block.notes[-1]


def test_comments_separators_and_surplus_separators(tmp_path: Path) -> None:
    (block,) = _blocks(tmp_path / "t.csv", "# x\ngene;a;b\ng1;1;2;\ng2;3;4;\n")
    assert (block.corner, block.columns, block.rows) == ("gene", ("a", "b"), ("g1", "g2"))
    np.testing.assert_array_equal(block.values, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("g,a,b\nx,1,2\ny,1,two\n", "line 3 ('y'): column 'b' reads 'two', expected a number"),
        ("g,a,b\nx,1,2\ny,1e400,2\n", "line 3 ('y'): column 'a' reads '1e400', which is too large a number"),
        ("g,a,b\nx,1,2\ny,1\n", "line 3 has 2 cells, the header (line 1) names 3"),
        ("g,a,b\nx,1,2\ny,1,2,3\n", "line 3 has 4 cells, the header (line 1) names 3"),
        ("g,a,b\nx,1\n", "line 2 has 2 cells, the header (line 1) names 3"),
        ("g,a,b\nx,1,2,\ny,1,2,3\n", "line 3 has 4 cells, the header (line 1) names 3"),
        ("g,a,a\nx,1,2\n", "the column 'a' appears twice"),
        ("g,a,b\n", "holds a header but no rows"),
        ("g\nx\n", "one column; expected a table of counts"),
        ("My counts\ng,a,b\nx,1,2\n", "but the rows below have 3; the real header seems to be further down"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        _blocks(tmp_path / "t.csv", text)
    assert sentence in str(caught.value)
    assert str(tmp_path / "t.csv") in str(caught.value)


def test_a_cut_gzip_is_named(tmp_path: Path) -> None:
    packed = gzip.compress(b"g,a\nx,1\n" * 100)
    with pytest.raises(InputError, match="the gzip file is cut off or damaged"):
        _blocks(tmp_path / "t.csv.gz", packed[:-5])


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("g;a;b\nx;1,5;2\ny;0,25;NA\n", "decimal comma, as '1,5' in column 'a'"),
        ("g a b\nx 1.5 2\ny 0.25 NA\n", "separated by blanks"),
        ('"a" "b"\n"x" 1.5 2\n"y" 0.25 NA\n', "no name for the column of row names"),
        ('# say "no\ng\ta\tb\nx\t1,5\t2\ny\t0,25\tNA\n', "decimal comma"),
    ],
)
def test_signs_and_separators_are_found(tmp_path: Path, text: str, note: str) -> None:
    (block,) = _blocks(tmp_path / "t.csv", text)
    assert (block.rows, block.columns) == (("x", "y"), ("a", "b"))
    np.testing.assert_array_equal(block.values, [[1.5, 2], [0.25, np.nan]])
    assert any(note in said for said in block.notes)


def test_a_header_with_a_line_end_in_a_name(tmp_path: Path) -> None:
    (block,) = _blocks(tmp_path / "t.csv", 'g,"a\n1",b\n"x\ny",1,2\n')
    assert (block.rows, block.columns, block.values.tolist()) == (("x\ny",), ("a\n1", "b"), [[1, 2]])


def test_one_thousand_is_not_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'1\.000' may be one thousand"):
        _blocks(tmp_path / "t.csv", "g;a;b\nx;1.000;2\n")


def test_lines_of_separators_alone_and_names_as_formulas(tmp_path: Path) -> None:
    blocks = _blocks(tmp_path / "t.csv", 'gene,c1,="c2"\n="SEPT2",1,2\n,,\n1-Mar,3,\n,,\n', cells_at_once=3)
    assert [row for block in blocks for row in block.rows] == ["SEPT2", "1-Mar"]
    assert blocks[0].columns == ("c1", "c2")
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), [[1, 2], [3, np.nan]])
