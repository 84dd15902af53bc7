"""From stored integers to what a network sees: scaling fixed at the start of a run, flips fixed by the plan's numbers.

Stored tiles travel to the device as integers; everything here runs there, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

import numpy as np
import torch
from pydantic import model_validator

from framework.config import StrictModel
from framework.data.permutation import I64, hash_u64, permute
from framework.data.store import TileStore
from framework.errors import ConfigError, RunError, did_you_mean

ScaleName = Literal[
    "per_tile_standardise",
    "per_tile_log1p",
    "per_tile_minmax",
    "log1p_standardise",
    "plate_standardise",
    "unit_range",
    "none",
]
UNIT_SCALES: tuple[ScaleName, ...] = ("per_tile_minmax", "unit_range")
"""Those that give 0..1 and may have a floor."""
Views: TypeAlias = Literal[1, 4, 8, "image2omics"]
_ROWS, _COLUMNS, _TRANSPOSE = 1, 2, 4
VIEWS: Mapping[Views, tuple[int, ...]] = {
    1: (0,),
    4: (0, _ROWS, _COLUMNS, _ROWS | _COLUMNS),
    8: tuple(range(8)),
    "image2omics": (0, _ROWS, _COLUMNS, _TRANSPOSE),
}
"""Sets of mirror images over which results can be averaged, as codes of ``_turned``. 1: as stored. 4: both mirrors and
their product, a half turn: the symmetries of a rectangle. 8: the same transposed too: the symmetries of the square.
``image2omics``: as stored, mirrored along H, along W, and transposed: the test-time augmentation in the code of Mehrizi
2023, four views that are no group, so they do not make a prediction independent of how a tile is turned."""
_SAMPLE = 2000
_BLOCK = 100


class ScaleProfile(StrictModel):
    """A fitted scaling; it travels with every checkpoint, so that prediction scales as training did.

    Attributes:
        name: ``per_tile_standardise``: each tile and channel to mean 0 and (population) sd 1;
            ``per_tile_log1p``: log(1 + x), then the same;
            ``per_tile_minmax``: each tile and channel to 0..1, darkest to brightest pixel; 0 where all are alike;
            ``log1p_standardise``: log(1 + x), then by mean and sd of log(1 + x) over a sample of the training tiles;
            ``plate_standardise``: by mean and sd of the whole dataset;
            ``unit_range``: percentiles 0.1 to 99.9 of the whole dataset to 0..1, clipped; ``none``: float32 as stored.
        channels: names, in the order of the tiles.
        mean: one per channel, where the method needs it; else empty. So also:
        sd: > 0.
        low: stored units.
        high: > low, stored units.
        floor: for the two methods that give 0..1, a value in [0, 1) a channel: what lies below becomes 0 and the rest
            is stretched to 0..1 again, clip((x - floor) / (1 - floor), 0, 1); 0 leaves a channel. Empty: all 0.
    """

    name: ScaleName
    channels: tuple[str, ...]
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    floor: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> ScaleProfile:
        needed = {
            "log1p_standardise": ("mean", "sd"),
            "plate_standardise": ("mean", "sd"),
            "unit_range": ("low", "high"),
        }
        for field in ("mean", "sd", "low", "high"):
            values = getattr(self, field)
            wanted = len(self.channels) if field in needed.get(self.name, ()) else 0
            if len(values) != wanted:
                raise ValueError(f"scale '{self.name}': expected {wanted} value(s) of {field}, found {len(values)}")
        if any(sd <= 0 for sd in self.sd) or any(high <= low for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"scale '{self.name}': expected every sd > 0 and every high > low")
        if self.floor and self.name not in UNIT_SCALES:
            raise ValueError(
                f"scale '{self.name}' does not give 0..1, so it has no floor; see {', '.join(UNIT_SCALES)}"
            )
        if len(self.floor) not in (0, len(self.channels)) or any(not 0 <= floor < 1 for floor in self.floor):
            raise ValueError(
                f"scale '{self.name}': expected a floor in [0, 1) for each of {len(self.channels)} channels"
            )
        return self

    @classmethod
    def fit(
        cls, name: ScaleName, store: TileStore, tile_ids: I64, seed: int = 0, floor: Mapping[str, float] | None = None
    ) -> ScaleProfile:
        """Measure what a scaling needs.

        Args:
            name: method.
            store: source of the tiles; its channels are the profile's.
            tile_ids: int64, tiles of the training part; ``log1p_standardise`` samples up to 2,000 of them.
            seed: of that sample.
            floor: channel -> floor; 0 for the others.

        Raises:
            RunError: there are no training tiles to measure, or a floor of a channel that is not read.
        """
        channels = store.channels
        floors = _floors(floor or {}, channels)
        statistics = [store.dataset.manifest.channel_statistics[channel] for channel in channels]
        match name:
            case "log1p_standardise":
                mean, sd = _log1p_moments(store, tile_ids, seed)
                return cls(name=name, channels=channels, mean=mean, sd=sd)
            case "plate_standardise":
                # A constant channel keeps its scale instead of dividing by nothing.
                sd = tuple(s.sd or 1.0 for s in statistics)
                return cls(name=name, channels=channels, mean=tuple(s.mean for s in statistics), sd=sd)
            case "unit_range":
                low = tuple(s.percentiles["0.1"] for s in statistics)
                high = tuple(max(s.percentiles["99.9"], s.percentiles["0.1"] + 1) for s in statistics)
                return cls(name=name, channels=channels, low=low, high=high, floor=floors)
            case "per_tile_minmax":
                return cls(name=name, channels=channels, floor=floors)
            case _:
                return cls(name=name, channels=channels)


class AugmentConfig(StrictModel):
    """Which symmetries tiles are shown in during training.

    Attributes:
        flip: mirror up-down and left-right, each with probability 1/2.
        rotate90: turn by 0, 90, 180 or 270 degrees, equally likely; needs square tiles.
    """

    flip: bool = False
    rotate90: bool = False


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
    x = as_float(tiles, out)
    match profile.name:
        case "per_tile_standardise":
            return _standardise_each(x)
        case "per_tile_log1p":
            return _standardise_each(x.log1p_())
        case "per_tile_minmax":
            return _above_floor(_minmax_each(x), profile)
        case "log1p_standardise":
            return x.log1p_().sub_(_plane(profile.mean, x)).div_(_plane(profile.sd, x))
        case "plate_standardise":
            return x.sub_(_plane(profile.mean, x)).div_(_plane(profile.sd, x))
        case "unit_range":
            low = _plane(profile.low, x)
            return _above_floor(x.sub_(low).div_(_plane(profile.high, x) - low).clamp_(0, 1), profile)
        case "none":
            return x


def as_float(tiles: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return a float32 copy of stored pixels, in ``out`` where that is given."""
    if out is not None:
        return out.copy_(tiles)
    if tiles.dtype == torch.uint16 and tiles.device.type != "cpu":
        return from_signed(tiles.view(torch.int16))
    return tiles.to(torch.float32, copy=True)


def from_signed(bits: torch.Tensor) -> torch.Tensor:
    """Return the values of uint16 pixels that are held as int16 bits, as float32.

    PyTorch computes with uint16 on few devices, and with int16 on all.
    """
    return bits.to(torch.float32).remainder_(65536.0)


def augment(tiles: torch.Tensor, positions: I64, key: int, config: AugmentConfig) -> torch.Tensor:
    """Flip and turn each tile by a code that depends on ``key`` and its position alone.

    Args:
        tiles: (n, C, H, W) of any type.
        positions: int64 (n,), place of each tile in the GLOBAL step, so that any world size sees the same pixels.
        key: of the step.
        config: which symmetries.

    Returns:
        The same shape and type; ``tiles`` itself when there is nothing to do.

    Raises:
        RunError: turns of tiles that are not square.
    """
    if not (config.flip or config.rotate90):
        return tiles
    if config.rotate90 and tiles.shape[-1] != tiles.shape[-2]:
        raise RunError(
            f"augment.rotate90 needs square tiles, these have {tiles.shape[-2]} x {tiles.shape[-1]} px; set it to false"
        )
    codes = (hash_u64(key, positions) & np.uint64(7)).astype(np.int64)
    # Copies of uint16 are not offered on every device; copies of the same bits are.
    source = tiles.view(torch.int16) if tiles.dtype == torch.uint16 else tiles
    # Sorted by code, equal ones are turned together; two orders then go to a device, not one for each code.
    order = np.argsort(codes, kind="stable")
    ordered = source.index_select(0, torch.from_numpy(order).to(source.device))
    turned = torch.empty_like(ordered)
    present, first = np.unique(codes[order], return_index=True)
    for code, start, stop in zip(present.tolist(), first.tolist(), [*first[1:].tolist(), len(codes)], strict=True):
        turned[start:stop] = _turned(ordered[start:stop], code, config)
    back = torch.from_numpy(np.argsort(order)).to(source.device)
    return turned.index_select(0, back).view(tiles.dtype)


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
    if any(code & _TRANSPOSE for code in codes) and tiles.shape[-1] != tiles.shape[-2]:
        raise RunError(
            f"views {which} need square tiles, these have {tiles.shape[-2]} x {tiles.shape[-1]} px; take 4 views"
        )
    for code in codes:
        yield _turned(tiles, code, AugmentConfig(flip=True, rotate90=True)).contiguous()


def augment_key(seed: int, step: int) -> int:
    """Return the key of a step for ``augment``."""
    return int(hash_u64(seed, _AUGMENT_STREAM, step))


_AUGMENT_STREAM = 101


def _turned(tiles: torch.Tensor, code: int, config: AugmentConfig) -> torch.Tensor:
    """Three bits: mirror rows, mirror columns, transpose; all eight together are the symmetries of the square."""
    rows, columns, transpose = bool(code & _ROWS), bool(code & _COLUMNS), bool(code & _TRANSPOSE)
    if not config.rotate90:
        transpose = False
    elif not config.flip:
        # Turns alone: transposing and mirroring one axis is a quarter turn, mirroring both a half turn.
        columns = rows ^ transpose
    if transpose:
        tiles = tiles.transpose(-1, -2)
    axes = [axis for axis, mirrored in ((-2, rows), (-1, columns)) if mirrored]
    return tiles.flip(axes) if axes else tiles


def _standardise_each(x: torch.Tensor) -> torch.Tensor:
    pixels = x.shape[-1] * x.shape[-2]
    x -= x.mean(dim=(-2, -1), keepdim=True)
    sd = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).div_(pixels**0.5)
    return x.mul_(sd.add_(1e-8).reciprocal_())


def _minmax_each(x: torch.Tensor) -> torch.Tensor:
    low, high = x.amin(dim=(-2, -1), keepdim=True), x.amax(dim=(-2, -1), keepdim=True)
    # A flat tile keeps its zeros. Division, not a product with the inverse: the brightest pixel is exactly 1.
    return x.sub_(low).div_(torch.where(high > low, high - low, 1.0))


def _above_floor(x: torch.Tensor, profile: ScaleProfile) -> torch.Tensor:
    if not any(profile.floor):
        return x
    floor = _plane(profile.floor, x)
    return x.sub_(floor).div_(1 - floor).clamp_(0, 1)


def _floors(floor: Mapping[str, float], channels: tuple[str, ...]) -> tuple[float, ...]:
    for name in floor:
        if name not in channels:
            raise RunError(
                f"data.floor: channel '{name}' is not among those of the run: {', '.join(channels)}"
                + did_you_mean(name, channels)
            )
    return tuple(floor.get(channel, 0.0) for channel in channels) if floor else ()


def _plane(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device)[:, None, None]


def _log1p_moments(store: TileStore, tile_ids: I64, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not len(tile_ids):
        raise RunError("scale 'log1p_standardise': the training part has no tiles to measure")
    count = min(_SAMPLE, len(tile_ids))
    chosen = np.sort(tile_ids[permute(np.arange(count), len(tile_ids), hash_u64(seed, _SAMPLE))])
    # Blocks bound the memory; their means and squared deviations merge without losing digits (Chan et al. 1979).
    total, mean, squares = 0.0, np.zeros(len(store.channels)), np.zeros(len(store.channels))
    for first in range(0, count, _BLOCK):
        ids = chosen[first : first + _BLOCK]
        tiles = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
        store.gather(ids, tiles)
        values = np.log1p(tiles.astype(np.float64)).transpose(1, 0, 2, 3).reshape(len(mean), -1)
        block, pixels = values.mean(axis=1), values.shape[1]
        squares += ((values - block[:, None]) ** 2).sum(axis=1) + (block - mean) ** 2 * total * pixels / (
            total + pixels
        )
        mean += (block - mean) * pixels / (total + pixels)
        total += pixels
    sd = np.sqrt(squares / total)
    return tuple(mean.tolist()), tuple(np.where(sd > 0, sd, 1.0).tolist())
