"""Cell Painting Gallery and other plates of CellProfiler: ``load_data.csv`` names the images, by URL or by path.

- ``URL_Orig<Channel>``, or ``FileName_Orig<Channel>`` with ``PathName_Orig<Channel>``, beside ``Metadata_Plate``,
  ``Metadata_Well`` and ``Metadata_Site``. Channels are called as in these columns.
- ``replace`` puts images elsewhere: paths in such tables are often those of the machine that made them.
- ``s3://`` and other URLs are read without credentials, image by image, where the work is done.
- Illumination functions (``illum`` or columns ``*_Illum<Channel>``) are for ``illumination: {method: export}``.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from data_tools.formats.remote_file import RemoteFacts, check_url, fetch, is_url, listed
from data_tools.illumination.base import FloatImage
from data_tools.illumination.profiles import NpyFile, Profile
from data_tools.readers.channel_names import renamed
from data_tools.readers.plates.base import READERS, Export, ImageRef, assemble
from data_tools.readers.plates.facts import pixel_size_of
from data_tools.readers.plates.options import SizedPixels
from data_tools.readers.plates.places import ImageFile, RemoteImage
from data_tools.readers.problem import Problem
from data_tools.readers.recognition import Claim, Sight, Undecided
from data_tools.wells import normalise_well
from framework.errors import InputError, WellstreamError, did_you_mean
from framework.files.delimited import TextTable, read_text_table

_ORIG = re.compile(r"^(URL|FileName|PathName)_(Orig|Illum)(.+)$")
_MOST_TABLE, _MOST_ILLUM = 1 << 30, 1 << 30
_MOST_SITE = 32_767
_WHAT = "a load_data.csv"


class GalleryConfig(SizedPixels):
    """One plate of a ``load_data.csv``.

    Attributes:
        path: the load_data.csv (or .csv.gz), a path or a URL.
        plate: the plate to read, where the table has several; or its name, where the table has no Metadata_Plate.
        channel_names: ``DNA: Hoechst``: other names for the channels of the columns.
        pixel_size_um: edge of a pixel; the table does not state it.
    """

    name: Literal["gallery"] = "gallery"
    replace: dict[str, str] = Field(default={})
    """Beginnings of paths or URLs, and what to put there: ``{/home/ubuntu/bucket: s3://cellpainting-gallery}``."""
    illum: str | None = Field(default=None, min_length=1)
    """Folder (or URL) with ``<plate>_Illum<Channel>.npy``."""
    anonymous: bool = True
    """Whether to ask for URLs without credentials."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for a ``load_data.csv``, and for illumination functions beside it."""
        tables = [name for name in sight.ending(".csv", ".csv.gz") if name.rpartition("/")[2].startswith("load_data")]
        if not tables:
            return ""
        options = {"path": str(sight.root / tables[0])}
        functions = [name for name in sight.ending(".npy") if "_Illum" in name.rpartition("/")[2]]
        if functions:
            options["illum"] = str((sight.root / functions[0]).parent)
        return Claim(options=options, rank="own list", why=f"{tables[0]} names images")


@dataclass(frozen=True, kw_only=True)
class _RemoteNpy:
    """An illumination function behind a URL."""

    url: str
    anonymous: bool

    def image(self, shape: tuple[int, int]) -> FloatImage:
        """Fetch it; its bytes are read as those of a file."""
        with _local(self.url, _MOST_ILLUM, "an illumination function (.npy)", self.anonymous) as file:
            return np.asarray(NpyFile(file=file).image(shape))

    def state(self) -> str:
        """Return its URL."""
        return self.url


@READERS.register("gallery", GalleryConfig)
def read_gallery(config: GalleryConfig) -> Export:
    """List the images that a ``load_data.csv`` names.

    Raises:
        InputError: no table, a column that is missing, several plates and none chosen, or a row whose well, site or
            name is none; names the line.
    """
    table = _table(config)
    plate, rows = _rows(config, table)
    channels = _channels(config, table)
    places = _Places(config, table.file.parent, remote_table=is_url(config.path))
    refs, problems = [], []
    for row in rows:
        well, site = _well(table, row), _site(table, row)
        for column, channel in channels.items():
            file = places.find(table, row, "Orig", column)
            if file is None or not places.is_there(file):
                problems.append(_missing(table, row, file, plate, well, site, channel))
            else:
                refs.append(ImageRef(plate=plate, well=well, site=site, channel=channel, file=file))
    first = next((ref.file for ref in refs if isinstance(ref.file, Path)), None)
    size, size_notes = pixel_size_of(first, config.pixel_size_um)
    there = f"{config.path}: plate {plate}: {len(rows)} of {len(table)} rows, channels {', '.join(channels.values())}"
    return assemble(
        plate=plate,
        refs=refs,
        channels=tuple(channels.values()),
        problems=problems,
        pixel_size_um=size,
        notes=(there, *table.notes, *places.notes(), *size_notes),
        profiles=_profiles(config, table, rows, channels, places, plate),
    )


def _table(config: GalleryConfig) -> TextTable:
    if not is_url(config.path):
        path = Path(config.path)
        if path.is_dir():
            found = sorted(path.glob("load_data*.csv*"))
            if len(found) != 1:
                shown = ", ".join(file.name for file in found[:4]) or "none"
                raise InputError(
                    f"{path}: expected one load_data.csv in this folder, found {shown}; write it in 'path:'"
                )
            path = found[0]
        return read_text_table(path, what=_WHAT)
    with _local(config.path, _MOST_TABLE, _WHAT, config.anonymous) as file:
        return read_text_table(file, what=_WHAT)


@contextmanager
def _local(url: str, most: int, what: str, anonymous: bool) -> Iterator[Path]:
    """Give the bytes of a URL as a file; messages name the URL."""
    try:
        data = fetch(url, most, anonymous=anonymous)
    except FileNotFoundError:
        raise InputError(f"{url}: no such file; expected {what}") from None
    except InputError as error:
        raise InputError(f"{url}: {error}" if url not in str(error) else str(error)) from None
    with tempfile.TemporaryDirectory(prefix="wellstream-") as folder:
        file = Path(folder) / (url.rpartition("/")[2] or "file")
        file.write_bytes(data)
        try:
            yield file
        except WellstreamError as error:
            raise InputError(str(error).replace(str(file), url)) from None


def _rows(config: GalleryConfig, table: TextTable) -> tuple[str, list[int]]:
    """Return the plate, and its rows."""
    if not len(table):
        raise InputError(f"{table.file}: the table has no row; expected one per field of view")
    if "Metadata_Plate" not in table.names:
        if config.plate is None:
            raise InputError(f"{table.file}: no column 'Metadata_Plate'; name the plate with 'plate:'")
        return config.plate, list(range(len(table)))
    plates = [text.strip() for text in table.column("Metadata_Plate")]
    names = sorted(set(plates))
    plate = config.plate if config.plate is not None else names[0]
    if config.plate is None and len(names) > 1:
        more = " ..." if len(names) > 6 else ""
        text = f"{table.file}: holds {len(names)} plates ({', '.join(names[:6])}{more}); choose one with 'plate:'"
        raise Undecided(text, "plate", names, each=True)
    rows = [row for row, name in enumerate(plates) if name == plate]
    if not rows or not plate:
        raise InputError(
            f"{table.file}: no row of plate '{plate}'; it holds {', '.join(names[:6])}{did_you_mean(plate, names)}"
        )
    return plate, rows


def _channels(config: GalleryConfig, table: TextTable) -> dict[str, str]:
    """Return what columns call each channel -> its name."""
    found: dict[str, set[str]] = {}
    for name in table.names:
        match = _ORIG.match(name)
        if match and match[2] == "Orig":
            found.setdefault(match[3], set()).add(match[1])
    whole = [name for name, kinds in found.items() if "URL" in kinds or "FileName" in kinds]
    if not whole:
        raise InputError(
            f"{table.file}: no column of images; expected URL_OrigDNA, or FileName_OrigDNA with PathName_OrigDNA, "
            f"found {', '.join(table.names[:8])}"
        )
    return renamed(whole, config.channel_names, str(table.file))


def _well(table: TextTable, row: int) -> str:
    try:
        return normalise_well(table.column("Metadata_Well")[row])
    except InputError as error:
        if str(error).startswith(str(table.file)):
            raise
        raise InputError(f"{table.where(row)}: Metadata_Well: {error}") from None


def _site(table: TextTable, row: int) -> int:
    text = table.column("Metadata_Site")[row].strip()
    if not (text.isascii() and text.isdigit() and int(text) <= _MOST_SITE):
        raise InputError(f"{table.where(row)}: Metadata_Site: expected a whole number, found '{text[:40]}'")
    return int(text)


class _Places:
    """Where the images lie; folders behind a URL are listed once."""

    def __init__(self, config: GalleryConfig, base: Path, *, remote_table: bool) -> None:
        self.config, self.remote_table = config, remote_table
        self.base = base
        self._folders: dict[str, dict[str, RemoteFacts] | None] = {}

    def find(self, table: TextTable, row: int, kind: str, column: str) -> ImageFile | None:
        """Return the place that a row names, None where its cell is blank."""
        text = self.text(table, row, kind, column)
        if text is None:
            return None
        if is_url(text):
            try:
                check_url(text)
            except InputError as error:
                raise InputError(f"{table.where(row)}: {error}") from None
            return RemoteImage(url=text, facts=self._facts(text), anonymous=self.config.anonymous)
        if self.remote_table:
            raise InputError(
                f"{table.where(row)}: names {text}, a path on the machine that made the table; say where the "
                "images are with 'replace: {BEGINNING: URL}'"
            )
        return Path(text) if os.path.isabs(text) else self.base / text

    def text(self, table: TextTable, row: int, kind: str, column: str) -> str | None:
        """Return what a row names, with the beginnings that the config replaces."""
        url, name, path = (f"{part}_{kind}{column}" for part in ("URL", "FileName", "PathName"))
        if url in table.names:
            text = str(table.column(url)[row]).strip()
        else:
            text = str(table.column(name)[row]).strip()
            folder = str(table.column(path)[row]).strip() if path in table.names else ""
            text = f"{folder.rstrip('/')}/{text}" if folder and text else text
        if not text:
            return None
        if "\0" in text:
            raise InputError(f"{table.where(row)}: a NUL byte in the name of an image")
        for start, other in self.config.replace.items():
            if text.startswith(start):
                return other + text[len(start) :]
        return text.removeprefix("file:") if text.startswith("file:/") else text

    def is_there(self, file: ImageFile) -> bool:
        """Whether an image exists, as far as a listing of its folder tells."""
        if isinstance(file, Path):
            return file.exists()
        folder, _, name = str(file).rpartition("/")
        names = self._listing(folder)
        return names is None or name in names

    def _listing(self, folder: str) -> dict[str, RemoteFacts] | None:
        if folder not in self._folders:
            self._folders[folder] = listed(folder, anonymous=self.config.anonymous)
        return self._folders[folder]

    def _facts(self, url: str) -> str:
        folder, _, name = url.rpartition("/")
        facts = (self._listing(folder) or {}).get(name)
        return "" if facts is None else f"{facts.size} {facts.stamp}"

    def notes(self) -> tuple[str, ...]:
        """Say which servers give no listing: there a missing image is found only when it is read."""
        silent = [folder for folder, names in self._folders.items() if names is None]
        if not silent:
            return ()
        return (f"{silent[0]}: {len(silent)} folders cannot be listed, so an image that is missing there is met later",)


def _missing(
    table: TextTable, row: int, file: ImageFile | None, plate: str, well: str, site: int, channel: str
) -> Problem:
    what = (
        f"{table.where(row)}: names no image" if file is None else f"{file}: no such file, named by {table.where(row)}"
    )
    return Problem(
        plate=plate,
        well=well,
        site=site,
        file=None if file is None else str(file),
        reason="missing_image",
        detail=f"{what}; plate {plate} well {well} site {site} channel '{channel}'; correct the table or 'replace', or "
        "set 'on_error: skip' to leave the site out",
    )


def _profiles(
    config: GalleryConfig, table: TextTable, rows: list[int], channels: dict[str, str], places: _Places, plate: str
) -> dict[str, dict[str, Profile]]:
    """Return the illumination functions of the plate that the config or the table name."""
    found: dict[str, dict[str, Profile]] = {}
    for column, channel in channels.items():
        if config.illum is not None:
            named = f"{config.illum.rstrip('/')}/{plate}_Illum{column}.npy"
        elif f"URL_Illum{column}" in table.names or f"FileName_Illum{column}" in table.names:
            named = places.text(table, rows[0], "Illum", column) or ""
        else:
            continue
        if is_url(named):
            found[channel] = {"": _RemoteNpy(url=named, anonymous=config.anonymous)}
        elif Path(named).is_file():
            found[channel] = {"": NpyFile(file=Path(named).absolute())}
    return found
