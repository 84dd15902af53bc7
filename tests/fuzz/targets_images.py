"""Targets: TIFFs of every packing, plates by index or by file names, stacks, archives, exports of single cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import cv2
import h5py
import numpy as np
import pandas as pd
import tifffile
from fixtures.cif_files import write_cif
from fuzz.target import Target, of_files

from data_tools.readers.cells import CELL_READERS, CellImage
from data_tools.readers.plates import READERS, ImageRef, read_image
from data_tools.readers.plates.facts import stated_pixel_size
from data_tools.simulate import PlateConfig, simulate_plate

_PACKINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lzw": {"compression": "lzw"},
    "lzw_predictor": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib"},
    "tiled": {"tile": (16, 16), "compression": "zlib"},
    "big": {"bigtiff": True},
    "packbits": {"compression": "packbits"},
}


def _pixels() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(3)
    return (rng.poisson(60, (48, 40)) * 7).astype(np.uint16)


def _tiff(packing: str) -> Any:
    def make(folder: Path) -> None:
        tifffile.imwrite(folder / "image.tif", _pixels(), **_PACKINGS[packing])

    return make


def _read_tiff(folder: Path) -> Any:
    return read_image(ImageRef(plate="P", well="A01", site=1, channel="DNA", file=folder / "image.tif"))


def write_plate(folder: Path) -> None:
    """Write a small simulated plate, ``SIM``, and its plate map."""
    config = PlateConfig(
        plate="SIM",
        perturbations=3,
        replicates=1,
        rows=4,
        columns=6,
        sites=1,
        size_px=128,
        cells_per_site=3,
        transcripts=4,
        proteins=2,
        out_of_focus_wells=0,
    )
    simulate_plate(config, folder)


def _read_index(folder: Path) -> Any:
    entry = READERS.get("harmony")
    export = entry.build(entry.config(name="harmony", path=str(folder / "SIM")))
    refs = [(ref.well, ref.site, ref.channel, ref.plane, ref.timepoint, ref.file.name) for ref in export.refs]
    return {"refs": refs, "pixel": export.pixel_size_um, "problems": [problem.detail for problem in export.problems]}


def _cells(reader: str, wanted: tuple[str, ...], **options: Any) -> Any:
    def read(folder: Path) -> Any:
        entry = CELL_READERS.get(reader)
        given = {
            key: str(value).replace("{folder}", str(folder)) if isinstance(value, str) else value
            for key, value in options.items()
        }
        built = entry.build(entry.config.model_validate({"name": reader, **given}))
        listing = built.survey(wanted)
        found: list[Any] = []
        for item in built.read(listing.places.reset_index(drop=True), wanted):
            found.append([np.asarray(part) for part in item.pixels] if isinstance(item, CellImage) else item.detail)
        return {"cells": listing.cells, "pixels": found}

    return read


def _stack(folder: Path) -> None:
    images = np.stack([_pixels()[:16, :16] + row for row in range(6)])[:, None].repeat(2, axis=1)
    labels = np.array([f"k{row % 2}" for row in range(6)])
    area = np.arange(6) * 1.5
    np.savez(folder / "plain.npz", images=images, labels=labels, area=area)
    np.savez_compressed(folder / "packed.npz", images=images, labels=labels, area=area)
    with h5py.File(folder / "stack.h5", "w") as store:
        store.create_dataset("images", data=images, chunks=(2, 2, 16, 16), compression="gzip")
        store["labels"], store["area"] = labels.astype("S"), area


def _h5sc(folder: Path) -> None:
    obs = pd.DataFrame({"cell_id": [1, 2, 3], "kind": ["a", "b", "b"]}, index=["0", "1", "2"])
    var = pd.DataFrame({"channels": ["a", "b"], "channel_mapping": ["mask", "image_channel"]}, index=["0", "1"])
    anndata.AnnData(obs=obs, var=var).write_h5ad(folder / "cells.h5sc")
    pixels = (np.stack([_pixels()[:16, :16] + row for row in range(6)]) / 65536).reshape(3, 2, 16, 16)
    with h5py.File(folder / "cells.h5sc", "r+") as store:
        store.create_dataset("obsm/single_cell_images", data=pixels.astype(np.float16), compression="lzf")


def _stack_target(file: str) -> list[Target]:
    options = {"labels": {"Metadata_Class": "labels"}, "measurements": ("area",), "channels": ("a", "b")}
    return of_files("stack", _stack, (file,), _cells("stack", ("a", "b"), path="{folder}/" + file, **options))


def _multipage(**options: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        for name in ("cell_1.tif", "cell_2.tif"):
            stack = np.stack([_pixels()[:20, :20], _pixels()[20:40, :20]])
            tifffile.imwrite(folder / name, stack, photometric="minisblack", **options)

    return build


_STATED: dict[str, dict[str, Any]] = {
    "": {},
    " ome": {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": ["a", "b"]}}},
    " imagej": {"imagej": True, "metadata": {"axes": "CYX", "Labels": ["a", "b"]}},
    " tifffile": {"metadata": {"axes": "CYX", "Channel": {"Name": ["a", "b"]}}},
}
"""How the file of ``multipage`` states that its pages are channels."""


def _ideas(folder: Path) -> None:
    for number in range(3):
        for channel in (1, 2):
            tifffile.imwrite(folder / f"{number}_Ch{channel}.ome.tif", _pixels()[: 20 + number, :20])


def _cif(folder: Path) -> None:
    rng = np.random.default_rng(4)
    images = [rng.poisson(60, (2, 18, 16)).astype(np.uint16) for _ in range(3)]
    masks = [(image > 58).astype(np.uint8) for image in images]
    write_cif(folder / "cells.cif", images, list(masks), in_use="1 1")


def _named_plate(folder: Path) -> None:
    plate = folder / "plate"
    plate.mkdir()
    for number, well in enumerate(("A01", "B02")):
        for wave in (1, 2):
            facts = {"resolution": (2e4, 2e4), "resolutionunit": 3, "metadata": {"axes": "YX"}}
            tifffile.imwrite(plate / f"{well}_s1_w{wave}.tif", _pixels() + number, **facts)
    (plate / "plate.HTD").write_text('"HTSInfoFile", Version 1.0\n"WaveName1", "DAPI"\n"WaveName2", "GFP"\n')


def _read_named_plate(folder: Path) -> Any:
    entry = READERS.get("filenames")
    pattern = r"(?P<well>[A-Z]\d\d)_s(?P<site>\d)_w(?P<channel>\d)\.tif"
    export = entry.build(entry.config(name="filenames", path=str(folder / "plate"), plate="P", pattern=pattern))
    images = [read_image(ref) for ref in export.refs]
    refs = [(ref.well, ref.site, ref.channel) for ref in export.refs]
    return {"refs": refs, "images": images, "pixel": export.pixel_size_um, "channels": export.channels}


def _imagexpress(folder: Path) -> None:
    for step in ("", "ZStep_1/", "ZStep_2/"):
        place = folder / "export/TimePoint_1" / step
        place.mkdir(parents=True, exist_ok=True)
        for wave in (1, 2):
            tifffile.imwrite(place / f"P_A01_s1_w{wave}.tif", _pixels() + wave)
    (folder / "export/P.HTD").write_text(
        '"HTSInfoFile", Version 1.0\n"TimePoints", 1\n"ZSteps", 2\n"XWells", 2\n"YWells", 1\n'
        '"WellsSelection1", TRUE, FALSE\n"XSites", 1\n"YSites", 1\n"SiteSelection1", TRUE\n"WaveName1", "DAPI"\n'
        '"WaveName2", "GFP"\n"EndFile"\n'
    )


_BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'


def _cellvoyager(folder: Path) -> None:
    (folder / "cv").mkdir()
    records = ""
    for plane in (1, 2):
        name = f"P_A02_T0001F001L01A01Z0{plane}C01.tif"
        tifffile.imwrite(folder / "cv" / name, _pixels() * plane)
        records += (
            f'<bts:MeasurementRecord bts:Type="IMG" bts:Row="1" bts:Column="2" bts:TimePoint="1" bts:FieldIndex="1" '
            f'bts:ZIndex="{plane}" bts:Ch="1">{name}</bts:MeasurementRecord>\n'
        )
    (folder / "cv/MeasurementData.mlf").write_text(f"<bts:MeasurementData {_BTS}>\n{records}</bts:MeasurementData>\n")
    (folder / "cv/MeasurementDetail.mrf").write_text(
        f'<bts:MeasurementDetail {_BTS} bts:RowCount="2" bts:ColumnCount="3" bts:MeasurementSettingFileName="s.mes">\n'
        '<bts:MeasurementChannel bts:Ch="1" bts:HorizontalPixelDimension="0.5" bts:VerticalPixelDimension="0.5"/>\n'
        "</bts:MeasurementDetail>\n"
    )
    (folder / "cv/s.mes").write_text(
        f'<bts:MeasurementSetting {_BTS}><bts:ChannelList><bts:Channel bts:Ch="1" bts:Target="405"/></bts:ChannelList>'
        "</bts:MeasurementSetting>\n"
    )


def _door(layout: str) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        config = PlateConfig(
            plate="SIM", perturbations=3, replicates=1, rows=2, columns=4, sites=1, size_px=64, cells_per_site=2,
            stimulations=("M1",), nucleus_diameter_px=8, transcripts=2, proteins=2, out_of_focus_wells=0, layout=layout,
        )  # fmt: skip
        simulate_plate(config, folder)

    return build


def _read_plate(reader: str, path: str, **options: Any) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        entry = READERS.get(reader)
        export = entry.build(entry.config.from_plain({"name": reader, "path": str(folder / path), **options}))
        refs = [(ref.well, ref.site, ref.channel, ref.plane, ref.timepoint, ref.file.name) for ref in export.refs]
        images = [read_image(ref) for ref in export.refs]
        problems = [problem.detail for problem in export.problems]
        return {"refs": refs, "images": images, "pixel": export.pixel_size_um, "problems": problems}

    return read


def _ome(folder: Path) -> None:
    facts = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Channel": {"Name": ["DNA"]}}
    tifffile.imwrite(folder / "A01_s1_w1.tif", _pixels(), ome=True, metadata=facts)


def _read_ome(folder: Path) -> Any:
    ref = ImageRef(plate="P", well="A01", site=1, channel="DNA", file=folder / "A01_s1_w1.tif")
    return [stated_pixel_size(ref.file).um, read_image(ref)]


def _crops(folder: Path) -> None:
    for cell in ("c1", "c2"):
        for channel in ("GFP", "RFP"):
            tifffile.imwrite(folder / f"p53_{cell}_{channel}.tif", _pixels()[:20, :20])


def _fields(folder: Path) -> None:
    image = np.full((120, 120), 10, np.uint8)
    for y, x in ((40, 40), (80, 70)):
        cv2.circle(image, (x, y), 9, 200, -1)
    for field, suffix in (("f1", "png"), ("f2", "jpg"), ("f3", "tif")):
        for channel in ("blue", "green"):
            cv2.imwrite(str(folder / f"{field}_{channel}.{suffix}"), image)


def _deeploc(folder: Path) -> None:
    rows = np.random.default_rng(5).poisson(40, (5, 2 * 16 * 16)).astype(np.uint16)
    with h5py.File(folder / "set.hdf5", "w") as store:
        store["data1"], store["Index1"] = rows, np.eye(5, 3, dtype=np.int64)


TARGETS: list[Target] = [
    *(target for name in _PACKINGS for target in of_files(f"tiff {name}", _tiff(name), ("image.tif",), _read_tiff)),
    *of_files("harmony", write_plate, ("SIM/Images/Index.idx.xml",), _read_index),
    *_stack_target("plain.npz"),
    *_stack_target("packed.npz"),
    *_stack_target("stack.h5"),
    *of_files("named plate", _named_plate, ("plate/A01_s1_w1.tif", "plate/plate.HTD"), _read_named_plate, needed=False),
    *of_files(
        "imagexpress",
        _imagexpress,
        ("export/P.HTD", "export/TimePoint_1/ZStep_1/P_A01_s1_w1.tif"),
        _read_plate("imagexpress", "export", plane="max"),
        needed=False,
    ),
    *of_files(
        "cellvoyager",
        _cellvoyager,
        ("cv/MeasurementData.mlf", "cv/MeasurementDetail.mrf", "cv/s.mes"),
        _read_plate("cellvoyager", "cv", plane="max"),
        needed=False,
    ),
    *of_files("gallery", _door("gallery"), ("SIM/load_data.csv",), _read_plate("gallery", "SIM/load_data.csv")),
    *of_files("omezarr", _door("omezarr"), ("SIM/zarr.json",), _read_plate("omezarr", "SIM")),
    *of_files("ome", _ome, ("A01_s1_w1.tif",), _read_ome),
    *of_files(
        "crops",
        _crops,
        ("p53_c1_GFP.tif",),
        _cells(
            "crops",
            ("GFP", "RFP"),
            path="{folder}",
            pattern=r"(?P<protein>\w+)_(?P<cell>c\d)_(?P<channel>[A-Z]+)\.tif",
        ),
        needed=False,
    ),
    *of_files(
        "hpa",
        _fields,
        ("f1_blue.png", "f2_green.jpg", "f3_blue.tif"),
        _cells(
            "hpa",
            ("DNA", "protein"),
            path="{folder}",
            pattern=r"(?P<field>f\d)_(?P<channel>\w+)\.(png|jpg|tif)",
            channel_names={"blue": "DNA", "green": "protein"},
            nucleus="DNA",
            crops={"crop_px": 24, "min_area_px": 50},
        ),
        needed=False,
    ),
    *of_files(
        "ideas",
        _ideas,
        ("1_Ch2.ome.tif",),
        _cells("ideas", ("BF", "DNA"), path="{folder}", label="none", channel_names={"Ch1": "BF", "Ch2": "DNA"}),
        needed=False,
    ),
    *(
        target
        for stated, options in _STATED.items()
        for target in of_files(
            f"multipage{stated}",
            _multipage(**options),
            ("cell_1.tif",),
            _cells("multipage", ("a", "b"), path="{folder}", pattern=r"cell_(?P<cell>\d+)\.tif", channels=("a", "b")),
            needed=False,
        )
    ),
    *of_files(
        "h5sc",
        _h5sc,
        ("cells.h5sc",),
        _cells("h5sc", ("a", "b"), path="{folder}/cells.h5sc", labels={"Metadata_Kind": "kind"}),
    ),
    *of_files("cif", _cif, ("cells.cif",), _cells("cif", ("Ch1", "Ch2"), path="{folder}/cells.cif")),
    *of_files(
        "deeploc",
        _deeploc,
        ("set.hdf5",),
        _cells("deeploc", ("a", "b"), path="{folder}/set.hdf5", channels=("a", "b"), size_px=16),
    ),
]
