"""Tables of centres: every way of saying site and position, and tables that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fixtures.labelled_plate import (
    PIXEL_UM,
    SHAPE,
    LabelledPlate,
    assert_true,
    built,
    frame,
    table,
)

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig
from framework.errors import InputError, WellstreamError


def test_tiles_are_cut_around_the_rows_of_a_table(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows.sample(frac=1, random_state=0).to_csv("centres.csv", index=False)
    dataset, summary = built(plate, table())
    assert_true(plate, dataset)
    assert "centres.csv: 6 of 6 sites have rows" in summary.notes


def test_um_from_the_middle_upwards_and_lines_before_the_header(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows["Row"], rows["Column"] = [ord(well[0]) - 64 for well in rows.Well], [int(well[1:]) for well in rows.Well]
    rows["Position X [um]"] = (rows.X - (SHAPE[1] - 1) / 2) * PIXEL_UM
    rows["Position Y [um]"] = ((SHAPE[0] - 1) / 2 - rows.Y) * PIXEL_UM
    rows["Timepoint"] = 1
    text = rows.drop(columns=["X", "Y", "Well"]).to_csv(index=False, sep="\t")
    later = text.splitlines()[1].rpartition("\t")[0] + "\t2\n"
    Path("centres.txt").write_text(f"Database\tX\n\n[Data]\n{text}{later}")
    options = {
        "path": "centres.txt",
        "well": None,
        "row": "Row",
        "column": "Column",
        "x": "Position X [um]",
        "y": "Position Y [um]",
        "unit": "um",
        "origin": "centre",
        "y_axis": "up",
        "only": {"Timepoint": "1"},
        "header": "Timepoint",
    }
    dataset, summary = built(plate, table(**options))
    assert_true(plate, dataset)
    assert "centres.txt: 1 rows whose 'Timepoint' is not '1' are left out" in summary.notes
    plain = plate.plain(table(**options))
    del plain["plates"][0]["source"]["pixel_size_um"]
    with pytest.raises(InputError, match="needs a pixel size, which the export does not state"):
        ingest(IngestConfig.from_plain(plain), plate.folder / "other", workers=0)


def test_a_table_per_well_two_header_rows_and_an_offset(plate: LabelledPlate) -> None:
    for well, rows in frame(plate).groupby("Well"):
        lines = [f"{field},{x - 2},{y + 1}" for field, y, x in rows[["Field", "Y", "X"]].itertuples(index=False)]
        Path(f"cells_{well}.csv").write_text("Image,Nuclei,Nuclei\nSite,X,Y\n" + "\n".join(lines) + "\n")
    options = {
        "path": "cells_{well}.csv",
        "well": None,
        "site": ["Image", "Site"],
        "x": ["Nuclei", "X"],
        "y": ["Nuclei", "Y"],
        "header_rows": 2,
        "offset_px": {"x": 2, "y": -1},
    }
    assert_true(plate, built(plate, table(**options))[0])
    Path("cells_A02.csv").unlink()
    with pytest.raises(InputError, match=r"cells_A02\.csv: no such file; plate P1 well A02 site 1 has no table"):
        built(plate, table(**options))
    assert built(plate, table(**options), on_error="skip")[0].bags.n_sites.tolist() == [2, 0, 2]


def test_rows_that_do_not_fit_are_counted(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows = rows[~((rows.Well == "A02") & (rows.Field == 1))]
    more = pd.DataFrame([("C01", 1, 5, 5), ("C01", 1, 9, 9)], columns=rows.columns)
    pd.concat([rows, more, rows.head(1).assign(X="")]).to_csv("centres.csv", index=False)
    dataset, summary = built(plate, table())
    for note in (
        "centres.csv: 5 of 6 sites have rows",
        "centres.csv: 1 sites have no row and get no nuclei, as plate P1 well A02 site 1",
        "centres.csv: 2 rows belong to no site that is read, as those of well C01, site 1",
        "centres.csv: 1 rows have no position and are left out",
    ):
        assert note in dataset.manifest.notes
    assert summary.nuclei == 30


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda f: f.assign(Field=f.Field - 1), {}, "numbers the sites 0 to 1, but the images are numbered 1 to 2"),
        (
            lambda f: f.assign(Well="D01"),
            {},
            r"no row belongs to a site.*the first row has well D01, site 1,",
        ),
        (
            lambda f: f.assign(Well="well 1"),
            {},
            r"csv: line 2: column of 'nuclei\.table\.well': 'well 1' is no",
        ),
        (lambda f: f.assign(Field="a"), {}, r"line 2: column of 'nuclei\.table\.site': 'a' is not a number of a site"),
        (lambda f: f.assign(X="left"), {}, r"line 2: column 'X' reads 'left', expected a number"),
        (
            lambda f: f.assign(X=f.X * 10),
            {},
            r"4 of 6 centres of plate P1 well A01 site 1 lie outside its image of 96",
        ),
        (lambda f: f, {"x": "Xx"}, r"no column 'Xx'.*did you mean 'X'"),
        (lambda f: f, {"only": {"Field": "9"}}, r"no row has '9' in the column 'Field'"),
        (lambda f: f, {"site": None}, r"says well of each nucleus, which does not tell plate P1 well A01 site 1 from"),
        (lambda f: f, {"path": "other.csv"}, r"other\.csv: no such file"),
    ],
)
def test_tables_that_do_not_fit_are_said(plate: LabelledPlate, change: Any, options: Any, sentence: str) -> None:
    change(frame(plate)).to_csv("centres.csv", index=False)
    with pytest.raises(WellstreamError, match=sentence):
        built(plate, table(**options))
