"""Whether the planes of a TIFF are the channels that a config names, held against what the file states of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.formats.image_axes import AxesError, StatedAxes
from data_tools.formats.stated_axes import stated_axes
from data_tools.formats.tiff import Tiff
from framework.errors import InputError, some_of

OTHERWISE = "write 'pages: channels' if the pages are the channels all the same, in the order of the file"
_NOT_CHANNELS = "not_channels"


class PlanesError(InputError):
    """Planes of a file that are not the channels which are asked for.

    Attributes:
        reason: short kind, ``not_channels`` or ``missing_channel``.
    """

    def __init__(self, text: str, reason: str = _NOT_CHANNELS) -> None:
        super().__init__(text)
        self.reason = reason


def first_statement(file: Path) -> StatedAxes | None:
    """Return what a file states, or None where it states nothing that can be used; reading it says what is wrong."""
    try:
        return stated_axes(Tiff(file))
    except (OSError, InputError):
        return None


def statement_notes(file: str, stated: StatedAxes | None, channels: Sequence[str]) -> tuple[str, ...]:
    """Return sentences on what the first file of an export states of its channels."""
    if stated is None or stated.others:
        return ()
    notes = []
    if stated.order:
        shown = ", ".join(f"channel {number} is page {page + 1}" for number, page in enumerate(stated.order, start=1))
        notes.append(f"{file}: {stated.source} states another order of its pages, which is followed: {shown}")
    if len(stated.names) == len(channels) and tuple(stated.names) != tuple(channels):
        pairs = [f"{name} is '{other}'" for other, name in zip(stated.names, channels, strict=True) if other != name]
        notes.append(f"{file}: {stated.source} has other names for the channels: {', '.join(pairs)}")
    return tuple(notes)


def channel_order(tiff: Tiff, channels: Sequence[str], usual: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the place of each channel among the images of a file, empty where that is the order of the file.

    Args:
        tiff: the file.
        channels: names in the config.
        usual: names that the first file of the export states for its channels.

    Raises:
        PlanesError: the file states that its planes are something else, or channels in other places.
    """
    try:
        stated = stated_axes(tiff)
    except AxesError as error:
        raise PlanesError(f"{error.what}; {OTHERWISE}") from None
    if stated is None:
        return ()
    if stated.others:
        raise PlanesError(
            f"{stated.shown}, as {stated.source} states, but 'channels' names {len(channels)} channel(s); "
            f"save one plane of each channel as a page, or {OTHERWISE}"
        )
    if _are_moved(stated.names, channels):
        raise PlanesError(
            f"{stated.source} names its channels {some_of(stated.names)}, but 'channels' has the order "
            f"{some_of(channels)}; correct 'channels', or {OTHERWISE}"
        )
    if usual and stated.names and not stated.are_labels and tuple(usual) != stated.names:
        raise PlanesError(
            f"{stated.source} names its channels {some_of(stated.names)}, but the first file of the export has "
            f"{', '.join(usual)}; read it as a source of its own, or {OTHERWISE}"
        )
    return stated.order


def _are_moved(stated: Sequence[str], channels: Sequence[str]) -> bool:
    """Return whether a name of ``channels`` stands in another place of the stated ones; capitals do not matter."""
    found = [name.casefold() for name in stated]
    wanted = [name.casefold() for name in channels]
    return any(name in found and found[place : place + 1] != [name] for place, name in enumerate(wanted))


def channel_planes(tiff: Tiff, order: Sequence[int], n: int, *, with_alpha: bool) -> list[npt.NDArray[Any]]:
    """Return the planes of a file, (H, W) each: its pages, or the samples of its only page.

    Args:
        tiff: the file.
        order: place of each plane among the images; empty for the order of the file.
        n: planes that there have to be.
        with_alpha: whether samples that are stated to be transparency count as planes.

    Raises:
        PlanesError: another number of planes.
        Exception: of many kinds, from the libraries, on pixels that are damaged.
    """
    page, pages = tiff.images[0], len(tiff.images)
    if pages > 1 and any(image.samples > 1 for image in tiff.images):
        most = max(image.samples for image in tiff.images)
        raise PlanesError(f"{pages} pages of {most} samples per pixel; save each channel as a page of one sample")
    kept = [sample for sample in range(page.samples) if with_alpha or sample not in page.alpha]
    found = pages if page.samples == 1 else len(kept)
    if found != n:
        what = f"{pages} pages" if page.samples == 1 else f"{found} samples per pixel"
        alpha = f" (beside {len(page.alpha)} of transparency)" if len(kept) < page.samples else ""
        way_out = "export it again" if not alpha else f"correct 'channels', or {OTHERWISE}"
        raise PlanesError(f"{what}{alpha}, and 'channels' names {n}; {way_out}", "missing_channel")
    if page.samples > 1:
        pixels = tiff.decode(page)
        return list(np.moveaxis(pixels, -1, 0)[kept])
    return [tiff.decode(tiff.images[place]) for place in order or range(pages)]
