"""How readers recognise an export: the option class of each reader is asked about a folder, given as a ``Sight``.

Nobody lists readers: ``recognised`` asks the options of every entry of a registry, builds the reader with the options
that it gave, and answers what the reader asks back (``Undecided``). So what is said of an export is what the reader
itself read of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import ValidationError

from framework.errors import InputError, RegistryError, WellstreamError
from framework.registry import Registry

_MOST_NAMES = 200_000
_MOST_TURNS = 12
_ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")
Rank = Literal["own list", "own names", "any names"]
RANKS: tuple[Rank, ...] = ("own list", "own names", "any names")
"""How sure a reader is: a list of images that this vendor alone writes, names that it alone gives, or names in which
well, site and channel can be told apart."""


class Undecided(InputError):
    """An export that can be read once a key of its reader is set, and what there is to choose from.

    Attributes:
        key: key of the reader's options.
        values: to choose from.
        each: every value is a plate of its own; else one is read and ``values[0]`` is the one to begin with.
    """

    def __init__(self, text: str, key: str, values: Sequence[Any], *, each: bool = False) -> None:
        super().__init__(text)
        self.key, self.values, self.each = key, tuple(values), each

    def __reduce__(self) -> tuple[Any, ...]:
        return _undecided, (str(self), self.key, self.values, self.each)


def _undecided(text: str, key: str, values: Sequence[Any], each: bool) -> Undecided:
    return Undecided(text, key, values, each=each)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """A folder (or file) as all readers see it; listed once.

    Attributes:
        path: as the user wrote it.
    """

    path: str

    @property
    def root(self) -> Path:
        """The folder, or the one that holds the file."""
        place = Path(self.path)
        return place.parent if place.is_file() else place

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the files below, relative with ``/``, sorted; at most 200,000.

        Folders of a Zarr are named with ``/`` at the end, and not entered.
        """
        if Path(self.path).is_file():
            return (Path(self.path).name,)
        found: list[str] = []
        for folder, inside, files in os.walk(self.root):
            below = os.path.relpath(folder, self.root)
            start = "" if below == "." else f"{below}/"
            if any(mark in files for mark in _ZARR_MARKS):
                found.append(start or "./")
                inside.clear()
                continue
            inside[:] = sorted(name for name in inside if not name.startswith("."))
            found += [start + name for name in files if not name.startswith(".")]
            if len(found) >= _MOST_NAMES:
                break
        return tuple(sorted(found[:_MOST_NAMES]))

    def ending(self, *suffixes: str) -> list[str]:
        """Return the names that end so, in any case."""
        return [name for name in self.names if name.lower().endswith(suffixes)]

    def called(self, *names: str) -> list[str]:
        """Return the files that are called so, in any folder."""
        return [name for name in self.names if name.rpartition("/")[2] in names]

    @property
    def images(self) -> list[str]:
        """TIFFs, without thumbnails."""
        return [name for name in self.ending(".tif", ".tiff") if "_thumb" not in name.lower()]

    def kinds(self) -> str:
        """Return what there is, in words: how many files of which ending."""
        counts: dict[str, int] = {}
        for name in self.names:
            last = name.rpartition("/")[2]
            kind = "Zarr folders" if name.endswith("/") else (Path(last).suffix.lower() or "files without an ending")
            counts[kind] = counts.get(kind, 0) + 1
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return ", ".join(f"{count} {kind}" for kind, count in ordered[:6]) or "nothing"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A folder that a reader takes for an export of its kind.

    Attributes:
        options: for its config, without ``name``.
        rank: how sure it is.
        why: what it saw, as a part of a sentence.
    """

    options: Mapping[str, Any]
    rank: Rank
    why: str

    @property
    def place(self) -> int:
        """Its rank as a number, 0 for the surest."""
        return RANKS.index(self.rank)


class KnowsExports:
    """Base of the options of a reader that knows exports of its kind when it sees them."""

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Return the claim of a reader, or why the folder is none of its exports; empty where nothing is like one."""
        return ""


def by_names(sight: Sight, fits: Callable[[str], Any], example: str, options: Mapping[str, Any]) -> Claim | str:
    """Return the claim of a reader whose images are known by their names alone.

    Args:
        sight: sight of the folder.
        fits: whether the name of a file (without its folder) is one of them.
        example: such a name.
        options: options of the claim.
    """
    images = sight.images
    found = [name for name in images if fits(name.rpartition("/")[2])]
    if not found:
        return f"no image has a name like {example}" if images else ""
    if 2 * len(found) < len(images):
        return f"only {len(found)} of {len(images)} images are named as {example}"
    return Claim(options=options, rank="own names", why=f"{len(found)} images named as {example}")


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A key that was set because the export can be read in several ways.

    Attributes:
        key: key of the reader's options.
        taken: its value.
        others: what there is besides.
        said: the sentence of the reader.
    """

    key: str
    taken: Any
    others: tuple[Any, ...]
    said: str


@dataclass(frozen=True, kw_only=True)
class Opened(Generic[T]):
    """An export as its reader opened it.

    Attributes:
        options: options of the reader, with ``name``.
        listing: what the reader listed.
        choices: what was chosen on the way.
    """

    options: Mapping[str, Any]
    listing: T
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recognised(Generic[T]):
    """What one reader made of a folder.

    Attributes:
        reader: its name.
        claim: why it takes the folder for its own; None where it does not.
        opened: the plates (or exports) that it read.
        refused: why not, or why an export that is its own cannot be read.
    """

    reader: str
    claim: Claim | None = None
    opened: tuple[Opened[T], ...] = ()
    refused: str = ""


def recognised(
    registry: Registry[Any], sight: Sight, read: Callable[[Any], T], only: str | None = None
) -> list[Recognised[T]]:
    """Ask every reader of a registry. The surest come first; readers that find nothing like their exports are left out.

    Args:
        registry: registry of readers.
        sight: sight of the folder.
        read: gives the listing of a config.
        only: the one reader to ask.
    """
    answers: list[Recognised[T]] = []
    for name in registry.names() if only is None else [only]:
        options = registry.get(name).config
        answer = options.recognise(sight) if issubclass(options, KnowsExports) else ""
        if isinstance(answer, str):
            answers += [Recognised(reader=name, refused=answer)] if answer else []
        else:
            answers.append(_opened(name, options, answer, read))
    return sorted(answers, key=lambda one: (not one.opened, one.claim.place if one.claim else len(RANKS)))


def _opened(name: str, model: type[Any], claim: Claim, read: Callable[[Any], T]) -> Recognised[T]:
    waiting: list[tuple[dict[str, Any], tuple[Choice, ...]]] = [({"name": name, **claim.options}, ())]
    opened: list[Opened[T]] = []
    refused = ""
    while waiting:
        options, choices = waiting.pop(0)
        try:
            opened.append(Opened(options=options, listing=read(model(**options)), choices=choices))
        except Undecided as error:
            if len(choices) >= _MOST_TURNS or error.key in options:
                refused = refused or str(error)
            elif error.each:
                waiting += [({**options, error.key: value}, choices) for value in error.values]
            else:
                taken, *others = error.values
                made = Choice(key=error.key, taken=taken, others=tuple(others), said=str(error))
                waiting.append(({**options, error.key: taken}, (*choices, made)))
        except (WellstreamError, ValidationError) as error:
            refused = refused or str(error)
    return Recognised(reader=name, claim=claim, opened=tuple(opened), refused=refused)


def refusals(answers: Iterable[Recognised[Any]]) -> list[str]:
    """Return a sentence for each reader that nearly recognised the folder."""
    return [
        f"{one.reader}: {f'{one.claim.why}, but ' if one.claim else ''}{one.refused}"
        for one in answers
        if one.refused and not one.opened
    ]


def check_reader(registry: Registry[Any], name: str) -> None:
    """Refuse a name that no reader has. Raises InputError."""
    try:
        registry.get(name)
    except RegistryError as error:
        raise InputError(str(error)) from None
