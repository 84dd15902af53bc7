"""Checks of the names of channels that a config gives, the same for plates and for cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping


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
        example: of such keys, for the sentence.

    Raises:
        ValueError: a key that no file can have, or two channels with one name.
    """
    bad = [name for name in names if not re.fullmatch(key, name)]
    if bad:
        raise ValueError(f"'channel_names' has the key '{bad[0]}'; expected {example}, ... as in the file names")
    check_distinct(names.values(), "channel_names")
