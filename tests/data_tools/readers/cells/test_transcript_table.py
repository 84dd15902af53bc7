"""Tables in the public forms of CosMx, MERSCOPE and Xenium, made up, through an ingest: counts and names by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from data_tools.pipeline import ingest, load_ingest_config
from framework.data.dataset import Dataset
from framework.errors import InputError

IMAGE = np.random.default_rng(0).integers(100, 900, (90, 140), dtype=np.uint16)
COSMX = pd.DataFrame(
    {
        "fov": [1, 1, 1, 1, 2, 2, 2, 2, 2],
        "cell_ID": [1, 1, 2, 0, 1, 1, 1, 2, 0],
        "cell": ["c_1_1_1", "c_1_1_1", "c_1_1_2", "c_1_1_0", "c_1_2_1", "c_1_2_1", "c_1_2_1", "c_1_2_2", "c_1_2_0"],
        "x_local_px": [20, 22, 40, 5, 20, 21, 22, 50, 9],
        "y_local_px": [30, 30, 50, 5, 40, 40, 40, 60, 9],
        "x_global_px": [20, 22, 40, 5, 90, 91, 92, 120, 79],
        "y_global_px": [30, 30, 50, 5, 40, 40, 40, 60, 9],
        "z": [1, 2, 1, 1, 3, 3, 3, 4, 4],
        "target": ["ESR1", "KRT5", "KRT5", "ESR1", "ESR1", "ESR1", "Negative3", "KRT5", "KRT5"],
        "CellComp": ["Nuclear", "Nuclear", "Nuclear", "None", "Nuclear", "Cytoplasm", "Nuclear", "Nuclear", "None"],
    }
)
"""``*_tx_file.csv``: cells are numbered anew in each field of view; 0 means outside cells. Fields lie 70 px apart."""
OF_IDS = (1_118_487_000_010_100_003, 1_118_487_000_010_100_004)
"""Names of cells as MERSCOPE writes them: neighbours are the same number in 64-bit floats."""
MERSCOPE = pd.DataFrame(
    {
        "": range(6),
        "barcode_id": [2, 2, 7, 7, 9, 2],
        "global_x": [110.0, 112.0, 130.0, 131.0, 132.0, 101.0],
        "global_y": [215.0, 215.0, 220.0, 220.0, 221.0, 201.0],
        "global_z": [0.0, 1, 1, 2, 2, 3],
        "x": [900.0, 910.0, 1000.0, 1001.0, 1002.0, 50.0],
        "y": [800.0, 800.0, 850.0, 850.0, 851.0, 50.0],
        "fov": [0, 0, 0, 0, 1, 1],
        "gene": ["ESR1", "ESR1", "KRT5", "KRT5", "Blank-7", "KRT5"],
        "transcript_id": [f"ENST{n}" for n in range(6)],
        "cell_id": [OF_IDS[0], OF_IDS[0], OF_IDS[1], OF_IDS[1], OF_IDS[1], -1],
    }
)
"""``detected_transcripts.csv``: um of the whole slide, a column without a name, ids of 19 digits, -1 outside cells."""


def ingested(folder: Path, table: pd.DataFrame, name: str, **reader: Any) -> pd.DataFrame:
    """Ingest a table by a YAML file; return one row per cell with its counts."""
    image, file = folder / "dapi.tif", folder / name
    tifffile.imwrite(image, IMAGE)
    if file.suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False)
    plain = {
        "kind": "cells",
        "name": "slide",
        "sources": [
            {
                "name": "slide",
                "reader": {
                    "name": "transcripts", "images": {"DAPI": str(image)}, "table": str(file), "min_transcripts": 1,
                    "crop_px": 16, "blocks": {"x_px": 70}, **reader,
                },
            }
        ],
        "channels": ["DAPI"],
        "tiles": {"size_px": 16},
        "bags": {"by": ["Metadata_Block"]},
        "markers": {} if reader.get("rows") == "cells" else {"*": "*"},
    }  # fmt: skip
    config, out = folder / "ingest.yaml", folder / "data"
    config.write_text(yaml.safe_dump(plain), encoding="utf-8")
    ingest(load_ingest_config(config), out, workers=0)
    made = Dataset.open(out)
    counted = pd.DataFrame(made.markers(made.manifest.markers), columns=list(made.manifest.markers))
    table = made.tile_table().join(made.bags["Metadata_Block"], on="bag")
    return table.join(counted).set_index("Metadata_Cell").sort_index()


def counts(cells: pd.DataFrame, genes: tuple[str, ...] = ("ESR1", "KRT5")) -> dict[str, list[float]]:
    return {str(name): [float(row[gene]) for gene in genes] for name, row in cells.iterrows()}


GLOBAL = {"cell": "cell_ID", "x": "x_global_px", "y": "y_global_px", "gene": "target"}


@pytest.mark.parametrize("name", ["tx_file.csv", "tx_file.parquet"])
@pytest.mark.parametrize("table", [COSMX, COSMX.drop(columns="cell")])
def test_cosmx_on_one_image_of_all_fields(tmp_path: Path, table: pd.DataFrame, name: str) -> None:
    """Cell 1 of field 1 and cell 1 of field 2 are two cells, whose number alone would make them one."""
    cells = ingested(tmp_path, table, name, columns=GLOBAL)
    assert counts(cells) == {"1_1": [1, 1], "1_2": [0, 1], "2_1": [2, 0], "2_2": [0, 1]}
    assert cells["x_px"].tolist() == [21, 40, 90, 120]
    assert cells["Metadata_Block"].tolist() == ["0", "0", "1", "1"]


def test_cosmx_on_the_image_of_one_field(tmp_path: Path) -> None:
    cells = ingested(tmp_path, COSMX, "tx_file.csv", field="2")
    assert counts(cells) == {"c_1_2_1": [2, 0], "c_1_2_2": [0, 1]}
    assert cells["x_px"].tolist() == [20, 50]


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ({}, "those within a field of view, of which it has 2 .1, 2.; write 'field: NAME'"),
        ({"field": "7"}, "no field of view '7'; it has 1, 2; correct 'field'"),
        ({"columns": {"x": "x_global_px"}}, "x from 'x_global_px' and y from 'y_local_px'.*name both in 'columns'"),
    ],
)
def test_places_of_several_fields_never_lie_on_one_image(tmp_path: Path, reader: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ingested(tmp_path, COSMX, "tx_file.csv", **reader)


def test_a_field_that_the_table_does_not_tell(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column says the field of view; name it with 'columns: "):
        ingested(tmp_path, COSMX.drop(columns="fov"), "tx_file.csv", field="1")


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("column", ["cell_id", "EntityID"])
@pytest.mark.parametrize("name", ["detected_transcripts.csv", "detected_transcripts.parquet"])
def test_merscope(tmp_path: Path, name: str, column: str, missing: bool) -> None:
    """Ids differ in their 19th digit; a transcript in no cell has -1, or none."""
    table = MERSCOPE.rename(columns={"cell_id": column})
    if missing:
        table[column] = table[column].astype("Int64").replace(-1, pd.NA)
    cells = ingested(
        tmp_path, table, name, centre="all", pixel_size_um=0.5, origin_um=[100, 200],
        columns={"cell": column, "x": "global_x", "y": "global_y", "gene": "gene"},
    )  # fmt: skip
    assert counts(cells) == {str(OF_IDS[0]): [2, 0], str(OF_IDS[1]): [0, 2]}
    assert cells[["x_px", "y_px"]].to_numpy().tolist() == [[22, 30], [61, 40]]


@pytest.mark.parametrize(
    ("table", "reader", "names"),
    [
        (
            pd.DataFrame({"EntityID": OF_IDS, "fov": [0, 1], "center_x": [110.0, 130.0], "center_y": [215.0, 220.0]}),
            {"pixel_size_um": 0.5, "origin_um": [100, 200]},
            [str(each) for each in OF_IDS],
        ),
        (
            pd.DataFrame(
                {"fov": [1, 2], "cell_ID": [1, 1], "CenterX_global_px": [20, 60], "CenterY_global_px": [30, 40]}
            ),
            {},
            ["1_1", "2_1"],
        ),
        (
            pd.DataFrame({"cell_id": ["aaa-1", "aab-1"], "x_centroid": [10.0, 30.0], "y_centroid": [15.0, 20.0]}),
            {"pixel_size_um": 0.5},
            ["aaa-1", "aab-1"],
        ),
    ],
)
def test_tables_of_cells_of_three_vendors(
    tmp_path: Path, table: pd.DataFrame, reader: dict[str, Any], names: list[str]
) -> None:
    """Cells that were imaged and not counted, as each vendor lists them beside its transcripts."""
    cells = ingested(tmp_path, table, "cells.csv", rows="cells", **reader)
    assert cells.index.tolist() == names
    assert cells[["x_px", "y_px"]].to_numpy().tolist() == [[20, 30], [60, 40]]


def test_what_was_taken_is_kept(tmp_path: Path) -> None:
    ingested(tmp_path, COSMX, "tx_file.csv", columns=GLOBAL)
    said = json.dumps(json.loads((tmp_path / "data" / "dataset.json").read_text(encoding="utf-8")))
    assert "field from 'fov', cell from 'cell_ID', gene from 'target', x from 'x_global_px'" in said
    assert "6 of 9 rows are used; left out: 2 in no cell, 1 of 1 controls" in said
