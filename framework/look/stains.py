"""Which channel shows nuclei, as far as its name tells."""

from __future__ import annotations

from collections.abc import Sequence

_NUCLEUS_NAMES = ("hoechst", "dapi", "dna", "draq", "nucle", "h33342", "sytox")


def nucleus_channel(channels: Sequence[str]) -> int | None:
    """Return the place of the first channel that is called as a stain of nuclei; None where none is."""
    named = (place for place, name in enumerate(channels) if any(part in name.lower() for part in _NUCLEUS_NAMES))
    return next(named, None)
