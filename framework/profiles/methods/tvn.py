"""``tvn``: typical variation normalisation (Ando 2017): whitened by all controls, then CORAL of each group.

As published the whitening is not regularised; here its strength is chosen as that of ``whiten``, and the covariance of
a group is averaged with that of all groups as in ``coral``.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framework.profiles.methods.base import METHODS, Controls, Floats, Method, State
from framework.profiles.methods.coral import AlignmentOptions, aligned, need_rows
from framework.profiles.methods.residuals import less_group
from framework.profiles.methods.shrinkage import Spectrum
from framework.profiles.methods.whiten import Strength, Whiten, WhitenOptions


class TvnOptions(AlignmentOptions):
    """Options of ``tvn``."""

    name: Literal["tvn"] = "tvn"
    strength: Strength = "auto"
    """See ``whiten``."""
    folds: int = Field(default=5, ge=2)
    """See ``whiten``."""


@METHODS.register("tvn", TvnOptions)
class Tvn(Method[TvnOptions]):
    """Sphering by the controls of all groups, then alignment of the controls of each."""

    shared: ClassVar[tuple[str, ...]] = (*Whiten.shared, "aligned_directions", "aligned_variances")
    own: ClassVar[tuple[str, ...]] = (*Whiten.own, "rows")

    def learn(self, controls: Controls) -> State:
        """Return the whitening map, and the spectrum of the whitened controls."""
        whitening = self._whiten().learn(controls)
        centres = np.stack(
            [controls.values[controls.groups == each].mean(axis=0) for each in range(controls.group_count)]
        )
        whitened = self._whiten().apply(less_group(controls, centres), whitening, {"centre": np.zeros(1)})
        spectrum = Spectrum.of(whitened, len(whitened) - controls.group_count)
        return {**whitening, "aligned_directions": spectrum.directions, "aligned_variances": spectrum.variances}

    def learn_group(self, values: Floats, shared: State) -> State:
        """Return the mean of the controls, and the whitened controls along the directions, (m, k)."""
        need_rows(len(values), self.options.prior)
        own = self._whiten().learn_group(values, shared)
        whitened = self._whiten().apply(values, shared, own)
        return {**own, "rows": whitened @ shared["aligned_directions"].T}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) whitened and aligned."""
        whitened = self._whiten().apply(values, shared, own)
        spectrum = shared["aligned_directions"], shared["aligned_variances"]
        return aligned(whitened, own["rows"], *spectrum, self.options)

    def told(self, shared: State) -> str:
        """Return the strength, where it was chosen."""
        return self._whiten().told(shared).replace("whiten:", "tvn:")

    def _whiten(self) -> Whiten:
        return Whiten(WhitenOptions(strength=self.options.strength, folds=self.options.folds))
