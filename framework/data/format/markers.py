"""What surface markers mean on both sides of IFC-seq: a range for each modality, and gates that name populations.

Imaging flow cytometry and CITE-seq measure the same proteins on unrelated scales. Co-registration brings each marker of
each modality into [0, 1] on its own (IFC-seq, "Predicting gene expression"); gates are rectangles drawn by an expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from framework.config import StrictModel
from framework.errors import InputError, did_you_mean

Floats: TypeAlias = npt.NDArray[np.float64]
MarkerTransform: TypeAlias = Literal["none", "log10p1"]


def transformed(values: npt.ArrayLike, transform: MarkerTransform) -> Floats:
    """Return ``values`` (n,) or log10(values + 1); -1 becomes -inf, smaller ones NaN, as in the authors' code."""
    numbers = np.asarray(values, dtype=np.float64)
    if transform == "none":
        return numbers
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(numbers + 1.0)


class MarkerRange(StrictModel):
    """How one marker of one modality becomes a number in [0, 1].

    Attributes:
        marker: its name.
        transform: applied first.
        low: smallest transformed value of the cells it was fitted on, where -inf counts as 0.
        high: largest.
    """

    marker: str
    transform: MarkerTransform
    low: float
    high: float

    @classmethod
    def fit(cls, marker: str, values: npt.ArrayLike, transform: MarkerTransform) -> MarkerRange:
        """Measure the range of (n,) values, NaN where not measured.

        Raises:
            InputError: no value, infinite ones, or all equal: then the marker tells no two cells apart.
        """
        found = _finite(transformed(values, transform))
        found = found[~np.isnan(found)]
        if not len(found) or found.min() == found.max() or np.isinf(found).any():
            what = "infinite values" if np.isinf(found).any() else "no two different values"
            raise InputError(
                f"marker '{marker}' has {what} in {np.size(values)} cells; leave it out or check its column"
            )
        return cls(marker=marker, transform=transform, low=float(found.min()), high=float(found.max()))

    def apply(self, values: npt.ArrayLike) -> Floats:
        """Return (x - low) / (high - low) of transformed values (n,); NaN becomes 0, as in the authors' code.

        Cells outside the fitted range fall outside [0, 1].
        """
        scaled = (_finite(transformed(values, self.transform)) - self.low) / (self.high - self.low)
        return np.where(np.isnan(scaled), 0.0, scaled)


def _finite(values: Floats) -> Floats:
    return np.where(np.isneginf(values), 0.0, values)


class Interval(StrictModel):
    """A side of a gate: ``low <= value <= high``; null for an open end."""

    low: float | None = None
    """Lower end."""
    high: float | None = None
    """Upper end."""

    @model_validator(mode="after")
    def _check(self) -> Interval:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"'low' ({self.low:g}) must lie below 'high' ({self.high:g})")
        return self

    def holds(self, values: Floats) -> npt.NDArray[np.bool_]:
        """Return which of values (n,) lie inside, bool (n,); NaN never does."""
        inside = ~np.isnan(values)
        if self.low is not None:
            inside &= values >= self.low
        if self.high is not None:
            inside &= values <= self.high
        return inside


class Gates(StrictModel):
    """Rectangles over markers, each naming a population.

    Attributes:
        transform: transform of the markers before gating; the published gates are on ``log10p1``.
        populations: population -> marker -> side of its rectangle.
        other: name of the cells in no rectangle.
    """

    transform: MarkerTransform = "log10p1"
    populations: dict[str, dict[str, Interval]] = Field(min_length=1)
    other: str = "other"

    @model_validator(mode="after")
    def _check(self) -> Gates:
        for name, sides in self.populations.items():
            if not sides:
                raise ValueError(f"population '{name}' names no marker")
            if name == self.other:
                raise ValueError(
                    f"'{name}' is also the name for cells outside all gates; rename the population, or set "
                    "'other' to another name"
                )
        return self

    @property
    def markers(self) -> tuple[str, ...]:
        """Markers the gates look at, in order of appearance."""
        return tuple(dict.fromkeys(marker for sides in self.populations.values() for marker in sides))

    @property
    def names(self) -> tuple[str, ...]:
        """Populations in config order, cells in no gate last."""
        return (*self.populations, self.other)

    def assign(self, markers: Mapping[str, npt.ArrayLike] | pd.DataFrame, what: str) -> pd.Categorical:
        """Return the population of each cell.

        Args:
            markers: marker -> (n,) measured values before the transform.
            what: name of the cells, for messages.

        Raises:
            InputError: a marker is missing, or a cell lies in two gates.
        """
        for marker in self.markers:
            if marker not in markers:
                found = [str(name) for name in markers]
                raise InputError(f"{what}: no marker '{marker}' to gate by{did_you_mean(marker, found)}")
        values = {marker: transformed(markers[marker], self.transform) for marker in self.markers}
        codes = np.full(len(next(iter(values.values()))), len(self.populations))
        taken = np.zeros(len(codes), dtype=np.bool_)
        for code, (name, sides) in enumerate(self.populations.items()):
            inside = np.logical_and.reduce([side.holds(values[marker]) for marker, side in sides.items()])
            if (inside & taken).any():
                first = self.names[codes[inside & taken][0]]
                raise InputError(
                    f"{what}: {int((inside & taken).sum())} cells lie in the gates of '{first}' and '{name}'; "
                    "expected rectangles that do not overlap"
                )
            codes[inside], taken = code, taken | inside
        return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(self.names))
