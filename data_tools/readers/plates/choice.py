"""What is read of all that an export lists: which planes, timepoints and measurement, and the files that are there.

Never the first of several in silence, and never one that is not there. What is listed and has no file is a problem with
its name; a folder is read once, since a look at each of 100,000 images is slow on network disks.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from data_tools.readers.plates.base import ImageRef
from data_tools.readers.plates.options import PlaneChoice, SomePlanes
from data_tools.readers.plates.places import ImageFile
from data_tools.readers.plates.projection import Projection
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Undecided
from framework.errors import InputError, did_you_mean

_OR_ALL = ", or take 'plane: max', 'plane: mean' or 'plane: sharpest' of all"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The images of one timepoint, of one plane or projected over all.

    Attributes:
        refs: the images, in their order.
        problems: a place in the plate that has images, but none of this plane and timepoint.
        notes: what was chosen of what there is.
    """

    refs: list[ImageRef]
    problems: list[Problem]
    notes: tuple[str, ...]


def choose(
    refs: Sequence[ImageRef], *, plane: PlaneChoice, timepoint: int | None, plate: str, about: str = ""
) -> Choice:
    """Keep the images of one timepoint, of one plane or projected over all planes.

    Args:
        refs: all images of a plate.
        plane: the config's choice, or None for the only one there is.
        timepoint: the config's choice, or None for the only one there is.
        plate: for messages.
        about: what a message about planes says beside their numbers.

    Raises:
        InputError: the wanted one does not exist, or there are several and none was chosen.
    """
    kept, notes, words = list(refs), [], []
    for word, wanted in (("plane", plane), ("timepoint", timepoint)):
        if not kept:
            break
        if isinstance(wanted, str | SomePlanes):
            continue
        values = Counter(getattr(ref, word) for ref in kept)
        value = one_of(values, wanted, word, plate, about if word == "plane" else "")
        if len(values) > 1:
            notes.append(f"plate {plate}: {word} {value} of {_listed(values)} is read, as '{word}: {value}' says")
            words.append(f"{word} {value}")
        kept = [ref for ref in kept if getattr(ref, word) == value]
    there = {(ref.well, ref.site, ref.channel) for ref in kept}
    lost = {(ref.well, ref.site, ref.channel): ref for ref in refs if (ref.well, ref.site, ref.channel) not in there}
    problems = [_not_chosen(ref, " and ".join(words)) for ref in lost.values()]
    choice = Choice(refs=kept, problems=problems, notes=tuple(notes))
    return _projected(choice, plane, plate) if isinstance(plane, str | SomePlanes) else choice


def _projected(choice: Choice, plane: Projection | SomePlanes, plate: str) -> Choice:
    """Make one image of the planes of each site and channel; one with fewer planes than its channel is a problem."""
    how = plane.by if isinstance(plane, SomePlanes) else plane
    refs_read = choice.refs if isinstance(plane, str) else _only(choice.refs, plane.planes, plate)
    of_channel: dict[str, set[int]] = {}
    stacks: dict[tuple[str, int, str], list[ImageRef]] = {}
    for ref in sorted(refs_read, key=lambda ref: (ref.plane, str(ref.file))):
        stacks.setdefault((ref.well, ref.site, ref.channel), []).append(ref)
        of_channel.setdefault(ref.channel, set()).add(ref.plane)
    lost = {(ref.well, ref.site, ref.channel): ref for ref in choice.refs}
    problems = [*choice.problems, *(_not_chosen(ref, f"planes {_listed(plane.planes)}") for place, ref in lost.items()
                                    if isinstance(plane, SomePlanes) and place not in stacks)]  # fmt: skip
    refs = []
    for (_, _, channel), stack in stacks.items():
        found = Counter(ref.plane for ref in stack)
        if set(found) != of_channel[channel] or max(found.values()) > 1:
            problems.append(_uneven_stack(stack, of_channel[channel]))
        else:
            numbers = tuple(ref.plane for ref in stack)
            refs.append(replace(stack[0], projection=how, planes=numbers).with_files([ref.file for ref in stack]))
    said = f"as 'plane: {plane}' says"
    if len({frozenset(planes) for planes in of_channel.values()}) > 1:
        kinds = "; ".join(f"'{channel}' {_listed(planes)}" for channel, planes in of_channel.items())
        note = f"plate {plate}: each image is the {how} over planes, {said}, which differ between channels: {kinds}"
    else:
        planes = next(iter(of_channel.values()), set())
        note = f"plate {plate}: each image is the {how} over planes {_listed(planes)}, {said}"
    return Choice(refs=refs, problems=problems, notes=(*choice.notes, note))


def _only(refs: Sequence[ImageRef], planes: Sequence[int], plate: str) -> list[ImageRef]:
    values = Counter(ref.plane for ref in refs)
    for plane in planes:
        one_of(values, plane, "plane", plate)
    return [ref for ref in refs if ref.plane in planes]


def _uneven_stack(stack: Sequence[ImageRef], planes: Iterable[int]) -> Problem:
    ref = stack[0]
    return ref.problem(
        "missing_plane",
        f"plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}' has images of planes "
        f"{', '.join(str(one.plane) for one in stack)}, expected one of each of {_listed(planes)}; the first is "
        f"{ref.file}; export it again, or set 'on_error: skip'",
    )


def _not_chosen(ref: ImageRef, what: str) -> Problem:
    return ref.problem(
        "missing_plane",
        f"plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}' has images, but none of "
        f"{what}, as {ref.file}; export it again, choose what every site has, or set 'on_error: skip'",
    )


def one_of(values: Mapping[int, int], wanted: int | None, word: str, plate: str, about: str = "") -> int:
    """Return which plane or timepoint to read.

    Args:
        values: how many images each plane (or timepoint) has.
        wanted: the config's choice, or None for the only one there is.
        word: ``plane`` or ``timepoint``, the config key.
        plate: for messages.
        about: what a message says beside the numbers.

    Raises:
        InputError: the wanted one does not exist.
        Undecided: there are several and none was chosen.
    """
    listed, said = _listed(values), f"; {about}" if about else ""
    if wanted is None and len(values) > 1:
        text = (
            f"plate {plate}: images of several {word}s ({listed}); choose one with '{word}:', as "
            f"'{word}: {min(values)}'{_OR_ALL if word == 'plane' else ''}{_uneven(values, word)}{said}"
        )
        # The plane (or timepoint) of most images comes first: fewest sites lack it.
        ordered = sorted(values, key=lambda value: (-values[value], value))
        even = word == "plane" and len(set(values.values())) == 1
        raise Undecided(text, word, ("max", *ordered) if even else ordered)
    if wanted is not None and wanted not in values:
        raise InputError(f"plate {plate}: no image of {word} {wanted}; there is {word} {listed}; change '{word}:'")
    return next(iter(values)) if wanted is None else wanted


def _listed(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))


def _uneven(values: Mapping[int, int], word: str) -> str:
    if len(set(values.values())) == 1:
        return ""
    counts = ", ".join(f"{value}: {values[value]}" for value in sorted(values))
    return f"; they differ in the number of images ({word}: images): {counts}"


_SHOWN = 6


class ListedFiles:
    """Files below a folder, listed once per sub-folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[PurePosixPath, frozenset[str]] = {}

    def find(self, url: str) -> tuple[Path, str | None]:
        """Return the file of a listed name, and why it cannot be used (None: it can)."""
        relative = PurePosixPath(url.replace("\\", "/"))
        file = self.root / relative
        if (
            not relative.parts
            or relative.is_absolute()
            or ".." in relative.parts
            or ":" in relative.parts[0]
            or "\0" in url
        ):
            return file, "path_outside_export"
        folder = relative.parent
        if folder not in self._names:
            place = self.root / folder
            self._names[folder] = frozenset(entry.name for entry in place.iterdir()) if place.is_dir() else frozenset()
        return file, None if relative.name in self._names[folder] else "missing_image"


def unusable(ref: ImageRef, file: Path, reason: str, where: str = "the index") -> Problem:
    """Return what is wrong with a listed image that ``ListedFiles.find`` cannot use."""
    what = {
        "missing_image": f"{where} lists this image, but there is no such file; copy the export again",
        "path_outside_export": f"{where} names an image outside the export, which is not read",
    }[reason]
    return Problem(
        plate=ref.plate,
        well=ref.well,
        site=ref.site,
        file=str(file),
        reason=reason,
        detail=f"{file}: {what}; plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}'",
    )


def check_listed(
    refs: Sequence[ImageRef], urls: dict[ImageFile, str], root: Path, where: str = "the index"
) -> tuple[list[ImageRef], list[Problem]]:
    """Return the images whose files are all there, and a problem for each file that is not.

    Args:
        refs: images, perhaps of several planes.
        urls: what the export calls each file.
        root: folder that the names begin in.
        where: what lists them, for messages.
    """
    listing = ListedFiles(root)
    kept, problems = [], []
    for ref in refs:
        found = [listing.find(urls[place]) for place in ref.files]
        lost = [unusable(ref, target, reason, where) for target, reason in found if reason is not None]
        problems += lost
        if not lost:
            kept.append(ref.with_files([target for target, _ in found]))
    return kept, problems


def one_measurement(path: Path, found: Sequence[Path], measurement: str | None) -> Path | None:
    """Return the file of the measurement that is read, None where there is none.

    Args:
        path: the folder that the config names.
        found: the file of each measurement below it.
        measurement: the folder that the config chooses, or a part of its path.

    Raises:
        InputError: several, and none or more than one is chosen; their images would be taken for one plate's.
    """
    by_file = {os.path.realpath(file): file for file in sorted(found)}
    files = list(by_file.values())
    if measurement is not None:
        named = [file for file in files if _is_called(file.relative_to(path), measurement)]
        if len(named) != 1:
            words = sorted({part for file in files for part in file.relative_to(path).parts[:-1]})
            raise InputError(
                f"{path}: {len(named)} measurements are called '{measurement}'; it holds "
                f"{_places(path, files) or 'none'}{did_you_mean(measurement, words)}"
            )
        return named[0]
    if len(files) > 1:
        text = (
            f"{path}: holds {len(files)} measurements ({_places(path, files)}); write the index or the folder of one "
            f"of them in 'path:', or choose one with 'measurement: {files[0].relative_to(path).parts[0]}'"
        )
        folders = [file.parent.relative_to(path).as_posix().removesuffix("/Images") for file in files]
        raise Undecided(text, "measurement", folders, each=True)
    return files[0] if files else None


def _is_called(file: PurePosixPath | Path, measurement: str) -> bool:
    folders = file.parts[:-1]
    return measurement in folders or "/".join(folders).removesuffix("/Images") == measurement.rstrip("/")


def _places(path: Path, files: Sequence[Path]) -> str:
    return ", ".join(str(file.relative_to(path)) for file in files[:_SHOWN]) + (" ..." if len(files) > _SHOWN else "")
