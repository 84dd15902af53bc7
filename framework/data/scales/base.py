"""What a scale is: from stored pixels to what a network sees, by facts that are fixed at the start of a run.

A new scale is one class in one file::

    class MineConfig(ScaleConfig):
        name: Literal["mine"] = "mine"

    @SCALES.register("mine", MineConfig)
    class Mine(Scale):
        def apply(self, x): ...        # float32 (..., C, H, W) -> the same shape

What it must know beyond the pixels of a tile it says in ``measure``; that is kept with every checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from framework.config import StrictModel
from framework.config.model import ShortOptions
from framework.data.batch import sent
from framework.data.permutation import I64
from framework.data.store import TileStore
from framework.errors import RegistryError, RunError, did_you_mean
from framework.registry import Registry

_FACTS = ("mean", "sd", "low", "high")


class ScaleConfig(ShortOptions):
    """Options of a scale, and what others must know of it."""

    gives_unit: ClassVar[bool] = False
    """Whether its results lie in 0..1, so that ``data.floor`` may be set."""


class ScaleProfile(StrictModel):
    """A fitted scaling; it travels with every checkpoint, so that prediction scales as training did.

    A scale with further facts has a subclass of its own.

    Attributes:
        name: name of the scale.
        channels: names, in the order of the tiles.
        mean: one per channel, where the scale needs it; else empty. So also:
        sd: > 0.
        low: stored units.
        high: > low, stored units.
        floor: for scales that give 0..1, a value in [0, 1) per channel: what lies below becomes 0 and the rest is
            stretched to 0..1 again, clip((x - floor) / (1 - floor), 0, 1); 0 leaves a channel. Empty: all 0.
    """

    name: str
    channels: tuple[str, ...]
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    floor: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> ScaleProfile:
        try:
            entry = SCALES.get(self.name)
        except RegistryError as error:
            raise ValueError(str(error)) from None
        for field in _FACTS:
            values = getattr(self, field)
            wanted = len(self.channels) if field in entry.build.needs else 0
            if len(values) != wanted:
                raise ValueError(f"scale '{self.name}': expected {wanted} value(s) of {field}, found {len(values)}")
        if any(sd <= 0 for sd in self.sd) or any(high <= low for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"scale '{self.name}': expected every sd > 0 and every high > low")
        if self.floor and not entry.config.gives_unit:
            raise ValueError(
                f"scale '{self.name}' does not give values from 0 to 1, so it cannot have a floor; these do: "
                f"{', '.join(unit_scales())}"
            )
        if len(self.floor) not in (0, len(self.channels)) or any(not 0 <= floor < 1 for floor in self.floor):
            raise ValueError(
                f"scale '{self.name}': expected a floor in [0, 1) for each of {len(self.channels)} channels"
            )
        return self

    @model_serializer(mode="wrap")
    def _floor_last(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        return {key: plain[key] for key in (*(key for key in plain if key != "floor"), "floor")}

    @staticmethod
    def fit(
        options: ScaleConfig | str,
        store: TileStore,
        tile_ids: I64,
        seed: int = 0,
        floor: Mapping[str, float] | None = None,
    ) -> ScaleProfile:
        """Measure what a scale needs.

        Args:
            options: options of the scale, or its name where all have defaults.
            store: source of the tiles; its channels are the profile's.
            tile_ids: int64, tiles of the training part.
            seed: seed of what a scale may draw from them.
            floor: channel -> floor; 0 for the others.

        Raises:
            RunError: there are no training tiles to measure, or a floor of a channel that is not read.
        """
        chosen = SCALES.get(options).config() if isinstance(options, str) else options
        entry, channels = SCALES.get(chosen.name), store.channels
        floors = _floors(floor or {}, channels)
        kept = floors if entry.config.gives_unit else ()
        facts = entry.build.measure(chosen, store, tile_ids, seed)
        profile: ScaleProfile = entry.build.profile_type(name=chosen.name, channels=channels, floor=kept, **facts)
        return profile


class Scale(ABC):
    """A scaling at work.

    Attributes:
        needs: which of ``mean``, ``sd``, ``low`` and ``high`` its profile has.
        profile_type: class of its profile.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    profile_type: ClassVar[type[ScaleProfile]] = ScaleProfile

    def __init__(self, profile: Any) -> None:
        self.profile = profile

    @classmethod
    def measure(cls, options: Any, store: TileStore, tile_ids: I64, seed: int) -> dict[str, Any]:
        """Return what the profile has beyond name and channels; nothing, unless a scale needs it.

        Args:
            options: options of the scale.
            store: source of the tiles, in the channels of the run.
            tile_ids: int64, tiles of the training part.
            seed: seed of what it may draw from them.

        Raises:
            RunError: they do not suffice.
        """
        return {}

    @abstractmethod
    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Scale pixels, (..., C, H, W), float32, on any device; ``x`` may be changed. A tile depends on no other."""


SCALES: Registry[type[Scale]] = Registry("scale", options=ScaleConfig)
"""Scales by the name a config writes after ``data.scale``."""


def unit_scales() -> list[str]:
    """Return the names of the scales that give 0..1 and may have a floor."""
    return [name for name in SCALES.names() if SCALES.get(name).config.gives_unit]


def read_profile(plain: Mapping[str, Any]) -> ScaleProfile:
    """Return a profile as it was kept.

    Raises:
        RegistryError: no scale has its name.
        pydantic.ValidationError: it does not fit.
    """
    profile: ScaleProfile = SCALES.get(str(plain.get("name"))).build.profile_type.from_plain(plain)
    return profile


def plane(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    """Return one value per channel as (C, 1, 1), float32, where ``like`` is."""
    return sent(torch.tensor(values, dtype=torch.float32), like.device)[:, None, None]


def standardise_each(x: torch.Tensor) -> torch.Tensor:
    """Bring each tile and channel of (..., C, H, W) to mean 0 and (population) sd 1, in place."""
    pixels = x.shape[-1] * x.shape[-2]
    x -= x.mean(dim=(-2, -1), keepdim=True)
    sd = torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).div_(pixels**0.5)
    return x.mul_(sd.add_(1e-8).reciprocal_())


def _floors(floor: Mapping[str, float], channels: tuple[str, ...]) -> tuple[float, ...]:
    lacking = [name for name in floor if name not in channels]
    if lacking:
        raise RunError(
            f"data.floor: channel {', '.join(map(repr, lacking))} is not among those of the run: {', '.join(channels)}"
            + did_you_mean(lacking, channels)
        )
    return tuple(floor.get(channel, 0.0) for channel in channels) if floor else ()
