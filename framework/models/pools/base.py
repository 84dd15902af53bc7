"""What a pool is: from the vectors of the tiles of a bag to one vector, and how much each tile counts in it.

A new pool is one file: options that extend ``PoolOptions``, a ``BagPool``, and a function registered in ``POOLS``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import torch
from torch import nn

from framework.config import ShortOptions, choice
from framework.registry import Registry


class PoolOptions(ShortOptions):
    """Options of a pool; text alone is written where there is nothing but a name."""


class BagPool(nn.Module, ABC):
    """Pools the tiles of bags; the order of the tiles does not matter.

    Attributes:
        said: what it is called in a sentence.
        learns: whether the shares of tiles are learned; False: they follow from the weights alone.
    """

    said: ClassVar[str]
    learns: ClassVar[bool] = True

    @abstractmethod
    def shares(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the share of each tile in the vector of its bag.

        Args:
            embedded: (K, N, E), N >= 1.
            weights: (K, N) >= 0, 0 for tiles that are padding; others share the bag in proportion to weight x
                attention. None: all count 1.

        Returns:
            (K, N), >= 0, sums to 1 over N; zeros for a bag without any weight.
        """

    @abstractmethod
    def forward(self, embedded: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """(K, N, E) and optional (K, N) -> (K, E); zeros for a bag without any weight.

        A tile of weight 0 has no influence, not even as NaN.
        """


Build: TypeAlias = Callable[[Any, int], BagPool]
POOLS: Registry[Build] = Registry("pool", options=PoolOptions)
"""Pools by the name a config writes; each is made of its options and the width E of the vectors of tiles."""

if TYPE_CHECKING:
    PoolChoice: TypeAlias = PoolOptions
else:
    PoolChoice = choice(POOLS, short=True)
    """Annotation of a config field that holds one pool's options."""


def pool_options(pool: PoolOptions | str) -> PoolOptions:
    """Return options as they are, and those that a name alone stands for.

    Raises:
        RegistryError: no pool has that name.
    """
    options: PoolOptions = POOLS.get(pool).config() if isinstance(pool, str) else pool
    return options


def build_pool(options: PoolOptions, width: int) -> BagPool:
    """Build a pool.

    Args:
        options: options of one entry of ``POOLS``.
        width: E of the vectors it pools.

    Raises:
        RegistryError: no pool has that name.
        ConfigError: options that do not fit the width.
    """
    return POOLS.get(options.name).build(options, width)


def attention_of(scores: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the softmax of scores over the last axis, in proportion to weights.

    Args:
        scores: (..., N).
        weights: (..., N) >= 0, broadcast; None: all count 1.

    Returns:
        (..., N), sums to 1; zeros where no weight is above 0.
    """
    if weights is None:
        return torch.softmax(scores, dim=-1)
    real = weights > 0
    lowest = torch.finfo(scores.dtype).min
    shifted = scores + weights.clamp_min(torch.finfo(scores.dtype).tiny).log().to(scores.dtype)
    return torch.where(real, torch.softmax(torch.where(real, shifted, lowest), dim=-1), 0.0)


def without_padding(embedded: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return (K, N, E) with zeros where the weight is 0, so that nothing there is multiplied."""
    return embedded if weights is None else torch.where(weights[..., None] > 0, embedded, 0.0)


def sum_over_tiles(embedded: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """(K, N, E) and (K, N) -> (K, E) in float32 at least, also under autocast.

    Distances between bags lie close to a margin, which bfloat16 cannot tell apart.
    """
    wide = torch.promote_types(embedded.dtype, torch.float32)
    with torch.autocast(embedded.device.type, enabled=False):
        return torch.einsum("kne,kn->ke", embedded.to(wide), shares.to(wide))
