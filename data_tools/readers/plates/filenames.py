"""Plates whose facts stand only in the file names: one regular expression with named groups reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from data_tools.readers.folder import images_below
from data_tools.readers.patterns import compared, compiled, found_in, groups_of, is_of_paths, misfit, missed_note
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.choice import choose
from data_tools.readers.plates.facts import pixel_size_of, wave_names
from data_tools.readers.plates.name_pattern import NoPatternError, pattern_of
from data_tools.readers.plates.options import SizedPixels, TakesPlanes
from data_tools.readers.recognition import Claim, Sight
from data_tools.wells import normalise_well, row_number
from framework.config import StrictModel
from framework.errors import InputError, some_of

_GROUPS = ("well", "row", "column", "site", "channel", "plane", "timepoint")
_PLATES = {6: (2, 3), 12: (3, 4), 24: (4, 6), 48: (6, 8), 96: (8, 12), 384: (16, 24), 1536: (32, 48)}
_MOST_SITE = 32_767  # what the tables of a dataset hold
_SHOWN = 6


class NumberedWells(StrictModel):
    """How wells are numbered from 1, where names hold no letters.

    Attributes:
        wells: wells of the plate.
        order: ``rows`` counts A01, A02, ..., then B01; ``columns`` counts A01, B01, ..., then A02.
    """

    wells: Literal[6, 12, 24, 48, 96, 384, 1536]
    order: Literal["rows", "columns"]

    def well(self, number: int) -> str:
        """Return the well of a number.

        Raises:
            InputError: no well of the plate.
        """
        if not 1 <= number <= self.wells:
            raise InputError(f"well number {number}: expected 1 to {self.wells}")
        rows, columns = _PLATES[self.wells]
        if self.order == "rows":
            row, column = divmod(number - 1, columns)
        else:
            column, row = divmod(number - 1, rows)
        return normalise_well((row + 1, column + 1))


class FilenamesConfig(TakesPlanes, SizedPixels):
    """A folder of single-channel TIFFs, read recursively.

    ``pattern`` must match the whole file name; with a ``/`` in it, the whole path below ``path``. It holds the named
    groups ``well`` (or ``row`` and ``column``), ``site`` and ``channel``; ``plane`` and ``timepoint`` where there are
    several. Rows may be letters or numbers, sites any text.

    Attributes:
        path: the folder with the images.
        plate: the name of the plate.
        channel_names: what the pattern finds -> channel name, in order; without it names of an ``.HTD`` file, or those
            found.
        plane: or ``max``, ``mean`` or ``sharpest`` of all planes; ``{planes: [2, 3], by: max}`` of some.
    """

    name: Literal["filenames"] = "filenames"
    plate: str = Field(min_length=1)
    pattern: str = Field(description="a regular expression with the groups well (or row and column), site, channel")
    site: int | None = Field(default=None, ge=0, le=_MOST_SITE)
    """The site of all images, if their names hold none."""
    channel: str | None = Field(default=None, min_length=1)
    """The channel of all images, if their names hold none."""
    numbered_wells: NumberedWells | None = None
    """How wells are numbered, if names hold a number instead of letters."""
    timepoint: int | None = Field(default=None, ge=0)
    """Timepoint, numbered as in the names; not needed if there is only one."""

    @model_validator(mode="after")
    def _check_pattern(self) -> FilenamesConfig:
        groups = groups_of(self.pattern, _GROUPS)
        if not ("well" in groups) ^ ({"row", "column"} <= groups):
            raise ValueError("'pattern' needs either the group (?P<well>...), or (?P<row>...) and (?P<column>...)")
        if self.numbered_wells is not None and "well" not in groups:
            raise ValueError("'numbered_wells' is for the group (?P<well>...), which 'pattern' lacks")
        if "site" not in groups and self.site is None:
            raise ValueError("'pattern' lacks the group(s) (?P<site>...); with one site per well, write 'site: 1'")
        for name, constant in (("site", self.site), ("channel", self.channel)):
            if name in groups and constant is not None:
                raise ValueError(f"'{name}' is given, and 'pattern' has the group (?P<{name}>...); keep one")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for names whose parts tell well, site and channel apart."""
        if not sight.images:
            return ""
        try:
            pattern, has_site, has_channel = pattern_of(sight.images)
        except NoPatternError as error:
            return f"{error}; write 'pattern' by hand (docs/tables.md)"
        options: dict[str, object] = {"path": sight.path, "plate": sight.root.resolve().name, "pattern": pattern}
        options |= {} if has_site else {"site": 1}
        options |= {} if has_channel else {"channel": "channel"}
        return Claim(
            options=options, rank="any names", why=f"the parts of {len(sight.images)} names tell what they are"
        )


@READERS.register("filenames", FilenamesConfig)
def read_filenames(config: FilenamesConfig) -> Export:
    """List the images below ``config.path`` whose file names match ``config.pattern``.

    Raises:
        InputError: no folder, no image, no matching file, a well or number that is none, a channel without a name,
            several planes or timepoints and none chosen.
    """
    root = Path(config.path)
    listed = images_below(root, config.path)
    matches, missed = _matches(config, listed.names)
    names, notes = _channel_names(config, root, matches)
    sites, site_notes = _sites(config, matches)
    refs = [_ref(config, root / name, groups, names, sites) for name, groups in matches]
    choice = choose(refs, plane=config.plane, timepoint=config.timepoint, plate=config.plate)
    size, size_notes = pixel_size_of(choice.refs[0].file if choice.refs else None, config.pixel_size_um)
    return assemble(
        plate=config.plate,
        refs=choice.refs,
        channels=tuple(dict.fromkeys(names.values())),
        problems=choice.problems,
        pixel_size_um=size,
        notes=(*choice.notes, *notes, *site_notes, *size_notes, *listed.notes,
               *missed_note(config.path, listed.names, missed)),
    )  # fmt: skip


Match = tuple[str, dict[str, str]]


def _matches(config: FilenamesConfig, names: Sequence[str]) -> tuple[list[Match], list[str]]:
    """Return names with what the pattern finds in them, and the names it does not match."""
    matches, missed = found_in(config.pattern, names)
    if not matches:
        first = compared(config.pattern, names[0])
        what = "path" if is_of_paths(config.pattern) else "name"
        where = misfit(compiled(config.pattern), first)
        raise InputError(
            f"{config.path}: no image {what} of {len(names)} matches {config.pattern!r}; {where}; correct 'pattern'"
        )
    return matches, missed


def _channel_names(
    config: FilenamesConfig, root: Path, matches: Sequence[Match]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what the pattern finds as channel -> its name, in order; '' where names hold no channel."""
    if config.channel is not None:
        return {"": config.channel}, ()
    found = sorted({groups.get("channel", "") for _, groups in matches})
    if config.channel_names:
        unnamed = [name for name in found if name not in config.channel_names]
        if unnamed:
            raise InputError(
                f"{config.path}: the pattern finds channel(s) {', '.join(unnamed)} that 'channel_names' does not name; "
                f"it names {some_of(config.channel_names)}"
            )
        return {key: name for key, name in config.channel_names.items() if key in found}, ()
    waves = wave_names(root)
    if found == [""]:
        if len(waves) != 1:
            stated = f"; the .HTD file names {', '.join(waves.values())}" if waves else ""
            raise InputError(
                f"{config.path}: 'pattern' lacks the group (?P<channel>...); with one channel, write 'channel: NAME' "
                f"with its name, as DAPI{stated}"
            )
        return {"": next(iter(waves.values()))}, (f"{config.path}: the channel's name is that of the .HTD file",)
    numbers = {name: re.sub(r"^[wW]0*", "", name) for name in found}
    named = {name: waves[number] for name, number in numbers.items() if number in waves}
    if len(named) == len(found) and len(set(named.values())) == len(found):
        shown = ", ".join(f"{key}: {name}" for key, name in named.items())
        return named, (f"{config.path}: channels have the names of the .HTD file ({shown})",)
    return {name: name for name in found}, ()


def _sites(config: FilenamesConfig, matches: Sequence[Match]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the number of each site as it is found: its own, or its place among all where one is not a number."""
    if config.site is not None:
        return {"": config.site}, ()
    found = {groups.get("site", "") for _, groups in matches}
    if all(text.isascii() and text.isdigit() and int(text) <= _MOST_SITE for text in found):
        return {text: int(text) for text in found}, ()
    order = sorted(found, key=lambda text: [(part.isdigit(), int(part) if part.isdigit() else 0, part)
                                            for part in re.split(r"([0-9]+)", text) if part])  # fmt: skip
    sites = {text: number for number, text in enumerate(order, start=1)}
    shown = ", ".join(f"{text} = {number}" for text, number in list(sites.items())[:_SHOWN])
    more = ", ..." if len(sites) > _SHOWN else ""
    return sites, (f"{config.path}: sites are numbered in the order of their names: {shown}{more}",)


def _ref(
    config: FilenamesConfig, file: Path, groups: dict[str, str], channels: dict[str, str], sites: dict[str, int]
) -> ImageRef:
    try:
        return ImageRef(
            plate=config.plate,
            well=_well(config, groups),
            site=sites[groups.get("site", "")],
            channel=channels[groups.get("channel", "")],
            file=file,
            plane=int(groups.get("plane", 1)),
            timepoint=int(groups.get("timepoint", 1)),
        )
    except (InputError, ValueError, KeyError) as error:
        raise InputError(f"{file}: 'pattern' reads {groups} from the name: {error}; correct 'pattern'") from None


def _well(config: FilenamesConfig, groups: dict[str, str]) -> str:
    if "well" not in groups:
        row = groups["row"]
        return normalise_well((int(row) if row.isdigit() else row_number(row), int(groups["column"])))
    text = groups["well"]
    if config.numbered_wells is not None:
        return config.numbered_wells.well(int(text))
    if text.isdigit():
        raise InputError(
            f"'{text}' is not a well; if wells are numbered, write 'numbered_wells: {{wells: 96, order: rows}}'"
        )
    return normalise_well(text)
