"""Plates in OME-Zarr, both versions: what they state, and everything that can be wrong with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from data_tools.readers.plates.base import Export, ImageError, read_image
from data_tools.readers.plates.omezarr import OmeZarrConfig, read_omezarr
from framework.errors import InputError


def write(folder: Path, version: str = "0.5", labels: tuple[str, ...] = ("DNA", "Actin"), depth: int = 1) -> Path:
    """Write a plate with well A/1 (two fields) and B/12 (one), two levels, channels 10, 20 and planes + 1, 2, ..."""
    form = 2 if version == "0.4" else 3

    def group(place: Path, facts: dict[str, Any]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        if form == 2:
            (place / ".zgroup").write_text('{"zarr_format": 2}')
            (place / ".zattrs").write_text(json.dumps(facts))
        else:
            plain = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **facts}}}
            (place / "zarr.json").write_text(json.dumps(plain))

    wells = [("A/1", 0, 0), ("B/12", 1, 11)]
    listed = [{"path": path, "rowIndex": row, "columnIndex": column} for path, row, column in wells]
    named = {"rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": str(n)} for n in range(1, 13)]}
    group(folder, {"plate": {"name": "P5", "wells": listed, **named}})
    for number, (path, _, _) in enumerate(wells):
        fields = ("0", "1") if number == 0 else ("0",)
        group(folder / path, {"well": {"images": [{"path": name} for name in fields]}})
        for field in fields:
            levels = []
            for level, size in enumerate((8, 4)):
                pixels = np.zeros((1, len(labels), depth, size, size), np.uint16)
                for c in range(len(labels)):
                    for z in range(depth):
                        pixels[0, c, z, 1:] = 10 * (c + 1) + z + int(field) + 100 * level
                array = zarr.create_array(
                    str(folder / path / field / str(level)), shape=pixels.shape, dtype="uint16", zarr_format=form,
                    chunks=(1, 1, 1, size, size),
                )  # fmt: skip
                array[...] = pixels
                scale = [1.0, 1.0, 1.0, 0.5 * 2**level, 0.5 * 2**level]
                step = [{"type": "scale", "scale": scale}]
                levels.append({"path": str(level), "coordinateTransformations": step})
            axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
            axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
            omero = {"channels": [{"label": label} for label in labels]}
            group(folder / path / field, {"multiscales": [{"axes": axes, "datasets": levels}], "omero": omero})
    return folder


def read(folder: Path, **options: Any) -> Export:
    return read_omezarr(OmeZarrConfig.from_plain({"path": str(folder), **options}))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_both_versions(tmp_path: Path, version: str) -> None:
    export = read(write(tmp_path / "p.zarr", version))
    assert [(ref.well, ref.site, ref.channel, int(read_image(ref).max())) for ref in export.refs] == [
        ("A01", 1, "DNA", 10),
        ("A01", 1, "Actin", 20),
        ("A01", 2, "DNA", 11),
        ("A01", 2, "Actin", 21),
        ("B12", 1, "DNA", 10),
        ("B12", 1, "Actin", 20),
    ]
    assert (export.plate, export.rows, export.columns, export.pixel_size_um) == ("P5", 2, 12, 0.5)
    assert export.problems == ()
    coarse = read(tmp_path / "p.zarr", level=1)
    assert coarse.pixel_size_um == 1.0
    assert read_image(coarse.refs[0]).shape == (4, 4)
    assert int(read_image(coarse.refs[1]).max()) == 120
    with pytest.raises(InputError, match=r"no level 2; it has 0 to 1; change 'level:'"):
        read(tmp_path / "p.zarr", level=2)


def test_planes_are_chosen_or_projected(tmp_path: Path) -> None:
    folder = write(tmp_path / "p.zarr", depth=3)
    with pytest.raises(InputError, match=r"several planes \(1, 2, 3\)"):
        read(folder)
    assert int(read_image(read(folder, plane=2).refs[0]).max()) == 11
    assert int(read_image(read(folder, plane="max").refs[0]).max()) == 12


def test_labels_that_are_missing_or_equal(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.zarr", labels=("", "x")), channel_names={"c1": "RNA"}).channels == ("c0", "RNA")
    with pytest.raises(InputError, match=r"two channels have one name \(D, D\)"):
        read(write(tmp_path / "b.zarr", labels=("D", "D")))


def test_wells_and_fields_that_are_listed_and_not_there_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "p.zarr")
    shutil.rmtree(folder / "A/1/1")
    shutil.rmtree(folder / "B/12")
    problems = read(folder).problems
    assert [(problem.well, problem.site, problem.reason) for problem in problems] == [
        ("A01", 2, "missing_image"),
        ("B12", None, "missing_image"),
    ]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("zarr.json", '"A/1"', '"../A/1"', "well 1 of the plate: expected a path as A/1, found '../A/1'"),
        ("zarr.json", '"rowIndex": 0', '"rowIndex": 1', "the path says A01, rowIndex and columnIndex say B01"),
        ("zarr.json", '"plate"', '"plat"', "not OME-Zarr 0.4 or 0.5: it has no 'plate'"),
        ("zarr.json", "{", "", "not readable as the metadata of an OME-Zarr plate"),
        ("A/1/0/zarr.json", '"path": "0"', '"path": "/etc"', "level 0 has the path '/etc'"),
        ("A/1/0/zarr.json", '"name": "x"', '"name": "q"', "expected axes of t, c, z, y and x"),
        ("A/1/0/zarr.json", '"DNA"', '"Other"', "channels DNA, Actin in well A01 site 2, but Other, Actin in well A01"),
        ("A/1/0/0/zarr.json", '"uint16"', '"int64"', "pixels are 'int64', expected one of uint8, uint16, float32"),
        ("A/1/0/0/zarr.json", '"zstd"', '"numcodecs.pickle"', "the codec 'numcodecs.pickle' cannot be read"),
    ],
)
def test_damaged_or_forged_metadata_are_one_sentence(
    tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    folder = write(tmp_path / "p.zarr")
    change(folder / file, old, new)
    with pytest.raises(InputError) as caught:
        read(folder)
    assert message in str(caught.value)
    assert "p.zarr" in str(caught.value)


def test_a_pickle_in_an_array_of_zarr_2_is_never_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "p.zarr", "0.4")
    file = folder / "A/1/0/0/.zarray"
    file.write_text(json.dumps({**json.loads(file.read_text()), "filters": [{"id": "pickle"}]}))
    with pytest.raises(InputError, match="the codec 'pickle' cannot be read"):
        read(folder)


def test_a_damaged_chunk_is_named_when_it_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "p.zarr")
    (chunk,) = (folder / "A/1/0/0/c/0/0").rglob("0/0/0") if (folder / "A/1/0/0/c/0/0/0/0/0").exists() else ()
    chunk.write_bytes(b"no chunk")
    with pytest.raises(ImageError, match=r"A/1/0/0\[0, 0, 0\]: truncated or damaged"):
        read_image(read(folder).refs[0])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_chunks_without_a_file_are_counted(tmp_path: Path, version: str) -> None:
    plate = write(tmp_path / "P.zarr", version)
    assert not any("have no file" in note for note in read_omezarr(OmeZarrConfig(path=str(plate))).notes)
    parts = plate / "A" / "1" / "1" / "0"
    lost = parts / "c/0/1/0/0/0" if version == "0.5" else parts / "0.1.0.0.0"
    lost.unlink()
    notes = [note for note in read_omezarr(OmeZarrConfig(path=str(plate))).notes if "have no file" in note]
    assert len(notes) == 1
    assert f"{plate}: 1 chunks of 1 fields have no file, as in {parts}, and are read as the fill value" in notes[0]
