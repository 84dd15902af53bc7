"""``whiten``: regularised sphering. What varies among controls is noise, and counts less in proportion.

Features are centred per group and brought to the pooled spread of the controls; then the shrunk covariance of all
controls becomes the identity (ZCA, so that features keep their names). With as many features as controls the strength
of the shrinkage decides everything: it is chosen by cross-validation on the controls, whole groups at a time.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from framework.errors import InputError
from framework.profiles.methods.base import METHODS, Controls, Floats, Method, MethodOptions, State
from framework.profiles.methods.residuals import Residuals, divided
from framework.profiles.methods.shrinkage import Spectrum, choose_strength, deal_folds

Strength = Annotated[float, Field(gt=0, le=1)] | Literal["auto"]
_FEWEST = 3


class WhitenOptions(MethodOptions):
    """Options of ``whiten``."""

    name: Literal["whiten"] = "whiten"
    strength: Strength = "auto"
    """Share of the shrunk covariance that is a multiple of the identity. 1: features are only scaled. ``auto``: the
    share that predicts held-out controls best."""
    folds: int = Field(default=5, ge=2)
    """Folds of the cross-validation that chooses ``strength``."""


@METHODS.register("whiten", WhitenOptions)
class Whiten(Method[WhitenOptions]):
    """Sphering by the controls of all groups."""

    shared: ClassVar[tuple[str, ...]] = ("sd", "directions", "gains", "rest", "strength")
    own: ClassVar[tuple[str, ...]] = ("centre",)

    def learn(self, controls: Controls) -> State:
        """Return scale and whitening map: gains (k,) along directions (k, d), one gain for all others."""
        residuals = Residuals.of(controls)
        if residuals.freedom < _FEWEST - 1:
            raise InputError(
                f"{len(residuals.values)} control rows in {controls.group_count} group(s) are too few for "
                f"whitening; expected {_FEWEST} or more in a group: name more controls with --to"
            )
        varying = residuals.values[:, residuals.sd > 0]
        spectrum = Spectrum.of(residuals.values, residuals.freedom)
        if not len(spectrum.variances):
            raise InputError(
                "all controls of a group have equal features, so whitening is not possible; name more or other "
                "controls with --to"
            )
        strength = self.options.strength
        if strength == "auto":
            strength = choose_strength(varying, deal_folds(controls.groups, self.options.folds))
        # The mean variance is that of features that vary.
        along, rest = Spectrum(
            directions=spectrum.directions[:, residuals.sd > 0], variances=spectrum.variances
        ).shrunk(strength)
        return {
            "sd": residuals.sd,
            "directions": spectrum.directions,
            "gains": along**-0.5,
            "rest": np.array([rest**-0.5]),
            "strength": np.array([strength]),
        }

    def learn_group(self, values: Floats, shared: State) -> State:
        """Return the mean of control rows (m, d), (d,)."""
        return {"centre": values.mean(axis=0)}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) whitened; features that are constant on all controls become 0."""
        scaled = divided(values - own["centre"], shared["sd"])
        along = scaled @ shared["directions"].T
        rest = float(shared["rest"][0])
        whitened: Floats = rest * scaled + (along * (shared["gains"] - rest)) @ shared["directions"]
        return whitened

    def told(self, shared: State) -> str:
        """Return the strength, where it was chosen."""
        if self.options.strength != "auto":
            return ""
        return f"whiten: strength {shared['strength'][0]:g} predicts held-out controls best"
