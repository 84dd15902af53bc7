"""Opera Phenix and Operetta exports (Harmony): the index where there is one, else the vendor's file names.

``path`` may be the export, its ``Images`` folder or an index file. Conventions made one here:

- Channels are known by name, in the order of ChannelID (the order of acquisition, not of wavelength).
- Sites are FieldIDs. Harmony numbers the fields of a layout in order of acquisition, from 1; 1 is often the centre.
- Timepoints count from 1, as in file names (``sk1``), although V5 indexes count from 0.
- An image whose ``State`` is not ``Ok`` was never acquired properly: a problem, no image.
- Where an index names several plates, ``plate`` chooses one by PlateID or Name; with one plate it renames it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from data_tools.illumination.profiles import HarmonyProfile, Profile
from data_tools.readers.channel_names import need_distinct
from data_tools.readers.folder import images_below
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import Choice, check_listed, choose, one_measurement
from data_tools.readers.plates.harmony_index import Index, IndexImage, IndexPlate, read_index
from data_tools.readers.plates.joined import join_measurements
from data_tools.readers.plates.options import SomePlanes, TakesPlanes
from data_tools.readers.plates.projection import Projection
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, Sight, Undecided, by_names
from data_tools.wells import normalise_well
from framework.errors import InputError, did_you_mean, some_of
from framework.files.failures import near_name

INDEX_NAMES = ("Index.idx.xml", "Index.xml")
_SIZE_TOLERANCE = 1e-3
_SHOWN = 6
_FILE_NAME = re.compile(
    r"^r(?P<row>\d+)c(?P<col>\d+)f(?P<site>\d+)p(?P<plane>\d+)-ch(?P<channel>\d+)(?:sk(?P<time>\d+))?(?:fk\d+)?(?:fl\d+)?"
    r"\.tiff?$",
    re.IGNORECASE,
)


class HarmonyConfig(TakesPlanes):
    """A Harmony export of one plate.

    Attributes:
        path: the export, its Images folder or its index file.
        plate: name of the plate; with several plates in the index, the one to read.
        channel_names: ``ch1: Hoechst``: names for exports without an index, or instead of the names in the index.
    """

    channel_key = r"ch[1-9]\d*", "ch1, ch2"

    name: Literal["harmony"] = "harmony"
    plane: Annotated[int, Field(ge=1)] | Projection | SomePlanes | None = None
    measurement: (
        Annotated[str, Field(min_length=1)]
        | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)]
        | None
    ) = None
    """Folder below ``path`` of the measurement to read, if there are several; or a list of measurements to join."""
    rename: dict[str, dict[str, str]] = Field(default={})
    """Other names for channels of joined measurements: ``{measurement: {channel: another name}}``."""

    @model_validator(mode="after")
    def _check_joined(self) -> HarmonyConfig:
        joined = self.measurement if isinstance(self.measurement, tuple) else ()
        if len(set(joined)) < len(joined):
            raise ValueError(f"'measurement' names one twice: {', '.join(joined)}")
        for name in self.rename:
            if name not in joined:
                raise ValueError(f"'rename' names '{name}', which is not one of the joined measurements")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for an index, else for the vendor's file names."""
        found = sight.called(*INDEX_NAMES)
        if found:
            return Claim(options={"path": sight.path}, rank="own list", why=f"{found[0]} is an index of Harmony")
        return by_names(sight, _FILE_NAME.match, "r01c01f01p01-ch1sk1fk1fl1.tiff", {"path": sight.path})


@READERS.register("harmony", HarmonyConfig)
def read_harmony(config: HarmonyConfig) -> Export:
    """List the images of a Harmony export.

    Raises:
        InputError: nothing there, a damaged index, two plates and none chosen, two channels of one name, or no image of
            the wanted plane or timepoint.
    """
    if isinstance(config.measurement, tuple):
        return _joined(config, config.measurement)
    index_file = find_index(Path(config.path), config.measurement)
    if index_file is None:
        return _from_names(config)
    index = read_index(index_file)
    if not index.images:
        raise InputError(f"{index_file}: the index lists no image; export the plate again")
    plate = _chosen_plate(config, index, index_file)
    images = [image for image in index.images if len(index.plates) < 2 or (image.row, image.column) in plate.wells]
    name = config.plate or plate.plate_id or plate.name or _folder_plate(index_file.parent)
    used = {image.channel_id for image in images}
    channels, channel_problems = _channel_names(config, index, used, name, index_file)
    size, size_problems = _pixel_size(index, name, index_file)
    choice = _refs(config, images, channels, name, index_file)
    return assemble(
        plate=name,
        refs=choice.refs,
        channels=tuple(channels[key] for key in sorted(channels)),
        problems=[*channel_problems, *size_problems, *choice.problems],
        notes=choice.notes,
        pixel_size_um=size,
        rows=plate.rows,
        columns=plate.columns,
        profiles=_profiles(index, channels, index_file),
    )


def _joined(config: HarmonyConfig, measurements: Sequence[str]) -> Export:
    """Return the images of several measurements of one plate.

    Raises:
        InputError: of different plates or sizes of pixels, or with images of one channel of one site.
    """
    exports = {
        name: read_harmony(config.model_copy(update={"measurement": name, "rename": {}})) for name in measurements
    }
    return join_measurements(exports, config.rename, config.path)


def _profiles(index: Index, channels: Mapping[int, str], file: Path) -> dict[str, dict[str, Profile]]:
    """Return the flat-fields of the channels; what cannot be read is said once they are asked for."""
    found: dict[str, dict[str, Profile]] = {}
    for channel_id, text in index.profiles.items():
        if channel_id in channels:
            name = channels[channel_id]
            where = f"{file}: channel '{name}'"
            found[name] = {
                part.lower(): HarmonyProfile(text=text, part=part, where=where)
                for part in ("Background", "Foreground")
                if re.search(rf"\b{part}\s*:", text)
            }
    return found


def find_index(path: Path, measurement: str | None = None) -> Path | None:
    """Return the index file of an export, or None where it has none.

    Args:
        path: the export, a folder above it, or its index.
        measurement: which of several below ``path``.

    Raises:
        InputError: ``path`` does not exist, holds an index of each version, or one that is not an ordinary file.
    """
    if path.is_file() and path.suffix.lower() == ".xml":
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such export folder or index file{near_name(path)}; correct 'path'")
    for folder in () if measurement else (path, path / "Images", path / "images"):
        found = [folder / name for name in INDEX_NAMES if os.path.lexists(folder / name)]
        if len(found) > 1:
            raise InputError(f"{folder}: holds {' and '.join(INDEX_NAMES)}; write the right one in 'path:'")
        if found:
            return _ordinary(found[0])
    return _only_measurement(path, measurement)


def _ordinary(index: Path) -> Path:
    if not index.is_file():
        raise InputError(
            f"{index}: expected an ordinary file with the index, found something else, or a link that leads nowhere; "
            "copy the export again"
        )
    return index


def _only_measurement(path: Path, measurement: str | None) -> Path | None:
    """Return the index of the measurement below a folder that is read, None where there is none."""
    folders = ("*", "*/Images", "*/images", "*/*", "*/*/Images", "*/*/images")
    found = [file for folder in folders for name in INDEX_NAMES for file in path.glob(f"{folder}/{name}")]
    index = one_measurement(path, found, measurement)
    return None if index is None else _ordinary(index)


def _folder_plate(folder: Path) -> str:
    parent = folder.resolve()
    return parent.parent.name if parent.name.lower() == "images" else parent.name


def _chosen_plate(config: HarmonyConfig, index: Index, file: Path) -> IndexPlate:
    plates = index.plates
    if len(plates) <= 1:
        empty = IndexPlate(plate_id="", name="", rows=None, columns=None, wells=frozenset())
        return plates[0] if plates else empty
    names = [plate.plate_id or plate.name for plate in plates]
    if config.plate is None:
        text = f"{file}: the index holds {len(plates)} plates ({some_of(names)}); choose one with 'plate:'"
        raise Undecided(text, "plate", names, each=True)
    chosen = [plate for plate in plates if config.plate in (plate.plate_id, plate.name)]
    if len(chosen) != 1:
        raise InputError(
            f"{file}: {len(chosen)} plates of the index are called '{config.plate}'; it holds {some_of(names)}"
            + did_you_mean(config.plate, names)
        )
    shared = {well for plate in plates if plate is not chosen[0] for well in plate.wells} & chosen[0].wells
    if shared:
        raise InputError(
            f"{file}: well {normalise_well(min(shared))} belongs to several plates of the index, so its images cannot "
            "be told apart; export each plate by itself"
        )
    return chosen[0]


def _channel_names(
    config: HarmonyConfig, index: Index, used: set[int], plate: str, where: Path
) -> tuple[dict[int, str], list[Problem]]:
    problems = []
    names: dict[int, str] = {}
    for channel_id in sorted(used):
        key, stated = f"ch{channel_id}", index.channel_names.get(channel_id, [])
        names[channel_id] = config.channel_names.get(key) or (stated[0] if stated else key)
        if len(stated) > 1 and key not in config.channel_names:
            problems.append(
                Problem(
                    plate=plate,
                    reason="channel_name",
                    detail=f"plate {plate}: the index calls channel {key} by {len(stated)} names "
                    f"({', '.join(stated)}); name it with 'channel_names: {{{key}: ...}}'",
                )
            )
    need_distinct({f"ch{key}": name for key, name in names.items()}, f"{where}: plate {plate}")
    return names, problems


def _pixel_size(index: Index, plate: str, file: Path) -> tuple[float | None, list[Problem]]:
    sizes = sorted({(x or y or 0.0, y or x or 0.0) for x, y in index.pixel_sizes_um if x or y})
    found = [f"pixels are {x:g} um wide and {y:g} um high" for x, y in sizes if abs(x - y) > _SIZE_TOLERANCE * x]
    widths = [x for x, _ in sizes]
    if widths and max(widths) > min(widths) * (1 + _SIZE_TOLERANCE):
        found.append(f"channels have pixels of {', '.join(f'{width:g}' for width in widths)} um")
    problems = [
        Problem(plate=plate, file=str(file), reason="pixel_size", detail=f"{file}: {what}; expected one size of pixels")
        for what in found
    ]
    return (widths[0] if widths else None), problems


def _refs(config: HarmonyConfig, images: list[IndexImage], channels: dict[int, str], plate: str, file: Path) -> Choice:
    """Return the images of the wanted plane and timepoint that are there, and a problem for each that is not."""
    problems = [_not_ok(image, plate, channels, file) for image in images if image.state != "Ok"]
    # An image listed twice word for word is one image.
    listed = {
        _ref(image, plate, channels[image.channel_id], file.parent): image for image in images if image.state == "Ok"
    }
    choice = choose(list(listed), plane=config.plane, timepoint=config.timepoint, plate=plate)
    urls = {ref.file: image.url for ref, image in listed.items()}
    kept, lost = check_listed(choice.refs, urls, file.parent)
    return Choice(refs=kept, problems=[*problems, *lost, *choice.problems], notes=choice.notes)


def _ref(image: IndexImage, plate: str, channel: str, folder: Path) -> ImageRef:
    return ImageRef(
        plate=plate,
        well=normalise_well((image.row, image.column)),
        site=image.site,
        channel=channel,
        file=folder / image.url,
        plane=image.plane,
        timepoint=image.timepoint,
    )


def _not_ok(image: IndexImage, plate: str, channels: dict[int, str], index_file: Path) -> Problem:
    well, channel = normalise_well((image.row, image.column)), channels[image.channel_id]
    return Problem(
        plate=plate,
        well=well,
        site=image.site,
        file=image.url or str(index_file),
        reason="image_state",
        detail=f"{index_file}: the image of plate {plate} well {well} site {image.site} channel '{channel}' has state "
        f"'{image.state}', expected 'Ok'; it was not acquired properly",
    )


def _from_names(config: HarmonyConfig) -> Export:
    root = Path(config.path)
    listed = images_below(root, config.path)
    files = [root / name for name in listed.names]
    found = [(file, match) for file in files if (match := _FILE_NAME.match(file.name))]
    if not found:
        raise InputError(
            f"{root}: no {' or '.join(INDEX_NAMES)} here or in Images/, and none of its {len(files)} images "
            f"has a name like r01c01f01p01-ch1sk1fk1fl1.tiff (the first is {listed.names[0]}); point 'path:' "
            "at the Harmony export, or use the reader 'filenames'"
        )
    plate = config.plate or _folder_plate(root)
    ids = {int(match["channel"]) for _, match in found}
    channels, _ = _channel_names(config, Index(), ids, plate, root)
    refs = [
        ImageRef.of_name(file, match, plate=plate, well=(int(match["row"]), int(match["col"])), channels=channels)
        for file, match in found
    ]
    choice = choose(refs, plane=config.plane, timepoint=config.timepoint, plate=plate)
    return assemble(
        plate=plate,
        refs=choice.refs,
        channels=tuple(channels[key] for key in sorted(channels)),
        problems=choice.problems,
        notes=(
            f"{root}: no index: wells, sites and channels come from file names, and the pixel size is unknown",
            *choice.notes,
            *listed.notes,
            *_other_files(root, files, [file for file, _ in found]),
        ),
    )


def _other_files(root: Path, files: list[Path], read: Iterable[Path]) -> tuple[str, ...]:
    rest = sorted(set(files) - set(read))
    return (f"{root}: {len(rest)} image files have other names and are not read, as {rest[0].name}",) if rest else ()
