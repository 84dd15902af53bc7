"""Plate maps: renaming, checking and joining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_tools.platemap import PlatemapConfig, join, read_platemap
from framework.config import parse_config
from framework.errors import ConfigError, InputError

HEADER = (
    "Metadata_Plate,Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type,Metadata_Dose,other"
)
OURS = f"""{HEADER}
P1,b2,DMSO,M1,negcon,0,x
P1,A1,drug,M1,treatment,5,y
"""


def _read(tmp_path: Path, text: str, name: str = "map.csv", encoding: str = "utf-8", **options: Any) -> pd.DataFrame:
    (tmp_path / name).write_text(text, encoding=encoding)
    return read_platemap(PlatemapConfig.from_plain({"path": str(tmp_path / name), **options}))


@pytest.mark.parametrize(("name", "separator"), [("map.csv", ","), ("map.tsv", "\t"), ("map.txt", "\t")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_our_own_columns_need_no_config(tmp_path: Path, name: str, separator: str, encoding: str) -> None:
    table = _read(tmp_path, OURS.replace(",", separator), name, encoding)
    assert table.to_dict("list") == {
        "Metadata_Plate": ["P1", "P1"],
        "Metadata_Well": ["A01", "B02"],
        "Metadata_Perturbation": ["drug", "DMSO"],
        "Metadata_Stimulation": ["M1", "M1"],
        "Metadata_Control_Type": ["treatment", "negcon"],
        "Metadata_Dose": ["5", "0"],
    }


def test_columns_are_mapped_constants_set_and_defaults_filled(tmp_path: Path) -> None:
    columns = {"Metadata_Well": "pos", "Metadata_Perturbation": "gene", "Metadata_Line": {"value": "A375"}}
    table = _read(tmp_path, "pos,gene\nA1,NA\nA2,NO\n", columns=columns, plate="P9")
    assert table.iloc[0].to_dict() == {
        "Metadata_Plate": "P9",
        "Metadata_Well": "A01",
        "Metadata_Perturbation": "NA",  # text, no missing value
        "Metadata_Stimulation": "none",
        "Metadata_Control_Type": "treatment",
        "Metadata_Line": "A375",
    }


def test_control_types_are_translated(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation,kind\nA1,x,trt\nA2,y,control\n"
    options = {"columns": {"Metadata_Control_Type": "kind"}, "control_types": {"trt": "treatment", "control": "negcon"}}
    assert _read(tmp_path, text, **options)["Metadata_Control_Type"].tolist() == ["treatment", "negcon"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("well,gene\nA1,x\n", {}, "no column 'Metadata_Well' for Metadata_Well; the file has well, gene"),
        (
            "well_position,gene_name\nA1,x\n",
            {"columns": {"Metadata_Well": "well_positon"}},
            "no column 'well_positon' for Metadata_Well; the file has well_position, gene_name; did you mean "
            "'well_position'?",
        ),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\na01,y\n", {}, "well A01 has two rows"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\nAZ1,y\n", {}, "row 3: plate row 'AZ': expected letters A to AF"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\n,y\n", {}, "row 3: '' is no well"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\nA2,\n", {}, "well A02 has no Metadata_Perturbation"),
        (
            "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nA1,x,negcom\n",
            {},
            "well A01 has Metadata_Control_Type 'negcom'; expected one of negcon, poscon, treatment, empty; "
            "did you mean 'negcon'?",
        ),
        ("Metadata_Well,Metadata_Perturbation\n", {}, "the plate map has no row"),
        ("", {}, "no readable table"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x,\nA2,x,\n", {}, "rows have more cells than the header; expected 2"),
    ],
)
def test_bad_maps_are_errors_that_name_the_file(
    tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, text, **options)
    assert message in str(caught.value)
    assert str(tmp_path / "map.csv") in str(caught.value)


def test_a_missing_map_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: no such plate map"):
        read_platemap(PlatemapConfig(path=str(tmp_path / "gone.csv")))


def test_a_latin_1_map_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected UTF-8"):
        _read(tmp_path, OURS.replace("drug", "TGF-µ"), encoding="latin-1")


def test_empty_wells_need_no_perturbation(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nA1,,empty\n"
    assert _read(tmp_path, text)["Metadata_Control_Type"].tolist() == ["empty"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("columns: {Metadata_Wel: w, well: x}", "'columns' has the key 'well'; expected one of Metadata_Plate, "),
        ("columns: {well: x}", "did you mean 'Metadata_Well'?"),
        ("plate: P\ncolumns: {Metadata_Plate: p}", "both name the plate; keep one"),
        ("control_types: {x: negco}", "expected one of: negcon, poscon, treatment, empty"),
    ],
)
def test_a_bad_config_is_an_error(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"path: x\n{line}\n", PlatemapConfig, "c.yaml")
    assert message in str(caught.value)


def test_join_reports_wells_that_lack_either_side(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nB1,x,treatment\nA2,y,negcon\nA3,z,treatment\n"
    text += "A4,,empty\n"
    table, problems = join(["B01", "C10", "A02", "C09"], _read(tmp_path, text), plate="P1")
    assert table["Metadata_Well"].tolist() == ["A02", "B01"]
    assert table["Metadata_Plate"].tolist() == ["P1", "P1"]
    assert [(problem.reason, problem.well) for problem in problems] == [
        ("well_not_in_platemap", "C09"),
        ("well_not_in_platemap", "C10"),
        ("well_without_images", "A03"),
    ]
    assert all("plate P1" in problem.detail for problem in problems)


def test_join_takes_the_rows_of_its_plate(tmp_path: Path) -> None:
    text = "Metadata_Plate,Metadata_Well,Metadata_Perturbation\nP1,A1,x\nP2,A1,y\nP2,A2,z\n"
    platemap = _read(tmp_path, text)
    table, problems = join(["A01", "A02"], platemap, plate="P2")
    assert table["Metadata_Perturbation"].tolist() == ["y", "z"]
    assert problems == ()
    assert platemap["Metadata_Plate"].tolist() == ["P1", "P2", "P2"]
    with pytest.raises(InputError, match="plate 'P3' is not in the plate map, which holds P1, P2"):
        join(["A01"], platemap, plate="P3")


@pytest.mark.real_data
def test_the_nf1_map(real_data: Path) -> None:
    config = PlatemapConfig.from_plain(
        {
            "path": str(real_data / "nf1-genotype-plate" / "platemap_NF1_plate2.csv"),
            "columns": {
                "Metadata_Well": "well_position",
                "Metadata_Perturbation": "genotype",
                "Metadata_Control_Type": "genotype",
                "Metadata_Gene": "gene_name",
            },
            "control_types": {"WT": "negcon", "Null": "treatment"},
        }
    )
    table, problems = join(["B07", "D06", "D07", "F07", "H12"], read_platemap(config), plate="Plate_2")
    assert table["Metadata_Perturbation"].tolist() == ["Null", "WT", "Null", "Null", "Null"]
    assert table["Metadata_Control_Type"].tolist() == ["treatment", "negcon", "treatment", "treatment", "treatment"]
    assert table["Metadata_Gene"].unique().tolist() == ["NF1"]
    assert {problem.reason for problem in problems} == {"well_without_images"}
    assert len(problems) == 27
