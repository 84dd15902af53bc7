"""Which channels show nuclei, which are transmitted light, and in which colour dyes shine, as far as names tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUCLEUS_NAMES = ("hoechst", "dapi", "dna", "draq", "nucle", "h33342", "sytox")
_TRANSMITTED = re.compile(
    r"bright.?field|phase|transmitted|(?<![a-z])(bf|dic|dpc|pcm|tl|trans)(?![a-z])", re.IGNORECASE
)

_DYES = {
    "green": re.compile(r"(?<![a-z])green(?![a-z])|gfp|fitc|neongreen|488|(?<![a-z])cy2(?!\d)", re.IGNORECASE),
    "red": re.compile(
        r"(?<![a-z])red(?![a-z])|rfp|cherry|tritc|tomato|texas|rhod|cy3(?!\d)|(?<!\d)(546|555|561|568|594)(?!\d)",
        re.IGNORECASE,
    ),
    "yellow": re.compile(r"yellow|yfp|venus|citrine|(?<!\d)532(?!\d)", re.IGNORECASE),
    "magenta": re.compile(r"magenta|cy5|far.?red|irfp|(?<!\d)(633|640|647|660|680)(?!\d)", re.IGNORECASE),
}


def nucleus_channel(channels: Sequence[str]) -> int | None:
    """Return the place of the first channel that is called as a stain of nuclei; None where none is."""
    named = (place for place, name in enumerate(channels) if any(part in name.lower() for part in _NUCLEUS_NAMES))
    return next(named, None)


def is_transmitted(channel: str) -> bool:
    """Return whether a channel is called as light that passes the cells, whose background is bright."""
    return _TRANSMITTED.search(channel) is not None


def dye_colour(channel: str) -> str | None:
    """Return green, red, yellow or magenta for a channel called after a dye or laser that people know by its colour."""
    # irfp holds rfp, so the last colour is looked at first.
    return next((colour for colour, names in reversed(_DYES.items()) if names.search(channel)), None)
