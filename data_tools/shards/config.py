"""How shards are packed: the ``shards`` section of an ingest config."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from framework.config import StrictModel
from framework.data.format.schema import BloscCodec


class ShardsConfig(StrictModel):
    """How bags are packed.

    Attributes:
        layout: ``tar`` (WebDataset) or ``zarr`` (one sharded Zarr v3 array per shard).
        codec: ``none``, or ``{id: blosc, cname, clevel, shuffle}`` for the tiles of layout ``zarr``.
        bags_per_shard: how many consecutive wells of a plate go into one shard; one shard is one task.
        chunk_tiles: most tiles of one WebDataset sample; for ``zarr``, most tiles in memory at a time.
    """

    layout: Literal["tar", "zarr"] = "tar"
    codec: BloscCodec | None = None
    bags_per_shard: int = Field(default=8, ge=1)
    chunk_tiles: int = Field(default=64, ge=1)

    @field_validator("codec", mode="before")
    @classmethod
    def _none_by_name(cls, value: Any) -> Any:
        return None if value == "none" else value

    @model_validator(mode="after")
    def _check_codec(self) -> ShardsConfig:
        if self.codec is not None and self.layout != "zarr":
            raise ValueError(
                f"layout '{self.layout}' stores plain tiles, so that stock WebDataset readers decode its samples; "
                "for a codec set shards.layout: zarr, or set shards.codec: none"
            )
        return self
