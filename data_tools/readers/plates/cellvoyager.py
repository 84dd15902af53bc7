"""Yokogawa CellVoyager exports (CV7000, CV8000): ``MeasurementData.mlf`` lists the images, else their names are read.

- ``.mrf`` (beside it) states the size of a pixel and of the plate, and names the ``.mes`` file, which names channels.
- Channels are called by their fluorophore, else their target, else their filter: the first of these that tells all
  channels apart. Otherwise, and without a ``.mes`` file, they are C01, C02, ... as in the file names.
- Sites are FieldIndex, planes ZIndex, timepoints TimePoint, all counted from 1.
- A record whose type is not IMG was never acquired properly: a problem, no image.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from data_tools.formats.xml_file import XmlElement, elements
from data_tools.readers.channel_names import need_distinct
from data_tools.readers.folder import images_below
from data_tools.readers.patterns import missed_note
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import check_listed, choose, one_measurement
from data_tools.readers.plates.facts import pixel_size_of
from data_tools.readers.plates.options import OneMeasurement, SizedPixels
from data_tools.readers.plates.places import ImageFile
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, Sight, by_names
from data_tools.wells import normalise_well
from framework.errors import InputError, did_you_mean
from framework.files.failures import near_name

LIST_NAME, DETAIL_NAME = "MeasurementData.mlf", "MeasurementDetail.mrf"
_NAME = re.compile(
    r"^(?P<plate>.*)_(?P<well>[A-Za-z]{1,2}\d{1,2})_T(?P<time>\d+)F(?P<site>\d+)L\d+A\d+Z(?P<plane>\d+)C(?P<channel>\d+)\.tiff?$",
    re.IGNORECASE,
)
_MOST_UM = 1000.0
_TOLERANCE = 1e-3


class CellVoyagerConfig(OneMeasurement, SizedPixels):
    """A CellVoyager export of one plate.

    Attributes:
        path: the export, a folder above it, or its MeasurementData.mlf.
        plate: name of the plate; without it the one that the ``.mrf`` file or the file names state.
        plane: ZIndex; or ``max``, ``mean`` or ``sharpest`` of all planes; ``{planes: [2, 3], by: max}`` of some.
        channel_names: ``C01: DNA``: names instead of those of the ``.mes`` file.
        pixel_size_um: edge of a pixel; default: the size that the ``.mrf`` file states.
    """

    channel_key = r"C\d{2,}", "C01, C02"

    name: Literal["cellvoyager"] = "cellvoyager"

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for a list of images, else for the vendor's file names."""
        found = sight.called(LIST_NAME)
        if found:
            return Claim(options={"path": sight.path}, rank="own list", why=f"{found[0]} is a list of CellVoyager")
        return by_names(sight, _NAME.match, "Plate_D08_T0001F001L01A01Z01C01.tif", {"path": sight.path})


@dataclass(kw_only=True)
class _Detail:
    """What ``.mrf`` and ``.mes`` say."""

    plate: str = ""
    rows: int | None = None
    columns: int | None = None
    sizes: list[tuple[float, float]] = field(default_factory=list)
    names: dict[int, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@READERS.register("cellvoyager", CellVoyagerConfig)
def read_cellvoyager(config: CellVoyagerConfig) -> Export:
    """List the images of a CellVoyager export.

    Raises:
        InputError: nothing there, a damaged file (with its line), several measurements, planes or timepoints and none
            chosen, or two channels of one name.
    """
    listed = _list_file(Path(config.path), config.measurement)
    if listed is None:
        return _from_names(config)
    detail = _detail(listed.parent)
    records = list(_records(listed))
    if not records:
        raise InputError(f"{listed}: lists no image; export the plate again")
    plate = config.plate or detail.plate or listed.parent.resolve().name
    channels, notes = _channel_names(config, {number for _, number, _ in records}, detail, listed)
    urls: dict[ImageFile, str] = {}
    refs, problems = [], []
    for record, number, place in records:
        ref = ImageRef(plate=plate, channel=channels[number], file=listed.parent / record.text, **place)
        if not _is_taken(record):
            problems.append(_not_taken(ref, record))
        else:
            urls[ref.file] = record.text
            refs.append(ref)
    choice = choose(list(dict.fromkeys(refs)), plane=config.plane, timepoint=config.timepoint, plate=plate)
    kept, lost = check_listed(choice.refs, urls, listed.parent, LIST_NAME)
    size, size_notes, size_problems = _pixel_size(config, detail, kept, plate, listed.parent / DETAIL_NAME)
    return assemble(
        plate=plate,
        refs=kept,
        channels=tuple(channels[number] for number in sorted(channels) if number),
        problems=[*problems, *choice.problems, *lost, *size_problems],
        pixel_size_um=size,
        rows=detail.rows,
        columns=detail.columns,
        notes=(*choice.notes, *notes, *detail.notes, *size_notes),
    )


def _list_file(path: Path, measurement: str | None) -> Path | None:
    if path.is_file() and path.suffix.lower() == ".mlf":
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such export folder or {LIST_NAME}{near_name(path)}; correct 'path'")
    found = [
        file for deep in ("", "*/", "*/*/", "*/*/*/") for file in path.glob(deep + LIST_NAME) if os.path.lexists(file)
    ]
    return one_measurement(path, found, measurement) if found else None


def _records(file: Path) -> list[tuple[XmlElement, int, dict[str, Any]]]:
    """Return each record with the number of its channel, and its place as ``ImageRef`` names it."""
    found = []
    for element in elements(file, root="MeasurementData", what="a CellVoyager list of images"):
        if element.name != "MeasurementRecord":
            continue
        try:
            well = normalise_well((element.whole("Row"), element.whole("Column")))
        except InputError as error:
            if str(error).startswith(str(file)):
                raise
            raise element.refused(str(error)) from None
        place: dict[str, Any] = {
            "well": well,
            "site": element.whole("FieldIndex", "1"),
            "plane": element.whole("ZIndex", "1"),
            "timepoint": element.whole("TimePoint", "1"),
        }
        if "Ch" not in element.attributes and _is_taken(element):
            raise element.refused("'Ch': expected the number of a channel, found none")
        found.append((element, element.whole("Ch", "0"), place))
    return found


def _is_taken(record: XmlElement) -> bool:
    """Return whether a record is of an image; others may lack a channel, which is 0 then."""
    return record.attributes.get("Type", "IMG") == "IMG" and bool(record.text)


def _detail(folder: Path) -> _Detail:
    """Read ``.mrf`` and the ``.mes`` file it names; one that is not there states nothing, and a note says so."""
    detail, settings = _Detail(), ""
    file = folder / DETAIL_NAME
    if not os.path.lexists(file):
        detail.notes.append(f"{folder}: no {DETAIL_NAME}, so the size of the plate is unknown")
        settings = next((found.name for found in sorted(folder.glob("*.mes"))), "")
    else:
        for element in elements(file, root="MeasurementDetail", what="the details of a CellVoyager measurement"):
            facts = element.attributes
            if element.name == "MeasurementDetail":
                detail.rows, detail.columns = element.whole("RowCount"), element.whole("ColumnCount")
                settings = facts.get("MeasurementSettingFileName", "")
                detail.plate = detail.plate or facts.get("Title", "").strip()
            elif element.name == "MeasurementSamplePlate":
                detail.plate = facts.get("Name", "").strip() or detail.plate
            elif element.name == "MeasurementChannel":
                detail.sizes.append((_um(element, "HorizontalPixelDimension"), _um(element, "VerticalPixelDimension")))
    plain = settings and "/" not in settings and "\\" not in settings and settings not in (".", "..")
    if plain and os.path.lexists(folder / settings):
        _read_settings(folder / settings, detail)
    else:
        detail.notes.append(f"{folder}: no .mes file, so channels have no names")
    return detail


def _um(element: XmlElement, name: str) -> float:
    text = element.attributes.get(name, "")
    try:
        size = float(text)
    except ValueError:
        size = -1.0
    if not 0 < size < _MOST_UM:
        raise element.refused(f"'{name}': expected the size of a pixel in um, found '{text[:60]}'")
    return size


def _read_settings(file: Path, detail: _Detail) -> None:
    for element in elements(file, root="MeasurementSetting", what="the settings of a CellVoyager measurement"):
        if element.name == "Channel" and element.parents[-1:] == ("ChannelList",):
            facts = element.attributes
            names = {key: facts.get(key, "").strip() for key in ("Fluorophore", "Target", "Acquisition")}
            detail.names[element.whole("Ch")] = names


def _channel_names(
    config: CellVoyagerConfig, used: set[int], detail: _Detail, where: Path
) -> tuple[dict[int, str], tuple[str, ...]]:
    keys = {number: f"C{number:02d}" for number in sorted(used)}
    given = {number: config.channel_names[key] for number, key in keys.items() if key in config.channel_names}
    notes = []
    stated: dict[int, str] = keys
    for fact in ("Fluorophore", "Target", "Acquisition"):
        names = {number: detail.names.get(number, {}).get(fact, "") for number in keys}
        if all(names.values()) and len(set(names.values())) == len(names):
            stated = names
            if len(given) < len(keys):
                shown = ", ".join(f"{keys[number]}: {name}" for number, name in names.items())
                notes.append(f"{where.parent}: channels are called by their '{fact}' in the .mes file ({shown})")
            break
    absent = sorted(set(config.channel_names) - set(keys.values()))
    if absent:
        notes.append(f"{where}: 'channel_names' names {', '.join(absent)}, of which there is no image")
    channels = {number: given.get(number, stated[number]) for number in keys}
    need_distinct({keys[number]: name for number, name in channels.items()}, str(where))
    return channels, tuple(notes)


def _pixel_size(
    config: CellVoyagerConfig, detail: _Detail, refs: Sequence[ImageRef], plate: str, file: Path
) -> tuple[float | None, tuple[str, ...], list[Problem]]:
    if not detail.sizes or config.pixel_size_um is not None:
        size, notes = pixel_size_of(refs[0].file if refs else None, config.pixel_size_um)
        return size, notes, []
    widths = [edge for pair in detail.sizes for edge in pair]
    if max(widths) <= min(widths) * (1 + _TOLERANCE):
        return widths[0], (), []
    sizes = ", ".join(f"{x:g} x {y:g}" for x, y in dict.fromkeys(detail.sizes))
    text = f"{file}: channels have pixels of {sizes} um; expected one size of square pixels; write 'pixel_size_um'"
    return widths[0], (), [Problem(plate=plate, file=str(file), reason="pixel_size", detail=text)]


def _not_taken(ref: ImageRef, record: XmlElement) -> Problem:
    return ref.problem(
        "image_state",
        f"{record.file}: line {record.line}: the image of plate {ref.plate} well {ref.well} site {ref.site} channel "
        f"'{ref.channel}' has the type '{record.attributes.get('Type', '')}' and the name '{record.text[:80]}', "
        "expected IMG and a file; it was not acquired properly",
    )


def _from_names(config: CellVoyagerConfig) -> Export:
    root = Path(config.path)
    listed = images_below(root, config.path)
    found = [(name, match) for name in listed.names if (match := _NAME.match(name.rpartition("/")[2]))]
    if not found:
        raise InputError(
            f"{root}: no {LIST_NAME} here or below, and none of its {len(listed.names)} images has a name "
            f"like Plate_D08_T0001F001L01A01Z01C01.tif (the first is {listed.names[0]}); point 'path:' at the "
            "CellVoyager export, or use the reader 'filenames'"
        )
    found = _of_measurement(config, found)
    plate = config.plate or found[0][1]["plate"] or root.resolve().name
    channels, notes = _channel_names(config, {int(match["channel"]) for _, match in found}, _Detail(), root / LIST_NAME)
    refs = [
        ImageRef.of_name(root / name, match, plate=plate, well=match["well"], channels=channels)
        for name, match in found
    ]
    choice = choose(refs, plane=config.plane, timepoint=config.timepoint, plate=plate)
    size, size_notes = pixel_size_of(choice.refs[0].file if choice.refs else None, config.pixel_size_um)
    missed = sorted(set(listed.names) - {name for name, _ in found})
    return assemble(
        plate=plate,
        refs=choice.refs,
        channels=tuple(channels[number] for number in sorted(channels)),
        problems=choice.problems,
        pixel_size_um=size,
        notes=(f"{root}: no {LIST_NAME}: wells, sites and channels come from file names",
               *choice.notes, *notes, *size_notes, *listed.notes,
               *missed_note(config.path, listed.names, missed)),
    )  # fmt: skip


def _of_measurement(
    config: CellVoyagerConfig, found: list[tuple[str, re.Match[str]]]
) -> list[tuple[str, re.Match[str]]]:
    """Return the images of the folder, or of the beginning of names, that is read."""
    kinds = Counter((name.rpartition("/")[0], match["plate"]) for name, match in found)
    wanted = config.measurement
    chosen = [kind for kind in kinds if wanted is None or wanted in kind]
    if len(chosen) != 1:
        shown = ", ".join(f"{folder or '.'} ({plate}: {n} images)" for (folder, plate), n in sorted(kinds.items())[:6])
        then = (
            f"choose one with 'measurement: {min(kinds)[0] or min(kinds)[1]}', or write its folder in 'path:'"
            if wanted is None
            else f"{len(chosen)} of them are called '{wanted}'"
            + did_you_mean(wanted, [part for kind in kinds for part in kind if part])
        )
        raise InputError(f"{config.path}: holds {len(kinds)} measurements ({shown}); {then}")
    return [(name, match) for name, match in found if (name.rpartition("/")[0], match["plate"]) == chosen[0]]
