"""Which channels show nuclei, and which are transmitted light, as far as their names tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUCLEUS_NAMES = ("hoechst", "dapi", "dna", "draq", "nucle", "h33342", "sytox")
_TRANSMITTED = re.compile(
    r"bright.?field|phase|transmitted|(?<![a-z])(bf|dic|dpc|pcm|tl|trans)(?![a-z])", re.IGNORECASE
)


def nucleus_channel(channels: Sequence[str]) -> int | None:
    """Return the place of the first channel that is called as a stain of nuclei; None where none is."""
    named = (place for place, name in enumerate(channels) if any(part in name.lower() for part in _NUCLEUS_NAMES))
    return next(named, None)


def is_transmitted(channel: str) -> bool:
    """Return whether a channel is called as light that passes the cells, whose background is bright."""
    return _TRANSMITTED.search(channel) is not None
