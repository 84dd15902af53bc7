"""``asinh``: large values are compressed, small ones stay: scale * asinh(value / scale).

Strong treatments move a few features by a hundred standard deviations of the controls, and those alone then decide
which profiles are alike. The inverse hyperbolic sine is linear within ``scale`` and logarithmic beyond it; as a
generalised logarithm it is what stabilises additive plus multiplicative noise (Huber 2002, eq. 2). It expects features
in units of the controls' spread, as ``z`` and ``mad`` leave them.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.optimize import minimize_scalar

from framework.profiles.methods.base import METHODS, Controls, Floats, Method, MethodOptions, State

_SMALLEST, _LARGEST = 0.05, 100.0


class AsinhOptions(MethodOptions):
    """Options of ``asinh``."""

    name: Literal["asinh"] = "asinh"
    scale: Annotated[float, Field(gt=0)] | Literal["controls"] = "controls"
    """Value where compression begins. ``controls``: the scale between 0.05 and 100 under which the control rows are
    most likely normal."""


@METHODS.register("asinh", AsinhOptions)
class Asinh(Method[AsinhOptions]):
    """Compression with one scale for all features and groups."""

    shared: ClassVar[tuple[str, ...]] = ("scale",)
    own: ClassVar[tuple[str, ...]] = ()

    def learn(self, controls: Controls) -> State:
        """Return the scale."""
        if self.options.scale != "controls":
            return {"scale": np.array([self.options.scale])}
        varying = controls.values.max(axis=0) > controls.values.min(axis=0)
        values = controls.values[:, varying]
        if len(values) < 2 or not values.shape[1]:
            return {"scale": np.array([_LARGEST])}
        best = minimize_scalar(
            lambda power: -_log_likelihood(values, float(np.exp(power))),
            bounds=(np.log(_SMALLEST), np.log(_LARGEST)),
            method="bounded",
        )
        return {"scale": np.array([float(np.exp(best.x))])}

    def learn_group(self, values: Floats, shared: State) -> State:
        """Learn nothing of control rows (m, d)."""
        return {}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) compressed."""
        scale = float(shared["scale"][0])
        compressed: Floats = scale * np.arcsinh(values / scale)
        return compressed

    def told(self, shared: State) -> str:
        """Return the scale, where it was chosen."""
        if self.options.scale != "controls":
            return ""
        return f"asinh: the controls are most likely normal with scale {shared['scale'][0]:.3g}"


def _log_likelihood(values: Floats, scale: float) -> float:
    """Return the mean log-likelihood of compressed values, normal per feature, with the Jacobian of the change."""
    compressed = scale * np.arcsinh(values / scale)
    of_features = -0.5 * np.log(compressed.var(axis=0)) - 0.5 * np.log1p((values / scale) ** 2).mean(axis=0)
    return float(of_features.mean())
