"""Several measurements of one plate as one export: further wells, sites, or channels of the same sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from data_tools.illumination.profiles import Profile
from data_tools.readers.plates.base import Export, ImageRef, assemble
from framework.errors import InputError, did_you_mean, some_of

V = TypeVar("V")


def join_measurements(exports: Mapping[str, Export], rename: Mapping[str, Mapping[str, str]], where: str) -> Export:
    """Join exports; sites of one number are one place of the well.

    Args:
        exports: measurement -> its images.
        rename: measurement -> channel -> another name.
        where: they lie, for messages.

    Raises:
        InputError: they are of different plates or sizes of pixels, images of one channel of one site stand in two, or
            a channel to rename is not there.
    """
    plate = _the_same({name: export.plate for name, export in exports.items()}, "plates", "plate", where)
    size = _the_same({name: export.pixel_size_um for name, export in exports.items()}, "pixel sizes", "", where)
    owner: dict[tuple[str, int, str], str] = {}
    refs: list[ImageRef] = []
    channels: dict[str, None] = {}
    profiles: dict[str, Mapping[str, Profile]] = {}
    said = []
    for name, export in exports.items():
        names = _renamed(export, rename.get(name, {}), name, where)
        channels |= dict.fromkeys(names.values())
        profiles |= {names[channel]: found for channel, found in export.profiles.items()}
        for ref in export.refs:
            channel = names[ref.channel]
            first = owner.setdefault((ref.well, ref.site, channel), name)
            if first != name:
                raise InputError(
                    f"{where}: well {ref.well} site {ref.site} has images of channel '{channel}' in the "
                    f"measurements '{first}' and '{name}'; rename the channel of one of them, such as "
                    f"'rename: {{{name}: {{{ref.channel}: {ref.channel} 2}}}}'"
                )
            refs.append(replace(ref, channel=channel))
        said.append(f"'{name}' ({len(export.wells())} wells, {some_of(names.values())})")
    first_one = next(iter(exports.values()))
    return assemble(
        plate=plate,
        refs=refs,
        channels=tuple(channels),
        problems=[problem for export in exports.values() for problem in export.problems],
        pixel_size_um=size,
        rows=first_one.rows,
        columns=first_one.columns,
        notes=(
            *dict.fromkeys(note for export in exports.values() for note in export.notes),
            f"plate {plate}: joined from the measurements {', '.join(said)}; sites of one number are one place",
        ),
        profiles=profiles,
    )


def _renamed(export: Export, rename: Mapping[str, str], name: str, where: str) -> dict[str, str]:
    for channel in rename:
        if channel not in export.channels:
            raise InputError(
                f"{where}: 'rename' names channel '{channel}' of measurement '{name}', which has "
                f"{some_of(export.channels)}" + did_you_mean(channel, export.channels)
            )
    return {channel: rename.get(channel, channel) for channel in export.channels}


def _the_same(values: Mapping[str, V], what: str, key: str, where: str) -> V:
    first, *others = values.values()
    if any(value != first for value in others):
        listed = ", ".join(f"'{name}': {value}" for name, value in values.items())
        then = f"; if they are one, name it with '{key}:'" if key else "; ingest them as plates of their own"
        raise InputError(f"{where}: measurements of different {what} ({listed}) are not joined{then}")
    return first
