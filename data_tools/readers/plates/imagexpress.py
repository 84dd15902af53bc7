"""ImageXpress exports (MetaXpress): ``<name>_C07_s1_w1<GUID>.tif`` in ``TimePoint_n/ZStep_n/``, and a ``.HTD`` file.

- The ``.HTD`` file gives the names of the wavelengths and the size of the plate, and tells which wells were chosen: one
  without an image is a problem. Without it names come from the TIFFs.
- An image outside ``ZStep_n``, where there are such folders, or in ``ZStep_0`` is the projection that the instrument
  made: it counts as plane 0, and is not part of a stack.
- MetaXpress copies an image into timepoints and planes at which its wavelength was not taken; a note says so.
- One measurement is a folder with images of one name. Several are never read as one: ``measurement`` chooses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from data_tools.readers.channel_names import need_distinct
from data_tools.readers.folder import Listing, images_below
from data_tools.readers.patterns import missed_note
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import choose
from data_tools.readers.plates.facts import pixel_size_of, stated_channel
from data_tools.readers.plates.htd import Htd, is_htd, one_htd, read_htd
from data_tools.readers.plates.options import OneMeasurement, PlaneChoice, SizedPixels, SomePlanes
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, Sight, Undecided, by_names
from data_tools.wells import normalise_well
from framework.errors import InputError, did_you_mean
from framework.files.failures import read_bytes

_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_NAME = re.compile(
    rf"^(?P<prefix>(?:.*?_)?)(?P<well>[A-Za-z]{{1,2}}\d{{1,2}})(?:_s(?P<site>\d+))?(?:_w(?P<wave>\d+?))?(?:_t(?P<time>\d+))?"
    rf"(?:_z(?P<plane>\d+))?(?:{_GUID})?\.tiff?$",
    re.IGNORECASE,
)
_TIME, _PLANE = re.compile(r"^TimePoint_(\d+)$", re.IGNORECASE), re.compile(r"^ZStep_(\d+)$", re.IGNORECASE)
_SHOWN = 6
_COMPARED_BYTES = 1 << 26


class ImageXpressConfig(OneMeasurement, SizedPixels):
    """An ImageXpress export of one plate.

    Attributes:
        path: the export: the folder with TimePoint_1, or one above it.
        plate: name of the plate; without it what stands before the well in the file names, or the folder's name.
        plane: as ``ZStep_n``, 0 is the instrument's projection; or ``max``, ``mean`` or ``sharpest`` of the others.
        channel_names: ``w1: DNA``: names instead of those of the .HTD file.
    """

    channel_key = r"w[1-9]\d*", "w1, w2"

    name: Literal["imagexpress"] = "imagexpress"
    timepoint: int | None = Field(default=None, ge=0)
    """The n of ``TimePoint_n``; not needed if there is only one."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for a ``.HTD`` file, else for the vendor's file names."""
        answer = by_names(sight, _NAME.match, "Plate_C07_s1_w1.tif", {"path": sight.path})
        lists = sight.ending(".htd")
        if lists and not isinstance(answer, str):
            return Claim(options=answer.options, rank="own list", why=f"{lists[0]} and {answer.why}")
        return answer


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """What path and name of an image say; ``plane`` is None outside ``ZStep_n``."""

    file: Path
    folder: str
    prefix: str
    well: str
    site: int
    wave: str
    plane: int | None
    timepoint: int


@READERS.register("imagexpress", ImageXpressConfig)
def read_imagexpress(config: ImageXpressConfig) -> Export:
    """List the images of an ImageXpress export.

    Raises:
        InputError: nothing there, no image with such a name, several measurements, planes or timepoints and none
            chosen, two channels of one name, or a damaged ``.HTD`` file.
    """
    root = Path(config.path)
    listed = images_below(root, config.path)
    named, missed = _all_named(root, listed)
    named, where = _one_measurement(config, named)
    folder, prefix = root / where, named[0].prefix
    htd = _htd(folder, named, prefix)
    plate = config.plate or prefix.rstrip("_") or folder.resolve().name
    channels, notes = _channel_names(config, named, htd, plate)
    refs, projected = _refs(named, plate, channels)
    choice = choose(
        _stacks(refs, config.plane, projected),
        plane=config.plane,
        timepoint=config.timepoint,
        plate=plate,
        about="plane 0 is the projection that the instrument made" if projected else "",
    )
    size, size_notes = pixel_size_of(choice.refs[0].file if choice.refs else None, config.pixel_size_um)
    return assemble(
        plate=plate,
        refs=choice.refs,
        channels=tuple(channels.values()),
        problems=[*_not_there(htd, named, plate), *choice.problems],
        pixel_size_um=size,
        rows=htd.rows if htd else None,
        columns=htd.columns if htd else None,
        notes=(*choice.notes, *notes, *_copies(refs), *size_notes, *listed.notes,
               *missed_note(config.path, listed.names, missed)),
    )  # fmt: skip


def _all_named(root: Path, listed: Listing) -> tuple[list[_Named], list[str]]:
    named, missed = [], []
    for name in listed.names:
        match = _NAME.match(name.rpartition("/")[2])
        found = None if match is None else _named(root, name, match)
        if found is None:
            missed.append(name)
        else:
            named.append(found)
    if not named:
        raise InputError(
            f"{root}: none of its {len(listed.names)} images has a name like Plate_C07_s1_w1.tif (the first "
            f"is {listed.names[0]}); point 'path:' at the ImageXpress export, or use the reader 'filenames'"
        )
    return named, missed


def _named(root: Path, name: str, match: re.Match[str]) -> _Named | None:
    try:
        well = normalise_well(match["well"])
    except InputError:
        return None
    parts = list(PurePosixPath(name).parts[:-1])
    numbers: dict[re.Pattern[str], int] = {}
    for pattern in (_PLANE, _TIME):
        found = pattern.match(parts[-1]) if parts else None
        if found:
            numbers[pattern] = int(found[1])
            parts.pop()
    plane = int(match["plane"]) if match["plane"] else numbers.get(_PLANE)
    return _Named(
        file=root / name,
        folder="/".join(parts),
        prefix=match["prefix"],
        well=well,
        site=int(match["site"] or 1),
        wave=str(int(match["wave"] or 1)),
        plane=plane,
        timepoint=int(match["time"]) if match["time"] else numbers.get(_TIME, 1),
    )


def _one_measurement(config: ImageXpressConfig, named: list[_Named]) -> tuple[list[_Named], str]:
    """Return the images of the measurement that is read, and its folder below the root."""
    counts = Counter((image.folder, image.prefix) for image in named)
    shown = [
        f"{folder or '.'} ({prefix or 'names without beginning'}: {n} images)"
        for (folder, prefix), n in sorted(counts.items())
    ]
    known = {place: {place[0], place[1].rstrip("_"), _called(*place)} for place in counts}
    chosen = [place for place, names in known.items() if config.measurement is None or config.measurement in names]
    if len(chosen) == 1:
        return [image for image in named if (image.folder, image.prefix) == chosen[0]], chosen[0][0]
    listed = "; ".join(shown[:_SHOWN]) + (" ..." if len(shown) > _SHOWN else "")
    if config.measurement is None:
        text = (
            f"{config.path}: holds {len(counts)} measurements: {listed}; choose one with 'measurement:', as "
            f"'measurement: {min(counts)[0] or min(counts)[1].rstrip('_')}', or write its folder in 'path:'"
        )
        raise Undecided(text, "measurement", [_called(*place) for place in sorted(counts)], each=True)
    words = sorted({word for names in known.values() for word in names if word})
    raise InputError(
        f"{config.path}: {len(chosen)} measurements are called '{config.measurement}'; it holds {listed}"
        + did_you_mean(config.measurement, words)
    )


def _called(folder: str, prefix: str) -> str:
    """Return what tells a measurement from all others."""
    return f"{folder}/{prefix.rstrip('_')}" if folder and prefix else folder or prefix.rstrip("_")


def _htd(folder: Path, named: Sequence[_Named], prefix: str) -> Htd | None:
    """Read the ``.HTD`` file of a measurement: beside ``TimePoint_n``, else beside the images."""
    for place in (folder, folder.parent, *sorted({image.file.parent for image in named})):
        files = sorted(file for file in place.iterdir() if is_htd(file)) if place.is_dir() else []
        if place == folder.parent and place != folder:
            files = [file for file in files if file.stem == prefix.rstrip("_")]
        file = one_htd(files, prefix)
        if file is not None:
            return read_htd(file)
    return None


def _channel_names(
    config: ImageXpressConfig, named: Sequence[_Named], htd: Htd | None, plate: str
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return wavelength -> name in the order of wavelengths, and where the names come from."""
    waves = sorted({image.wave for image in named}, key=int)
    absent = sorted(set(config.channel_names) - {f"w{wave}" for wave in waves})
    stated = dict(htd.waves) if htd else {}
    notes = []
    if not stated:
        first = {image.wave: image.file for image in reversed(named)}
        stated = {wave: name for wave in waves if (name := stated_channel(first[wave]))}
        if len(set(stated.values())) < len(stated):
            said = ", ".join(f"w{wave} '{name}'" for wave, name in stated.items())
            notes.append(f"{config.path}: the TIFFs give several wavelengths one name ({said}), so none is taken")
            stated = {}
        elif stated and not config.channel_names:
            notes.append(f"{config.path}: no .HTD file: channels have the names that the TIFFs state")
    names = {wave: config.channel_names.get(f"w{wave}") or stated.get(wave) or f"w{wave}" for wave in waves}
    need_distinct({f"w{wave}": name for wave, name in names.items()}, f"{config.path}: plate {plate}")
    if absent:
        notes.append(f"{config.path}: 'channel_names' names {', '.join(absent)}, of which there is no image")
    if htd:
        unseen = [f"w{wave} '{name}'" for wave, name in htd.waves.items() if wave not in names]
        if unseen:
            notes.append(f"{htd.file}: names {', '.join(unseen)}, of which there is no image")
    return names, tuple(notes)


def _refs(named: Sequence[_Named], plate: str, channels: dict[str, str]) -> tuple[list[ImageRef], bool]:
    """Return the images, and whether some are projections of the instrument."""
    in_steps = any(image.plane is not None for image in named)
    refs = [
        ImageRef(
            plate=plate,
            well=image.well,
            site=image.site,
            channel=channels[image.wave],
            file=image.file,
            plane=image.plane if image.plane is not None else 0 if in_steps else 1,
            timepoint=image.timepoint,
        )
        for image in named
    ]
    return refs, any(ref.plane == 0 for ref in refs)


def _stacks(refs: list[ImageRef], plane: PlaneChoice, projected: bool) -> list[ImageRef]:
    """Leave projections of the instrument out of a stack that has planes of its own."""
    if not projected or not isinstance(plane, str | SomePlanes):
        return refs
    if isinstance(plane, SomePlanes) and 0 in plane.planes:
        return refs
    with_planes = {(ref.well, ref.site, ref.channel, ref.timepoint) for ref in refs if ref.plane != 0}
    return [
        ref for ref in refs if ref.plane != 0 or (ref.well, ref.site, ref.channel, ref.timepoint) not in with_planes
    ]


def _not_there(htd: Htd | None, named: Iterable[_Named], plate: str) -> list[Problem]:
    """Return a problem for each well that the ``.HTD`` file chooses and that has no image, or too few sites."""
    if htd is None:
        return []
    sites: dict[str, set[int]] = {}
    for image in named:
        sites.setdefault(image.well, set()).add(image.site)
    problems = []
    for well in htd.wells or ():
        found = len(sites.get(well, ()))
        what = "no image" if not found else f"{found} sites, and {htd.n_sites} were chosen"
        if not found or (htd.n_sites is not None and found < htd.n_sites):
            problems.append(
                Problem(
                    plate=plate,
                    well=well,
                    file=str(htd.file),
                    reason="missing_image",
                    detail=f"{htd.file}: lists plate {plate} well {well}, which has {what}; copy the export again, "
                    "or set 'on_error: skip'",
                )
            )
    return problems


def _copies(refs: Sequence[ImageRef]) -> tuple[str, ...]:
    """Say which channels have the same image at several timepoints or planes, as the first site shows."""
    place = min(((ref.well, ref.site) for ref in refs), default=None)
    first = [ref for ref in refs if (ref.well, ref.site) == place]
    seen: dict[tuple[str, bytes], ImageRef] = {}
    notes: dict[str, str] = {}
    if len({(ref.plane, ref.timepoint) for ref in first}) < 2:
        return ()
    for ref in sorted(first, key=lambda ref: (ref.timepoint, ref.plane)):
        if not isinstance(ref.file, Path):
            continue
        try:
            pixels = read_bytes(ref.file, _COMPARED_BYTES)
        except (OSError, InputError):  # what is wrong with an image is said where it is used
            continue
        other = seen.setdefault((ref.channel, pixels), ref)
        if other is not ref:
            notes.setdefault(
                ref.channel,
                f"channel '{ref.channel}': {ref.file} is a copy of {other.file}: it was not taken again at each "
                "timepoint or plane",
            )
    return tuple(notes.values())
