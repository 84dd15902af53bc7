"""ImageXpress exports: names, the ``.HTD`` file, planes and timepoints, and what can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.base import Export, read_image
from data_tools.readers.plates.imagexpress import ImageXpressConfig, read_imagexpress
from framework.config import parse_config
from framework.errors import ConfigError, InputError

GUID = "66923EBB-9960-4952-8955-D1721D112EE2"
HTD = (
    '"HTSInfoFile", Version 1.0\r\n"Description", "20\u00b0C"\r\n"TimePoints", 1\r\n"ZSteps", 0\r\n"XWells", 4\r\n'
    '"YWells", 2\r\n"WellsSelection1", FALSE, TRUE, FALSE, FALSE\r\n"WellsSelection2", FALSE, FALSE, TRUE, FALSE\r\n'
    '"XSites", 2\r\n"YSites", 1\r\n"SiteSelection1", TRUE, FALSE\r\n"NWavelengths", 2\r\n"WaveName1", "DAPI"\r\n'
    '"WaveName2", "Texas Red"\r\n"EndFile"\r\n'
)
_PROPS = (
    '<MetaData><prop id="_IllumSetting_" value="Cy5"/><prop id="spatial-calibration-state" value="on"/>'
    '<prop id="spatial-calibration-x" value="0.65"/><prop id="spatial-calibration-y" value="0.65"/>'
    '<prop id="spatial-calibration-units" value="um"/></MetaData>'
)


def image(folder: Path, name: str, value: int = 1, text: str = _PROPS) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 8), value, np.uint16)
    pixels[0, 0] = 0
    tifffile.imwrite(file, pixels, description=text, metadata=None)


def plate(folder: Path, htd: str | None = HTD) -> Path:
    for wave in (1, 2):
        image(folder, f"TimePoint_1/P7_A02_s1_w{wave}{GUID}.tif", wave)
        image(folder, f"TimePoint_1/P7_B03_s1_w{wave}{GUID}.tif", 10 * wave)
        (folder / f"TimePoint_1/P7_A02_s1_w{wave}_thumb{GUID}.tif").write_bytes(b"no TIFF")
    if htd is not None:
        (folder / "P7.HTD").write_bytes(htd.encode("latin-1"))
    return folder


def read(folder: Path, **options: Any) -> Export:
    return read_imagexpress(ImageXpressConfig.from_plain({"path": str(folder), **options}))


def places(export: Export) -> list[tuple[Any, ...]]:
    return [(ref.well, ref.site, ref.channel, ref.plane, ref.timepoint) for ref in export.refs]


def test_names_guids_and_the_htd_file(tmp_path: Path) -> None:
    export = read(plate(tmp_path))
    assert places(export) == [
        ("A02", 1, "DAPI", 1, 1),
        ("A02", 1, "Texas Red", 1, 1),
        ("B03", 1, "DAPI", 1, 1),
        ("B03", 1, "Texas Red", 1, 1),
    ]
    assert (export.plate, export.rows, export.columns, export.channels) == ("P7", 2, 4, ("DAPI", "Texas Red"))
    assert export.pixel_size_um == 0.65
    assert export.problems == ()
    assert [int(read_image(ref).max()) for ref in export.refs] == [1, 2, 10, 20]
    assert any("2 hidden files, thumbnails" in note for note in export.notes)


def test_a_site_and_wave_that_names_leave_out_are_the_first(tmp_path: Path) -> None:
    image(tmp_path, f"9987_B02{GUID}.TIF")
    image(tmp_path, "9987_C02.TIF")
    export = read(tmp_path)
    assert places(export) == [("B02", 1, "Cy5", 1, 1), ("C02", 1, "Cy5", 1, 1)]
    assert any("no .HTD file: channels have the names that the TIFFs state" in note for note in export.notes)


def test_ten_and_more_wavelengths_before_a_guid_that_begins_with_digits(tmp_path: Path) -> None:
    for wave in (1, 12):
        image(tmp_path, f"P_A01_s1_w{wave}12345678-9960-4952-8955-D1721D112EE2.tif", text="")
    assert read(tmp_path).channels == ("w1", "w12")


def test_wells_and_sites_that_the_htd_lists_and_that_are_not_there(tmp_path: Path) -> None:
    htd = HTD.replace('"SiteSelection1", TRUE, FALSE', '"SiteSelection1", TRUE, TRUE').replace(
        '"WellsSelection2", FALSE', '"WellsSelection2", TRUE'
    )
    export = read(plate(tmp_path, htd.replace('"WaveName2"', '"WaveName3", "Cy7"\r\n"WaveName2"')))
    assert [(problem.well, problem.reason) for problem in export.problems] == [
        ("A02", "missing_image"),
        ("B01", "missing_image"),
        ("B03", "missing_image"),
    ]
    assert "P7.HTD: lists plate P7 well A02, which has 1 sites, and 2 were chosen" in export.problems[0].detail
    assert "well B01, which has no image" in export.problems[1].detail
    assert any("P7.HTD: names w3 'Cy7', of which there is no image" in note for note in export.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"HTSInfoFile"', '"HTSinfo"', 'line 1: expected "HTSInfoFile"'),
        ('"XWells", 4', '"XWells", 4000', "line 5: 'XWells': expected a whole number of at most 48, found '4000'"),
        ('"YWells", 2', '"YWells", two', "line 6: 'YWells': expected a whole number"),
        (
            "FALSE, TRUE, FALSE, FALSE",
            "FALSE, 1",
            "line 7: 'WellsSelection1': expected TRUE or FALSE, found 'FALSE, 1'",
        ),
        ('"XWells", 4', '"XWells", 2', "'WellsSelection2' chooses column 3, beyond a plate of 2 rows and 2 columns"),
        ("Version 1.0", "Version\0", "line 1 holds a NUL byte"),
    ],
)
def test_a_damaged_htd_file_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(plate(tmp_path, HTD.replace(old, new)))
    assert message in str(caught.value)
    assert "P7.HTD" in str(caught.value)


def stack(folder: Path) -> None:
    for plane in (1, 2, 3):
        image(folder, f"TimePoint_1/ZStep_{plane}/P_A01_s1_w1.tif", plane)
    image(folder, "TimePoint_1/P_A01_s1_w1.tif", 9)
    image(folder, "TimePoint_1/P_A01_s1_w2.tif", 7)


def test_planes_are_chosen_or_projected_and_the_instruments_projection_is_plane_0(tmp_path: Path) -> None:
    stack(tmp_path)
    names = {"w1": "DNA", "w2": "RNA"}
    with pytest.raises(
        InputError, match=r"several planes \(0, 1, 2, 3\).*plane 0 is the projection that the instrument"
    ):
        read(tmp_path, channel_names=names)
    projected = read(tmp_path, channel_names=names, plane=0)
    assert [int(read_image(ref).max()) for ref in projected.refs] == [9, 7]
    highest = read(tmp_path, channel_names=names, planes="max")
    assert [int(read_image(ref).max()) for ref in highest.refs] == [3, 7]
    assert [len(ref.files) for ref in highest.refs] == [3, 1]
    assert any("which differ between channels: 'RNA' 0; 'DNA' 1, 2, 3" in note for note in highest.notes)
    some = read(tmp_path, channel_names=names, plane={"planes": [1, 2], "by": "mean"})
    assert [int(read_image(ref).max()) for ref in some.refs] == [2]
    assert [(problem.reason, problem.site) for problem in some.problems] == [("missing_plane", 1)]


def test_timepoints_are_chosen_and_copies_are_told(tmp_path: Path) -> None:
    for time in (1, 2):
        image(tmp_path, f"TimePoint_{time}/P_A01_s1_w1.tif", time)
        image(tmp_path, f"TimePoint_{time}/P_A01_s1_w2.tif", 5)
    names = {"w1": "DNA", "w2": "RNA"}
    with pytest.raises(InputError, match=r"several timepoints \(1, 2\)"):
        read(tmp_path, channel_names=names)
    export = read(tmp_path, channel_names=names, timepoint=2)
    assert [int(read_image(ref).max()) for ref in export.refs] == [2, 5]
    (copied,) = [note for note in export.notes if "is a copy of" in note]
    assert copied.startswith("channel 'RNA': ")


def test_several_measurements_are_never_read_as_one(tmp_path: Path) -> None:
    image(tmp_path, "2024-01-01/11/P_A01_s1_w1.tif", 1)
    image(tmp_path, "2024-01-02/12/P_A01_s1_w1.tif", 2)
    image(tmp_path, "2024-01-02/12/Q_A01_s1_w1.tif", 3)
    with pytest.raises(InputError, match=r"holds 3 measurements: 2024-01-01/11 \(P_: 1 images\); .*'measurement:'"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"2 measurements are called '2024-01-02/12'"):
        read(tmp_path, measurement="2024-01-02/12")
    assert int(read_image(read(tmp_path, measurement="2024-01-02/12/P").refs[0]).max()) == 2
    assert int(read_image(read(tmp_path, measurement="Q").refs[0]).max()) == 3


def test_channels_of_one_name_and_other_names_are_refused(tmp_path: Path) -> None:
    folder = plate(tmp_path / "a", HTD.replace("Texas Red", "DAPI"))
    with pytest.raises(InputError, match=r"channels w1, w2 are all called 'DAPI'"):
        read(folder)
    assert read(folder, channel_names={"w2": "Actin"}).channels == ("DAPI", "Actin")
    image(tmp_path / "b", "cells.tif")
    with pytest.raises(InputError, match=r"none of its 1 images has a name like Plate_C07_s1_w1\.tif"):
        read(tmp_path / "b")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("channel_names: {DAPI: w1}", "'channel_names' has the key 'DAPI'; expected w1, w2"),
        ("planes: [1, 2]", "'planes' names several planes; say how they become one image, as 'plane: max'"),
        ("planes: [1, 2]\nplane: 1", "'plane' and 'planes' both choose planes"),
    ],
)
def test_a_bad_config_is_an_error(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"path: x\n{line}\n", ImageXpressConfig, "c.yaml")
    assert message in str(caught.value)


@pytest.mark.real_data
def test_real_exports(real_data: Path) -> None:
    folder = real_data / "imagexpress-yokogawa" / "ImageXpress_exported"
    whole = read(folder / "9987_Plate_3434", plane="max")
    assert whole.channels == ("DAPI", "FITC", "Texas Red")
    assert whole.pixel_size_um == pytest.approx(1.3672)
    dapi = whole.images("B02", 1)["DAPI"]
    assert len(dapi.files) == 2
    assert int(read_image(dapi).max()) == 5061
    assert any("channel 'FITC'" in note and "is a copy of" in note for note in whole.notes)
    assert any("names w4 'Cy5', of which there is no image" in note for note in whole.notes)
    late = read(folder / "9987_Plate_3435", timepoint=2)
    assert int(read_image(late.images("B02", 1)["DAPI"]).max()) == 4980
    mixed = read(folder.parent / "ImageXpress" / "Projection-Mix", plate="P")
    assert (mixed.wells(), len(mixed.refs), mixed.channels) == (["E07", "E08"], 12, ("w1", "w2", "w3"))
    assert any("the TIFFs give several wavelengths one name (w1 'FITC_05'" in note for note in mixed.notes)
