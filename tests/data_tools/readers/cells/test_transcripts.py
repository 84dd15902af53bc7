"""Tables of transcripts with an image: counts and centres by hand, the columns of three vendors, what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from pydantic import ValidationError

from data_tools.readers.cells import CellImage, CellProblem
from data_tools.readers.cells.transcripts import TranscriptsConfig, TranscriptsReader
from framework.errors import InputError

IMAGE = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80)
ROWS = pd.DataFrame(
    {
        "cell_id": ["7", "7", "7", "12", "12", "-1", "7", "12", "9"],
        "feature_name": ["ESR1", "ESR1", "KRT5", "ESR1", "0042", "KRT5", "NegControlProbe_1", "KRT5", "KRT5"],
        "x_px": [20.0, 22.0, 60.0, 50.0, 51.0, 1.0, 2.0, 52.0, 30.0],
        "y_px": [30.0, 31.0, 3.0, 40.0, 41.0, 1.0, 2.0, 42.0, 30.0],
        "overlaps_nucleus": [1, 1, 0, 1, 1, 1, 1, 1, 0],
        "qv": [40, 40, 20, 40, 40, 40, 40, 12, 40],
    }
)
"""Cell 7 has ESR1 twice and KRT5 once (and a control), 12 has ESR1 and 0042 (and one of poor quality), 9 one KRT5."""


def reader(folder: Path, table: pd.DataFrame = ROWS, name: str = "t.csv", **options: Any) -> TranscriptsReader:
    tifffile.imwrite(folder / "dapi.tif", IMAGE)
    file = folder / name
    if file.suffix == ".parquet":
        table.to_parquet(file)
    elif file.suffix == ".gz":
        file.write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    else:
        table.to_csv(file, index=False)
    plain = {"images": {"DAPI": str(folder / "dapi.tif")}, "table": str(file), "min_transcripts": 2, "crop_px": 8}
    return TranscriptsReader(TranscriptsConfig.from_plain({**plain, **options}))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.parquet"])
def test_counts_and_centres(tmp_path: Path, name: str) -> None:
    listing = reader(tmp_path, name=name).survey(("DAPI",))
    assert listing.cells.to_dict("list") == {
        "Metadata_Cell": ["12", "7"],
        "y_px": [40.5, 30.5],
        "x_px": [50.5, 21.0],
        "transcripts": [2.0, 3.0],
        "0042": [1.0, 0.0],
        "ESR1": [1.0, 2.0],
        "KRT5": [0.0, 1.0],
    }
    assert "6 of 9 rows are used; left out: 1 in no cell, 1 of 1 controls, 1 below the quality 20" in listing.notes[1]
    assert (
        "2 of 3 cells are used, with 3 genes; 0 have fewer than 2 transcripts, 1 have none over a nucleus"
        in listing.notes[2]
    )


def test_crops_lie_around_the_centre(tmp_path: Path) -> None:
    mine = reader(tmp_path)
    found = list(mine.read(mine.survey(("DAPI",)).places, ("DAPI",)))
    assert all(isinstance(item, CellImage) for item in found)
    np.testing.assert_array_equal(found[0].pixels[0], IMAGE[37:45, 47:55])  # type: ignore[union-attr]
    np.testing.assert_array_equal(found[1].pixels[0], IMAGE[27:35, 17:25])  # type: ignore[union-attr]


def test_a_crop_goes_on_as_a_mirror_where_a_smaller_one_is_whole(tmp_path: Path) -> None:
    """The centre of 9 is 3 px from the border; a square of 6 px is whole, one of 8 is not."""
    rows = ROWS.assign(cell_id="9", x_px=3.0, y_px=30.0)
    with_border = reader(tmp_path, rows)
    (item,) = with_border.read(with_border.survey(("DAPI",)).places, ("DAPI",))
    assert isinstance(item, CellImage)
    assert (item.status, len(item.pixels)) == ("border", 0)
    mine = reader(tmp_path, rows, whole_px=6)
    (item,) = mine.read(mine.survey(("DAPI",)).places, ("DAPI",))
    assert isinstance(item, CellImage)
    expected = np.concatenate([IMAGE[26:34, :1], IMAGE[26:34, :7]], axis=1)
    np.testing.assert_array_equal(item.pixels[0], expected)


def test_places_in_um_and_blocks(tmp_path: Path) -> None:
    rows = ROWS.rename(columns={"x_px": "x_location", "y_px": "y_location"})
    options = {"pixel_size_um": 0.5, "origin_um": [1.0, 2.0], "blocks": {"x_px": 50, "y_px": 60}, "centre": "all"}
    cells = reader(tmp_path, rows, **options).survey(("DAPI",)).cells
    # cell 7: medians 22 and 30 um; cell 12: 50.5 and 40.5 um; less the origin, times two.
    assert cells["x_px"].tolist() == [99.0, 42.0]
    assert cells["y_px"].tolist() == [77.0, 56.0]
    assert cells["Metadata_Block"].tolist() == ["1-1", "0-0"]
    strips = reader(tmp_path, blocks={"x_px": 30}).survey(("DAPI",)).cells["Metadata_Block"]
    assert strips.tolist() == ["1", "0"]


@pytest.mark.parametrize(
    "names",
    [
        {
            "cell_id": "cell",
            "feature_name": "target",
            "x_px": "x_local_px",
            "y_px": "y_local_px",
            "nucleus": "CellComp",
        },
        {"feature_name": "gene", "x_px": "global_x", "y_px": "global_y"},
    ],
)
def test_columns_of_other_vendors(tmp_path: Path, names: dict[str, str]) -> None:
    rows = ROWS.drop(columns="qv").rename(columns=names)
    options: dict[str, Any] = {"centre": "all", "pixel_size_um": 1.0}
    if "nucleus" in names:
        rows["CellComp"] = np.where(rows.pop("overlaps_nucleus") == 1, "Nuclear", "Cytoplasm")
        options["centre"] = "nucleus"
    else:
        rows = rows.drop(columns="overlaps_nucleus")
    cells = reader(tmp_path, rows, **options).survey(("DAPI",)).cells
    assert cells["ESR1"].tolist() == [1.0, 2.0]
    assert cells["KRT5"].tolist() == [1.0, 1.0]  # without a quality the poor one counts


def test_numbers_of_cells_are_the_same_text_in_parquet(tmp_path: Path) -> None:
    """pandas stores whole numbers beside a missing one as floats."""
    rows = ROWS.assign(cell_id=[7.0, 7.0, 7.0, 12.0, 12.0, np.nan, 7.0, 12.0, 9.0])
    assert reader(tmp_path, rows, "t.parquet").survey(("DAPI",)).cells["Metadata_Cell"].tolist() == ["12", "7"]


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda t: t.drop(columns="feature_name"), {}, "no column 'feature_name' or 'target' or 'gene' for 'gene'"),
        (lambda t: t, {"columns": {"gene": "feature"}}, "no column 'feature' for 'gene'.*did you mean 'feature_name'"),
        (lambda t: t.rename(columns={"x_px": "u", "y_px": "v"}), {"columns": {"x": "u", "y": "v"}}, "set 'unit'"),
        (lambda t: t.rename(columns={"x_px": "x_location", "y_px": "y_location"}), {}, "set 'pixel_size_um'"),
        (lambda t: t.drop(columns="overlaps_nucleus"), {}, "set 'centre: all'"),
        (lambda t: t.assign(overlaps_nucleus="yes"), {}, "'yes' in the column of 'nucleus'; expected 1 or 0"),
        (lambda t: t.assign(cell_id="-1"), {}, "none of 9 rows is left .9 in no cell"),
        (lambda t: t.assign(x_px="far"), {}, "expected a number"),
        (lambda t: t.assign(x_px=""), {}, "a transcript of cell '7' has no place"),
        (lambda t: t.assign(feature_name="transcripts"), {}, "a gene is called 'transcripts'"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        reader(tmp_path, change(ROWS), **options).survey(("DAPI",))


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    mine = reader(tmp_path)
    places = mine.survey(("DAPI",)).places
    (tmp_path / "dapi.tif").write_bytes(b"II*\0")
    found = list(mine.read(places, ("DAPI",)))
    assert [item.reason for item in found if isinstance(item, CellProblem)] == ["damaged_image"] * 2
    with pytest.raises(InputError, match=r"no such file; correct 'images: {DAPI: ...}'"):
        reader(tmp_path, images={"DAPI": str(tmp_path / "none.tif")}).survey(("DAPI",))


@pytest.mark.parametrize("options", [{"unit": "um"}, {"whole_px": 9}, {"blocks": {}}, {"images": {}}])
def test_options_that_cannot_be(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        reader(tmp_path, **options)
