"""Plate maps: renaming, checking and joining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_tools.platemap import PlatemapConfig, join, join_note, read_platemap
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


@pytest.mark.parametrize(("word", "way"), [("ctrl", r"'columns: .Metadata_Control_Type: kind.'"), ("DMSO", "add one")])
def test_control_types_without_a_column_had_no_effect(tmp_path: Path, word: str, way: str) -> None:
    with pytest.raises(InputError, match=f"all wells would be 'treatment'; .*{way}"):
        _read(tmp_path, "Metadata_Well,Metadata_Perturbation,kind\nA1,DMSO,ctrl\n", control_types={word: "negcon"})


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
        ("Metadata_Well,Metadata_Perturbation\nA1,x\na01,y\n", {}, "well A01 has two rows (lines 2 and 3)"),
        (
            "Metadata_Well,Metadata_Perturbation\nA1,x\nAZ1,y\n",
            {},
            "line 3: plate row 'AZ': expected letters A to AF",
        ),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\n,y\n", {}, "map.csv: line 3: '' is not a well"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x\nA2,\n", {}, "line 3: well A02 has no Metadata_Perturbation"),
        (
            "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nA1,x,negcom\n",
            {},
            "well A01 has Metadata_Control_Type 'negcom'; expected one of negcon, poscon, treatment, empty; "
            "did you mean 'negcon'?",
        ),
        ("Metadata_Well,Metadata_Perturbation\n", {}, "holds a header but no rows; expected a plate map"),
        ("", {}, "the file is empty; expected a plate map"),
        ("Metadata_Well,Metadata_Perturbation\nA1,x,5\nA2,x,\n", {}, "line 2 has 3 cells, the header (line 1) names 2"),
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
    with pytest.raises(InputError, match=r"gone\.csv: no such file; expected a plate map"):
        read_platemap(PlatemapConfig(path=str(tmp_path / "gone.csv")))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_and_separators_are_read_and_said(tmp_path: Path, encoding: str) -> None:
    table = _read(tmp_path, OURS.replace("drug", "TGF-µ").replace(",", ";"), encoding=encoding)
    assert table["Metadata_Perturbation"].tolist() == ["TGF-µ", "DMSO"]
    assert len(table.attrs["notes"]) == 2


def test_identifiers_stay_text(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation,Metadata_Stimulation\nA1,0042,0.5\nA2,NA,10\nA3,1e3,None\n"
    table = _read(tmp_path, text)
    assert table["Metadata_Perturbation"].tolist() == ["0042", "NA", "1e3"]
    assert table["Metadata_Stimulation"].tolist() == ["0.5", "10", "None"]


@pytest.mark.parametrize("cells", ["C;3", "3;03", "c;3", '"3";"""03"""'])
def test_the_well_in_two_columns(tmp_path: Path, cells: str) -> None:
    columns = {"Metadata_Perturbation": "drug", "Metadata_Dose": "concentration"}
    text = f"row;col;drug;concentration;unit\n{cells};DMSO;0,125;%\n"
    table = _read(tmp_path, text, row="row", column="col", columns=columns)
    assert table.iloc[0][["Metadata_Well", "Metadata_Perturbation", "Metadata_Dose"]].tolist() == [
        "C03",
        "DMSO",
        "0,125",
    ]
    with pytest.raises(InputError, match="name it with 'row: row' and 'column: col'"):
        _read(tmp_path, text, columns=columns)


def test_the_column_of_wells_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'columns: \{Metadata_Well: place\}'"):
        _read(tmp_path, "what,place\nx,r01c02\ny,B07\n")


@pytest.mark.parametrize(
    ("blank", "kind", "name"),
    [("negcon", "negcon", "negcon"), ({"control_type": "poscon", "perturbation": "DMSO"}, "poscon", "DMSO")],
)
def test_blanks_have_the_meaning_that_is_stated(tmp_path: Path, blank: Any, kind: str, name: str) -> None:
    table = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA1,\nA2,drug\n", blank=blank)
    assert table["Metadata_Perturbation"].tolist() == [name, "drug"]
    assert table["Metadata_Control_Type"].tolist() == [kind, "treatment"]
    assert "1 wells have no perturbation and count as" in table.attrs["notes"][-1]
    told = "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nA1,,treatment\nA2,,other\n"
    with pytest.raises(InputError, match=r"line 3: well A02 has no Metadata_Perturbation, its .* is 'other'"):
        _read(tmp_path, told, blank=blank)


def test_blank_wells_may_be_empty_ones(tmp_path: Path) -> None:
    table = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA1,\nA2,drug\n", blank="empty")
    assert table["Metadata_Control_Type"].tolist() == ["empty", "treatment"]


LAYOUT = """<?xml version="1.0" encoding="utf-8"?>
<AssayLayout xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><PlateCols>24</PlateCols>
<Layer><Name>Compound</Name><ValueType>string</ValueType>
<Well><Row>2</Row><Col>3</Col><Value>0042</Value></Well><Well><Row>2</Row><Col>4</Col><Value /></Well></Layer>
<Layer><Name>Dose</Name><Well><Row>2</Row><Col>3</Col><Value>0.5</Value></Well></Layer></AssayLayout>
"""
OF_LAYOUT = {"Metadata_Perturbation": "Compound", "Metadata_Dose": "Dose"}


def test_an_assay_layout_of_harmony(tmp_path: Path) -> None:
    table = _read(tmp_path, LAYOUT, "map.xml", "utf-8-sig", columns=OF_LAYOUT)
    assert table[["Metadata_Well", "Metadata_Perturbation", "Metadata_Dose"]].to_numpy().tolist() == [
        ["B03", "0042", "0.5"]
    ]
    assert "1 wells without a value are left out" in table.attrs["notes"][-1]
    blank = _read(tmp_path, LAYOUT, "map.xml", columns=OF_LAYOUT, blank="negcon")
    assert blank["Metadata_Control_Type"].tolist() == ["treatment", "negcon"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("<Row>2", "<Row>40"), "layer 'Compound': plate row 40"),
        (("<Col>4", "<Col>3"), "layer 'Compound' has the well B03 twice"),
        (("<Name>Dose", "<Name>Compound"), "two layers are called 'Compound'"),
        (("</AssayLayout>", ""), "damaged, or not XML"),
        (("<Value>0042</Value>", ""), "has no value in any well for Metadata_Perturbation"),
        (("<?xml version", '<!DOCTYPE a [<!ENTITY b "c">]><?xml version'), "not safe XML"),
    ],
)
def test_bad_layouts_are_refused(tmp_path: Path, change: tuple[str, str], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, LAYOUT.replace(*change), "map.xml", columns=OF_LAYOUT)
    assert sentence in str(caught.value)


def test_a_row_without_plate_may_not_meet_one_with_it(tmp_path: Path) -> None:
    text = "Metadata_Plate,Metadata_Well,Metadata_Perturbation\nP1,A1,x\n,A1,y\n,A2,z\n"
    platemap = _read(tmp_path, text)
    with pytest.raises(InputError, match=r"well A01 has two rows .*, line 3 \('y'\) and line 2 \('x'\)"):
        join(["A01"], platemap, plate="P1")
    assert join(["A01", "A02"], platemap, plate="P1b")[0]["Metadata_Perturbation"].tolist() == ["y", "z"]


def test_no_well_in_common_is_an_error_with_examples(tmp_path: Path) -> None:
    platemap = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA1,x\nA2,y\n")
    with pytest.raises(InputError, match="the images are of B01, B02, the rows of the plate map of A01, A02"):
        join(["B02", "B01"], platemap, plate="P1")
    assert join_note(["A01", "B02"], platemap, plate="P1") == (
        "plate P1: 1 of 2 wells with images are in the plate map, and 1 of 2 wells of the map have images"
    )


def test_wells_that_were_not_imaged_may_be_named(tmp_path: Path) -> None:
    platemap = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA1,x\nA2,y\nA3,z\n")
    _, problems = join(["A01"], platemap, plate="P1", not_imaged=("a2",))
    assert [problem.well for problem in problems] == ["A03"]


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
        ("row: r", "'row' and 'column' name the well together; give both"),
        ("row: r\ncolumn: c\ncolumns: {Metadata_Well: w}", "both name the well; keep one"),
        ("not_imaged: [A99]", "'not_imaged': plate column 99"),
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


@pytest.mark.real_data
def test_published_maps(real_data: Path) -> None:
    folder = real_data / "public-files"
    platemaps = folder / "broadinstitute+lincs-cell-painting" / "metadata" / "platemaps"
    file = next((platemaps / "2016_04_01_a549_48hr_batch1" / "platemap").glob("*.txt"))
    plain: dict[str, Any] = {
        "path": str(file),
        "columns": {"Metadata_Well": "well_position", "Metadata_Perturbation": "broad_sample"},
    }
    with pytest.raises(InputError, match="line 2: well A01 has no Metadata_Perturbation, and 23 more have none either"):
        read_platemap(PlatemapConfig.from_plain(plain))
    dmso = {"control_type": "negcon", "perturbation": "DMSO"}
    table = read_platemap(PlatemapConfig.from_plain({**plain, "blank": dmso}))
    assert (len(table), (table["Metadata_Perturbation"] == "DMSO").sum()) == (384, 24)
    fixtures = folder / "leukemia-kispi+operetta-compose" / "tests"
    columns = {"Metadata_Perturbation": "drug", "Metadata_Dose": "concentration"}
    for name, row in (
        ("drug_layout.csv", ["C03", "DMSO", "0.125"]),
        ("drug_layout_utf8-dom.csv", ["B03", "my_drug", "0.1"]),
    ):
        plain = {"path": str(fixtures / "fixtures" / name), "row": "row", "column": "col", "columns": columns}
        table = read_platemap(PlatemapConfig.from_plain(plain))
        assert table[["Metadata_Well", "Metadata_Perturbation", "Metadata_Dose"]].iloc[0].tolist() == row
    layout = next((fixtures / "operetta_plate" / "Assaylayout").glob("*.xml"))
    plain = {"path": str(layout), "columns": {"Metadata_Perturbation": "Compound"}, "blank": "negcon"}
    assert len(read_platemap(PlatemapConfig.from_plain(plain))) == 96, "the wells that the file names"


@pytest.mark.parametrize(
    ("text", "options", "wells"),
    [
        ("Metadata_Well,Metadata_Perturbation\nA 1,x\nB 02,y\naa3,z\n", {}, ["A01", "B02", "AA03"]),
        (
            "r,c,Metadata_Perturbation\n1.0,1.0,x\nB,2.0,y\n27,3,z\n",
            {"row": "r", "column": "c"},
            ["A01", "B02", "AA03"],
        ),
    ],
)
def test_wells_as_people_and_programs_write_them(
    tmp_path: Path, text: str, options: dict[str, Any], wells: list[str]
) -> None:
    assert _read(tmp_path, text, **options)["Metadata_Well"].tolist() == wells


def test_a_map_drawn_as_a_plate_and_one_of_comments_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this map is drawn as the plate is; write one row per well"):
        _read(tmp_path, ",1,2,3\nA,x,y,z\nB,x,y,z\n")
    with pytest.raises(InputError, match="no rows; expected a plate map; line 2 begins with # and is left out"):
        _read(tmp_path, "Metadata_Well,Metadata_Perturbation\n#A01,x\n")


def test_conditions_that_differ_in_what_nobody_sees_are_said(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation\nA01,drug\u00a0a\nA02,drug a\nA03,DMSO\nA04,dmso\nA05,0042\nA06,42\n"
    table = _read(tmp_path, text)
    assert table["Metadata_Perturbation"].nunique() == 6
    (note,) = table.attrs["notes"]
    assert "Metadata_Perturbation: 'drug\\xa0a' and 'drug a' differ" in note
    assert "so it is with 1 more" in note


def test_a_blank_control_type_is_named_and_may_be_translated(tmp_path: Path) -> None:
    text = "Metadata_Well,Metadata_Perturbation,Metadata_Control_Type\nA01,x,\nA02,y,negcon\n"
    with pytest.raises(InputError, match=r"well A01 has no Metadata_Control_Type; .*'control_types: \{\"\": \.\.\.\}'"):
        _read(tmp_path, text)
    table = _read(tmp_path, text, control_types={"": "treatment"})
    assert table["Metadata_Control_Type"].tolist() == ["treatment", "negcon"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("Metadata_Stimulation", "Metadata_stimulation"),
        ("Metadata_Control_Type", "metadata_control_type"),
        ("Metadata_Control_Type", "Metadata_ControlType"),
        ("Metadata_Plate", "Metadata_plate"),
    ],
)
def test_a_column_called_nearly_as_ours_is_not_left_out_in_silence(tmp_path: Path, ours: str, theirs: str) -> None:
    text = f"Metadata_Well,Metadata_Perturbation,{theirs}\nA01,x,negcon\n"
    with pytest.raises(InputError, match=rf"'{theirs}' is called nearly as {ours}, .*'columns: {{{ours}: {theirs}}}'"):
        _read(tmp_path, text)
    assert _read(tmp_path, text, columns={ours: theirs})[ours].tolist() == ["negcon"]
    assert _read(tmp_path, text, columns={ours: {"value": "empty"}})[ours].tolist() == ["empty"]
    bare = theirs[9:].lstrip("_")
    notes = _read(tmp_path, text.replace(theirs, bare)).attrs["notes"]
    assert any(f"and the column '{bare}' is not used; name it with 'columns: {{{ours}: {bare}}}'" in n for n in notes)


def test_words_for_what_is_missing_and_merged_plates_are_said(tmp_path: Path) -> None:
    table = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA01,DMSO\nA02,NA\nA03,NA\n")
    assert table["Metadata_Perturbation"].tolist() == ["DMSO", "NA", "NA"]
    assert "Metadata_Perturbation: 2 rows are called 'NA', as programs write a missing value" in table.attrs["notes"][0]
    table = _read(tmp_path, "Metadata_Plate,Metadata_Well,Metadata_Perturbation\nP1,A01,x\n,A02,y\nP2,A01,z\n")
    (note,) = table.attrs["notes"]
    assert "1 of 3 rows, as line 3, name no plate and count for every plate; if cells were merged" in note


def test_a_map_without_a_header_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the first line is a row of the table, not its header"):
        _read(tmp_path, "A01,DMSO\nA02,x\n")


def test_cells_that_are_written_as_formulas_of_text(tmp_path: Path) -> None:
    """As people write them so that a spreadsheet leaves 0042 alone."""
    text = 'Metadata_Plate,Metadata_Well,Metadata_Perturbation\n="0042","=""A1""",="SEPT2"\n'
    table = _read(tmp_path, text)
    assert table.iloc[0, :3].tolist() == ["0042", "A01", "SEPT2"]
    assert any('3 cells are written as ="text" and read as the text' in note for note in table.attrs["notes"])
