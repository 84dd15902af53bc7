"""Cells of scPortrait: files as scPortrait lays them out, made here by hand with h5py and anndata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset, stored_tiles

from data_tools.pipeline import ingest, load_ingest_config
from data_tools.readers.cells import CellImage
from data_tools.readers.cells.h5sc import H5scConfig, H5scReader
from framework.data.dataset import Dataset
from framework.data.export import export_dataset
from framework.errors import InputError

IMAGES = np.random.default_rng(0).random((5, 3, 6, 4)).astype(np.float16)
NAMES = ("nucleus_mask", "DNA", "Actin")
KINDS = ("mask", "image_channel", "image_channel")


def write(file: Path, obs: pd.DataFrame | None = None, *, said: str = "attributes", images: Any = IMAGES) -> Path:
    if obs is None:
        obs = pd.DataFrame({"cell_id": np.asarray([7, 8, 12, 13, 20], np.uint64), "kind": list("aabbb")})
    obs.index = pd.Index([str(row) for row in range(len(obs))])
    var = pd.DataFrame(index=[str(channel) for channel in range(3)])
    if said == "var":
        var["channels"], var["channel_mapping"] = NAMES, KINDS
    anndata.AnnData(obs=obs, var=var).write_h5ad(file)
    with h5py.File(file, "r+") as opened:
        array = opened.create_dataset("obsm/single_cell_images", data=images, chunks=(1, 1, 6, 4), compression="lzf")
        array.attrs["encoding-type"], array.attrs["encoding-version"] = "array", "0.2.0"
        if said == "attributes":
            array.attrs["channel_names"] = np.asarray([name.encode() for name in NAMES])
            array.attrs["channel_mapping"] = np.asarray([kind.encode() for kind in KINDS])
    return file


def reader(file: Path, **options: Any) -> H5scReader:
    return H5scReader(H5scConfig.from_plain({"path": str(file), **options}))


@pytest.mark.parametrize("said", ["attributes", "var"])
def test_cells_and_their_pixels(tmp_path: Path, said: str) -> None:
    found = reader(write(tmp_path / "cells.h5sc", said=said), labels={"Metadata_Kind": "kind"})
    listing = found.survey(("Actin", "nucleus_mask"))
    assert listing.channels == NAMES
    assert listing.cells["Metadata_Cell"].tolist() == ["7", "8", "12", "13", "20"]
    assert listing.cells["Metadata_Kind"].tolist() == list("aabbb")
    assert [note.partition(": ")[2] for note in listing.notes] == ["of its channels nucleus_mask are masks"]
    cells = list(found.read(listing.places.iloc[[3, 1]].reset_index(drop=True), ("Actin", "nucleus_mask")))
    for cell, row in zip(cells, (3, 1), strict=True):
        assert isinstance(cell, CellImage)
        pixels = np.asarray(cell.pixels)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, IMAGES[row][[2, 0]].astype(np.float32))


def test_channels_without_names_are_counted_and_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path / "cells.h5sc", said="nowhere")
    assert reader(file).survey(("c1",)).channels == ("c0", "c1", "c2")
    assert reader(file, channel_names={"c1": "DNA"}).survey(("DNA",)).channels == ("c0", "DNA", "c2")
    with pytest.raises(InputError, match="several channels are called 'c0'"):
        reader(file, channel_names={"c1": "c0"}).survey(("c2",))
    with pytest.raises(InputError, match=r"'channel_names' names 'c9', and there is c0, c1, c2"):
        reader(file, channel_names={"c9": "x"}).survey(("c2",))


def test_what_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    file = write(tmp_path / "cells.h5sc")
    with pytest.raises(InputError, match=r"no channel 'Dna'; there is .*did you mean 'DNA'"):
        reader(file).survey(("Dna",))
    with pytest.raises(InputError, match=r"obs has no column 'kinds'; .*did you mean 'kind'"):
        reader(file, labels={"Metadata_Kind": "kinds"}).survey(("DNA",))
    with pytest.raises(InputError, match="'kind' of obs does not hold numbers"):
        reader(file, measurements=["kind"]).survey(("DNA",))
    twice = write(tmp_path / "twice.h5sc", pd.DataFrame({"cell_id": [1, 2, 2, 3, 4], "slide": list("aabbb")}))
    with pytest.raises(InputError, match="cell '2' appears twice in obs"):
        reader(twice).survey(("DNA",))
    assert len(reader(twice, labels={"Metadata_Slide": "slide"}).survey(("DNA",))) == 5
    short = write(tmp_path / "short.h5sc", images=IMAGES[:4])
    with h5py.File(short, "r+") as opened:
        opened.move("obsm/single_cell_images", "images")
    with pytest.raises(InputError, match=r"expected 'obsm/single_cell_images' .*found no such array"):
        reader(short).survey(("DNA",))
    with h5py.File(short, "r+") as opened:
        opened.move("images", "obsm/single_cell_images")
    with pytest.raises(InputError, match="obs has 5 rows and 'obsm/single_cell_images' 4 images"):
        reader(short).survey(("DNA",))
    (tmp_path / "text.h5sc").write_text("cells")
    with pytest.raises(InputError, match=r"text\.h5sc: not readable as single-cell images of scPortrait"):
        reader(tmp_path / "text.h5sc").survey(("DNA",))


def test_a_dataset_that_was_exported_comes_back_with_equal_pixels_and_labels(tmp_path: Path) -> None:
    first = make_dataset(tmp_path / "data", bags=3, dtype="float32", markers=("CD3",))
    export_dataset(first, tmp_path / "out", to="h5sc", overrides=["normalise=none"])
    source = {
        "name": "again",
        "reader": {
            "name": "h5sc",
            "path": str(tmp_path / "out" / "single_cells.h5sc"),
            "measurements": ["Marker_CD3", "tile"],
        },
    }
    config = {
        "kind": "cells",
        "name": "again",
        "channels": ["A", "B"],
        "sources": [source],
        "tiles": {"size_px": 16, "dtype": "float32"},
        "bags": {"by": ["Metadata_Well"]},
        "markers": {"CD3": "Marker_CD3", "tile": "tile"},
    }
    ingest(load_ingest_config(config), tmp_path / "again", workers=0)
    again = Dataset.open(tmp_path / "again")
    assert again.bags["Metadata_Perturbation"].tolist() == first.bags["Metadata_Perturbation"].tolist()
    numbers = again.markers(("tile",))[:, 0].astype(int)
    np.testing.assert_array_equal(stored_tiles(again), stored_tiles(first)[numbers])
