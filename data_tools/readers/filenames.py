"""Plates whose facts stand only in the file names: one regular expression with named groups reads them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from data_tools.readers.base import IMAGE_SUFFIXES, READERS, Export, ImageRef, assemble, one_of
from data_tools.wells import normalise_well, row_number
from framework.config import StrictModel
from framework.errors import InputError

_GROUPS = ("well", "row", "column", "site", "channel", "plane", "timepoint")


class FilenamesConfig(StrictModel):
    """A folder of single-channel TIFFs, read recursively.

    ``pattern`` must match the whole file name and holds the named groups ``well`` (or ``row`` and ``column``), ``site``
    and ``channel``; ``plane`` and ``timepoint`` where there are several. Rows may be letters or numbers.
    """

    name: Literal["filenames"] = "filenames"
    path: str = Field(description="the folder with the images")
    plate: str = Field(min_length=1, description="the name of the plate")
    pattern: str = Field(description="a regular expression with the groups well (or row and column), site, channel")
    channel_names: dict[str, str] = Field(default={})
    """What the pattern finds -> channel name, in acquisition order; without it names are those found, sorted."""
    plane: int | None = Field(default=None, ge=0)
    timepoint: int | None = Field(default=None, ge=0)
    pixel_size_um: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check_pattern(self) -> FilenamesConfig:
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise ValueError(f"'pattern' is no regular expression: {error}") from None
        unknown = sorted(groups - set(_GROUPS))
        if unknown:
            raise ValueError(f"'pattern' has unknown group(s) {', '.join(unknown)}; expected {', '.join(_GROUPS)}")
        if not ("well" in groups) ^ ({"row", "column"} <= groups):
            raise ValueError("'pattern' needs either the group (?P<well>...), or (?P<row>...) and (?P<column>...)")
        missing = [name for name in ("site", "channel") if name not in groups]
        if missing:
            raise ValueError(f"'pattern' lacks the group(s) {', '.join(f'(?P<{name}>...)' for name in missing)}")
        if len(set(self.channel_names.values())) < len(self.channel_names):
            raise ValueError("'channel_names' gives two channels the same name")
        return self


@READERS.register("filenames", FilenamesConfig)
def read_filenames(config: FilenamesConfig) -> Export:
    """List the images below ``config.path`` whose file names match ``config.pattern``.

    Raises:
        InputError: no folder, no matching file, a well or number that is none, a channel without a name.
    """
    files = image_files(Path(config.path))
    pattern = re.compile(config.pattern)
    matches = [(file, match) for file in files if (match := pattern.fullmatch(file.name))]
    missed = len(files) - len(matches)
    if not matches:
        example = f"; the first of {missed} is {files[0].name}" if files else ""
        raise InputError(f"{config.path}: no image name matches {config.pattern!r}{example}; correct 'pattern'")
    channels = _channels(config, sorted({match["channel"] for _, match in matches}))
    refs = [_ref(config, file, match) for file, match in matches]
    plane = one_of(Counter(ref.plane for ref in refs), config.plane, "plane", config.plate)
    timepoint = one_of(Counter(ref.timepoint for ref in refs), config.timepoint, "timepoint", config.plate)
    return assemble(
        plate=config.plate,
        refs=[ref for ref in refs if ref.plane == plane and ref.timepoint == timepoint],
        channels=channels,
        pixel_size_um=config.pixel_size_um,
        notes=_unmatched(config, files, {file for file, _ in matches}),
    )


def image_files(folder: Path) -> list[Path]:
    """Return every TIFF below ``folder``, sorted; whatever the case of the extension.

    Raises:
        InputError: no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of images")
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file())


def _channels(config: FilenamesConfig, found: list[str]) -> tuple[str, ...]:
    if not config.channel_names:
        return tuple(found)
    unnamed = [name for name in found if name not in config.channel_names]
    if unnamed:
        raise InputError(
            f"{config.path}: the pattern finds channel(s) {', '.join(unnamed)} that 'channel_names' does not name; it "
            f"names {', '.join(config.channel_names)}"
        )
    return tuple(name for key, name in config.channel_names.items() if key in found)


def _ref(config: FilenamesConfig, file: Path, match: re.Match[str]) -> ImageRef:
    groups = {key: text for key, text in match.groupdict().items() if text is not None}
    try:
        return ImageRef(
            plate=config.plate,
            well=_well(groups),
            site=int(groups["site"]),
            channel=config.channel_names.get(groups["channel"], groups["channel"]),
            file=file,
            plane=int(groups.get("plane", 1)),
            timepoint=int(groups.get("timepoint", 1)),
        )
    except (InputError, ValueError, KeyError) as error:
        raise InputError(f"{file}: 'pattern' reads {groups} from the name: {error}; correct 'pattern'") from None


def _well(groups: dict[str, str]) -> str:
    if "well" in groups:
        return normalise_well(groups["well"])
    row = groups["row"]
    return normalise_well((int(row) if row.isdigit() else row_number(row), int(groups["column"])))


def _unmatched(config: FilenamesConfig, files: list[Path], matched: set[Path]) -> tuple[str, ...]:
    rest = [file for file in files if file not in matched]
    if not rest:
        return ()
    return (
        f"{config.path}: {len(rest)} of {len(files)} image files do not match the pattern and are not read, as "
        f"{rest[0].name}",
    )
