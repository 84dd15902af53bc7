"""An omics table of other people: its columns are known by what they hold, and its entry can be read as written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from data_tools.omics import OmicsConfig, read_omics
from data_tools.start import OmicsEntry, omics_entry

WELLS = {("aspirin", "M1"): 2, ("taxol", "M1"): 2, ("none", "M1"): 4}


def entry(
    tmp_path: Path, header: str, rows: list[str], conditions: Mapping[tuple[str, str], int] = WELLS
) -> OmicsEntry:
    file = tmp_path / "rna.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return omics_entry(str(file), conditions)


def test_the_column_that_shares_names_with_the_plate_map_holds_the_perturbations(tmp_path: Path) -> None:
    rows = ["s1,north,aspirin,M1,12,3", "s2,aspirin,taxol,M1,7,0", "s3,south,taxol,M2,9,1", "s4,south,other,M1,9,2"]
    made = entry(tmp_path, "sample,place,drug,cytokine,TP53,ACTB", rows)
    assert made.usable
    assert made.options == {
        "name": "rna", "table": str(tmp_path / "rna.csv"), "kind": "counts",
        "perturbation": "drug", "stimulation": "cytokine", "plate": None,
    }  # fmt: skip
    assert made.targets == ("rna_M1",)
    assert made.notes[0] == "Metadata_Perturbation is the column 'drug', which has 2 of 2 values of the plate map"
    read = read_omics(OmicsConfig(**made.options))
    assert read.genes == ("TP53", "ACTB")
    assert list(read.perturbation) == ["aspirin", "taxol", "taxol", "other"]


def test_a_table_without_stimulations_counts_for_each(tmp_path: Path) -> None:
    made = entry(tmp_path, "drug,TP53,ACTB", ["aspirin,1.5,2.5", "taxol,3.5,-1"])
    assert made.usable
    assert (made.options["stimulation"], made.options["kind"], made.targets) == (None, "log2", ("rna",))
    assert "values from -1 to 3.5: taken for log2" in made.notes


def test_two_columns_that_fit_equally_well_are_not_guessed(tmp_path: Path) -> None:
    made = entry(tmp_path, "drug,target,TP53,ACTB", ["aspirin,taxol,1,2", "taxol,aspirin,3,4"])
    assert not made.usable
    assert made.notes[-1].startswith("the columns 'drug', 'target' hold perturbations of the plate map equally well")


@pytest.mark.parametrize("conditions", [{}, {("ibuprofen", "M1"): 3}])
def test_a_table_of_other_conditions_is_not_usable(tmp_path: Path, conditions: Mapping[tuple[str, str], int]) -> None:
    header = "Metadata_Perturbation,Metadata_Stimulation,Metadata_Plate,TP53,ACTB"
    made = entry(tmp_path, header, ["aspirin,M1,P1,1,2", "taxol,M1,P1,3,4"], conditions)
    assert not made.usable
    assert "not one (perturbation, stimulation) in common with the plates; the table has aspirin" in made.notes[-1]


@pytest.mark.real_data
def test_the_l1000_plate_is_read_as_it_is(real_data: Path) -> None:
    made = omics_entry(
        str(real_data / "l1000-a375-plate" / "test_l1000.gct"), {("vemurafenib", "none"): 2, ("DMSO", "none"): 3}
    )
    assert made.usable
    assert made.options["perturbation"] == "pert_iname"
    assert made.targets == ("test_l1000",)
