"""``shuffled``: the trained network's features with labels shuffled within blocks: what blocks alone give."""

from __future__ import annotations

from typing import Literal

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.networks import features_of_run
from framework.baselines.rows import Rows


class ShuffledConfig(BaselineConfig):
    """Options of ``shuffled``: none."""

    name: Literal["shuffled"] = "shuffled"


@BASELINES.register("shuffled", ShuffledConfig)
class Shuffled(Baseline):
    """See the module."""

    says = "the trained network, labels shuffled within blocks"
    shuffles = True

    def features(self, rows: Rows) -> Floats:
        """Return the embeddings of the trained network."""
        return features_of_run(rows, untrained=False)
