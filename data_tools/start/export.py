"""What an export is: the reader that knows it, its plates (or cells), or what was seen and which readers came near."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data_tools.readers.cells import CELL_READERS
from data_tools.readers.plates import READERS, Export
from data_tools.readers.recognition import Opened, Recognised, Sight, check_reader, recognised, refusals
from data_tools.start.cells import CellsFound, cells_found, listing_of
from data_tools.start.measured import Measured, channels_of, measure
from framework.data.format.schema import MANIFEST_NAME
from framework.errors import InputError
from framework.files.failures import near_name

_SHOWN = 6
_OTHER_FILES = {
    (
        ".jpg",
        ".jpeg",
        ".png",
    ): "JPEG and PNG pictures are not read as plates: export TIFFs, which keep the counts of the camera",
    (".czi", ".lif", ".lsm", ".nd2", ".oib", ".oir", ".stk", ".vsi"): "files of a microscope's own kind are converted "
    "first: to an OME-Zarr plate with bioformats2raw, or to TIFFs, one per channel, with the program of the microscope",
    (".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar"): "archives are not opened: unpack them and name the folder",
}
"""Endings of files that no reader takes, and what to do with them."""


@dataclass(frozen=True, kw_only=True)
class PlatesFound:
    """Plates of an export.

    Attributes:
        reader: reader that reads them.
        why: what it saw.
        plates: as it read them; their names differ.
        measured: what a look at some fields told.
        apart: sentences on plates that are not part of the dataset, because their channels or pixels differ, or because
            they cannot be read.
        others: sentences of readers that came near.
    """

    reader: str
    why: str
    plates: tuple[Opened[Export], ...]
    measured: Measured
    apart: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def find_export(path: str, reader: str | None = None) -> PlatesFound | CellsFound:
    """Recognise an export and look at some of its images.

    Args:
        path: the folder, or a file of it.
        reader: the one to ask, where several know the folder.

    Raises:
        InputError: no such folder, no reader knows it, or several do equally; says what was seen and who came near.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: no such folder or file{near_name(path)}; name the export of your microscope")
    if (Path(path) / MANIFEST_NAME).is_file():
        raise InputError(
            f"{path}: is a finished dataset, not an export of a microscope; look at it with: wellstream inspect {path}"
        )
    sight = Sight(path=path)
    if not sight.names:
        raise InputError(f"{path}: this folder is empty; name the export of your microscope")
    if reader is not None and reader not in (*READERS.names(), *CELL_READERS.names()):
        check_reader(READERS, reader)
    plates = _plates(sight, reader) if reader is None or reader in READERS.names() else []
    cells = recognised(CELL_READERS, sight, listing_of, reader) if reader not in READERS.names() else []
    both: list[Recognised[Any]] = [*plates, *cells]
    best = _only_one(path, both, sight)
    near = tuple(refusals(both))
    if best in cells:
        return cells_found(best, near)
    found, apart = _alike(_distinct(best.opened))
    if best.refused:
        apart = (*apart, f"a part of the export cannot be read and is left out: {best.refused}")
    return PlatesFound(
        reader=best.reader,
        why=best.claim.why if best.claim else "",
        plates=found,
        measured=measure([one.listing for one in found]),
        apart=apart,
        others=near,
    )


def _alike(opened: tuple[Opened[Export], ...]) -> tuple[tuple[Opened[Export], ...], tuple[str, ...]]:
    """Return the plates that make one dataset, those of the most images, and why the others do not."""
    kinds: dict[tuple[Any, ...], list[Opened[Export]]] = {}
    for one in opened:
        size = one.listing.pixel_size_um
        kinds.setdefault((channels_of(one.listing), size and round(size, 4)), []).append(one)
    kept = max(kinds.values(), key=lambda plates: sum(len(one.listing.refs) for one in plates))
    told = [
        f"plate {one.listing.plate} has other channels or pixels ({', '.join(channels_of(one.listing))}) and is left "
        "out; one dataset shows one kind of image: name the folder of that plate to begin another"
        for plates in kinds.values()
        if plates is not kept
        for one in plates
    ]
    return tuple(kept), tuple(told)


def _plates(sight: Sight, reader: str | None) -> list[Recognised[Export]]:
    answers = recognised(READERS, sight, lambda options: READERS.get(options.name).build(options), reader)
    return [_with_images(answer) for answer in answers]


def _with_images(answer: Recognised[Export]) -> Recognised[Export]:
    """Leave out plates without one usable image."""
    kept = tuple(one for one in answer.opened if one.listing.refs)
    if kept or not answer.opened:
        return replace(answer, opened=kept)
    problems = answer.opened[0].listing.problems
    return replace(answer, opened=(), refused=problems[0].detail if problems else "it lists no image")


def _only_one(path: str, answers: list[Recognised[Any]], sight: Sight) -> Recognised[Any]:
    """Return the answer of the surest reader that reads the export. Raises InputError: none, or two."""
    opened = [one for one in answers if one.opened and one.claim]
    ranks = sorted(opened, key=_rank)
    if not ranks:
        lines = "\n".join(f"  {sentence}" for sentence in refusals(answers)) or "  no reader saw anything like its own"
        raise InputError(
            f"{path}: no reader knows this export; it holds {sight.kinds()}\n{lines}{_other_files(sight)}\n"
            "docs/microscopes.md says what each reader takes; write a config by hand, or name one with --reader"
        )
    equal = [one for one in ranks if _rank(one) == _rank(ranks[0])]
    if len(equal) > 1:
        told = "\n".join(f"  {one.reader}: {one.claim.why}" for one in equal if one.claim)
        raise InputError(
            f"{path}: several readers know this export equally well\n{told}\nchoose one with --reader, as --reader "
            f"{equal[0].reader}"
        )
    return ranks[0]


def _other_files(sight: Sight) -> str:
    """Say what to do about files that no reader takes, where there is no image beside them."""
    if sight.images:
        return ""
    told = [sentence for endings, sentence in _OTHER_FILES.items() if sight.ending(*endings)]
    return "".join(f"\n{sentence}" for sentence in told)


def _rank(one: Recognised[Any]) -> int:
    return one.claim.place if one.claim else _SHOWN


def _distinct(opened: tuple[Opened[Export], ...]) -> tuple[Opened[Export], ...]:
    """Give plates of one name names that differ: that of their measurement, else a number."""
    names = [one.listing.plate for one in opened]
    result = []
    for number, one in enumerate(opened, start=1):
        if names.count(one.listing.plate) > 1:
            told = (
                str(one.options.get("measurement", "")).strip("/").replace("/", " ") or f"{one.listing.plate} {number}"
            )
            one = replace(one, options={**one.options, "plate": told}, listing=replace(one.listing, plate=told))
        result.append(one)
    return tuple(result)
