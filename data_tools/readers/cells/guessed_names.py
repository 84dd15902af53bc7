"""Guesses name patterns for folders of cropped cells: one file per cell, or one per cell and channel.

What is guessed stands in the config that ``wellstream init`` writes, where it can be read and corrected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_tools.formats.tiff import Tiff
from data_tools.readers.recognition import Claim, Sight
from framework.errors import WellstreamError

_LEAST_CELLS = 4
_MOST_PX = 512
"""Edge of an image that is taken for a crop of a cell."""
_MOST_CHANNELS = 12
_TIFF = r"\.tiff?"
_LAST = re.compile(r"(.+)([_-])([A-Za-z][A-Za-z0-9]*)")


def crop_size(sight: Sight) -> tuple[int, int, int] | None:
    """Return (pages, H, W) of the first and the last image of a folder where both are crops; None where not."""
    found = []
    for name in dict.fromkeys((sight.images[0], sight.images[-1])):
        try:
            pages = Tiff(Path(sight.root, name)).images
        except WellstreamError:
            return None
        count = len(pages) if len(pages) > 1 else (pages[0].shape[2] if len(pages[0].shape) == 3 else 1)
        found.append((count, pages[0].shape[0], pages[0].shape[1]))
    alike = len({count for count, _, _ in found}) == 1
    return found[0] if alike and all(max(size[1:]) <= _MOST_PX for size in found) else None


def multipage_claim(sight: Sight) -> Claim | str:
    """Return the claim on one TIFF per cell whose pages are channels."""
    if len(sight.images) < _LEAST_CELLS:
        return ""
    size = crop_size(sight)
    if size is None or size[0] < 2:
        return ""
    folder, stems = _parts(sight.images)
    if folder is None:
        return "its TIFFs lie in folders of several levels; write 'pattern' by hand (docs/images.md)"
    pattern = f"{folder}{_cell_of(stems)}{_TIFF}"
    options = {"path": sight.path, "pattern": pattern, "channels": [f"page{place + 1}" for place in range(size[0])]}
    seen = f"{len(sight.images)} small TIFFs of {size[0]} pages, {size[2]} x {size[1]} px"
    why = f"{seen}: one per cell, its channels as pages (call them by their stains under 'channels')"
    return Claim(options=options, rank="any names", why=why)


def crops_claim(sight: Sight) -> Claim | str:
    """Return the claim on one TIFF per cell and channel, with the channel at the end of the name."""
    if len(sight.images) < _LEAST_CELLS:
        return ""
    size = crop_size(sight)
    if size is None or size[0] > 1:
        return ""
    folder, stems = _parts(sight.images)
    if folder is None:
        return "its TIFFs lie in folders of several levels; write 'pattern' by hand (docs/tables.md)"
    ends = [_LAST.fullmatch(stem) for stem in stems]
    counts = Counter(found[3] for found in ends if found)
    marks = {found[2] for found in ends if found}
    if None in ends or not 1 < len(counts) <= _MOST_CHANNELS or len(marks) > 1 or len(set(counts.values())) > 1:
        seen = f"no channel stands at the end of the names of its small TIFFs, as of {sight.images[0]}"
        return f"{seen}; write 'pattern' by hand"
    channels = "|".join(sorted(counts))
    pattern = f"{folder}(?P<cell>[^/]+){marks.pop()}(?P<channel>{channels}){_TIFF}"
    seen = f"{len(stems)} small TIFFs of {len(stems) // len(counts)} cells, {size[2]} x {size[1]} px"
    why = f"{seen}, one per channel ({', '.join(sorted(counts))})"
    return Claim(options={"path": sight.path, "pattern": pattern}, rank="any names", why=why)


def _parts(names: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the pattern of the folders, None where they have several levels, and the names without ending."""
    levels = {name.count("/") for name in names}
    stems = [Path(name).stem for name in names]
    folder = {0: "", 1: "(?P<folder>[^/]+)/"}.get(levels.pop()) if len(levels) == 1 else None
    return folder, stems


def _cell_of(stems: Sequence[str]) -> str:
    """Return the group of the cell: the number at the end where names differ in it alone, else the whole name."""
    start = re.sub(r"\d+$", "", stems[0])
    if all(stem.startswith(start) and stem[len(start) :].isdecimal() for stem in stems):
        return rf"{re.escape(start)}(?P<cell>\d+)"
    return "(?P<cell>[^/]+)"
