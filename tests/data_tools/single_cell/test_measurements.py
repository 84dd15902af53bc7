"""Tables of cells: headers, offsets, nearest-first matching, and what is said about tables that do not fit."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from data_tools.single_cell.measurements import CellsConfig, join_cells, read_cells
from framework.errors import InputError

TWO_ROWS = """Image,Nucleus,Nucleus,Nucleus,Cell
ImageNumber,X,Y,Intensity,Intensity
1,10.5,20,0.25,7
1,nan,20,0.5,8
1,30,40,,9
"""


def _config(**changes: Any) -> CellsConfig:
    plain = {
        "pattern": "{well}.csv",
        "header_rows": 2,
        "x": ["Nucleus", "X"],
        "y": ["Nucleus", "Y"],
        "offset_px": {"x": 4, "y": 2},
        "markers": {"cell": {"column": ["Cell", "Intensity"]}, "nucleus": {"column": ["Nucleus", "Intensity"]}},
    }
    return CellsConfig.from_plain({**plain, **changes})


def test_two_header_rows_offset_and_missing_values(tmp_path: Path) -> None:
    file = tmp_path / "A01.csv.gz"
    file.write_bytes(gzip.compress(TWO_ROWS.encode()))
    cells = read_cells(_config(), file, "A01")
    assert (cells.x_px.tolist(), cells.y_px.tolist()) == ([14.5, 34.0], [22.0, 42.0])
    np.testing.assert_array_equal(cells.values, np.array([[7, 0.25], [9, np.nan]], np.float32))
    assert cells.without_position == 1
    assert cells.site is None


def test_one_file_for_all_wells_and_sites(tmp_path: Path) -> None:
    file = tmp_path / "plate.csv"
    file.write_text("well,site,x,y,m\na1,1,5,5,1\nA01,2,5,5,2\nB03,1,5,5,3\n")
    config = _config(
        pattern=str(file), header_rows=1, x="x", y=["y"], well="well", site="site", markers={"m": {"column": "m"}}
    )
    assert read_cells(config, file, "A01").values[:, 0].tolist() == [1, 2]
    assert read_cells(config, file, "A01").of_site(2).values[:, 0].tolist() == [2]
    assert read_cells(config, file, "C01").values.shape == (0, 1)


def test_the_nearest_pair_goes_first_and_each_cell_goes_once(tmp_path: Path) -> None:
    file = tmp_path / "A01.csv"
    file.write_text("x,y,m\n0,0,1\n4,0,2\n50,50,3\n")
    config = _config(header_rows=1, x="x", y="y", offset_px={}, markers={"m": {"column": "m"}})
    y, x = np.zeros(3, np.float32), np.array([3, 5, 20], np.float32)
    values, matched = join_cells(read_cells(config, file, "A01"), y, x, 8.0)
    # 4 is one from both 3 and 5: the lower row wins it; 5 then has only 0 left, five away.
    assert values[:2, 0].tolist() == [2, 1]
    assert np.isnan(values[2, 0])
    assert matched == 2


def test_no_nuclei_or_no_cells(tmp_path: Path) -> None:
    file = tmp_path / "A01.csv"
    file.write_text("x,y,m\n")
    config = _config(header_rows=1, x="x", y="y", markers={"m": {"column": "m"}})
    cells = read_cells(config, file, "A01")
    assert join_cells(cells, np.zeros(0), np.zeros(0), 8.0)[0].shape == (0, 1)
    values, matched = join_cells(cells, np.ones(2), np.ones(2), 8.0)
    assert (values.shape, matched) == ((2, 1), 0)


@pytest.mark.parametrize(
    ("changes", "text", "sentence"),
    [
        (
            {"x": ["Nucleus", "XX"]},
            TWO_ROWS,
            "no column 'Nucleus / XX' for 'cells.x' among 5 columns; did you mean 'Nucleus / X'?",
        ),
        ({"x": "X"}, TWO_ROWS, "'cells.x' names 'X' with 1 part(s), the table has 2 header row(s)"),
        (
            {},
            TWO_ROWS.replace("30,40", "30,here"),
            "line 5: column 'Nucleus / Y' reads 'here', expected",
        ),
        (
            {},
            TWO_ROWS.replace("ImageNumber,X", "Y,X").replace("Image,", "Nucleus,"),
            "the column 'Nucleus / Y' appears twice in the header (columns 1 and 3)",
        ),
        ({}, "Image,Nucleus\n", "expected 2 header rows, found 1"),
        ({}, "", "the file is empty; expected a table of cells"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], text: str, sentence: str) -> None:
    file = tmp_path / "A01.csv"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        read_cells(_config(**changes), file, "A01")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tables": {"A01": "x.csv"}}, "expected exactly one of 'tables'"),
        ({"pattern": None}, "expected exactly one of 'tables'"),
        ({"pattern": "{wells}.csv"}, "unknown field {wells}"),
        ({"pattern": "all.csv"}, "the same file for every well"),
        ({"pattern": None, "tables": {"Q99": "x.csv"}}, "'tables' has the key"),
    ],
)
def test_contradictions_die_at_construction(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _config(**changes)
    assert sentence in str(caught.value)


def test_patterns_and_tables_name_files() -> None:
    config = _config(pattern="{plate}/Round1_{row}{column}_{well}.csv")
    named = {"B02": Path("P/Round1_B2_B02.csv"), "AA10": Path("P/Round1_AA10_AA10.csv")}
    assert config.files("P", ["B02", "AA10"]) == named
    assert _config(pattern=None, tables={"b2": "x.csv"}).files("P", ["A01"]) == {"B02": Path("x.csv")}


@pytest.mark.real_data
def test_published_cells_are_read(real_data: Path) -> None:
    config = _config(
        x=["Nucleus", "Location_Center_X"],
        y=["Nucleus", "Location_Center_Y"],
        markers={"FRA1": {"column": ["Nucleus", "Intensity_MeanIntensity_A568"]}},
    )
    folder = real_data / "phenix-4i-round1" / "measurements"
    cells = read_cells(config, folder / "Round1_B2_site1_Measurements.csv.gz", "B02")
    assert len(cells.x_px) == 1906
    assert cells.x_px[0] == pytest.approx(811.9354838709677 + 4)
    assert cells.values[0, 0] == np.float32(0.006288932118144247)


def test_infinite_values_are_counted_and_missing(tmp_path: Path) -> None:
    file = tmp_path / "A01.csv"
    file.write_text("x;y;m\n1;1;inf\n2,5;2;-1e39\n3;3;4,5\n;3;inf\n")
    cells = read_cells(_config(header_rows=1, x="x", y="y", markers={"m": {"column": "m"}}), file, "A01")
    np.testing.assert_array_equal(cells.values[:, 0], [np.nan, np.nan, 4.5])
    assert cells.infinite == {"m": 2}
    assert cells.first_infinite == {"m": f"{file}: line 2"}
    assert cells.without_position == 1


def test_a_site_between_two_sites_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "A01.csv"
    file.write_text("x,y,s,m\n1,1,1,1\n2,2,1.5,1\n")
    config = _config(header_rows=1, x="x", y="y", site="s", markers={"m": {"column": "m"}})
    with pytest.raises(InputError, match=r"line 3: the site of a cell is 1\.5"):
        read_cells(config, file, "A01")
