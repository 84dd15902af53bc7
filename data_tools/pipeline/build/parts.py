"""What a shard adds to the dataset beside its tiles: rows of tables, and counts of its pixels.

Tables are Arrow with fixed column types and fixed options, so equal rows give equal bytes. Counts are a histogram of
65,536 integers per channel, and merge exactly. An integer pixel is its own bin, so every statistic of uint16 tiles is
exact. A float is binned by the upper half of its bits (sign, exponent, 7 bits of mantissa), which places percentiles
within 0.8 % of their value; its mean and sd come from float64 sums, added up in the order of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_tools.pipeline.build.folder import remake_part, writing
from framework.compiled import compiled, load_word
from framework.data.format.schema import BAG_COLUMNS, MARKER_PREFIX, PERCENTILES, ChannelStatistics
from framework.durable import replacing, replacing_path
from framework.errors import DatasetError
from framework.files.failures import reading
from framework.files.npz import load_npz

CELLS_SCHEMA = pa.schema(
    [
        ("bag", pa.int32()),
        ("site", pa.int16()),
        ("y_px", pa.float32()),
        ("x_px", pa.float32()),
        ("score", pa.float32()),
        ("status", pa.string()),
    ]
)


def tiles_schema(markers: Sequence[str], labels: Sequence[str] = ()) -> pa.Schema:
    """Return the columns of tiles.parquet; ``labels`` are columns of text that follow the markers."""
    fixed = [
        ("bag", pa.int32()),
        ("site", pa.int16()),
        ("y_px", pa.float32()),
        ("x_px", pa.float32()),
        ("cell", pa.int64()),
        ("shard", pa.int32()),
        ("offset", pa.int64()),
        ("nbytes", pa.int32()),
    ]
    further = [*((MARKER_PREFIX + name, pa.float32()) for name in markers), *((name, pa.string()) for name in labels)]
    return pa.schema([*fixed, *further])


def bags_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return bags.parquet from one mapping per bag; further Metadata_ columns follow those every dataset has.

    A plate whose map lacks a column that another has gets empty text there.
    """
    # Sorted: rows of an earlier attempt were read from JSON, whose keys are sorted.
    further = sorted({name for row in rows for name in row if name not in BAG_COLUMNS})
    numbers = {"bag", "n_sites", "n_cells", "n_tiles"}
    fields = [(name, pa.int32() if name in numbers else pa.string()) for name in (*BAG_COLUMNS, *further)]
    schema = pa.schema(fields)
    columns = {name: [row.get(name, "") for row in rows] for name in schema.names}
    return pa.Table.from_pydict(columns, schema=schema)


def table_of(columns: Mapping[str, npt.NDArray[Any] | Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Return a table of columns, (n,) each, cast to ``schema``."""
    arrays = []
    for field in schema:
        values = columns[field.name]
        arrays.append(pa.array(values, type=field.type, from_pandas=False))
    return pa.Table.from_arrays(arrays, schema=schema)


def write_tables(file: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables one after another into a parquet file, durably; each becomes a row group."""
    options: dict[str, Any] = {"compression": "zstd", "version": "2.6", "use_dictionary": ["status"]}
    with writing(file.parent), replacing_path(file) as path, pq.ParquetWriter(path, schema, **options) as writer:
        for table in tables:
            if len(table):
                writer.write_table(table, row_group_size=1 << 20)


def concatenated(parts: Sequence[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    """Return parts (n,) as one array of ``dtype`` (N,); an empty one if there are none."""
    return np.concatenate([np.asarray(part, dtype=dtype) for part in parts]) if parts else np.zeros(0, dtype=dtype)


_BINS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class PixelCounts:
    """Pixels of stored tiles, by channel.

    Attributes:
        counts: int64 (C, 65536).
        sums: float64 (C, 2), sum and sum of squares; only used for floats.
        is_float: how the bins are to be read.
    """

    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    is_float: bool

    @classmethod
    def empty(cls, channels: int, is_float: bool) -> PixelCounts:
        """Return counts of nothing."""
        return cls(
            counts=np.zeros((channels, _BINS), np.int64), sums=np.zeros((channels, 2), np.float64), is_float=is_float
        )

    @property
    def used(self) -> npt.NDArray[np.int64]:
        """The bins that hold a pixel of any channel, int64 (n,), in order: a camera fills few of them."""
        return np.flatnonzero(self.counts.any(axis=0))

    def add(self, tiles: npt.NDArray[Any]) -> None:
        """Count the pixels of tiles (n, C, H, W)."""
        for channel in range(tiles.shape[1]):
            pixels = tiles[:, channel]
            _count_rows(_bins(pixels, self.is_float), self.counts[channel])
            if self.is_float:
                wide = pixels.astype(np.float64)
                self.sums[channel] += (wide.sum(), (wide * wide).sum())

    def merge(self, other: PixelCounts) -> None:
        """Add what ``other`` has counted; in the order of the dataset where pixels are floats."""
        np.add(self.counts, other.counts, out=self.counts)
        np.add(self.sums, other.sums, out=self.sums)

    def statistics(self, channel: int) -> ChannelStatistics:
        """Return mean, population sd and percentiles (linear interpolation, as NumPy) of a channel; zeros if empty."""
        counts = self.counts[channel]
        n = int(counts.sum())
        if n == 0:
            return ChannelStatistics(mean=0.0, sd=0.0, percentiles=dict.fromkeys(PERCENTILES, 0.0))
        mean, variance = self._float_moments(channel, n) if self.is_float else _integer_moments(counts, n)
        values, above = _values(self.is_float), np.cumsum(counts)
        return ChannelStatistics(
            mean=mean,
            sd=sqrt(max(variance, 0.0)),
            percentiles={key: _percentile(values, above, n, Fraction(key)) for key in PERCENTILES},
        )

    def _float_moments(self, channel: int, n: int) -> tuple[float, float]:
        total, squares = (float(value) for value in self.sums[channel])
        return total / n, squares / n - (total / n) ** 2


def _integer_moments(counts: npt.NDArray[np.int64], n: int) -> tuple[float, float]:
    # Python's integers, because squares times counts outgrow 64 bits.
    values = np.flatnonzero(counts)
    seen = list(zip(values.tolist(), counts[values].tolist(), strict=True))
    total = sum(value * count for value, count in seen)
    squares = sum(value * value * count for value, count in seen)
    return total / n, (n * squares - total * total) / (n * n)


def _bins(pixels: npt.NDArray[Any], is_float: bool) -> npt.NDArray[np.uint16]:
    """Return the bin of each pixel, one row per tile: (n, H, W) -> (n, H * W)."""
    if not is_float:
        return pixels.astype(np.uint16, copy=False).reshape(len(pixels), -1)
    bits = np.ascontiguousarray(pixels, dtype=np.float32).reshape(len(pixels), -1).view(np.uint32)
    # Negative floats count down in bits: flip them, and put the positive ones above.
    ordered = np.where(bits >> 31 == 1, ~bits, bits | np.uint32(1 << 31))
    return (ordered >> 16).astype(np.uint16)


@compiled
def count_pixels(pixels: Any, counts: Any) -> None:
    """Count uint16 (n,), one after another in memory, four per load: loads cost more than additions."""
    low = np.uint64(0xFFFF)
    address, whole = np.uint64(pixels.ctypes.data), len(pixels) // 4
    for _ in range(whole):
        word = load_word(address)
        address += np.uint64(8)
        counts[word & low] += 1
        counts[(word >> np.uint64(16)) & low] += 1
        counts[(word >> np.uint64(32)) & low] += 1
        counts[word >> np.uint64(48)] += 1
    for at in range(4 * whole, len(pixels)):
        counts[pixels[at]] += 1


@compiled
def _count_rows(bins: Any, counts: Any) -> None:
    for row in range(len(bins)):
        count_pixels(bins[row], counts)


def _values(is_float: bool) -> npt.NDArray[np.float64]:
    """Return the pixel value of every bin; of floats the middle of the bin."""
    bins = np.arange(_BINS, dtype=np.uint32)
    if not is_float:
        return bins.astype(np.float64)
    ordered = (bins << 16) | np.uint32(1 << 15)
    bits = np.where(ordered >> 31 == 1, ordered & np.uint32(0x7FFFFFFF), ~ordered).astype(np.uint32)
    with np.errstate(invalid="ignore"):  # bins that are NaN by their bits; no pixel falls into them
        return bits.view(np.float32).astype(np.float64)


def _percentile(values: npt.NDArray[np.float64], above: npt.NDArray[np.int64], n: int, percent: Fraction) -> float:
    rank = percent / 100 * (n - 1)
    low = rank.numerator // rank.denominator
    first, second = (float(values[np.searchsorted(above, index, side="right")]) for index in (low, min(low + 1, n - 1)))
    return first + float(rank - low) * (second - first)


def save_counts(file: Path, counts: PixelCounts) -> None:
    """Write the pixel counts of a shard."""
    with writing(file.parent), replacing(file) as stream:
        np.savez(stream, bins=counts.used, counts=counts.counts[:, counts.used], sums=counts.sums)


def load_counts(file: Path, is_float: bool) -> PixelCounts:
    """Return the pixel counts that the task of a shard saved."""
    what, again = "the pixel counts of an unfinished ingest", remake_part(file)
    saved = load_npz(file, ("sums", "bins", "counts"), what=what, then=again)
    with reading(file, DatasetError, what, again):
        counts = PixelCounts.empty(len(saved["sums"]), is_float)
        counts.counts[:, saved["bins"]] = saved["counts"]
        return replace(counts, sums=saved["sums"])
