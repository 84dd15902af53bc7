"""Sample sheets: facts of samples in a second file, joined by name, with both sides counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsTable
from framework.errors import InputError

Read = Callable[..., OmicsTable]


def _split(tmp_path: Path, frame: pd.DataFrame, form: str = "csv") -> tuple[Path, dict[str, str]]:
    facts = frame.drop(columns=["g1", "g2"]).rename(columns={"sample": "id"}).iloc[::-1]
    facts.to_csv(tmp_path / "sheet.csv", index=False, sep=";")
    if form == "parquet":
        facts.to_parquet(tmp_path / "sheet.parquet")
    frame[["sample", "g1", "g2"]].to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv", {"path": str(tmp_path / f"sheet.{form}"), "sample": "id"}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_facts_come_from_the_sheet(tmp_path: Path, frame: pd.DataFrame, read: Read, form: str) -> None:
    file, sheet = _split(tmp_path, frame, form)
    table = read(file, sheet=sheet)
    assert table.sample.tolist() == ["s2", "s1", "s3"]
    assert table.perturbation.tolist() == ["a", "b", "a"]
    assert table.stimulation.tolist() == ["M1", "M1", "M2"]
    assert f"{file}: 3 of 3 samples and {sheet['path']} match" in table.notes


def test_both_sides_of_the_join_are_counted(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    file, sheet = _split(tmp_path, frame)
    facts = pd.read_csv(sheet["path"], sep=";")
    pd.concat([facts.iloc[:2], facts.iloc[:1].assign(id="s9")]).to_csv(sheet["path"], index=False)
    table = read(file, sheet=sheet)
    assert table.sample.tolist() == ["s1", "s3"]
    np.testing.assert_array_equal(table.values, [[2, 5], [3, 7]])
    assert (
        f"{file}: 2 of 3 samples and {sheet['path']} match; 1 samples are not in the sheet and are left out, as 's2'; "
        "1 rows of the sheet have no sample, as 's9'"
    ) in table.notes


def test_sheets_that_do_not_fit(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    file, sheet = _split(tmp_path, frame)
    facts = pd.read_csv(sheet["path"], sep=";")
    facts.assign(id=["S1", "S2", "S3"]).to_csv(sheet["path"], index=False)
    with pytest.raises(InputError, match=r"the sheet knows neither .*in capitals and small letters alike"):
        read(file, sheet=sheet)
    with pytest.raises(InputError, match=r"none of its 3 samples .* is in .*capitals and small letters alike"):
        read(file, sheet=sheet, rows="samples")
    facts.assign(id=["s1", "s1", "s3"]).to_csv(sheet["path"], index=False)
    with pytest.raises(InputError, match=r"the sample 's1' appears twice \(lines 2 and 3\)"):
        read(file, sheet=sheet)
    facts.assign(id=["s1", None, "s3"]).to_csv(sheet["path"], index=False)
    with pytest.raises(InputError, match="line 3 has no 'id'; fill it in"):
        read(file, sheet=sheet)
    with pytest.raises(InputError, match=r"no column 'ID'; it has 'id'.*did you mean 'id'"):
        read(file, sheet={**sheet, "sample": "ID"})
    with pytest.raises(InputError, match="no such file; expected a sample sheet"):
        read(file, sheet={"path": str(tmp_path / "no.csv")})


def test_a_fact_told_twice_must_be_the_same(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    file, sheet = _split(tmp_path, frame)
    frame[["sample", "Metadata_Plate", "g1", "g2"]].to_csv(file, index=False)
    assert read(file, sheet=sheet).plate.tolist() == ["R1", "R1", "R2"]
    frame.assign(Metadata_Plate=["R1", "R2", "R2"])[["sample", "Metadata_Plate", "g1", "g2"]].to_csv(file, index=False)
    with pytest.raises(InputError, match="'Metadata_Plate' of sample 's1' is 'R2' here and 'R1' in"):
        read(file, sheet=sheet)


def test_numbers_of_a_sheet_with_decimal_commas(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    file, sheet = _split(tmp_path, frame)
    facts = pd.read_csv(sheet["path"], sep=";").assign(RIN=["7,5", "8,25", "9,5"])
    facts.to_csv(sheet["path"], index=False, sep=";")
    assert read(file, sheet=sheet, covariates=["RIN"]).covariates["RIN"].tolist() == [9.5, 8.25, 7.5]


def test_gct_1_2_has_its_facts_in_a_sheet(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    _, sheet = _split(tmp_path, frame)
    (tmp_path / "t.gct").write_text("#1.2\n2\t3\nNAME\tDescription\ts1\ts2\ts3\ng1\tx\t2\t1\t3\ng2\ty\t5\t0\t7\n")
    table = read(tmp_path / "t.gct", sheet=sheet)
    assert (table.sample.tolist(), table.perturbation.tolist()) == (["s1", "s2", "s3"], ["b", "a", "a"])
    assert table.values.tolist() == [[2, 5], [1, 0], [3, 7]]


def test_names_that_differ_in_their_spelling_are_said(tmp_path: Path, read: Read) -> None:
    """With genes in rows, a column that the sheet does not know is a fact of genes: here it was a sample."""
    (tmp_path / "t.csv").write_text("gene,A01,A02,A03\ng1,1,2,3\ng2,4,5,6\n")
    (tmp_path / "sheet.csv").write_text("sample,Metadata_Perturbation\nA1,a\nA02,b\nA3,c\n")
    keys: dict[str, Any] = {"stimulation": None, "plate": None, "sheet": {"path": str(tmp_path / "sheet.csv")}}
    table = read(tmp_path / "t.csv", **keys)
    assert table.sample.tolist() == ["A02"]
    assert any("2 rows of the sheet have no sample, as 'A1'; without zeros before numbers 2" in n for n in table.notes)
    (tmp_path / "sheet.csv").write_text("sample,Metadata_Perturbation\n1,a\n2,b\n")
    (tmp_path / "t.csv").write_text("gene,X1,X2\ng1,1,2\ng2,4,5\n")
    with pytest.raises(InputError, match=r"none of its columns \('X1', 'X2'\) is a sample of the sheet .* 'X' that R"):
        read(tmp_path / "t.csv", **keys, rows="genes")
