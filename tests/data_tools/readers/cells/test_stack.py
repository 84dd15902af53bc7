"""Cells as one array: .npz and HDF5 give the same cells; wrong shapes and damage are named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from data_tools.readers.cells import CellImage, stack
from data_tools.readers.cells.stack import StackConfig, StackReader
from framework.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 65535, (7, 2, 5, 4), dtype=np.uint16)
PHASE = np.array(["G1", "S", "G2", "S", "S", "G1", "M"])
DNA = np.arange(7) * 1.5


def write(folder: Path, kind: str, images: np.ndarray = IMAGES, **more: np.ndarray) -> Path:
    arrays = {"images": images, "phase": PHASE, "dna": DNA, **more}
    if kind == "hdf5":
        file = folder / "cells.h5"
        with h5py.File(file, "w") as store:
            for name, values in arrays.items():
                store[name] = values.astype(object) if values.dtype.kind == "U" else values
        return file
    file = folder / "cells.npz"
    (np.savez_compressed if kind == "packed" else np.savez)(file, **arrays)
    return file


def reader(file: Path, **options: Any) -> StackReader:
    plain = {
        "path": str(file),
        "channels": ["BF", "DNA"],
        "labels": {"Metadata_Phase": "phase"},
        "measurements": ["dna"],
    }
    return StackReader(StackConfig.from_plain({**plain, **options}))


def pixels(reader: StackReader, rows: list[int], channels: tuple[str, ...]) -> np.ndarray:
    places = reader.survey(channels).places.iloc[rows].reset_index(drop=True)
    found = list(reader.read(places, channels))
    assert [item.row for item in found] == list(range(len(rows)))
    return np.stack([np.stack(list(item.pixels)) for item in found if isinstance(item, CellImage)])


@pytest.mark.parametrize("kind", ["stored", "packed", "hdf5"])
def test_rows_come_in_the_order_asked_for(tmp_path: Path, kind: str) -> None:
    mine = reader(write(tmp_path, kind))
    listing = mine.survey(("DNA",))
    assert listing.cells["Metadata_Phase"].tolist() == PHASE.tolist()
    assert listing.cells["Metadata_Cell"].tolist() == [str(row) for row in range(7)]
    assert listing.cells["dna"].tolist() == DNA.tolist()
    np.testing.assert_array_equal(pixels(mine, [5, 0, 6], ("DNA", "BF")), IMAGES[[5, 0, 6]][:, [1, 0]])


@pytest.mark.parametrize("kind", ["stored", "packed", "hdf5"])
def test_copies_carry_the_row_of_the_first_of_them(tmp_path: Path, kind: str) -> None:
    images = IMAGES.copy()
    images[5], images[6] = images[2], images[2]
    images[6, 0, 0, 0] ^= 1
    cells = reader(write(tmp_path, kind, images), copies="Metadata_Copy").survey(("DNA",)).cells
    assert cells["Metadata_Copy"].tolist() == ["0", "1", "2", "3", "4", "2", "6"]


def test_a_large_packed_array_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "_UNPACKED_AT_ONCE", 0)
    np.testing.assert_array_equal(
        pixels(reader(write(tmp_path, "packed")), [3, 6, 1], ("BF",)), IMAGES[[3, 6, 1]][:, :1]
    )


@pytest.mark.parametrize("kind", ["stored", "hdf5"])
def test_other_layouts(tmp_path: Path, kind: str) -> None:
    last = reader(write(tmp_path, kind, np.moveaxis(IMAGES, 1, -1).copy()), layout="nhwc")
    np.testing.assert_array_equal(pixels(last, [2], ("DNA",)), IMAGES[[2]][:, 1:])
    flat = reader(write(tmp_path, kind, IMAGES[:, 0].copy()), layout="nhw", channels=["BF"])
    np.testing.assert_array_equal(pixels(flat, [2], ("BF",)), IMAGES[[2]][:, :1])


@pytest.mark.parametrize("kind", ["stored", "hdf5"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"images": "image"}, "no array 'image'.*did you mean 'images'"),
        ({"channels": ["BF"]}, "2 channels in layout 'nchw', but 'channels' names 1"),
        ({"layout": "nhw", "channels": ["BF"]}, "7 x 2 x 5 x 4, but layout 'nhw' has 3 axes"),
        ({"labels": {"Metadata_Phase": "short"}}, "'short' has the shape 3, expected one value for each of 7"),
        ({"measurements": ["phase"]}, "'phase' does not hold numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        reader(write(tmp_path, kind, short=np.arange(3)), **options).survey(("BF",))


@pytest.mark.parametrize("kind", ["stored", "hdf5"])
def test_a_label_that_is_missing_is_not_one(tmp_path: Path, kind: str) -> None:
    gate = np.array([1.0, 2.0, 1.0, np.nan, 2.0, np.nan, 1.0])
    with pytest.raises(InputError, match="'gate' has no value in row 3, and so it is in 2 of 7 rows"):
        reader(write(tmp_path, kind, gate=gate), labels={"Metadata_Gate": "gate"}).survey(("BF",))
    whole = reader(write(tmp_path, kind, gate=np.nan_to_num(gate)), labels={"Metadata_Gate": "gate"}).survey(("BF",))
    assert whole.cells["Metadata_Gate"].tolist() == ["1.0", "2.0", "1.0", "0.0", "2.0", "0.0", "1.0"]


def test_labels_that_are_stored_as_numbers_of_words_are_the_words(tmp_path: Path) -> None:
    file = write(tmp_path, "hdf5")
    with h5py.File(file, "r+") as store:
        kind = h5py.enum_dtype({"G1": 1, "S": 7}, basetype="i1")
        store.create_dataset("stage", data=np.array([1, 7, 1, 7, 7, 1, 3], dtype="i1"), dtype=kind)
    cells = reader(file, labels={"Metadata_Stage": "stage"}).survey(("BF",)).cells
    assert cells["Metadata_Stage"].tolist() == ["G1", "S", "G1", "S", "S", "G1", "3"]


def test_damaged_and_strange_files_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "stored")
    whole = file.read_bytes()
    file.write_bytes(whole[:200])
    with pytest.raises(InputError, match=r"cells\.npz: not readable as cells"):
        reader(file).survey(("BF",))
    (tmp_path / "bad.h5").write_bytes(b"no store")
    with pytest.raises(InputError, match=r"bad\.h5: not readable as cells"):
        reader(tmp_path / "bad.h5").survey(("BF",))
    with pytest.raises(InputError, match="no such file"):
        reader(tmp_path / "none.npz").survey(("BF",))
    with pytest.raises(InputError, match=r"expected a file \.npz"):
        reader(tmp_path / "cells.mat").survey(("BF",))
    with pytest.raises(InputError, match="column by column"):
        reader(write(tmp_path, "stored", np.asfortranarray(IMAGES))).survey(("BF",))
    np.savez(tmp_path / "objects.npz", images=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"Python objects|damaged"):
        reader(tmp_path / "objects.npz").survey(("BF",))


def test_contradictions_in_the_config(tmp_path: Path) -> None:
    for options, words in (
        ({"channels": ["A", "A"]}, "names 'A' twice; name each once"),
        ({"layout": "nhw"}, "names 2"),
        ({"labels": {"Phase": "phase"}}, "begin with Metadata_"),
        ({"copies": "Copy"}, "begin with Metadata_"),
        ({"copies": "Metadata_Phase"}, "both make the column"),
    ):
        with pytest.raises(ValidationError, match=words):
            reader(tmp_path / "x.npz", **options)


def test_an_hdf5_file_brings_no_other_file_and_no_unwritten_images(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(64))
    file = tmp_path / "cells.h5"
    with h5py.File(file, "w") as made:
        made.create_dataset("images", (2, 2, 4, 4), "u1", external=[(str(tmp_path / "secret"), 0, 64)])
    with pytest.raises(InputError, match=r"cells\.h5: 'images' keeps its data in another file"):
        reader(file).survey(("BF",))
    with h5py.File(file, "w") as made:
        made.create_dataset("images", (2, 2, 4, 4), "u1", chunks=(1, 2, 4, 4))[0] = 3
    with pytest.raises(InputError, match=r"'images' was never written whole: 1 of 2 chunks"):
        reader(file).survey(("BF",))
    with h5py.File(file, "w") as made:
        made["images"] = np.zeros((2, 2, 4, 4), "u1")
        made["phase"] = np.zeros(2, [("a", "i4")])
    with pytest.raises(InputError, match="'phase' holds neither numbers nor text"):
        reader(file, labels={"Metadata_Phase": "phase"}).survey(("BF",))


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    for name in ("cells.npz", "cells.h5"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: a pipe, socket or device"):
            reader(tmp_path / name).survey(("BF",))


def test_a_dataset_of_no_value_or_one_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.h5"
    for value, words in (
        (h5py.Empty("f4"), "'images' holds no value"),
        (3, "has the shape of a single value, but layout"),
    ):
        with h5py.File(file, "w") as opened:
            opened["images"] = value
        with pytest.raises(InputError, match=words):
            StackReader(StackConfig.from_plain({"path": str(file), "channels": ["a"]})).survey(("a",))


def test_soft_links_within_the_file_are_read_and_others_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, "hdf5")
    with h5py.File(file, "a") as store:
        store["all/cells"] = h5py.SoftLink("/images")
        store["nowhere"] = h5py.SoftLink("/gone")
    linked = reader(file, images="all/cells")
    (item,) = linked.read(linked.survey(("BF",)).places[3:4], ("BF",))
    assert isinstance(item, CellImage)
    np.testing.assert_array_equal(item.pixels[0], IMAGES[3, 0])
    with pytest.raises(InputError, match="'nowhere' is a link to '/gone', which is not an array"):
        reader(file, images="nowhere").survey(("BF",))
    with h5py.File(file, "a") as store:
        store["other"] = h5py.ExternalLink("secret.h5", "/images")
    with pytest.raises(InputError, match=r"'other' is a link to another file \(secret.h5\)"):
        reader(file, images="other").survey(("BF",))


def test_labels_of_axes_that_say_something_else_than_the_layout_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "hdf5")
    with h5py.File(file, "a") as store:
        for axis, label in enumerate(("cell", "C", "row", "x")):
            store["images"].dims[axis].label = label
    np.testing.assert_array_equal(pixels(reader(file), [1], ("DNA",)), IMAGES[[1]][:, [1]])
    with h5py.File(file, "a") as store:
        store["images"].dims[1].label = "z"
    with pytest.raises(InputError, match="labels its axes cell, z, row, x, and layout 'nchw' takes 'z' for channels; "):
        reader(file).survey(("DNA",))
    with h5py.File(file, "a") as store:
        store["images"].attrs["axistags"] = '{"axes": [{"key": "t"}, {"key": "c"}, {"key": "x"}, {"key": "y"}]}'
    with pytest.raises(InputError, match="labels its axes t, c, x, y, and layout 'nchw' takes 'x' for rows"):
        reader(file).survey(("DNA",))
    for spoiled in ('{"axes": 3}', "[1", '{"axes": ["x"]}'):
        with h5py.File(file, "a") as store:
            store["images"].attrs["axistags"] = spoiled
        if spoiled == "[1":
            with pytest.raises(InputError, match="not readable as axis tags"):
                reader(file).survey(("DNA",))
        else:
            assert len(reader(file).survey(("DNA",))) == 7
