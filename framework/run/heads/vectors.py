"""Vectors of bags, made once per epoch for all models: what a bag's drawn tiles become does not depend on the split."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from framework.data.permutation import I64, U64
from framework.data.plan import digest_tiles
from framework.data.store import EmbeddingStore, Store

_BAGS_AT_ONCE = 256
_KEPT_BYTES = 1 << 28
"""Vectors of epochs that are kept; models whose epochs have other lengths ask for the same epoch at other times."""


class BagVectors:
    """What heads see of each bag, by epoch.

    Args:
        store: cached tile embeddings.
        drawn: (epoch, bags) -> tiles (n, N), the same for every plan that shares it.
        pool: (n, N, E) -> (n, D).
        averages: whether ``pool`` begins with the mean over tiles, which the store can then take itself.
        width: D.
        bags: how many bags the dataset has.
        device: where vectors are wanted.

    Attributes:
        width: D.
    """

    def __init__(
        self,
        store: Store,
        drawn: Callable[[int, I64], I64],
        pool: Callable[[torch.Tensor], torch.Tensor],
        width: int,
        bags: int,
        device: torch.device,
        *,
        averages: bool,
    ) -> None:
        self._means = store.means if averages and isinstance(store, EmbeddingStore) else None
        self._store, self._drawn, self._pool, self.width = store, drawn, pool, width
        self._bags, self._device = bags, device
        self._epochs: OrderedDict[int, _Epoch] = OrderedDict()
        self._buffer: npt.NDArray[np.float32] | None = None
        self._expected = np.zeros(bags, dtype=np.bool_)

    def expect(self, bags: I64) -> None:
        """Say that every epoch will be asked for these bags, so that an epoch is made in one go for all plans."""
        self._expected[bags] = True

    def of(self, epoch: int, bags: I64) -> tuple[torch.Tensor, U64]:
        """Return the vectors (n, D) of bags in an epoch, which may repeat, and the digests (n,) of their tiles."""
        kept = self._epochs[epoch] if epoch in self._epochs else self._new(epoch)
        if not kept.done[bags].all():
            wanted = self._expected.copy()
            wanted[bags] = True
            missing = np.flatnonzero(wanted & ~kept.done)
            vectors, digests = self._made(epoch, missing)
            kept.vectors[torch.from_numpy(missing).to(self._device)] = vectors
            kept.digests[missing] = digests
            kept.done[missing] = True
        self._epochs.move_to_end(epoch)
        return kept.vectors.index_select(0, torch.from_numpy(bags).to(self._device)), kept.digests[bags]

    def _new(self, epoch: int) -> _Epoch:
        most = max(2, _KEPT_BYTES // (self._bags * self.width * 4))
        while len(self._epochs) >= most:
            self._epochs.popitem(last=False)
        self._epochs[epoch] = _Epoch(self._bags, self.width, self._device)
        return self._epochs[epoch]

    def _made(self, epoch: int, bags: I64) -> tuple[torch.Tensor, U64]:
        tiles = self._drawn(epoch, bags)
        if self._means is not None:
            means = torch.from_numpy(self._means(tiles)).to(self._device)
            with torch.no_grad():
                return self._pool(means[:, None]), digest_tiles(tiles)
        parts = [self._pooled(tiles[first : first + _BAGS_AT_ONCE]) for first in range(0, len(bags), _BAGS_AT_ONCE)]
        return torch.cat(parts), digest_tiles(tiles)

    def _pooled(self, tiles: I64) -> torch.Tensor:
        if self._buffer is None:
            # Kept from call to call: fresh memory costs more than what is written into it.
            self._buffer = np.empty((_BAGS_AT_ONCE * tiles.shape[1], *self._store.sample_shape), dtype=np.float32)
        rows = self._buffer[: tiles.size]
        self._store.gather(tiles.ravel(), rows)
        with torch.no_grad():
            return self._pool(torch.from_numpy(rows).view(*tiles.shape, -1).to(self._device))


class _Epoch:
    """Vectors of the bags of one epoch, as far as they were asked for."""

    def __init__(self, bags: int, width: int, device: torch.device) -> None:
        self.vectors = torch.zeros(bags, width, device=device)
        self.digests: U64 = np.zeros(bags, dtype=np.uint64)
        self.done = np.zeros(bags, dtype=np.bool_)
