"""CellVoyager exports: the list of images, what the other files state, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.base import Export, read_image
from data_tools.readers.plates.cellvoyager import CellVoyagerConfig, read_cellvoyager
from framework.errors import InputError

_BTS = 'xmlns:bts="http://www.yokogawa.co.jp/BTS/BTSSchema/1.0"'
_DETAIL = (
    f'\ufeff<?xml version="1.0" encoding="utf-8"?>\n<bts:MeasurementDetail {_BTS} bts:RowCount="8" '
    'bts:ColumnCount="12" bts:Title="T" bts:MeasurementSettingFileName="set.mes">\n'
    '<bts:MeasurementSamplePlate bts:Name="P9" />\n'
    '<bts:MeasurementChannel bts:Ch="1" bts:HorizontalPixelDimension="0.325" bts:VerticalPixelDimension="0.325" />\n'
    '<bts:MeasurementChannel bts:Ch="2" bts:HorizontalPixelDimension="0.325" bts:VerticalPixelDimension="0.325" />\n'
    "</bts:MeasurementDetail>\n"
)
_SETTINGS = (
    f"<bts:MeasurementSetting {_BTS}><bts:ChannelList>"
    '<bts:Channel bts:Ch="1" bts:Target="405" bts:Acquisition="BP445/45" bts:Fluorophore="{0}"/>'
    '<bts:Channel bts:Ch="2" bts:Target="488" bts:Acquisition="BP525/50" bts:Fluorophore="{1}"/>'
    "</bts:ChannelList></bts:MeasurementSetting>"
)


def record(row: int = 4, column: int = 8, site: int = 1, plane: int = 1, channel: int = 1, **more: Any) -> str:
    name = more.get("name", f"P9_D08_T0001F{site:03d}L01A01Z{plane:02d}C{channel:02d}.tif")
    return (
        f'<bts:MeasurementRecord bts:Type="{more.get("kind", "IMG")}" bts:Column="{column}" bts:Row="{row}" '
        f'bts:TimePoint="1" bts:FieldIndex="{site}" bts:ZIndex="{plane}" bts:Ch="{channel}">{name}'
        "</bts:MeasurementRecord>\n"
    )


def document(*records: str) -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<bts:MeasurementData bts:Version="1.0" {_BTS}>\n'
        f"{''.join(records)}</bts:MeasurementData>\n"
    )


def write(folder: Path, *records: str, names: tuple[str, str] = ("", ""), text: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MeasurementData.mlf").write_text(document(*records) if text is None else text)
    (folder / "MeasurementDetail.mrf").write_text(_DETAIL)
    (folder / "set.mes").write_text(_SETTINGS.format(*names))
    for plane in (1, 2):
        for channel in (1, 2):
            pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) * plane + channel
            tifffile.imwrite(folder / f"P9_D08_T0001F001L01A01Z{plane:02d}C{channel:02d}.tif", pixels)
    tifffile.imwrite(folder / "DC_DCAM#1_CAM3.tif", np.zeros((3, 4), np.uint16))
    return folder


def read(folder: Path, **options: Any) -> Export:
    return read_cellvoyager(CellVoyagerConfig.from_plain({"path": str(folder), **options}))


def test_the_list_the_details_and_the_settings(tmp_path: Path) -> None:
    folder = write(tmp_path, record(channel=1), record(channel=2), names=("DAPI", "Alexa 488"))
    export = read(folder)
    assert [(ref.well, ref.site, ref.channel, ref.plane) for ref in export.refs] == [
        ("D08", 1, "DAPI", 1),
        ("D08", 1, "Alexa 488", 1),
    ]
    assert (export.plate, export.rows, export.columns, export.pixel_size_um) == ("P9", 8, 12, 0.325)
    assert [int(read_image(ref).max()) for ref in export.refs] == [12, 13]
    assert export.problems == ()
    assert read(folder / "MeasurementData.mlf", channel_names={"C02": "Actin"}).channels == ("DAPI", "Actin")


@pytest.mark.parametrize(
    ("names", "channels"), [(("", ""), ("405", "488")), (("DAPI", ""), ("405", "488")), (("X", "X"), ("405", "488"))]
)
def test_channels_are_called_by_what_tells_all_apart(
    tmp_path: Path, names: tuple[str, str], channels: tuple[str, ...]
) -> None:
    export = read(write(tmp_path, record(channel=1), record(channel=2), names=names))
    assert export.channels == channels
    assert any("called by their 'Target' in the .mes file (C01: 405, C02: 488)" in note for note in export.notes)


def test_files_that_are_not_there_state_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path, record(channel=1))
    (folder / "MeasurementDetail.mrf").unlink()
    (folder / "set.mes").unlink()
    export = read(folder, pixel_size_um=0.5)
    assert (export.plate, export.channels, export.rows, export.pixel_size_um) == (tmp_path.name, ("C01",), None, 0.5)
    assert any("no MeasurementDetail.mrf" in note for note in export.notes)
    assert any("no .mes file" in note for note in export.notes)


def test_listed_images_that_are_not_there_or_were_not_taken_are_named(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        record(),
        record(site=2, name="gone.tif"),
        record(site=3, name="../P9_D08_T0001F001L01A01Z01C01.tif"),
        record(site=4, kind="ERR", name="Sensor failed"),
    )
    export = read(folder)
    assert len(export.refs) == 1
    assert {(problem.site, problem.reason) for problem in export.problems} == {
        (2, "missing_image"),
        (3, "path_outside_export"),
        (4, "image_state"),
    }
    texts = " ".join(problem.detail for problem in export.problems)
    assert "gone.tif: MeasurementData.mlf lists this image, but there is no such file" in texts
    assert "MeasurementData.mlf: line 6: the image of plate P9 well D08 site 4" in texts


def test_planes_are_chosen_or_projected(tmp_path: Path) -> None:
    folder = write(tmp_path, record(plane=1), record(plane=2))
    with pytest.raises(InputError, match=r"several planes \(1, 2\)"):
        read(folder)
    assert int(read_image(read(folder, plane=2).refs[0]).max()) == 23
    assert read_image(read(folder, planes="max").refs[0]).tolist()[0] == [1, 3, 5, 7]
    (folder / "P9_D08_T0001F001L01A01Z02C01.tif").unlink()
    assert [problem.reason for problem in read(folder, plane="max").problems] == ["missing_image"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(record()).replace('bts:Row="4"', 'bts:Row="99"'), "line 3: MeasurementRecord: plate row 99"),
        (document(record(), record(site=2)).replace('FieldIndex="2"', 'FieldIndex="x"'),
         "line 4: MeasurementRecord: 'FieldIndex': expected a whole number, found 'x'"),
        (document(record()).replace(' bts:Column="8"', ""), "line 3: MeasurementRecord: lacks 'Column'"),
        (document(record())[:-40], "damaged, or not XML (unclosed token: line 3"),
        (document(record()).replace("?>\n", "?>\n<!DOCTYPE x [<!ENTITY a 'b'>]>", 1), "line 2: not safe XML"),
        ("<Other/>", "expected a CellVoyager list of images with the element MeasurementData, found Other"),
        (document(), "lists no image"),
        ("", "damaged, or not XML"),
    ],
)  # fmt: skip
def test_a_damaged_or_forged_list_is_one_sentence_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(tmp_path, text=text))
    assert message in str(caught.value)
    assert "MeasurementData.mlf" in str(caught.value)


def test_a_size_of_pixels_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    folder = write(tmp_path, record())
    (folder / "MeasurementDetail.mrf").write_text(_DETAIL.replace('"0.325"', '"zero"', 1))
    with pytest.raises(InputError, match=r"\.mrf: line 4: MeasurementChannel: 'HorizontalPixelDimension': exp"):
        read(folder)
    (folder / "MeasurementDetail.mrf").write_text(_DETAIL.replace('"0.325"', '"0.65"', 1))
    assert [problem.reason for problem in read(folder).problems] == ["pixel_size"]


def test_several_measurements_are_never_read_as_one(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, record())
    with pytest.raises(InputError, match=r"holds 2 measurements \(one/MeasurementData.mlf, two/.*'measurement: one'"):
        read(tmp_path)
    assert read(tmp_path, measurement="two").refs[0].file.parent.name == "two"
    with pytest.raises(InputError, match=r"0 measurements are called 'tow'.*did you mean 'two'"):
        read(tmp_path, measurement="tow")


def test_without_a_list_names_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path, record())
    (folder / "MeasurementData.mlf").unlink()
    export = read(folder, plane=1, channel_names={"C01": "DNA"})
    assert [(ref.well, ref.site, ref.channel) for ref in export.refs] == [("D08", 1, "DNA"), ("D08", 1, "C02")]
    assert any("1 of 5 images do not match the pattern and are not read, as DC_DCAM#1" in note for note in export.notes)


def test_of_two_plates_in_one_folder_one_is_chosen(tmp_path: Path) -> None:
    for plate in ("Größe 1", "other"):
        pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
        tifffile.imwrite(tmp_path / f"{plate}_A01_T0001F001L01A01Z01C01.tif", pixels)
    with pytest.raises(InputError, match=r"holds 2 measurements .*choose one with 'measurement: Größe 1'"):
        read(tmp_path)
    export = read(tmp_path, measurement="other")
    assert (export.plate, [ref.file.name[:5] for ref in export.refs]) == ("other", ["other"])
    with pytest.raises(InputError, match="0 of them are called 'othr'; did you mean 'other'"):
        read(tmp_path, measurement="othr")


def test_an_image_needs_the_number_of_its_channel(tmp_path: Path) -> None:
    folder = write(tmp_path, record().replace(' bts:Ch="1"', ""))
    with pytest.raises(InputError, match=r"mlf: line 3: .*'Ch': expected the number of a channel, found none"):
        read(folder)
    write(tmp_path, record(), record(kind="ERR", site=2).replace(' bts:Ch="1"', ""))
    export = read(folder)
    assert export.channels == ("C01",), "a record of no image makes no channel"
    assert [problem.reason for problem in export.problems] == ["image_state"]


@pytest.mark.real_data
def test_a_real_export(real_data: Path) -> None:
    export = read(real_data / "imagexpress-yokogawa" / "CV8000", plane=1)
    assert (export.wells(), len(export.refs), export.channels) == (["D08", "E03", "F08"], 24, ("405", "488"))
    assert (export.plate, export.pixel_size_um) == ("CV8000-Minimal-DataSet-2C-3W-4S-FP2-stack", 0.325)
    assert export.problems == ()
