"""Tables of features with lines before their header, and events of FCS files."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.readers.tables.fcs import FcsConfig, read_fcs
from data_tools.readers.tables.ideas import FeaturesConfig, read_features
from framework.errors import InputError
from framework.files.delimited import TextTable

IDEAS = (
    "The following data was extracted from: C:\\data\\x.daf\r\n"
    "Population: Tête\tAll\r\n"
    "\r\n"
    "Object Number\tIntensity_MC_Ch02 \tArea_M01\r\n"
    "0\t10.5\t3\r\n"
    "2\t\t4\r\n"
    "7\tNaN\t5\r\n"
)


def table(file: Path, text: str, encoding: str = "utf-8", **options: object) -> TextTable:
    file.write_bytes(text.encode(encoding))
    return read_features(FeaturesConfig.from_plain({"path": str(file), **options}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_header_is_found_below_the_preamble(tmp_path: Path, encoding: str) -> None:
    found = table(tmp_path / "x.txt", IDEAS, encoding)
    assert found.names == ("Object Number", "Intensity_MC_Ch02", "Area_M01")
    assert found.column("Object Number").tolist() == ["0", "2", "7"]
    np.testing.assert_array_equal(found.numbers("Intensity_MC_Ch02"), [10.5, np.nan, np.nan])


def test_the_header_may_be_the_first_line_of_a_csv(tmp_path: Path) -> None:
    found = table(tmp_path / "x.csv", 'object number,"Mean, all"\n1,2\n')
    assert found.names == ("object number", "Mean, all")
    assert found.text.to_numpy().tolist() == [["1", "2"]]


def test_labels_of_cells_stay_as_they_are_written(tmp_path: Path) -> None:
    found = table(tmp_path / "x.txt", "Object Number\tSample\tStim\tDose\n1\t0012\tNone\t10\n2\t0107\tNA\t0.5\n")
    assert found.text.to_numpy().tolist() == [["1", "0012", "None", "10"], ["2", "0107", "NA", "0.5"]]


def test_a_separator_at_the_end_of_lines_shifts_nothing(tmp_path: Path) -> None:
    found = table(tmp_path / "x.txt", "Object Number\tA\t\n4\t1\t\n5\t2\t\n")
    assert found.names == ("Object Number", "A")
    assert found.text.to_numpy().tolist() == [["4", "1"], ["5", "2"]]


def test_decimal_commas(tmp_path: Path) -> None:
    for decimal in ("auto", ","):
        found = table(tmp_path / "x.txt", "Object Number\tA\n4\t1,25\n", decimal=decimal)
        assert found.numbers("A").tolist() == [1.25]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\n1\t2\n", "no line among the first 1000 holds the column 'Object Number'"),
        ("", "the file is empty"),
        ("Object Number\tA\n\n", "holds a header but no rows"),
        ("Object Number\tA\tA\n1\t2\t3\n", "the column 'A' appears twice"),
        ("Object Number\tA\n1\t2\n3\t4\t5\t6\n", "line 3 has 4 cells"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=rf"x\.txt.*{words}"):
        table(tmp_path / "x.txt", text)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.txt: no such file"):
        read_features(FeaturesConfig(path=str(tmp_path / "no.txt")))


def test_a_file_without_line_ends_is_not_read_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no line among"):
        table(tmp_path / "x.txt", "x" * 3_000_000)


def events(file: Path) -> np.ndarray:
    flowio = pytest.importorskip("flowio", reason="FlowIO is not installed: pip install 'wellstream[ifc]'")
    values = np.array([[0, 10.5], [2, 20.25], [9, 30.0]])
    with file.open("wb") as stream:
        flowio.create_fcs(stream, values.reshape(-1).tolist(), ["Object Number", "FL1"], ["", "CD34"])
    return values


def test_events_of_an_fcs_file_are_rows(tmp_path: Path) -> None:
    values = events(tmp_path / "x.fcs")
    found = read_fcs(FcsConfig(path=str(tmp_path / "x.fcs")))
    assert list(found.columns) == ["Object Number", "FL1"]
    assert found.notes == ()
    np.testing.assert_allclose(found.columns.to_numpy(), values)
    named = read_fcs(FcsConfig(path=str(tmp_path / "x.fcs"), names="pns"))
    assert list(named.columns) == ["Object Number", "CD34"]


def test_a_damaged_fcs_file_is_refused(tmp_path: Path) -> None:
    events(tmp_path / "x.fcs")
    whole = (tmp_path / "x.fcs").read_bytes()
    (tmp_path / "x.fcs").write_bytes(whole[:-6])
    with pytest.raises(InputError, match=r"x\.fcs: not a readable FCS file"):
        read_fcs(FcsConfig(path=str(tmp_path / "x.fcs")))
    with pytest.raises(InputError, match=r"no\.fcs: no such file"):
        read_fcs(FcsConfig(path=str(tmp_path / "no.fcs")))


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    known = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "flowio":
            raise ImportError(name)
        return known(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.delitem(sys.modules, "flowio", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"wellstream\[ifc\]"):
        read_fcs(FcsConfig(path="x.fcs"))


REAL = Path("public-files/whitews+FlowIO/data")


@pytest.mark.real_data
def test_events_of_a_real_file_are_those_of_the_library(real_data: Path) -> None:
    pytest.importorskip("flowio", reason="FlowIO is not installed: pip install 'wellstream[ifc]'")
    folder = real_data / REAL
    found = read_fcs(FcsConfig(path=str(folder / "fcs_files" / "B01 KC-A-W---91-US.fcs")))
    truth = np.load(folder / "truth" / "B01 KC-A-W---91-US_preprocessed_events.npy")
    np.testing.assert_allclose(found.columns.to_numpy(), truth)
    (note,) = found.notes
    assert note.endswith("holds a spillover matrix, which is not applied: values are not compensated")


@pytest.mark.real_data
def test_a_real_file_with_numbers_of_24_bits(real_data: Path) -> None:
    pytest.importorskip("flowio", reason="FlowIO is not installed: pip install 'wellstream[ifc]'")
    folder = real_data / "public-files/eyurtsev+fcsparser/fcsparser/tests/data/FlowCytometers/Cytek_xP5"
    found = read_fcs(FcsConfig(path=str(folder / "Cytek_xP5.fcs"), scale="stored"))
    assert found.columns.shape == (23126, 8)
    raw = (folder / "Cytek_xP5.fcs").read_bytes()[4096 + 24 : 4096 + 27]
    assert found.columns.iloc[1, 0] == int.from_bytes(raw, "big")
