"""Channel names and pixel sizes that stand beside the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from data_tools.readers.plates.facts import pixel_size_of, stated_pixel_size, wave_names
from framework.errors import InputError

IMAGE = np.zeros((4, 5), np.uint16)
METAMORPH = (
    '<MetaData><PlaneInfo><prop id="spatial-calibration-state" type="bool" value="{}"/>'
    '<prop id="spatial-calibration-x" value="1.3672"/><prop id="spatial-calibration-y" value="1.3672"/>'
    '<prop id="spatial-calibration-units" value="um"/></PlaneInfo></MetaData>'
)
OME = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="o"><Image><Pixels PhysicalSizeX="{}" {}/></Image></OME>'


def described(folder: Path, text: str) -> float | None:
    tifffile.imwrite(folder / "a.tif", IMAGE, description=text, metadata=None)
    return stated_pixel_size(folder / "a.tif").um


def test_descriptions(tmp_path: Path) -> None:
    assert described(tmp_path, METAMORPH.format("on")) == 1.3672
    assert described(tmp_path, METAMORPH.format("off")) is None
    assert described(tmp_path, OME.format("0.65", "")) == 0.65
    assert described(tmp_path, OME.format("650", 'PhysicalSizeXUnit="nm" PhysicalSizeY="0.65"')) == pytest.approx(0.65)
    assert described(tmp_path, OME.format("0.65", 'PhysicalSizeY="1.3"')) is None
    assert described(tmp_path, "<!DOCTYPE a [<!ENTITY x 'y'>]><OME>&x;</OME>") is None
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, resolution=(2, 2), metadata={"unit": "um"})
    assert stated_pixel_size(tmp_path / "a.tif").um == 0.5


def test_resolution_tags_of_printers_and_cameras_are_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    for per_cm, size in ((1e4 / 0.65, 0.65), (1e4 / 6.45, None), (72 / 2.54, None), (300 / 2.54, None)):
        tifffile.imwrite(file, IMAGE, resolution=(per_cm, per_cm), resolutionunit=3, metadata=None)
        found = stated_pixel_size(file)
        assert found.um == (None if size is None else pytest.approx(size, rel=1e-5))
        assert ("6.45 um, which are taken for those of a camera" in found.note) == (per_cm == 1e4 / 6.45)
    file.write_bytes(b"no TIFF")
    assert stated_pixel_size(file).um is None


def test_planes_that_an_image_states_and_does_not_hold_are_said(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    sizes = 'SizeC="1" SizeZ="5" SizeT="1" DimensionOrder="XYCZT" PhysicalSizeX="0.65"'
    lost = f'<?xml version="1.0"?><OME xmlns="o"><Image><Pixels {sizes}><TiffData/></Pixels></Image></OME>'
    tifffile.imwrite(file, IMAGE, description=lost, metadata=None)
    size, notes = pixel_size_of(file, None)
    assert size == 0.65
    assert notes[1].startswith(
        f"{file}: its OME-XML states 5 of 5 planes from page 1 on, and the file has 1 page(s): that"
    )
    assert pixel_size_of(file, 0.65) == (0.65, notes[1:])
    tifffile.imwrite(file, IMAGE, description='{"shape": [3, 4, 5], "axes": "ZYX"}', metadata=None)
    (note,) = pixel_size_of(file, 0.65)[1]
    assert "tifffile wrote states the shape (3, 4, 5) for page 1, and the file has 1 page: that page is read" in note
    sister = lost.replace("<TiffData/>", '<TiffData IFD="0" FirstZ="2"/>')
    tifffile.imwrite(file, IMAGE, description=sister, metadata=None)
    assert pixel_size_of(file, 0.65) == (0.65, ()), "a file that says which of the planes it is"


def test_wavelengths_of_htd_files(tmp_path: Path) -> None:
    assert wave_names(tmp_path) == {}
    (tmp_path / "a.HTD").write_bytes(
        '"NWavelengths", 2\r\n"WaveName1", "DAPI"\r\n"WaveName2", "GFP µ"\r\n'.encode("latin-1")
    )
    (tmp_path / "TimePoint_1").mkdir()
    (tmp_path / "TimePoint_1/a.HTD").write_text('"WaveName1", "DAPI"\n')
    assert wave_names(tmp_path) == {"1": "DAPI", "2": "GFP µ"}
    (tmp_path / "TimePoint_1/a.HTD").write_text('"WaveName1", "Cy5"\n')
    with pytest.raises(InputError, match="wavelength 1 is 'DAPI', but 'Cy5' in"):
        wave_names(tmp_path)


@pytest.mark.real_data
def test_real_files(real_data: Path) -> None:
    plate = real_data / "imagexpress-yokogawa/ImageXpress_exported/9987_Plate_3420"
    assert wave_names(plate) == {"1": "DAPI"}
    assert stated_pixel_size(plate / "TimePoint_1/9987_B02.TIF").um == 1.3672
    phenix = next((real_data / "phenix-index-xml").rglob("*.tiff"))
    assert stated_pixel_size(phenix).um is None, "6.45 um are those of the camera"
