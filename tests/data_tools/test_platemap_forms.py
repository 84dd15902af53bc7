"""Which plate has which map: rows of all plates, and tables that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.platemap import PlatemapConfig, read_platemap
from framework.errors import InputError


def write(folder: Path, plates: str = "P1,M1\nP2,M2\nP3,M1\n") -> Path:
    (folder / "platemap").mkdir(exist_ok=True)
    (folder / "platemap" / "M1.txt").write_text("plate_map_name\twell_position\tdrug\nM1\ta1\tx\nM1\tB02\t\n")
    (folder / "platemap" / "M2.csv").write_text("well_position,drug\nA01,y\n")
    file = folder / "barcode_platemap.csv"
    file.write_text("Assay_Plate_Barcode,Plate_Map_Name\n" + plates)
    return file


def config(file: Path, **more: object) -> PlatemapConfig:
    blank = {"control_type": "negcon", "perturbation": "DMSO"}
    plain = {"path": str(file), "columns": {"Metadata_Perturbation": "drug"}, "blank": blank, **more}
    return PlatemapConfig.from_plain(plain)


def test_each_plate_has_the_wells_of_its_map(tmp_path: Path) -> None:
    table = read_platemap(config(write(tmp_path)))
    rows = table[["Metadata_Plate", "Metadata_Well", "Metadata_Perturbation", "Metadata_Control_Type"]]
    assert rows.values.tolist() == [
        ["P1", "A01", "x", "treatment"],
        ["P1", "B02", "DMSO", "negcon"],
        ["P2", "A01", "y", "treatment"],
        ["P3", "A01", "x", "treatment"],
        ["P3", "B02", "DMSO", "negcon"],
    ]
    assert any("3 plates with 2 maps and 5 wells" in note for note in table.attrs["notes"])


def test_a_map_that_is_not_there_is_told(tmp_path: Path) -> None:
    table = read_platemap(config(write(tmp_path, "P1,M1\nP2,M9\n")))
    assert sorted(set(table["Metadata_Plate"])) == ["P1"]
    assert any("line 3: no map 'M9' of plate 'P2'" in note and "1 of 2 plates" in note for note in table.attrs["notes"])


@pytest.mark.parametrize(
    ("plates", "message"),
    [
        ("P1,M1\nP1,M2\n", "line 3: plate 'P1' appears twice"),
        ("P1,\n", "line 2: expected Assay_Plate_Barcode and Plate_Map_Name"),
        ("P1,M9\n", "line 2: no map 'M9' of plate 'P1' in"),
        ("P1,../M1\n", "line 2: Plate_Map_Name '../M1': expected the name of a file, without a folder"),
    ],
)
def test_a_table_that_does_not_fit_is_named_with_its_line(tmp_path: Path, plates: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_platemap(config(write(tmp_path, plates)))
    assert message in str(caught.value)


@pytest.mark.real_data
def test_a_real_batch(real_data: Path) -> None:
    folder = (
        real_data / "public-files/broadinstitute+lincs-cell-painting/metadata/platemaps/2016_04_01_a549_48hr_batch1"
    )
    columns = {"Metadata_Perturbation": "broad_sample"}
    table = read_platemap(config(folder / "barcode_platemap.csv", columns=columns, partial=True))
    assert len(table) % 384 == 0
    assert {"negcon", "treatment"} == set(table["Metadata_Control_Type"])
