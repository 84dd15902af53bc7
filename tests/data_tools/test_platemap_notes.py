"""What is said of a plate map where config and file tell different things."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from data_tools.platemap import PlatemapConfig, join_note, read_platemap


def _read(tmp_path: Path, text: str, **options: Any) -> pd.DataFrame:
    file = tmp_path / "map.csv"
    file.write_text(text)
    return read_platemap(PlatemapConfig.from_plain({"path": str(file), **options}))


def test_wells_without_images_that_are_elsewhere_are_said(tmp_path: Path) -> None:
    platemap = _read(tmp_path, "Metadata_Well,Metadata_Perturbation\nA1,x\nA2,y\nA3,z\n")
    said = join_note(["A01"], platemap, plate="P1", not_imaged=("h12", "A01", "A2"))
    assert said.endswith("have images; 'not_imaged' names H12 not in the map, A01 with images, which are used")
    assert "not_imaged" not in join_note(["A01"], platemap, plate="P1", not_imaged=("A2", "A3"))


def test_a_column_that_the_config_overrules_is_said(tmp_path: Path) -> None:
    head = "Metadata_Plate,Metadata_Well,Metadata_Perturbation"
    (said,) = _read(tmp_path, f"{head}\nP2,B1,x\nP2,A1,y\n,A2,z\n", plate="P1").attrs["notes"]
    assert said.endswith(
        "Metadata_Plate is 'P1' by the config, and the column Metadata_Plate says 'P2' in line 3; the config "
        "is taken in 2 rows"
    )
    assert _read(tmp_path, f"{head}\nP1,A1,x\nP1,A2,y\n", plate="P1").attrs["notes"] == ()
    (said,) = _read(
        tmp_path, f"{head},compound\nP1,A1,x,x\nP1,A2,y,z\n", columns={"Metadata_Perturbation": "compound"}
    ).attrs["notes"]
    assert "Metadata_Perturbation is 'z' by the config, and the column Metadata_Perturbation says 'y' in line 3" in said
    (said,) = _read(
        tmp_path, "Metadata_Well,Metadata_Perturbation,r,c\na1,x,A,1\nA2,y,B,2\n", row="r", column="c"
    ).attrs["notes"]
    assert "Metadata_Well is 'B02' by the config, and the column Metadata_Well says 'A2' in line 3" in said
    assert said.endswith("is taken in 1 row")
