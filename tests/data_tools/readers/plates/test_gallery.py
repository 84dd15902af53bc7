"""Plates of a ``load_data.csv``: paths and URLs, illumination functions, and what can be wrong with them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.base import Export, ImageError, read_image
from data_tools.readers.plates.gallery import GalleryConfig, read_gallery
from framework.errors import InputError

HEAD = "FileName_OrigDNA,PathName_OrigDNA,FileName_OrigER,PathName_OrigER,Metadata_Plate,Metadata_Well,Metadata_Site\n"


def write(folder: Path, table: str | None = None) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, well in enumerate(("A01", "B02")):
        for channel, value in (("DNA", 10), ("ER", 20)):
            pixels = np.full((3, 4), value + number, np.uint16)
            tifffile.imwrite(folder / "images" / f"{well}_{channel}.tif", pixels)
    rows = "".join(f"{well}_DNA.tif,images,{well}_ER.tif,images/,P1,{well.lower()},1\n" for well in ("A01", "B02"))
    file = folder / "load_data.csv"
    file.write_text(HEAD + rows if table is None else table)
    return file


def read(file: Path | str, **options: Any) -> Export:
    return read_gallery(GalleryConfig.from_plain({"path": str(file), **options}))


def test_file_names_and_paths(tmp_path: Path) -> None:
    export = read(write(tmp_path), channel_names={"ER": "Reticulum"}, pixel_size_um=0.5)
    assert [(ref.well, ref.site, ref.channel, int(read_image(ref).max())) for ref in export.refs] == [
        ("A01", 1, "DNA", 10),
        ("A01", 1, "Reticulum", 20),
        ("B02", 1, "DNA", 11),
        ("B02", 1, "Reticulum", 21),
    ]
    assert (export.plate, export.channels, export.pixel_size_um) == ("P1", ("DNA", "Reticulum"), 0.5)
    assert any("plate P1: 2 of 2 rows, channels DNA, Reticulum" in note for note in export.notes)


def test_images_may_lie_elsewhere_than_the_table_says(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace("images/,", "/home/x/images,").replace("images,", "/home/x/images,"))
    assert {problem.reason for problem in read(file).problems} == {"missing_image"}
    export = read(file, replace={"/home/x/home/x": "/nowhere", "/home/x": str(tmp_path)})
    assert export.problems == () or len(export.refs) > 0


def test_images_that_are_not_there_and_blank_cells_are_named_with_their_line(tmp_path: Path) -> None:
    file = write(tmp_path)
    (tmp_path / "images" / "B02_ER.tif").unlink()
    file.write_text(file.read_text().replace("A01_DNA.tif", ""))
    texts = [problem.detail for problem in read(file).problems]
    assert any(
        "load_data.csv: line 2: names no image; plate P1 well A01 site 1 channel 'DNA'" in text for text in texts
    )
    assert any("B02_ER.tif: no such file, named by" in text and "line 3" in text for text in texts)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a01", "Z99", "line 2: Metadata_Well: "),
        (",b02,1", ",b02,one", "line 3: Metadata_Site: expected a whole number, found 'one'"),
        ("Metadata_Site", "Site", "no column 'Metadata_Site'"),
        ("_Orig", "_Raw", "no column of images; expected URL_OrigDNA"),
        ("P1,b02", "P2,b02", "holds 2 plates (P1, P2); choose one with 'plate:'"),
        (
            "A01_DNA.tif,images",
            "A01_DNA.tif,ftp://host/x",
            "line 2: ftp://host/x/A01_DNA.tif: expected a URL that begins",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(InputError) as caught:
        read(file)
    assert message in str(caught.value)
    assert "load_data.csv" in str(caught.value)


def test_one_of_several_plates_is_read(tmp_path: Path) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace("P1,b02", "P2,b02"))
    assert read(file, plate="P2").wells() == ["B02"]
    with pytest.raises(InputError, match="no row of plate 'P3'; it holds P1, P2"):
        read(file, plate="P3")


def test_illumination_functions_are_found_and_never_unpickled(tmp_path: Path) -> None:
    file = write(tmp_path)
    np.save(tmp_path / "P1_IllumDNA.npy", np.full((3, 4), 2.0))
    (tmp_path / "P1_IllumER.npy").write_bytes(b"\x93NUMPY\x01\x00" + pickle.dumps(print))
    profiles = read(file, illum=str(tmp_path)).profiles
    assert profiles["DNA"][""].image((3, 4)).tolist() == [[2.0] * 4] * 3
    with pytest.raises(InputError, match=r"P1_IllumER\.npy: not readable as an illumination function"):
        profiles["ER"][""].image((3, 4))
    assert read(file).profiles == {}


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """Put a plate into fsspec's file system in memory; return its URL."""
    write(tmp_path)
    url = f"memory://{tmp_path.name}"
    files = fsspec.filesystem("memory")
    for file in (tmp_path / "images").iterdir():
        files.pipe(f"/{tmp_path.name}/images/{file.name}", file.read_bytes())
    rows = "".join(f"{url}/images/{well}_DNA.tif,{url}/images/{well}_ER.tif,P1,{well},1\n" for well in ("A01", "B02"))
    table = "URL_OrigDNA,URL_OrigER,Metadata_Plate,Metadata_Well,Metadata_Site\n" + rows
    files.pipe(f"/{tmp_path.name}/load_data.csv", table.encode())
    np.save(tmp_path / "x.npy", np.full((3, 4), 3.0, np.float32))
    files.pipe(f"/{tmp_path.name}/illum/P1_IllumDNA.npy", (tmp_path / "x.npy").read_bytes())
    return url


def test_images_behind_urls(bucket: str) -> None:
    export = read(f"{bucket}/load_data.csv", illum=f"{bucket}/illum")
    assert [int(read_image(ref).max()) for ref in export.refs] == [10, 20, 11, 21]
    assert str(export.refs[0].file) == f"{bucket}/images/A01_DNA.tif"
    assert pickle.loads(pickle.dumps(export.refs[0])) == export.refs[0]  # noqa: S301 (made here)
    assert export.profiles["DNA"][""].image((3, 4)).tolist() == [[3.0] * 4] * 3


def test_an_image_that_is_gone_or_damaged_behind_a_url_is_named(bucket: str) -> None:
    files = fsspec.filesystem("memory")
    place = bucket.removeprefix("memory:/")
    files.rm(f"{place}/images/A01_ER.tif")
    files.pipe(f"{place}/images/B02_ER.tif", b"II*\0")
    export = read(f"{bucket}/load_data.csv")
    assert [(problem.well, problem.reason) for problem in export.problems] == [("A01", "missing_image")]
    with pytest.raises(ImageError, match=r"images/B02_ER\.tif: truncated or damaged TIFF"):
        read_image(export.images("B02", 1)["ER"])
    files.rm(f"{place}/images/B02_ER.tif")
    with pytest.raises(ImageError, match=r"images/B02_ER\.tif: no such file") as caught:
        read_image(export.images("B02", 1)["ER"])
    assert caught.value.reason == "missing_image"


def test_a_table_behind_a_url_names_no_file_of_this_machine(bucket: str) -> None:
    files = fsspec.filesystem("memory")
    place = bucket.removeprefix("memory:/")
    text = files.cat(f"{place}/load_data.csv").decode()
    files.pipe(f"{place}/load_data.csv", text.replace(f"{bucket}/images/A01_DNA.tif", "/etc/A01_DNA.tif").encode())
    with pytest.raises(InputError, match=r"line 2: names /etc/A01_DNA\.tif, a path on the machine that made the table"):
        read(f"{bucket}/load_data.csv")
    with pytest.raises(InputError, match=r"no such file; expected a load_data\.csv"):
        read(f"{bucket}/load.csv")
