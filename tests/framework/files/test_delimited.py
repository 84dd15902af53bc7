"""Text tables: cells stay text, the layout is found and said, and what is not a table is named as what it is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from framework.errors import DatasetError, InputError
from framework.files.delimited import TextTable, iterate_text_table, read_text_table


def _read(tmp_path: Path, text: str | bytes, name: str = "t.csv", **options: Any) -> TextTable:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_text_table(file, what="a table", **options)


def _refused(tmp_path: Path, text: str | bytes, name: str = "t.csv", **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text, name, **options)
    assert str(tmp_path / name) in str(caught.value)
    return str(caught.value)


def test_cells_are_text_and_numbers_are_asked_for(tmp_path: Path) -> None:
    table = _read(tmp_path, "id, dose ,kind,x\n0042,0.5,None,1\n 7 ,10,NA,\n\n1e3,-2e-1,nan,n/a\n")
    assert table.names == ("id", "dose", "kind", "x")
    assert table.text.to_dict("list") == {
        "id": ["0042", "7", "1e3"],
        "dose": ["0.5", "10", "-2e-1"],
        "kind": ["None", "NA", "nan"],
        "x": ["1", "", "n/a"],
    }
    assert table.lines.tolist() == [2, 3, 5]
    assert table.numbers("dose").tolist() == [0.5, 10, -0.2]
    np.testing.assert_array_equal(table.numbers("x"), [1, np.nan, np.nan])
    np.testing.assert_array_equal(table.matrix(["id", "dose"]), [[42, 0.5], [7, 10], [1000, -0.2]])
    assert isinstance(table.text.index, pd.RangeIndex)
    assert table.notes == ()
    with pytest.raises(InputError, match=r"t\.csv: no column 'dos'; it has 'id', .*; did you mean 'dose'\?"):
        table.column("dos")


@pytest.mark.parametrize("bad", ["two", "1_000", "0x10", "1,5", "#DIV/0!", "1.2.3", "True"])
def test_text_among_numbers_names_line_and_column(tmp_path: Path, bad: str) -> None:
    table = _read(tmp_path, f'# about\nname;x\n"a\nb";1\nc;{bad}\nd;x\n')
    with pytest.raises(InputError) as caught:
        table.numbers("x")
    assert f"t.csv: line 5: column 'x' reads '{bad}', expected a number" in str(caught.value)


def test_quoted_cells_hold_separators_line_ends_and_quotation_marks(tmp_path: Path) -> None:
    table = _read(tmp_path, 'a,b\n"x, ""y""\nz",1\nlast,2\n')
    assert table.text["a"].tolist() == ['x, "y"\nz', "last"]
    assert table.lines.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a;b;c\n1;2;3\n", ";"),
        ("a\tb\tc\n1,5\t2\t3\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("a,b,c\nx;y,2,z;t\nu,1,2\n", ","),
        ("well;conc, uM;t, h\nA01;0,5;1,5\n", ";"),
        ("sep=;\na;b,c;d\n1;2;3\n", ";"),
        ("name\n1\n2\n", ","),
    ],
)
def test_the_separator_is_found(tmp_path: Path, text: str, separator: str) -> None:
    assert _read(tmp_path, text).separator == separator


def test_what_was_found_is_said(tmp_path: Path) -> None:
    table = _read(tmp_path, "# one\na;b\n# two\n1,5;µ\n;\n2;x\n".encode("latin-1"), "t.csv")
    assert table.text["b"].tolist() == ["µ", "x"]
    assert table.numbers("a").tolist() == [1.5, 2]
    said = "\n".join(table.notes)
    for words in (
        "Latin-1",
        "separated by semicolon",
        "decimal comma, as '1,5' in column 'a'",
        "line 3 begin",
        "line 5",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,5", "2", "-0,25", "1,5e3"], [1.5, 2, -0.25, 1500]),
        (["1,234", "NA"], [1.234, np.nan]),
    ],
)
def test_decimal_commas_of_semicolon_tables(tmp_path: Path, cells: list[str], values: list[float]) -> None:
    table = _read(tmp_path, "x;y\n" + "".join(f"{cell};a\n" for cell in cells))
    assert table.decimal == ","
    np.testing.assert_array_equal(table.numbers("x"), values)


def test_a_comma_that_may_separate_thousands_is_no_number(tmp_path: Path) -> None:
    table = _read(tmp_path, "x\ty\n1,234\t1\n", "t.tsv")
    with pytest.raises(InputError, match="reads '1,234', expected a number; if the comma is a decimal comma"):
        table.numbers("x")
    mixed = _read(tmp_path, "x;y\n0,5;1.5\n")
    with pytest.raises(InputError, match=r"column 'y' reads '1\.5', expected a number with a decimal comma"):
        mixed.numbers("y")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    text = end.join(["name,dose", "TGF-ß,1", "IL-4,2", ""])
    table = _read(tmp_path, text.encode(encoding))
    assert table.names == ("name", "dose")
    assert table.text["name"].tolist() == ["TGF-ß", "IL-4"]
    assert table.lines.tolist() == [2, 3]


def test_windows_letters(tmp_path: Path) -> None:
    assert _read(tmp_path, "a,b\n5 €,1\n".encode("cp1252")).text["a"].tolist() == ["5 €"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_packed_files_are_known_by_their_bytes(tmp_path: Path, pack: Any) -> None:
    packed = pack(b"a,b\n1,2\n" * 200)
    assert len(_read(tmp_path, packed, "t.csv")) == 399
    assert "cut off or damaged" in _refused(tmp_path, packed[:-9])


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(os.urandom(3000).hex().encode()))
    packed[len(packed) // 2] ^= 0xFF
    assert "the gzip file is cut off or damaged" in _refused(tmp_path, bytes(packed), "t.csv.gz")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is empty; expected a table"),
        ("\n\n# only this\n", "holds no line of a table; expected a table with a header"),
        ("a,b,a\n1,2,3\n", "the column 'a' appears twice in the header (columns 1 and 3)"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, the header (line 1) names 2; it begins with '1'"),
        (
            "a,b\nr1,2,3\n",
            "line 2 has 3 cells, the header (line 1) names 2; it begins with 'r1'; if the first",
        ),
        ("a,b,c\n1,2,3\n1,2\n", "line 3 has 2 cells, the header (line 1) names 3"),
        ("a,,\n1,2,3\n", "line 2 has 3 cells, the header (line 1) names 1"),
        (",a,,b\n1,2,3,4\n", "columns 1 and 3 have cells but no name"),
        ('a,b\n1,"2\n3,4\n', "line 2: a quotation mark opens that is never closed"),
        ('a,b\n1,"2"x\n', "line 2: text follows a closing quotation mark"),
        ("a,b\n" + '1,"' + "x" * 200_000, "line 2: a cell of more than 131,072 characters begins"),
        ("a,b\n1,2\x00\n", "line 2 holds a NUL byte"),
        ("#1.3\n2\t3\n", "found a GCT file"),
    ],
)
def test_bad_tables_name_the_line(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in _refused(tmp_path, text)


def test_surplus_blank_cells_and_columns_are_left_out(tmp_path: Path) -> None:
    table = _read(tmp_path, ",b,,\n1,2,,\n3,4,,,\n")
    assert table.names == ("", "b")
    assert table.text.to_numpy().tolist() == [["1", "2"], ["3", "4"]]


def _binary(tmp_path: Path) -> dict[str, bytes]:
    frame = pd.DataFrame({"a": [1, 2]})
    with h5py.File(tmp_path / "x.h5", "w") as store:
        store["a"] = [1]
    with sqlite3.connect(tmp_path / "x.db") as base:
        base.execute("create table t (a)")
    book, archive, arrays = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(book, "w") as made:
        made.writestr("xl/workbook.xml", "<x/>")
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("t.csv", "a,b")
    np.savez(arrays, a=np.arange(3))
    return {
        "a Parquet file": frame.to_parquet(),
        "a Feather file": b"FEA1\x00\x00\x00\x00" + bytes(40),
        "an Arrow file": _feather(frame),
        "an HDF5 file": (tmp_path / "x.h5").read_bytes(),
        "an SQLite database": (tmp_path / "x.db").read_bytes(),
        "an Excel workbook; save the sheet as CSV": book.getvalue(),
        "a ZIP archive": archive.getvalue(),
        "a file of NumPy arrays": arrays.getvalue(),
        "an old Office file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100),
        "a PDF document": b"%PDF-1.7\n",
        "a web page": b"<!DOCTYPE html>\n<html>",
        "an XML file": b'<?xml version="1.0"?><a/>',
        "a JSON file": json.dumps({"a": 1}).encode(),
        "a TIFF image": b"II*\x00\x08\x00\x00\x00",
        "a pickle of Python": pickle.dumps({"a": 1}),
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
        "a file of R objects": gzip.compress(b"RDX3\nX\n\x00\x00\x00\x03"),
    }


def _feather(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_feather(stream)
    return stream.getvalue()


def test_what_is_no_text_is_named_as_what_it_is(tmp_path: Path) -> None:
    for name, content in _binary(tmp_path).items():
        assert f"expected a table as text, found {name}" in _refused(tmp_path, content)


def test_genes_whose_names_are_marks_of_formats_are_text(tmp_path: Path) -> None:
    for word in ("PAR1", "MZ", "BZh9", "RDX"):
        assert _read(tmp_path, f"{word},b\n1,2\n").names == (word, "b")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("pipe", "a pipe, socket or device"),
        ("", "a folder"),
        ("no.csv", "no such file; expected a t"),
    ):
        with pytest.raises(InputError, match=words):
            read_text_table(tmp_path / name, what="a table")
    with pytest.raises(InputError, match="a pipe, socket or device"):
        read_text_table(Path("/dev/zero"), what="a table")


def test_a_line_without_end_and_too_much_text_are_refused(tmp_path: Path) -> None:
    endless = gzip.compress(b"a" * (70 << 20), 1)
    assert "line 1 is longer than 64 MB" in _refused(tmp_path, endless)
    assert "holds more than" in _refused(tmp_path, "a,b\n" + "1,2\n" * 100, most_bytes=100)


def test_the_header_may_be_marked(tmp_path: Path) -> None:
    text = "IDEAS 6.2\nFile: x.daf, y\n\nObject Number\tArea\t\n0\t1.5\t\n1\t2\t\n"
    table = _read(tmp_path, text, "t.txt", header="object number")
    assert table.names == ("Object Number", "Area")
    assert table.lines.tolist() == [5, 6]
    assert "the header stands in line 4" in "\n".join(table.notes)
    assert "holds the column 'Cell'" in _refused(tmp_path, text, "t.txt", header="Cell")


def test_two_header_rows_are_joined(tmp_path: Path) -> None:
    table = _read(tmp_path, "Image,Nucleus,Nucleus\nN,X,Y\n1,2,3\n", header_rows=2)
    assert table.names == ("Image / N", "Nucleus / X", "Nucleus / Y")
    assert table.lines.tolist() == [3]
    assert "expected 2 header rows, found 1" in _refused(tmp_path, "a,b\n", header_rows=2)


def test_pieces_are_the_whole(tmp_path: Path) -> None:
    text = "a;b\n" + "".join(f"{i:03d};{i},5\n" for i in range(25)) + "# end\n"
    whole = _read(tmp_path, text)
    pieces = list(iterate_text_table(tmp_path / "t.csv", what="a table", rows_at_once=10))
    assert [len(piece) for piece in pieces] == [10, 10, 5]
    assert pd.concat([piece.text for piece in pieces], ignore_index=True).equals(whole.text)
    assert np.concatenate([piece.numbers("b") for piece in pieces]).tolist() == whole.numbers("b").tolist()
    assert pieces[-1].lines.tolist() == list(range(22, 27))
    assert "line 27 begin" in pieces[-1].notes[-1]
    (empty,) = iterate_text_table(_file(tmp_path, "a,b\n"), what="a table")
    assert len(empty) == 0
    assert empty.numbers("a").tolist() == []


def _file(tmp_path: Path, text: str) -> Path:
    (tmp_path / "e.csv").write_text(text)
    return tmp_path / "e.csv"


def test_another_class_of_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="appears twice"):
        _read(tmp_path, "a,a\n", error=DatasetError)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("+5", 5),
        ("1e3", 1000),
        (".5", 0.5),
        ("5.", 5),
        ("-inf", -np.inf),
        ("Infinity", np.inf),
        ("0.1", 0.1),
        ("-", np.nan),
    ],
)
def test_numbers_are_those_of_python_to_the_last_bit(tmp_path: Path, cell: str, value: float) -> None:
    table = _read(tmp_path, f"x,y\n{cell},2.2250738585072014e-308\n0.30000000000000004,1\n")
    np.testing.assert_array_equal(table.matrix(["x", "y"]), [[value, 2.2250738585072014e-308], [0.1 + 0.2, 1]])


@pytest.mark.parametrize("cell", ["nan(1)", "1 2", "1.5", "x"])
def test_what_only_one_parser_takes_for_a_number_is_none(tmp_path: Path, cell: str) -> None:
    table = _read(tmp_path, f"x;y\n{cell};1,5\n", decimal=",")
    with pytest.raises(InputError, match=re.escape(f"column 'x' reads '{cell}', expected a number")):
        table.matrix(["y", "x"])


def test_one_thousand_is_not_read_as_one(tmp_path: Path) -> None:
    table = _read(tmp_path, "x;y\n1.000;a\n12;b\n")
    with pytest.raises(InputError, match=r"'1\.000' may be one thousand"):
        table.numbers("x")


@pytest.mark.parametrize(
    "text", ['"a" "b c"\n1 2\n"x y" 4\n', "a     b c\n1   2\nx   4\n".replace("b c", "b"), " a b\n 1 2\n x 4\n"]
)
def test_blanks_separate_cells_where_nothing_else_does(tmp_path: Path, text: str) -> None:
    table = _read(tmp_path, text, "t.txt")
    assert table.separator == " "
    assert table.numbers(table.names[1]).tolist() == [2, 4]
    assert any("separated by blanks" in note for note in table.notes)
    assert _read(tmp_path, "a name\none of many\ntwo\n").names == ("a name",)


def test_a_table_of_comments_alone_says_so(tmp_path: Path) -> None:
    left = "line 2 begins with # and is left out"
    assert _read(tmp_path, "a,b\n#1,2\n", may_be_empty=True).notes == (f"{tmp_path / 't.csv'}: {left}",)
    assert f"holds a header but no rows; expected a table; {left}" in _refused(tmp_path, "a,b\n#1,2\n")


def test_a_header_without_rows_is_a_table_only_where_it_may_be(tmp_path: Path) -> None:
    for text in ("a,b\n", "a,b", "# of 1 October\na,b\n\n,\n"):
        assert "holds a header but no rows; expected a table" in _refused(tmp_path, text)
        assert len(_read(tmp_path, text, may_be_empty=True)) == 0


def test_a_packed_file_that_ends_in_zeros_is_refused_at_once(tmp_path: Path) -> None:
    """Python's gzip looks at each zero after the end by itself: 4 GB of them take hours."""
    file = tmp_path / "t.csv.gz"
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        file.write_bytes(pack(b"a,b\n1,2\n"))
        with file.open("rb+") as stream:
            stream.truncate(4 << 30)
        with pytest.raises(InputError, match=r"t\.csv\.gz: the file ends with zero bytes"):
            read_text_table(file, what="a table")
    file.write_bytes(gzip.compress(b"a,b\n1,2\n") + bytes(512))  # as tapes pad it
    assert read_text_table(file, what="a table").text.to_numpy().tolist() == [["1", "2"]]


def test_only_what_is_wanted_is_held(tmp_path: Path) -> None:
    table = _read(tmp_path, "id,a,b,c\n0042,1,2,3\n", wanted={"c", "id", "none"})
    assert (table.names, table.header) == (("id", "c"), ("id", "a", "b", "c"))
    assert table.text.to_dict("list") == {"id": ["0042"], "c": ["3"]}
    assert _read(tmp_path, "id,a\n0042,1\n", wanted=set(), most_bytes=3).names == ()
    assert "holds more than" in _refused(tmp_path, "id,a\n0042,1\n", most_bytes=3)


@pytest.mark.parametrize("text", ["My plate\na,b\n1,2\n", "My plate,\na,b\n1,2\n", "Plate of May\na;b\n1;2\n"])
def test_a_title_above_the_header_is_said(tmp_path: Path, text: str) -> None:
    assert "the header seems to stand below line 1: remove the lines above it" in _refused(tmp_path, text)


def test_a_cell_too_many_has_two_reasons(tmp_path: Path) -> None:
    said = _refused(tmp_path, "a,b\n1,x, y\n")
    assert "names of rows" in said
    assert "a cell with ',' in it needs quotation marks" in said


def test_a_blank_column_without_a_name_is_left_out_wherever_it_stands(tmp_path: Path) -> None:
    table = _read(tmp_path, "a,,b\n1,,2\n3,,4\n")
    assert table.names == ("a", "b")
    assert table.text.to_numpy().tolist() == [["1", "2"], ["3", "4"]]
