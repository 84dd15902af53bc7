"""Bad exports of cells: sentences that name cell, file and remedy; with ``on_error: skip`` a dataset without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.pipeline import CellsIngestConfig, ingest, load_ingest_config
from framework.data.dataset import Dataset
from framework.data.verify import verify_dataset
from framework.errors import ConfigError, InputError


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Two proteins of three cells, channels A and B."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for protein in "PQ":
        for cell in range(3):
            for channel in "AB":
                tifffile.imwrite(folder / f"{protein}_{cell}_{channel}.tif", np.full((6, 6), 7, np.uint16))
    return folder


def config(folder: Path, **changes: Any) -> CellsIngestConfig:
    reader = {"name": "crops", "path": str(folder), "pattern": r"(?P<protein>\w)_(?P<cell>\d)_(?P<channel>\w)\.tif"}
    base: dict[str, Any] = {
        "kind": "cells",
        "name": "tiny",
        "sources": [{"name": "S", "reader": reader}],
        "channels": ["A", "B"],
        "tiles": {"size_px": 6},
        "bags": {"by": ["Metadata_Protein"]},
    }
    return CellsIngestConfig.from_plain({**base, **changes})


def nan(folder: Path) -> None:
    for file in folder.glob("*.tif"):
        tifffile.imwrite(file, np.full((6, 6), 0.5, np.float32))
    image = np.full((6, 6), 0.5, np.float32)
    image[2, 3] = np.nan
    tifffile.imwrite(folder / "Q_1_B.tif", image)


def cut(folder: Path) -> None:
    file = folder / "Q_1_B.tif"
    file.write_bytes(file.read_bytes()[:-9])


def rewrite(name: str, image: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: tifffile.imwrite(folder / name, image)


BROKEN: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "missing channel": (lambda folder: (folder / "Q_1_B.tif").unlink(), "missing_channel", "no image of channel 'B'"),
    "damaged": (cut, "damaged_image", "Q_1_B.tif: truncated or damaged TIFF"),
    "NaN": (nan, "nan_pixels", "1 of 36 pixels of channel 'B' are NaN"),
    "unequal channels": (
        rewrite("Q_1_B.tif", np.zeros((6, 5), np.uint16)),
        "unequal_channels",
        "its channels have the sizes 6 x 5, 6 x 6 px",
    ),
    "another type": (
        rewrite("Q_1_B.tif", np.zeros((6, 6), np.uint8)),
        "pixel_type",
        "'B' has pixels of uint8, the first cell of the export of uint16",
    ),
    "a type no tile holds": (
        rewrite("Q_1_B.tif", np.zeros((6, 6), np.int32)),
        "unsupported_image",
        "expected pixels of uint8, uint16 or float32, found int32",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_unusable_cell_is_named_or_left_out(crops: Path, tmp_path: Path, case: str) -> None:
    break_it, reason, words = BROKEN[case]
    break_it(crops)
    tiles = {"size_px": 6, "dtype": "float32"} if case == "NaN" else {"size_px": 6}
    with pytest.raises(InputError) as raised:
        ingest(config(crops, tiles=tiles), tmp_path / "out", workers=0)
    assert words in str(raised.value)
    assert "set 'on_error: skip' to leave the cell out; source S" in str(raised.value)
    summary = ingest(config(crops, tiles=tiles, on_error="skip"), tmp_path / "skipped", workers=0)
    dataset = Dataset.open(tmp_path / "skipped")
    assert (summary.tiles, len(summary.problems)) == (5, 1)
    assert dataset.bags["n_tiles"].tolist() == [3, 2]
    (skipped,) = dataset.manifest.skipped
    assert skipped.reason == reason
    assert words in skipped.detail
    verify_dataset(tmp_path / "skipped")


def test_crops_of_unequal_size_say_what_to_set(crops: Path, tmp_path: Path) -> None:
    for channel in "AB":
        tifffile.imwrite(crops / f"P_1_{channel}.tif", np.full((4, 9), 5, np.uint16))
    with pytest.raises(InputError, match=r"cell 1: a crop of 4 x 9 px, tiles have 6 x 6 px; set 'tiles\.fit'"):
        ingest(config(crops), tmp_path / "out", workers=0)
    ingest(config(crops, tiles={"size_px": 6, "fit": "pad_or_crop"}), tmp_path / "fitted", workers=0)
    assert Dataset.open(tmp_path / "fitted").manifest.n_tiles == 6


def test_floats_do_not_fit_whole_numbers(crops: Path, tmp_path: Path) -> None:
    nan(crops)
    with pytest.raises(InputError, match=r"tiles of uint16 cannot hold; set 'tiles\.dtype: float32'"):
        ingest(config(crops), tmp_path / "out", workers=0)


def test_a_cell_that_is_listed_twice(crops: Path, tmp_path: Path) -> None:
    for channel in "AB":
        (crops / "again").mkdir(exist_ok=True)
        tifffile.imwrite(crops / "again" / f"Q_1_{channel}.tif", np.zeros((6, 6), np.uint16))
    reader = {
        "name": "crops",
        "path": str(crops),
        "pattern": r"(?:again/)?(?P<protein>\w)_(?P<cell>\d)_(?P<channel>\w)\.tif",
    }
    mine = config(crops, sources=[{"name": "S", "reader": reader}])
    with pytest.raises(InputError, match=r"again/Q_1_A\.tif|Q_1_A\.tif: a second image"):
        ingest(mine, tmp_path / "out", workers=0)
    summary = ingest(mine.model_copy(update={"on_error": "skip"}), tmp_path / "out", workers=0)
    assert (summary.tiles, len(summary.problems)) == (6, 2)


def test_no_cell_at_all(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tile could be made of 6 cells in 2 bags; each bag needs 9"):
        ingest(config(crops, bags={"by": ["Metadata_Protein"], "min_cells": 9}), tmp_path / "out", workers=0)
    for file in crops.glob("*_A.tif"):
        file.unlink()
    with pytest.raises(InputError, match=r"crops: no channel 'A'; there is B"):
        ingest(config(crops), tmp_path / "other", workers=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bags": {"by": ["Metadata_Protien"]}}, r"not a column of its cells.*did you mean 'Metadata_Protein'"),
        ({"markers": {"DNA": "dna"}}, "'markers.DNA': no measurement 'dna' in the sources; there is none"),
        ({"keep": {"area": {"min": 1}}}, "'keep': no measurement 'area' in source 'S'"),
        ({"channels": ["A", "C"]}, "no channel 'C'; there is A, B"),
    ],
)
def test_names_nothing_has(crops: Path, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ingest(config(crops, **changes), tmp_path / "out", workers=0)


@pytest.mark.parametrize(
    ("table", "text", "words"),
    [
        ({"by": {"Metadata_Protein": "gene"}}, "gene,x\nP,1\nP,2\n", "two rows for gene P"),
        (
            {"by": {"Metadata_Gene": "gene"}},
            "gene,x\nP,1\n",
            "'by' names Metadata_Gene, which is not a column",
        ),
        ({"by": {"Metadata_Protein": "genes"}}, "gene,x\nP,1\n", "no column 'genes'.*did you mean 'gene'"),
        (
            {"by": {"Metadata_Protein": "gene"}},
            "gene,x\nP,1\nQ,high\n",
            "line 3: column 'x' reads 'high'",
        ),
        ({"in_order": True}, "gene,x\nP,1\n", "1 rows for 6 cells"),
        ({"in_order": True}, "gene,x\n", "holds a header but no rows"),
        (
            {"in_order": True, "labels": {"Metadata_Cell": "gene"}},
            "gene,x\nP,1\n",
            "already have a column",
        ),
    ],
)
def test_tables_that_do_not_fit(crops: Path, tmp_path: Path, table: dict[str, Any], text: str, words: str) -> None:
    file = tmp_path / "table.csv"
    file.write_text(text)
    entry = {"table": {"name": "csv", "path": str(file)}, "measurements": ["x"], **table}
    source = {**config(crops).plain()["sources"][0], "tables": [entry]}
    with pytest.raises(InputError, match=words):
        ingest(config(crops, sources=[source]), tmp_path / "out", workers=0)


@pytest.mark.parametrize(("form", "refused"), [("{}", True), ("{:02}", False)])
def test_rows_in_order_are_refused_where_10_stands_before_2(tmp_path: Path, form: str, refused: bool) -> None:
    """Cell 10 is ``P_10_A.tif``, which stands before ``P_1_A.tif``: row 1 would be given to cell 10."""
    folder, table = tmp_path / "crops", tmp_path / "t.csv"
    folder.mkdir()
    for protein in "PQ":  # each counts anew
        for cell in range(1, 13):
            for channel in "AB":
                image = np.full((6, 6), cell, np.uint16)
                tifffile.imwrite(folder / f"{protein}_{form.format(cell)}_{channel}.tif", image)
    table.write_text("x\n" + "\n".join(f"{cell}.5" for cell in [*range(1, 13)] * 2) + "\n")
    source = config(folder).plain()["sources"][0]
    source["reader"]["pattern"] = r"(?P<protein>\w)_(?P<cell>\d+)_(?P<channel>\w)\.tif"
    source["tables"] = [{"table": {"name": "csv", "path": str(table)}, "measurements": ["x"], "in_order": True}]
    made = config(folder, sources=[source], markers={"X": "x"})
    if refused:
        with pytest.raises(InputError, match=r"sorted by name, where 1 follows 12\. Join by a column"):
            ingest(made, tmp_path / "out", workers=0)
        return
    ingest(made, tmp_path / "out", workers=0)
    tiles = pd.read_parquet(tmp_path / "out" / "tiles.parquet")
    assert tiles["Marker_X"].tolist() == (tiles["Metadata_Cell"].astype(int) + 0.5).tolist()


def test_mistakes_in_the_file_are_told_with_their_line(crops: Path, tmp_path: Path) -> None:
    file = tmp_path / "ingest.yaml"
    text = (
        "kind: cells\nname: x\nsources:\n  - name: S\n    reader: {name: cropz, path: a, pattern: b}\n"
        "channels: [A]\nbags: {by: [Metadata_Protein], group: 3}\nintensity: {B: {min_max: true}}\n"
    )
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_ingest_config(file)
    assert "ingest.yaml:5: sources.0.reader" in str(raised.value)
    assert "did you mean 'crops'" in str(raised.value)
    assert "ingest.yaml:7: bags.group: unknown key" in str(raised.value)
    assert "did you mean 'groups'" in str(raised.value)
    file.write_text(text.replace("kind: cells", "kind: cell"))
    with pytest.raises(ConfigError, match=r"ingest\.yaml:1: kind: expected one of: plates, cells, found 'cell'"):
        load_ingest_config(file)
    with pytest.raises(ConfigError, match="override 'kind=wells'"):
        load_ingest_config(file, ["kind=wells"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": ["A", "A"]}, "'channels' names 'A' twice"),
        ({"intensity": {"A": {"min_max": True}}}, r"set 'tiles\.dtype: float32'"),
        ({"intensity": {"C": {"min_max": True}}}, "not one of 'channels': A, B"),
        ({"bags": {"by": ["Protein"]}}, "begin with Metadata_"),
        ({"bags": {"by": ["Metadata_Cell"]}}, "leave it out"),
        ({"keep": {"area": {"min": 3, "max": 2}}}, "no cell would be kept"),
        ({"keep": {"area": {}}}, "found neither"),
    ],
)
def test_contradictions_in_the_config(crops: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config(crops, **changes)


def test_the_former_key_of_an_export_is_read_and_said(crops: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``plate`` was its name before datasets had the column ``source``; both at once stay a mistake."""
    named = config(crops).sources[0]
    former = {"plate": "S", "reader": named.reader.plain()}
    assert config(crops, sources=[former]).sources[0] == named
    assert "'plate: S' is read as 'name: S'" in caplog.text
    with pytest.raises(ValidationError, match="plate\n  Extra inputs are not permitted"):
        config(crops, sources=[former | {"name": "S"}])
