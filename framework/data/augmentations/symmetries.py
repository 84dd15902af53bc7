"""``symmetries``: tiles mirrored and turned, as a square may be."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from pydantic import SerializerFunctionWrapHandler, model_serializer

from framework.data.augmentations.base import AUGMENTATIONS, AugmentConfig
from framework.data.batch import sent
from framework.data.permutation import I64, hash_u64
from framework.errors import RunError

ROWS, COLUMNS, TRANSPOSE = 1, 2, 4


class SymmetriesConfig(AugmentConfig):
    """``data.augment: {flip: true, rotate90: true}``, the entry of a mapping without ``name``; written back without it.

    Attributes:
        flip: mirror up-down and left-right, each with probability 1/2.
        rotate90: turn by 0, 90, 180 or 270 degrees, equally likely; needs square tiles.
    """

    name: Literal["symmetries"] = "symmetries"
    flip: bool = False
    rotate90: bool = False

    @property
    def is_idle(self) -> bool:
        """Whether both are off."""
        return not (self.flip or self.rotate90)

    @model_serializer(mode="wrap")
    def _without_its_name(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return {key: value for key, value in plain.items() if key != "name"}


@AUGMENTATIONS.register("symmetries", SymmetriesConfig)
def symmetries(tiles: torch.Tensor, positions: I64, key: int, options: SymmetriesConfig) -> torch.Tensor:
    """Flip and turn each tile by a code that depends on ``key`` and its position alone.

    Args:
        tiles: (n, C, H, W) of any type.
        positions: int64 (n,), place of each tile in the GLOBAL step, so that any world size sees the same pixels.
        key: key of the step.
        options: which symmetries.

    Returns:
        The same shape and type; ``tiles`` itself when there is nothing to do.

    Raises:
        RunError: turns of tiles that are not square.
    """
    if options.is_idle:
        return tiles
    if options.rotate90 and tiles.shape[-1] != tiles.shape[-2]:
        raise RunError(
            f"augment.rotate90 needs square tiles, these have {tiles.shape[-2]} x {tiles.shape[-1]} px; set it to false"
        )
    codes = (hash_u64(key, positions) & np.uint64(7)).astype(np.int64)
    # Copies of uint16 are not offered on every device; copies of the same bits are.
    source = tiles.view(torch.int16) if tiles.dtype == torch.uint16 else tiles
    # Sorted by code, equal ones are turned together; two orders then go to a device, not one for each code.
    order = np.argsort(codes, kind="stable")
    ordered = source.index_select(0, sent(torch.from_numpy(order), source.device))
    result = torch.empty_like(ordered)
    present, first = np.unique(codes[order], return_index=True)
    for code, start, stop in zip(present.tolist(), first.tolist(), [*first[1:].tolist(), len(codes)], strict=True):
        result[start:stop] = turned(ordered[start:stop], code, options)
    back = sent(torch.from_numpy(np.argsort(order)), source.device)
    return result.index_select(0, back).view(tiles.dtype)


def turned(tiles: torch.Tensor, code: int, options: SymmetriesConfig) -> torch.Tensor:
    """Return tiles (..., S, S) as three bits say: mirror rows, mirror columns, transpose.

    All eight codes together are the symmetries of the square.
    """
    rows, columns, transpose = bool(code & ROWS), bool(code & COLUMNS), bool(code & TRANSPOSE)
    if not options.rotate90:
        transpose = False
    elif not options.flip:
        # Turns alone: transposing and mirroring one axis is a quarter turn, mirroring both a half turn.
        columns = rows ^ transpose
    if transpose:
        tiles = tiles.transpose(-1, -2)
    axes = [axis for axis, mirrored in ((-2, rows), (-1, columns)) if mirrored]
    return tiles.flip(axes) if axes else tiles
