"""OME-TIFFs, read by tifffile, and the table that says which cell lies where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from fixtures.tiny_dataset import make_dataset, resealed, stored_tiles

from framework.data.dataset import Dataset
from framework.data.export import export_dataset
from framework.data.format.schema import BAG, BAGS_NAME, SOURCE


@pytest.mark.parametrize("words", [["per=cell"], ["per=bag"], ["per=bag", "compression=zstd"]])
def test_each_cell_is_where_the_table_says(tmp_path: Path, words: list[str]) -> None:
    dataset = make_dataset(tmp_path / "data", bags=3, dtype="float32")
    made = export_dataset(dataset, tmp_path / "out", to="tiff", overrides=words)
    table, pixels = pd.read_csv(tmp_path / "out" / "cells.csv"), stored_tiles(dataset)
    assert made.files == 1 + (24 if words == ["per=cell"] else 3)
    assert table["tile"].tolist() == list(range(24))
    for row in table.itertuples():
        with tifffile.TiffFile(tmp_path / "out" / str(row.file)) as file:
            assert file.is_ome
            series = file.series[int(row.image)]  # type: ignore[call-overload]
            assert (series.axes, series.name) == ("CYX", f"cell {row.tile}")
            np.testing.assert_array_equal(series.asarray(), pixels[row.tile])


def test_the_xml_says_channels_and_the_size_of_a_pixel(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data", bags=1)
    export_dataset(dataset, tmp_path / "out", to="tiff", channels=("B", "A"))
    file = tmp_path / "out" / "plate1" / "A01" / "000000003.ome.tif"
    facts = tifffile.xml2dict(tifffile.TiffFile(file).ome_metadata)["OME"]["Image"]["Pixels"]
    assert [channel["Name"] for channel in facts["Channel"]] == ["B", "A"]
    assert (facts["PhysicalSizeX"], facts["PhysicalSizeXUnit"]) == (1.0, "µm")
    np.testing.assert_array_equal(tifffile.imread(file), stored_tiles(dataset)[3][[1, 0]])


def test_names_that_no_file_system_takes_become_names_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    make_dataset(folder, bags=3)
    bags = pd.read_parquet(folder / BAGS_NAME).drop(columns=["Metadata_Plate", "Metadata_Well"])
    bags[SOURCE], bags[BAG] = "Übersicht/../x", ["../../p", "a b", "a_b"]
    bags.to_parquet(folder / BAGS_NAME, index=False)
    dataset: Dataset = resealed(folder)
    export_dataset(dataset, tmp_path / "out", to="tiff", overrides=["per=bag"])
    found = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.tif"))
    assert found == ["_bersicht_x/_p.ome.tif", "_bersicht_x/a_b-2.ome.tif", "_bersicht_x/a_b.ome.tif"]
    table = pd.read_csv(tmp_path / "out" / "cells.csv")
    assert table[BAG].unique().tolist() == ["../../p", "a b", "a_b"]
