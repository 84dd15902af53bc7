"""FCS files written byte by byte: widths, byte orders, scales, and places that are wrong in one header."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.readers.tables.base import NumberTable
from data_tools.readers.tables.fcs import FcsConfig, read_fcs
from framework.errors import InputError

pytest.importorskip("flowio", reason="FlowIO is not installed: pip install 'wellstream[ifc]'")


def fcs(data: bytes, events: int, names: list[str], header: tuple[int, int] = (0, 0), **text: Any) -> bytes:
    """A data set of FCS 3.0 whose events begin at byte 1000, as TEXT says; the header says so too, or ``header``."""
    first, last = 1000, 1000 + len(data) - 1
    words: dict[str, Any] = {
        "BEGINDATA": first, "ENDDATA": last, "TOT": events, "PAR": len(names), "MODE": "L", "DATATYPE": "I",
        "BYTEORD": "4,3,2,1", "NEXTDATA": 0,
    }  # fmt: skip
    for place, name in enumerate(names, start=1):
        words |= {f"P{place}N": name, f"P{place}B": 16, f"P{place}R": 65536, f"P{place}E": "0,0"}
    words |= text
    body = "/" + "".join(f"${key}/{value}/" for key, value in words.items() if value is not None)
    begin, end = header if header[0] else (first, last)
    head = f"FCS3.0    {256:8d}{255 + len(body):8d}{begin:8d}{end:8d}{0:8d}{0:8d}"
    return (head.ljust(256) + body).ljust(first).encode() + data


def read(file: Path, data: bytes, **options: Any) -> NumberTable:
    file.write_bytes(data)
    return read_fcs(FcsConfig(path=str(file), **options))


VALUES = np.array([[1, 300], [2, 500], [65535, 7]], dtype=">u2")


def test_whole_numbers_of_any_bytes_and_order(tmp_path: Path) -> None:
    file = tmp_path / "a.fcs"
    assert read(file, fcs(VALUES.tobytes(), 3, ["A", "B"])).columns.to_numpy().tolist() == VALUES.tolist()
    little = fcs(VALUES.astype("<u2").tobytes(), 3, ["A", "B"], BYTEORD="1,2,3,4")
    assert read(file, little).columns.to_numpy().tolist() == VALUES.tolist()
    wide = [70000, 5, 1 << 23]
    data = b"".join(value.to_bytes(3, "big") for value in wide)
    assert read(file, fcs(data, 3, ["A"], P1B=24, P1R=1 << 24)).columns["A"].tolist() == wide
    mixed = b"".join(bytes([one]) + two.to_bytes(4, "big") for one, two in ((1, 100000), (2, 3)))
    found = read(file, fcs(mixed, 2, ["A", "B"], P1B=8, P1R=256, P2B=32, P2R=1 << 32))
    assert found.columns.to_numpy().tolist() == [[1, 100000], [2, 3]]


def test_bits_above_the_range_are_no_data(tmp_path: Path) -> None:
    found = read(tmp_path / "a.fcs", fcs(np.array([1024 + 5, 1000], ">u2").tobytes(), 2, ["A"], P1R=1000))
    assert found.columns["A"].tolist() == [5, 1000]


def test_gains_and_logarithms_are_undone_unless_told(tmp_path: Path) -> None:
    data = fcs(np.array([[512, 10]], ">u2").tobytes(), 1, ["A", "B"], P1R=1024, P1E="4,1", P2G="2.5")
    assert read(tmp_path / "a.fcs", data).columns.to_numpy().tolist() == [[100.0, 4.0]]  # 10 ** (4 * 512 / 1024)
    time = fcs(np.array([8], ">u2").tobytes(), 1, ["Time"], TIMESTEP="0.25")
    assert read(tmp_path / "a.fcs", time).columns["Time"].tolist() == [2.0]
    for odd in ("xxx", "0", "nan"):
        found = read(tmp_path / "a.fcs", fcs(np.array([8], ">u2").tobytes(), 1, ["Time"], TIMESTEP=odd))
        assert found.columns["Time"].tolist() == [8.0]
        said = f"$TIMESTEP reads '{odd}', expected a number above 0; times are as stored"
        assert found.notes == (f"{tmp_path / 'a.fcs'}: {said}",)
    assert read(tmp_path / "a.fcs", data, scale="stored").columns.to_numpy().tolist() == [[512.0, 10.0]]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ((900, 911), {}),  # the header is wrong
        ((1000, 1012), {}),  # the header is one byte too far
        ((0, 0), {"BEGINDATA": 900, "ENDDATA": 911 + 5}),  # TEXT is wrong
        ((1000, 1012), {"ENDDATA": 1012}),  # both are one byte too far
    ],
)
def test_events_are_found_where_one_place_is_wrong_and_it_is_said(
    tmp_path: Path, header: tuple[int, int], text: dict[str, Any]
) -> None:
    found = read(tmp_path / "a.fcs", fcs(VALUES.tobytes(), 3, ["A", "B"], header, **text))
    assert found.columns.to_numpy().tolist() == VALUES.tolist()
    assert "its events do not lie where it says" in found.notes[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TOT": 4}, r"cut off: it declares 4 events \(\$TOT\) and holds 3 [(]"),
        ({"BEGINDATA": 990, "ENDDATA": 999, "header": (985, 990)}, "are at none of the places that the file names"),
        ({"MODE": "C"}, "a histogram"),
        ({"DATATYPE": "A"}, "DATATYPE is 'A'"),
        ({"P1B": 10}, "parameter 1 has 10 bits"),
        ({"BYTEORD": "3,4,1,2"}, "BYTEORD is '3,4,1,2'"),
        ({"TOT": 99999999999}, "cut off"),
        ({"P2N": None}, r"parameter 2 of 2 has no name \(\$P2N\)"),
        ({"P2N": None, "P3N": "C", "P3R": 9, "P3E": "0,0"}, r"parameter 2 of 2 has no name \(\$P2N\)"),
        ({"P3N": "C", "P3R": 9, "P3E": "0,0"}, r"names a parameter 3 \(\$P3N\), but declares 2"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(tmp_path / "a.fcs", fcs(VALUES.tobytes(), 3, ["A", "B"], **changes))


def test_parameters_that_share_a_name_are_numbered(tmp_path: Path) -> None:
    found = read(tmp_path / "a.fcs", fcs(np.zeros((1, 3), ">u2").tobytes(), 1, ["A", "B", "A"]))
    assert list(found.columns) == ["A (P1)", "B", "A (P3)"]
    assert found.notes == (f"{tmp_path / 'a.fcs'}: 2 parameters are called 'A'; they are named 'A (P1)', 'A (P3)'",)


def test_one_of_several_data_sets_is_chosen(tmp_path: Path) -> None:
    file = tmp_path / "a.fcs"
    first = fcs(np.array([1, 2], ">u2").tobytes(), 2, ["A"], NEXTDATA=1004)
    both = first + fcs(np.array([7], ">u2").tobytes(), 1, ["B"])
    with pytest.raises(InputError, match=r"2 data sets \(1: 2 events, 2: 1 events\); choose one with 'data_set'"):
        read(file, both)
    assert read(file, both, data_set=1).columns["A"].tolist() == [1, 2]
    assert read(file, both, data_set=2).columns["B"].tolist() == [7]
    with pytest.raises(InputError, match=r"has 2 data set\(s\), 'data_set' names number 3"):
        read(file, both, data_set=3)
    alone = read(file, first)
    assert alone.columns["A"].tolist() == [1, 2]
    assert "announces another data set at byte 1004, where none is" in alone.notes[0]


@pytest.mark.parametrize("keyword", ["SPILLOVER", "SPILL", "COMP"])
def test_a_spillover_matrix_is_said_not_to_be_applied(tmp_path: Path, keyword: str) -> None:
    data = fcs(VALUES.tobytes(), 3, ["A", " "], **{keyword: "2,A,B,1,0.1,0,1"})
    found = read(tmp_path / "a.fcs", data)
    assert found.notes == (
        f"{tmp_path / 'a.fcs'}: holds a spillover matrix, which is not applied: values are not compensated",
    )
    assert found.columns.to_dict("list") == {"A": [1, 2, 65535], "P2": [300, 500, 7]}


def test_factors_to_other_units_are_said_not_to_be_applied(tmp_path: Path) -> None:
    data = fcs(VALUES.tobytes(), 3, ["A", "B"], P1CALIBRATION="", P2CALIBRATION="4.2,MEF")
    found = read(tmp_path / "a.fcs", data)
    assert found.notes == (
        f"{tmp_path / 'a.fcs'}: gives factors to other units, which are not applied: $P2CALIBRATION 4.2,MEF",
    )
    assert found.columns.to_dict("list") == {"A": [1, 2, 65535], "B": [300, 500, 7]}


@pytest.mark.parametrize(
    ("content", "found"), [(b"a,b\n1,2\n", "found text"), (b"\x1f\x8b\x08\x00", "found a file packed with gzip")]
)
def test_what_is_no_fcs_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    with pytest.raises(InputError, match=f"not an FCS file: expected FCS at its beginning, {found}"):
        read(tmp_path / "a.fcs", content)


ONE = np.array([8], dtype=">u2").tobytes()


def test_an_empty_value_hides_no_keyword_behind_it(tmp_path: Path) -> None:
    found = read(tmp_path / "a.fcs", fcs(ONE, 1, ["A"], P1S="", P1G="2", FIL="a//b", CYT="", TIMESTEP="3"))
    assert found.columns.to_dict("list") == {"A": [4.0]}
    named = read(tmp_path / "a.fcs", fcs(ONE, 1, ["A//B"], P1S="", P2S="x", P1G="2"), names="pns")
    assert named.columns.to_dict("list") == {"A/B": [4.0]}


def test_a_text_whose_end_is_told_one_byte_too_early_keeps_its_last_letter(tmp_path: Path) -> None:
    data = fcs(ONE, 1, ["A"], P1G="20")
    last = int(data[18:26])
    early = data[:18] + f"{last - 1:8d}".encode() + data[26:]
    assert read(tmp_path / "a.fcs", early).columns["A"].tolist() == [0.4]
    without_end = early[:last] + b" " + early[last + 1 :]
    assert read(tmp_path / "a.fcs", without_end).columns["A"].tolist() == [0.4]


def test_the_keyword_of_the_standard_counts_and_signs_in_values_stay(tmp_path: Path) -> None:
    data = fcs(ONE, 1, ["A$"], P1G="2").replace(b"$NEXTDATA/0/", b"P1G/4/$NEXTDATA/0/")
    stop = int(data[18:26]) + len("P1G/4/")
    moved = data[:18] + f"{stop:8d}".encode() + data[26:].replace(b" " * 6 + ONE, ONE)
    assert read(tmp_path / "a.fcs", moved).columns.to_dict("list") == {"A$": [4.0]}


def test_keywords_of_the_supplement_count(tmp_path: Path) -> None:
    more = b"/$P1G/4/$P1S/CD34/$P1N/other/"
    data = fcs(ONE, 1, ["A"], BEGINSTEXT=1002, ENDSTEXT=1001 + len(more)) + more
    assert read(tmp_path / "a.fcs", data, names="pns").columns.to_dict("list") == {"CD34": [2.0]}
    assert read(tmp_path / "a.fcs", data).columns.to_dict("list") == {"A": [2.0]}
    with pytest.raises(InputError, match=r"names further keywords at bytes 1002 to 1030 \(\$BEGINSTEXT\), where the f"):
        read(tmp_path / "a.fcs", data[:-3])


def test_a_parameter_may_be_stored_otherwise_than_the_others(tmp_path: Path) -> None:
    data = np.array([7], ">u4").tobytes() + np.array([1.5], ">f4").tobytes()
    options = {"P1B": 32, "P1R": 1 << 31, "P2B": 32, "P2R": 1 << 31, "P2DATATYPE": "F"}
    assert read(tmp_path / "a.fcs", fcs(data, 1, ["A", "B"], **options)).columns.to_numpy().tolist() == [[7, 1.5]]
    with pytest.raises(InputError, match=r"\$P2DATATYPE is 'X'; expected I, F or D"):
        read(tmp_path / "a.fcs", fcs(data, 1, ["A", "B"], **options | {"P2DATATYPE": "X"}))


def test_doubts_about_the_scale_are_said_and_contradictions_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.fcs"
    found = read(file, fcs(ONE, 1, ["A"], P1E=None))
    assert found.notes == (f"{file}: does not say how parameter 1 is stored ($PnE); taken as linear",)
    real = fcs(np.array([512], ">f4").tobytes(), 1, ["A"], DATATYPE="F", P1B=32, P1R=1024, P1E="4,0")
    found = read(file, real)
    assert found.columns["A"].tolist() == [100.0]
    assert "says that parameter 1 is stored as a logarithm ($PnE) and with fractions" in found.notes[0]
    assert read(file, real, scale="stored").notes == ()
    with pytest.raises(InputError, match=r"parameter 1 is stored as a logarithm, but \$P1R is 0; expected a range"):
        read(file, fcs(ONE, 1, ["A"], P1E="4,1", P1R=0))


def test_the_time_has_no_gain_but_the_step_and_old_compensation_is_said(tmp_path: Path) -> None:
    found = read(tmp_path / "a.fcs", fcs(ONE, 1, ["Time "], TIMESTEP="0.5", P1G="10", DFC1TO2="3"))
    assert found.columns.to_dict("list") == {"Time": [4.0]}
    assert "holds a spillover matrix, which is not applied" in found.notes[0]
