"""Flat-fields that stand in an export: what a reader found, made an image where it is needed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data_tools.illumination.base import FloatImage
from framework.errors import InputError
from framework.files.npz import load_npy

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = rf"\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]"
_MOST_DEGREE = 12
_MOST_PX = 1 << 16


class Profile(Protocol):
    """A flat-field of one channel, in any unit."""

    def image(self, shape: tuple[int, int]) -> FloatImage:
        """Return its value at every pixel, float32 (H, W).

        Raises:
            InputError: it cannot be read, or belongs to images of another shape.
        """
        ...

    def state(self) -> str:
        """Return what tells a changed profile from an unchanged one."""
        ...


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """A polynomial as Harmony writes it: the sum over n, i of ``coefficients[n][i] * x**(n - i) * y**i``.

    Attributes:
        coefficients: those of degree n in row n.
        dims: width and height in px of the images it was fitted to.
        origin: pixel (x, y) at which x and y are 0.
        scale: scale of x and y per pixel.
        where: file and channel, for messages.
    """

    coefficients: tuple[tuple[float, ...], ...]
    dims: tuple[int, int]
    origin: tuple[float, float]
    scale: tuple[float, float]
    where: str

    def image(self, shape: tuple[int, int]) -> FloatImage:
        """Return the polynomial at every pixel, float32 (H, W). Raises InputError: it is for images of other sizes."""
        if shape != self.dims[::-1]:
            raise InputError(
                f"{self.where}: the flat-field is for images of {self.dims[0]} x {self.dims[1]} px (width x height), "
                f"those of the export have {shape[1]} x {shape[0]} px; use another illumination method"
            )
        x = (np.arange(shape[1]) - self.origin[0])[None, :] * self.scale[0]
        y = (np.arange(shape[0]) - self.origin[1])[:, None] * self.scale[1]
        field = np.zeros(shape)
        for degree, terms in enumerate(self.coefficients):
            for i, value in enumerate(terms):
                field += value * x ** (degree - i) * y**i
        return field.astype(np.float32)

    def state(self) -> str:
        """Return all numbers of it."""
        return f"{self.coefficients} {self.dims} {self.origin} {self.scale}"


@dataclass(frozen=True, kw_only=True)
class NpyFile:
    """A flat-field in an ``.npy`` file, as CellProfiler writes its illumination functions."""

    file: Path

    def image(self, shape: tuple[int, int]) -> FloatImage:
        """Return the array of the file, float32 (H, W). Raises InputError: it has another shape, or no numbers."""
        array = load_npy(self.file, error=InputError, what="an illumination function (.npy)")
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise InputError(
                f"{self.file}: holds {array.dtype} {array.shape}, expected numbers {shape} as the images; "
                "correct 'illum', or use another illumination method"
            )
        return array.astype(np.float32)

    def state(self) -> str:
        """Return name, size and time of change of the file."""
        facts = self.file.stat()
        return f"{self.file} {facts.st_size} {facts.st_mtime_ns}"


@dataclass(frozen=True, kw_only=True)
class HarmonyProfile:
    """A profile as text in the index of a Harmony export; a flat one is 1 everywhere.

    Attributes:
        text: text of the channel.
        part: ``Background`` or ``Foreground``.
        where: file and channel, for messages.
    """

    text: str
    part: str
    where: str

    def image(self, shape: tuple[int, int]) -> FloatImage:
        """Return the polynomial at every pixel, float32 (H, W). Raises InputError: it is for images of other sizes."""
        polynomial = harmony_polynomial(self.text, self.part, self.where)
        return np.ones(shape, dtype=np.float32) if polynomial is None else polynomial.image(shape)

    def state(self) -> str:
        """Return all that is written of it."""
        return f"{self.part} {self.text}"


def harmony_polynomial(text: str, part: str, where: str) -> Polynomial | None:
    """Read one profile of the text that Harmony keeps per channel.

    Args:
        text: ``{Background: {..., Profile: {Coefficients: [[1.1], ...], Dims: [...], ...}}, Foreground: ...}``.
        part: ``Background`` or ``Foreground``.
        where: file and channel, for messages.

    Returns:
        The polynomial; None where there is none of this part.

    Raises:
        InputError: a profile that cannot be read.
    """
    start = re.search(rf"\b{part}\s*:\s*{{", text)
    if start is None:
        return None
    rest = text[start.end() :]
    other = re.search(r"\b(?:Background|Foreground)\s*:\s*{", rest)
    rest = rest[: other.start()] if other else rest
    if "Profile" not in rest:
        return None
    table = re.search(r"Coefficients\s*:\s*\[((?:\s*\[[^\[\]]*\]\s*,?)+)\s*\]", rest)
    pairs = {name: re.search(rf"\b{name}\s*:\s*{_PAIR}", rest) for name in ("Dims", "Origin", "Scale")}
    rows = re.findall(r"\[([^\[\]]*)\]", table[1]) if table else []
    try:
        terms = tuple(tuple(float(cell) for cell in row.split(",")) for row in rows)
        dims, origin, scale = ((float(found[1]), float(found[2])) for found in pairs.values() if found)
    except ValueError:
        terms, dims, origin, scale = (), (0, 0), (0, 0), (0, 0)
    good = (
        0 < len(terms) <= _MOST_DEGREE
        and all(len(row) == degree + 1 for degree, row in enumerate(terms))
        and all(math.isfinite(value) for row in (*terms, origin, scale) for value in row)
        and all(edge == int(edge) and 0 < edge < _MOST_PX for edge in dims)
    )
    if not good:
        raise InputError(
            f"{where}: the flat-field profile cannot be read: expected Coefficients, Dims, Origin and Scale of a "
            f"polynomial, found '{rest[:120].strip()}'; use another illumination method"
        )
    return Polynomial(coefficients=terms, dims=(int(dims[0]), int(dims[1])), origin=origin, scale=scale, where=where)
