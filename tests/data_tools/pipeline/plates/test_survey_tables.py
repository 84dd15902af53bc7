"""What is known before the first image is read: tables are opened, joined and counted, and both sides are said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures.raw_tables import omics_of, with_cells

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.survey import survey
from data_tools.readers.plates import READERS, Problem
from framework.data.format.schema import read_manifest
from framework.errors import InputError


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_omics_table_that_does_not_fit_is_known_before_an_image_is_read(
    raw: Any, tmp_path: Path, dry_run: bool
) -> None:
    omics = omics_of(tmp_path / "rna.csv")
    for image in (raw.folder / "P1").glob("*.tif"):
        image.write_bytes(b"no image")
    wrong = [{**omics[0], "table": str(tmp_path / "gone.csv")}]
    with pytest.raises(InputError, match=r"gone\.csv: no such file; expected an omics table"):
        ingest(raw.config(omics=wrong), tmp_path / "data", workers=0, dry_run=dry_run)
    assert not (tmp_path / "data").exists(), "nothing is claimed, so the path may be corrected"


def test_a_corrected_path_goes_on_and_the_join_is_kept(raw: Any, tmp_path: Path) -> None:
    omics = omics_of(tmp_path / "rna.csv")
    with pytest.raises(InputError, match="no such file"):
        ingest(raw.config(omics=[{**omics[0], "table": "gone.csv"}]), tmp_path / "data", workers=0)
    summary = ingest(raw.config(omics=omics), tmp_path / "data", workers=0)
    assert summary.targets == ("rna_M1", "rna_M2")
    said = "\n".join(summary.notes)
    assert "plate P1: 5 of 5 wells with images are in the plate map, and 5 of 5 wells of the map have images" in said
    assert "omics 'rna': 3 of 4 conditions" in said
    assert "3 of 3 imaged conditions match; 4 of 4 wells have labels, from 9 of 12 samples" in said
    assert "omics 'rna': 1 conditions have no imaged well: other/M1" in said
    assert read_manifest(tmp_path / "data").notes == summary.notes


def test_names_that_differ_in_spelling_alone_are_said(raw: Any, tmp_path: Path) -> None:
    omics = omics_of(tmp_path / "rna.csv")
    text = (tmp_path / "rna.csv").read_text().replace("gene1", "Gene 01")
    (tmp_path / "rna.csv").write_text(text)
    raw.platemap.write_text(raw.platemap.read_text().replace("gene1", "gene_1"))
    notes = survey(raw.config(omics=omics), tmp_path).notes
    assert not [note for note in notes if "spelling" in note], "01 within a name may be another name"
    (tmp_path / "rna.csv").write_text(text.replace("Gene 01", "Gene 1"))
    (note,) = [note for note in survey(raw.config(omics=omics), tmp_path).notes if "spelling" in note]
    assert "'Gene 1/M2' of the table and 'gene_1/M2' of the plate map differ in spelling alone" in note


def test_cell_tables_are_counted(raw: Any, tmp_path: Path) -> None:
    file = raw.folder / "P1" / "cells_A01.csv"
    lines = file.read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:3], "inf"])
    lines[2] = ",".join([*lines[2].split(",")[:3], ""])
    lines[3] = ",,,5"
    lines.append("9,10,10,1")
    file.write_text("\n".join(lines) + "\n")
    notes = "\n".join(survey(raw.config(**with_cells(raw)), tmp_path).notes)
    assert "plate P1: 43 cells in the tables of 4 wells" in notes
    assert "plate P1: 1 cells have no position and are left out" in notes
    assert "no cell in the tables of 1 wells: B02" in notes
    assert "marker 'm': 1 of 43 values are infinite, the first in raw/P1/cells_A01.csv: line 2; they are kept" in notes
    assert "marker 'm': 2 of 43 cells have no value" in notes
    assert "plate P1: 1 cells lie in sites that have no complete images" in notes


def test_infinite_markers_are_missing_in_the_dataset(raw: Any, tmp_path: Path) -> None:
    file = raw.folder / "P1" / "cells_A01.csv"
    rows = [line.rpartition(",")[0] for line in file.read_text().splitlines()[1:]]
    file.write_text("\n".join(["site,x,y,intensity", *(f"{row},inf" for row in rows)]))
    ingest(raw.config(**with_cells(raw)), tmp_path / "data", workers=0)
    tiles = pd.read_parquet(tmp_path / "data" / "tiles.parquet")
    assert tiles.loc[tiles["bag"] == 0, "Marker_m"].isna().all()
    assert tiles["Marker_m"].notna().any()
    assert not np.isinf(tiles["Marker_m"]).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda text: text.replace("\n1,", "\n8,").replace("\n2,", "\n9,"),
            "the sites 8, 9, but the images are of the sites 1, 2",
        ),
        (lambda text: text.replace(",100", ",many"), "line 2: column 'intensity' reads 'many', expected a number"),
    ],
)
def test_cell_tables_that_do_not_fit_are_refused_before_an_image(
    raw: Any, tmp_path: Path, change: Any, sentence: str
) -> None:
    file = raw.folder / "P1" / "cells_B01.csv"
    file.write_text(change(file.read_text()))
    with pytest.raises(InputError, match=sentence):
        ingest(raw.config(**with_cells(raw)), tmp_path / "data", dry_run=True)


def test_cells_that_all_lie_elsewhere_are_refused(raw: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"A01: none of 14 cells lies within 2 px of any of \d+ nuclei"):
        ingest(
            raw.config(**with_cells(raw, offset_px={"x": 500, "y": 500}, max_distance_px=2)),
            tmp_path / "data",
            workers=0,
        )


def test_wells_of_one_table_are_joined(raw: Any, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    lines = ["well,site,x,y,intensity", "A1,1,5,5,1", "H12,1,5,5,1"]
    file.write_text("\n".join(lines))
    config = raw.config(**with_cells(raw, pattern=str(file), well="well"))
    assert "all.csv: cells of 1 wells that plate P1 does not read: H12" in "\n".join(survey(config, tmp_path).notes)
    file.write_text("\n".join([lines[0], lines[2]]))
    with pytest.raises(InputError, match="no well in common with plate P1: the table has H12, the plate A01, A02"):
        survey(config, tmp_path)


def test_wells_that_lost_their_images_are_told_from_wells_not_imaged(raw: Any, tmp_path: Path) -> None:
    for image in (raw.folder / "P1").glob("B01_*.tif"):
        image.unlink()
    assert [p.reason for p in survey(raw.config(), tmp_path).problems] == ["well_without_images"]
    entry = raw.plain["plates"][0]
    for change in ({"partial": True}, {"not_imaged": ["B1"]}):
        plates = [{**entry, "platemap": {**entry["platemap"], **change}}]
        assert survey(raw.config(plates=plates), tmp_path).problems == ()


@pytest.mark.parametrize("partial", [True, False])
def test_a_well_whose_listed_images_are_all_gone_is_a_problem_in_a_partial_map_too(
    raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partial: bool
) -> None:
    config = raw.config()
    entry = raw.plain["plates"][0]
    export = READERS.get("filenames").build(config.plates[0].source)
    gone = tuple(
        Problem(plate="P1", well="B01", site=1, reason="missing_image", detail=f"{ref.file}: no such file")
        for ref in export.refs
        if ref.well == "B01"
    )
    left = replace(export, refs=tuple(ref for ref in export.refs if ref.well != "B01"), problems=gone)
    monkeypatch.setattr("data_tools.pipeline.plates.survey._read", lambda entry, config: left)
    plates = [{**entry, "platemap": {**entry["platemap"], "partial": partial}}]
    problems = survey(raw.config(plates=plates), tmp_path).problems
    assert [p.reason for p in problems].count("missing_image") == len(gone) > 0
    (well,) = [p for p in problems if p.reason == "well_without_images"]
    assert "plate P1 well B01: not one of the images that the export lists is usable" in well.detail
