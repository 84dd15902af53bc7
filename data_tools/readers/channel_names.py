"""The names of channels that a config gives, and their checks: the same for every reader."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from framework.errors import InputError, did_you_mean


def check_distinct(names: Collection[str], key: str) -> None:
    """Refuse a config whose ``key`` gives two channels the same name.

    Raises:
        ValueError: it does.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"'{key}' gives two channels the same name")


def check_channel_names(names: Mapping[str, str], key: str, example: str) -> None:
    """Check the option ``channel_names`` of a reader.

    Args:
        names: file's name of a channel -> the name people use.
        key: regular expression of what the files call a channel.
        example: example of such keys, for the sentence.

    Raises:
        ValueError: a key that no file can have, or two channels with one name.
    """
    bad = [name for name in names if not re.fullmatch(key, name)]
    if bad:
        raise ValueError(f"'channel_names' has the key '{bad[0]}'; expected {example}, ... as in the file names")
    check_distinct(names.values(), "channel_names")


def need_distinct(names: Mapping[str, str], where: str) -> None:
    """Refuse channels that share a name, since channels are chosen by name.

    Args:
        names: what the files call a channel -> its name.
        where: the export, and the plate where it may hold several.

    Raises:
        InputError: two have one name.
    """
    twice = next((name for name, count in Counter(names.values()).items() if count > 1), None)
    if twice is not None:
        alike = [key for key, name in names.items() if name == twice]
        example = ", ".join(f"{key}: ..." for key in alike[:2])
        raise InputError(
            f"{where}: channels {', '.join(alike)} are all called '{twice}', and channels are chosen by name; "
            f"name them with 'channel_names: {{{example}}}'"
        )


def renamed(stated: Sequence[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the channels of an export, each with the name that a config gives it, in their order.

    Args:
        stated: what the export calls them, no two alike.
        given: the option ``channel_names``.
        where: the export, for messages.

    Raises:
        InputError: a channel that is not there, or two with one name.
    """
    unknown = sorted(set(given) - set(stated))
    if unknown:
        raise InputError(
            f"{where}: 'channel_names' names {', '.join(unknown)}, but the channels are "
            f"{', '.join(stated)}{did_you_mean(unknown[0], stated)}"
        )
    names = {name: given.get(name, name) for name in stated}
    need_distinct(names, where)
    return names
