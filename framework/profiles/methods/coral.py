"""``coral``: the controls of each group get the covariance of the controls of all groups (Sun, Feng and Saenko 2016).

A plate has far fewer controls than features, so its covariance is averaged with that of all groups, which counts as
``prior`` control rows. The map itself is ``framework.evaluate.Coral``, in the directions in which any control varies.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from framework.errors import InputError
from framework.evaluate.alignment import Coral
from framework.profiles.methods.base import METHODS, Controls, Floats, Method, MethodOptions, State
from framework.profiles.methods.residuals import Residuals, divided
from framework.profiles.methods.shrinkage import Spectrum


class AlignmentOptions(MethodOptions):
    """Options of methods that align covariances."""

    ridge: float = Field(default=1.0, gt=0)
    """Added to the diagonal of both covariances, in units of the pooled variance of a feature; 1 in the publication."""
    prior: float = Field(default=10.0, ge=0)
    """How many control rows the covariance of all groups counts as. 0: each group uses only its own controls, as
    published."""


class CoralOptions(AlignmentOptions):
    """Options of ``coral``."""

    name: Literal["coral"] = "coral"


@METHODS.register("coral", CoralOptions)
class CoralMethod(Method[CoralOptions]):
    """Alignment of covariances, after features were centred per group and scaled."""

    shared: ClassVar[tuple[str, ...]] = ("sd", "directions", "variances")
    own: ClassVar[tuple[str, ...]] = ("centre", "rows")

    def learn(self, controls: Controls) -> State:
        """Return scale, directions (k, d) and the variances (k,) of all controls along them.

        Raises:
            InputError: no feature varies within any group.
        """
        residuals = Residuals.of(controls)
        spectrum = Spectrum.of(residuals.values, residuals.freedom)
        if not len(spectrum.variances):
            raise InputError(
                "all controls of a group have equal features, so there is no covariance to align; name more or other "
                "controls with --to"
            )
        return {"sd": residuals.sd, "directions": spectrum.directions, "variances": spectrum.variances}

    def learn_group(self, values: Floats, shared: State) -> State:
        """Return the mean of the controls, and the centred controls along the directions, (m, k)."""
        need_rows(len(values), self.options.prior)
        centre = values.mean(axis=0)
        return {"centre": centre, "rows": divided(values - centre, shared["sd"]) @ shared["directions"].T}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) aligned; features that are constant on all controls become 0."""
        scaled = divided(values - own["centre"], shared["sd"])
        return aligned(scaled, own["rows"], shared["directions"], shared["variances"], self.options)


def need_rows(rows: int, prior: float) -> None:
    """Raises InputError: one control row and no prior."""
    if rows < 2 and prior == 0:
        raise InputError("1 control row has no covariance; expected two or more with prior: 0, or a prior above 0")


def aligned(values: Floats, rows: Floats, directions: Floats, variances: Floats, options: AlignmentOptions) -> Floats:
    """Return rows of a group moved by CORAL.

    Args:
        values: (n, d) centred and scaled.
        rows: (m, k) centred controls of the group along the directions.
        directions: (k, d) orthonormal.
        variances: (k,) of all controls along them; there they do not correlate.
        options: ridge and prior.
    """
    target = np.diag(variances)
    source = (options.prior * target + rows.T @ rows) / (options.prior + len(rows) - 1)
    centre = np.zeros(len(variances))
    along = values @ directions.T
    moved = Coral.between(source, target, options.ridge, from_mean=centre, to_mean=centre).apply(along)
    result: Floats = values + (moved - along) @ directions
    return result
