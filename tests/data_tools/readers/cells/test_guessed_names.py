"""Folders of cells that init knows by what lies in them: patterns read back by readers, sentences for the rest."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import tifffile

from data_tools.start import CellsFound, find_export
from framework.errors import InputError


def found(folder: Path) -> CellsFound:
    export = find_export(str(folder))
    assert isinstance(export, CellsFound)
    return export


def write(folder: Path, names: list[str], shape: tuple[int, ...] = (20, 24)) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, np.full(shape, 7, np.uint16), photometric="minisblack")
    return folder


def test_one_tiff_per_cell_with_channels_as_pages(tmp_path: Path) -> None:
    export = found(write(tmp_path / "cells", [f"cell_{number:03d}.tif" for number in range(5)], (3, 20, 24)))
    assert (export.reader, export.count, export.channels) == ("multipage", 5, ("page1", "page2", "page3"))
    cells = export.exports[0].listing.cells
    assert cells["Metadata_Cell"].tolist() == ["000", "001", "002", "003", "004"]  # so a table of numbers joins
    assert "5 small TIFFs of 3 pages, 24 x 20 px" in export.why


def test_folders_become_a_label(tmp_path: Path) -> None:
    names = [f"{sample}/{cell}.tif" for sample in ("ctrl", "drug") for cell in ("a1", "b", "c")]
    export = found(write(tmp_path / "cells", names, (2, 20, 24)))
    cells = export.exports[0].listing.cells
    assert sorted(set(cells["Metadata_Folder"])) == ["ctrl", "drug"]
    assert export.labels == ("Metadata_Folder",)


def test_one_tiff_per_cell_and_channel(tmp_path: Path) -> None:
    names = [f"AAC1_0_{cell}_{channel}.tif" for cell in range(4) for channel in ("gfp", "rfp")]
    export = found(write(tmp_path / "crops", names))
    assert (export.reader, export.count, export.channels) == ("crops", 4, ("gfp", "rfp"))
    assert "8 small TIFFs of 4 cells" in export.why


def test_names_without_a_channel_are_told(tmp_path: Path) -> None:
    write(tmp_path / "odd", ["a_x.tif", "b_x.tif", "c_x.tif", "d_y.tif"])
    with pytest.raises(InputError, match=r"crops: no channel stands at the end .* as of a_x\.tif; write 'pattern'"):
        find_export(str(tmp_path / "odd"))


def test_large_images_are_no_crops(tmp_path: Path) -> None:
    write(tmp_path / "fields", [f"img_{number}.tif" for number in range(4)], (2, 600, 600))
    with pytest.raises(InputError, match="no reader knows this export"):
        find_export(str(tmp_path / "fields"))


def test_fields_of_the_protein_atlas(tmp_path: Path) -> None:
    image = np.zeros((900, 900), np.uint8)
    cv2.circle(image, (450, 450), 40, 200, -1)
    for name in ("1_A1_1_blue", "1_A1_1_green", "1_A1_2_blue", "1_A1_2_green"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    export = found(tmp_path)
    assert (export.reader, export.count) == ("hpa", 2)
    assert export.channels == ("nucleus", "protein")


def test_an_archive_of_deeploc_is_told_with_the_reader_to_write(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["data1"], file["Index1"] = np.zeros((3, 8192), np.float32), np.zeros((3, 5), np.float32)
    with pytest.raises(InputError, match=r"holds data1 and Index1.*reader: \{name: deeploc, path: .*train\.h5"):
        find_export(str(tmp_path))
