"""What stands beside the pixels of a plate that is known by file names: channel names and the size of a pixel.

Sources are the ``.HTD`` file of ImageXpress (names of the wavelengths), and in the first TIFF OME-XML, the MetaData of
MetaMorph, the unit of ImageJ, or the resolution tags. Resolution tags are taken only from 0.05 to 3 um: above lie those
of printers and screens, and of cameras whose pixels are not divided by the magnification (6.45 um, say).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element  # types only: defusedxml parses

from data_tools.formats.stated_axes import missing_planes
from data_tools.formats.tiff_directory import BytesSource, Directory, TiffDirectories
from data_tools.formats.tiff_page import DESCRIPTION, MOST_BYTES
from data_tools.formats.xml_file import MOST_TEXT, name_of, xml_root
from data_tools.readers.plates.htd import is_htd, read_htd
from data_tools.readers.plates.places import ImageFile
from framework.errors import InputError
from framework.files.failures import read_bytes

_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_RATIONAL = 5
_UNIT_UM = {2: 25_400.0, 3: 10_000.0}  # inch, centimetre
_TO_UM = {"m": 1e6, "cm": 1e4, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "nm": 1e-3}
_TAG_RANGE_UM = (0.05, 3.0)
_STATED_RANGE_UM = (0.001, 1000.0)
_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class PixelSize:
    """A size that a TIFF states.

    Attributes:
        um: edge of a pixel, None where none is stated that can be believed.
        note: the sentence on where it stands, or why it is not taken; empty where nothing is stated.
    """

    um: float | None
    note: str


def wave_names(root: Path) -> dict[str, str]:
    """Return the names of the wavelengths by number as text, from the ``.HTD`` files in a folder or its folders.

    Raises:
        InputError: a damaged file, or two that contradict each other.
    """
    found: dict[str, tuple[str, Path]] = {}
    for file in sorted(file for pattern in ("*", "*/*") for file in root.glob(pattern) if is_htd(file)):
        for number, name in read_htd(file).waves.items():
            known, first = found.setdefault(number, (name, file))
            if known != name:
                raise InputError(
                    f"{file}: wavelength {number} is '{name}', but '{known}' in {first}; give 'channel_names'"
                )
    return {number: name for number, (name, _) in found.items()}


def stated_channel(file: Path) -> str:
    """Return the name of the channel that a TIFF of MetaXpress states; empty where it states none."""
    root = _description(file)
    facts = {} if root is None else _props(root)
    return facts.get("_IllumSetting_", "").strip()


def pixel_size_of(file: ImageFile | None, given: float | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the size of a pixel in um, and what is to be said about it and about planes that the image lacks.

    Args:
        file: the first image, or None where there is none.
        given: what the config says, which is taken; a size that the image states otherwise is told.
    """
    if not isinstance(file, Path):
        return given, ()
    stated, lacks = stated_pixel_size(file), missing_planes(file)
    if given is None:
        return stated.um, ((stated.note, *lacks) if stated.note else lacks)
    if stated.um is not None and abs(stated.um - given) > _TOLERANCE * given:
        return given, (f"'pixel_size_um' is {given:g}, but the image states otherwise: {stated.note}", *lacks)
    return given, lacks


def _description(file: Path) -> Element | None:
    try:
        tiff = TiffDirectories(str(file), BytesSource(read_bytes(file, MOST_BYTES)))
        page = tiff.directory(tiff.first)
        return xml_root(tiff.text(page, DESCRIPTION, MOST_TEXT).decode("utf-8", "replace"))
    except (OSError, InputError, struct.error):
        return None


def _props(root: Element) -> dict[str, str]:
    return {item.attrib.get("id", ""): item.attrib.get("value", "") for item in root.iter() if item.tag == "prop"}


def stated_pixel_size(file: Path) -> PixelSize:
    """Return the size of a pixel that a TIFF states; a file that cannot be read states none."""
    try:
        tiff = TiffDirectories(str(file), BytesSource(read_bytes(file, MOST_BYTES)))
        page = tiff.directory(tiff.first)
        text = tiff.text(page, DESCRIPTION, MOST_TEXT).decode("utf-8", "replace")
        sizes = _from_text(text) or _from_imagej(tiff, page, text)
        tags = _from_tags(tiff, page)
    except (OSError, InputError, struct.error):
        return PixelSize(um=None, note="")
    if sizes is not None:
        return _judged(file, sizes, _STATED_RANGE_UM, "its description")
    return PixelSize(um=None, note="") if tags is None else _judged(file, tags, _TAG_RANGE_UM, "its resolution tags")


def _judged(file: Path, sizes: tuple[float, float], limits: tuple[float, float], where: str) -> PixelSize:
    x, y = sizes
    if not all(limits[0] <= size <= limits[1] for size in sizes):
        note = f"{file}: {where} state pixels of {x:.4g} um, which are taken for those of a camera, printer or screen"
        return PixelSize(um=None, note=f"{note}; write 'pixel_size_um' if it is known" if _plausible(x) else "")
    if abs(x - y) > _TOLERANCE * x:
        return PixelSize(um=None, note=f"{file}: {where} state pixels of {x:.4g} x {y:.4g} um, which are not square")
    return PixelSize(um=x, note=f"pixels of {x:.4g} um, as {where} of {file} state")


def _plausible(size: float) -> bool:
    """Return whether a size could be a camera's: above are only defaults of printers and screens."""
    return size <= 50


def _from_text(text: str) -> tuple[float, float] | None:
    """Return what OME-XML or the MetaData of MetaMorph state, in um."""
    root = xml_root(text)
    return None if root is None else _ome_size(root) or _metamorph_size(root)


def _ome_size(root: Element) -> tuple[float, float] | None:
    for element in root.iter():
        if name_of(element) == "Pixels" and "PhysicalSizeX" in element.attrib:
            facts = element.attrib
            x = _in_um(facts["PhysicalSizeX"], facts.get("PhysicalSizeXUnit", "um"))
            y = _in_um(facts.get("PhysicalSizeY", facts["PhysicalSizeX"]), facts.get("PhysicalSizeYUnit", "um"))
            return None if x is None or y is None else (x, y)
    return None


def _metamorph_size(root: Element) -> tuple[float, float] | None:
    facts = _props(root)
    if facts.get("spatial-calibration-state", "").lower() not in ("on", "true", "1"):
        return None
    unit = facts.get("spatial-calibration-units", "")
    x, y = (_in_um(facts.get(f"spatial-calibration-{axis}", ""), unit) for axis in "xy")
    return None if x is None or y is None else (x, y)


def _from_imagej(tiff: TiffDirectories, page: Directory, text: str) -> tuple[float, float] | None:
    if not text.startswith("ImageJ="):
        return None
    unit = next((line[5:] for line in text.splitlines() if line.startswith("unit=")), "").replace("\\u00B5", "u")
    x, y = _per_unit(tiff, page, _X_RESOLUTION), _per_unit(tiff, page, _Y_RESOLUTION)
    scale = _TO_UM.get(unit.strip())
    return None if not x or not y or scale is None else (scale / x, scale / y)


def _from_tags(tiff: TiffDirectories, page: Directory) -> tuple[float, float] | None:
    scale = _UNIT_UM.get(tiff.integer(page, _UNIT, 2))
    x, y = _per_unit(tiff, page, _X_RESOLUTION), _per_unit(tiff, page, _Y_RESOLUTION)
    return None if scale is None or not x or not y else (scale / x, scale / y)


def _per_unit(tiff: TiffDirectories, page: Directory, tag: int) -> float | None:
    kind, count, _ = page.entries.get(tag, (0, 0, b""))
    if (kind, count) != (_RATIONAL, 1):
        return None
    pair = tiff.whole(page, tag, 8)
    above, below = struct.unpack(tiff.order + "II", pair)
    return above / below if above and below else None


def _in_um(text: str, unit: str) -> float | None:
    try:
        size = float(text) * _TO_UM[unit.strip()]
    except (ValueError, KeyError):
        return None
    return size if size > 0 else None
