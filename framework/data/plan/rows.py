"""What a plan answers: the bags and tiles of one global step, how ranks share them, and their fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framework.data.permutation import I64, U64, hash_sums, hash_u64


@dataclass(frozen=True, kw_only=True, eq=False)
class StepRows:
    """Rows of one step: of the whole step, or of one rank.

    Attributes:
        step: global step.
        epoch: epoch the step belongs to.
        bags: int64 (K,), row of bags.parquet.
        tiles: int64 (K, N), rows of tiles.parquet.
        weights: float32 (K,); 0 marks a padding row, which holds real tiles but must not count anywhere.
    """

    step: int
    epoch: int
    bags: I64
    tiles: I64
    weights: npt.NDArray[np.float32]

    @property
    def counted(self) -> int | None:
        """How many rows count, where those come first, as in all rows that a plan gives; else None."""
        number = int((self.weights > 0).sum())
        return number if bool((self.weights[:number] > 0).all()) else None

    def for_rank(self, rank: int, world: int) -> StepRows:
        """Return the part of ``rank``: ceil(K / world) consecutive rows, so that all ranks make equal steps.

        Rows beyond the last are copies of the last with weight 0.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world} ranks: expected 0 <= rank < world")
        share = -(-len(self.bags) // world)
        place = np.arange(rank * share, (rank + 1) * share)
        return self._take(np.minimum(place, len(self.bags) - 1), place < len(self.bags))

    def padded(self, rows: int) -> StepRows:
        """Return ``rows`` rows: these, then these again from the first with weight 0."""
        place = np.arange(rows)
        return self._take(place % len(self.bags), place < len(self.bags))

    def _take(self, place: I64, counted: npt.NDArray[np.bool_]) -> StepRows:
        return StepRows(
            step=self.step,
            epoch=self.epoch,
            bags=self.bags[place],
            tiles=self.tiles[place],
            weights=np.where(counted, self.weights[place], np.float32(0)).astype(np.float32),
        )


def digest_rows(rows: StepRows) -> int:
    """Return a 64-bit fingerprint of the counted rows of a step.

    It is a sum modulo 2**64 of one hash per row, so the digests of all ranks add up to the digest of the whole step,
    whatever the world size; the order of tiles inside a row matters, the order of rows does not.
    """
    counted = rows.weights > 0
    each = hash_u64(rows.step, rows.bags[counted], digest_tiles(rows.tiles[counted]))
    return int(each.sum(dtype=np.uint64))


def digest_tiles(tiles: I64) -> U64:
    """Return a fingerprint of the tiles of each row (K, N) -> uint64 (K,); their order matters."""
    return hash_sums(tiles)
