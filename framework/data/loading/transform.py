"""From stored integers to what a network sees: scaling fixed at the start of a run, changes by numbers of the plan.

Stored tiles travel to the device as integers; everything here runs there, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import torch

from framework.data.augmentations import AUGMENTATIONS, AugmentConfig, SymmetriesConfig
from framework.data.augmentations.symmetries import COLUMNS, ROWS, TRANSPOSE, turned
from framework.data.permutation import I64, hash_u64
from framework.data.scales import SCALES, ScaleProfile, plane
from framework.errors import ConfigError, RunError, did_you_mean

Views: TypeAlias = Literal[1, 4, 8, "image2omics"]
VIEWS: Mapping[Views, tuple[int, ...]] = {
    1: (0,),
    4: (0, ROWS, COLUMNS, ROWS | COLUMNS),
    8: tuple(range(8)),
    "image2omics": (0, ROWS, COLUMNS, TRANSPOSE),
}
"""Sets of mirror images over which results can be averaged, as codes of ``symmetries.turned``. 1: as stored. 4: both
mirrors and their product, a half turn: the symmetries of a rectangle. 8: the same transposed too: those of the square.
``image2omics``: as stored, mirrored along H, along W, and transposed: the test-time augmentation in the code of Mehrizi
2023, four views that are not a group, so they do not make a prediction independent of how a tile is turned."""
_AUGMENT_STREAM, _AFTER_SCALE_STREAM = 101, 102


def scale(tiles: torch.Tensor, profile: ScaleProfile, out: torch.Tensor | None = None) -> torch.Tensor:
    """Scale stored tiles.

    Args:
        tiles: (..., C, H, W), uint8, uint16 or float32, on any device; never changed.
        profile: fitted for these channels.
        out: float32 of that shape, not the tiles themselves, to put the result in; None allocates.

    Returns:
        float32, the same shape.

    Raises:
        ValueError: another number of channels than the profile's.
    """
    if tiles.shape[-3] != len(profile.channels):
        raise ValueError(f"scale: expected {len(profile.channels)} channels, found tiles with {tiles.shape[-3]}")
    x = SCALES.get(profile.name).build(profile).apply(as_float(tiles, out))
    if not any(profile.floor):
        return x
    floor = plane(profile.floor, x)
    return x.sub_(floor).div_(1 - floor).clamp_(0, 1)


def as_float(tiles: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return a float32 copy of stored pixels of any shape, in ``out`` (of the same shape) where that is given."""
    if out is not None:
        return out.copy_(tiles)
    if tiles.dtype == torch.uint16 and tiles.device.type != "cpu":
        return from_signed(tiles.view(torch.int16))
    return tiles.to(torch.float32, copy=True)


def from_signed(bits: torch.Tensor) -> torch.Tensor:
    """Return the values of uint16 pixels (any shape) that are held as int16 bits, as float32.

    PyTorch computes with uint16 on few devices, and with int16 on all.
    """
    return bits.to(torch.float32).remainder_(65536.0)


def augment(tiles: torch.Tensor, positions: I64, key: int, changes: Sequence[AugmentConfig]) -> torch.Tensor:
    """Change each tile by each augmentation, in order, as ``key`` and its position alone say.

    Args:
        tiles: (n, C, H, W) of any type; never changed.
        positions: int64 (n,), place of each tile in the GLOBAL step, so that any world size sees the same pixels.
        key: key of the step; the second augmentation and those after it have keys made of it.
        changes: options of the augmentations.

    Returns:
        The same shape and type; ``tiles`` itself when there is nothing to do.

    Raises:
        RunError: an augmentation cannot change such tiles.
    """
    for number, options in enumerate(changes):
        own = key if number == 0 else int(hash_u64(key, number))
        tiles = AUGMENTATIONS.get(options.name).build(tiles, positions, own, options)
    return tiles


def need_views(given: int | str) -> Views:
    """Return the key of ``VIEWS`` that was asked for, as a number or as text.

    Raises:
        ConfigError: there is none.
    """
    for name in VIEWS:
        if str(name) == str(given):
            return name
    known = [str(name) for name in VIEWS]
    raise ConfigError(f"views: expected one of: {', '.join(known)}, found {given}{did_you_mean(str(given), known)}")


def views(tiles: torch.Tensor, which: Views) -> Iterator[torch.Tensor]:
    """Yield tiles as stored and mirrored, for predictions that are averaged over them.

    Args:
        tiles: (..., H, W).
        which: see ``VIEWS``.

    Raises:
        RunError: views that transpose, of tiles that are not square.
    """
    codes = VIEWS[which]
    if any(code & TRANSPOSE for code in codes) and tiles.shape[-1] != tiles.shape[-2]:
        raise RunError(
            f"views {which} need square tiles, these have {tiles.shape[-2]} x {tiles.shape[-1]} px; take 4 views"
        )
    for code in codes:
        yield turned(tiles, code, SymmetriesConfig(flip=True, rotate90=True)).contiguous()


def augment_key(seed: int, step: int, *, after_scale: bool = False) -> int:
    """Return the key of a step for ``augment``, of stored pixels or of scaled ones."""
    return int(hash_u64(seed, _AFTER_SCALE_STREAM if after_scale else _AUGMENT_STREAM, step))
