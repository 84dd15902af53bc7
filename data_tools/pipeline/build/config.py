"""What every ingest says, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from data_tools.shards import ShardsConfig
from data_tools.tiles import TilesConfig
from framework.config import WithPlugins


class IngestBase(WithPlugins):
    """A dataset to be made.

    Attributes:
        on_error: ``skip`` leaves out what cannot be used and lists it in ``dataset.json``.
    """

    name: str = Field(min_length=1, description="the name of the dataset")
    channels: tuple[str, ...] = Field(min_length=1, description="the names of the channels to store, in stored order")
    tiles: TilesConfig = TilesConfig()
    """The size and type of tiles."""
    shards: ShardsConfig = ShardsConfig()
    """How tiles are stored."""
    seed: int = Field(default=0, ge=0)
    """Seed of everything that is drawn at random."""
    on_error: Literal["raise", "skip"] = "raise"


def refuse_twice(what: str, names: Sequence[str]) -> None:
    """Refuse a list of the config that names something twice.

    Raises:
        ValueError: it does; a validator turns it into the sentence of its key.
    """
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"'{what}' names '{twice[0]}' twice")
