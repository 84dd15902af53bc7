"""``untrained``: the same network with the weights it began with; what training adds is what lies above it."""

from __future__ import annotations

from typing import Literal

from framework.baselines.base import BASELINES, Baseline, BaselineConfig, Floats
from framework.baselines.networks import features_of_run
from framework.baselines.rows import Rows


class UntrainedConfig(BaselineConfig):
    """Options of ``untrained``: none."""

    name: Literal["untrained"] = "untrained"


@BASELINES.register("untrained", UntrainedConfig)
class Untrained(Baseline):
    """See the module."""

    says = "the same network, untrained"

    def features(self, rows: Rows) -> Floats:
        """Return its embeddings."""
        return features_of_run(rows, untrained=True)
