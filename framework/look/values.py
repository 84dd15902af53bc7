"""What a look at images is made of: plain values that a page lays out, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One field of view that is looked at.

    Attributes:
        plate, well, site: which it is.
        images: channel -> (H, W); perhaps reduced.
        scale: pixels of ``images`` per pixel of the field.
        y_px, x_px: (n,) centres of the nuclei found, in pixels of the field.
        has_tile: (n,) whether each gets a tile.
    """

    plate: str
    well: str
    site: int
    images: Mapping[str, npt.NDArray[Any]]
    scale: float
    y_px: Floats
    x_px: Floats
    has_tile: npt.NDArray[np.bool_]

    def __str__(self) -> str:
        return f"{self.plate} {self.well}, site {self.site}"


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Pixels of a channel.

    Attributes:
        channel: its name.
        edges: (n + 1,) of the bins, in stored units.
        counts: (n,).
        saturated: share of the pixels at the top of the camera's range, or at the highest value that occurs so often
            that it is a limit.
        top: that value; None where none is reached.
        constant: whether all pixels have one value.
    """

    channel: str
    edges: Floats
    counts: Floats
    saturated: float
    top: float | None
    constant: bool = False


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large and how far apart nuclei are, in pixels of the field.

    Attributes:
        diameter_px: (n,) of round bright objects.
        area: (n,) what each counts for.
        typical_px: the diameter of most of the bright area; None where too little is there.
        apart_px: median distance of a nucleus to the nearest; None of fewer than two.
        per_tile: median number of nuclei in a tile about a nucleus, itself included; None without nuclei.
    """

    diameter_px: Floats
    area: Floats
    typical_px: float | None
    apart_px: float | None
    per_tile: float | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A measurement of cells.

    Attributes:
        n: cells that have a value, of all.
        low, middle, high: 1st percentile, median and 99th percentile of the values; NaN where no cell has one.
    """

    n: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Cropped:
    """Cells that come one by one: nothing is looked for in fields of view.

    Attributes:
        unit: what is counted: ``cell``, or ``field`` where a reader finds the cells of each as it reads.
        fit: how a crop becomes a tile, as ``tiles.fit``.
        shown: bag or label -> (n, C, H, W), tiles as they would be stored; none for a finished dataset, whose page
            shows them in a section of its own.
        edges_px: (n, 2) height and width of crops before they are fitted; (0, 2) where only tiles are known.
        per_bag: ``source/bag`` -> cells, in the order of the dataset.
        labels: column of text -> value -> cells, the most frequent first.
        markers: name -> what is known of it.
        places: source -> (n, 2) y and x of some cells in their field, in px.
        joined: sentences on how tables were joined.
    """

    unit: str
    fit: str
    shown: Mapping[str, npt.NDArray[Any]]
    edges_px: npt.NDArray[np.int64]
    per_bag: Mapping[str, int]
    labels: Mapping[str, Mapping[str, int]]
    markers: Mapping[str, Measured]
    places: Mapping[str, Floats]
    joined: tuple[str, ...]

    @property
    def n(self) -> int:
        """All cells."""
        return sum(self.per_bag.values())


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is known of a dataset before it is built, or after.

    Attributes:
        name: name of the dataset.
        facts: named values, in reading order.
        nuclei: channel in which nuclei are looked for.
        expected_px: diameter that the config expects; None where nuclei come from elsewhere.
        tile_px: edge of a tile.
        pixel_size_um: edge of a pixel, or None.
        samples: fields that were looked at.
        sizes: sizes of what they show.
        histograms: histograms of each channel.
        flatfields: ``channel · plate`` -> (H, W), mean 1.
        fitted_to: images of the plate with the fewest that a flat-field is fitted to; None where none is fitted.
        focus: (plate, well, site) -> sharpness, in units of the median.
        counts: plate -> well -> nuclei per field; NaN where it was not looked at.
        empty: wells in which no nucleus was found, ``plate/well``.
        problems: sentences on input that cannot be used.
        notes: sentences on what was joined, chosen and left out.
        cropped: what is known of cells that come one by one; None for plates.
    """

    name: str
    facts: tuple[tuple[str, str], ...]
    nuclei: str
    expected_px: float | None
    tile_px: int
    pixel_size_um: float | None
    samples: tuple[Sample, ...]
    sizes: Sizes
    histograms: tuple[Histogram, ...]
    flatfields: Mapping[str, Floats] = field(default_factory=dict)
    fitted_to: int | None = None
    focus: Mapping[tuple[str, str, int], float] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    empty: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cropped: Cropped | None = None
