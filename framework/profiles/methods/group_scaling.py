"""What z, MAD and percentile scaling share: a zero point per group, and a spread that few controls do not spoil.

The spread of a group is moderated: its own and the pooled one are averaged as variances, the pooled one with the
weight of ``prior`` control rows (the idea of Smyth 2004, eq. 3). With ``prior: 0`` the spread is that of the group.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, TypeVar

import numpy as np
from pydantic import Field

from framework.errors import InputError
from framework.profiles.methods.base import Controls, Floats, Method, MethodOptions, State
from framework.profiles.methods.residuals import divided, less_group, need_freedom, without_rounding


class ScalingOptions(MethodOptions):
    """Options of methods that scale each feature by itself."""

    prior: float = Field(default=10.0, ge=0)
    """How many control rows the spread of all groups together counts as. 0: each group uses only its own controls."""


S = TypeVar("S", bound=ScalingOptions)


class GroupScaling(Method[S]):
    """(value - zero of the group) / spread."""

    shared: ClassVar[tuple[str, ...]] = ("spread",)
    own: ClassVar[tuple[str, ...]] = ("zero", "spread")

    @abstractmethod
    def zero(self, values: Floats) -> Floats:
        """Return what becomes 0, (d,)."""

    @abstractmethod
    def middle(self, values: Floats) -> Floats:
        """Return what is taken off the controls of a group before they are pooled, (d,)."""

    @abstractmethod
    def spread(self, values: Floats) -> Floats:
        """Return what becomes 1, (d,)."""

    def learn(self, controls: Controls) -> State:
        """Return the pooled spread; that of a feature most of whose controls are equal is its standard deviation."""
        freedom = need_freedom(controls)
        names = range(controls.group_count)
        centres = np.stack([self.middle(controls.values[controls.groups == each]) for each in names])
        centred = less_group(controls, centres)
        lost = np.sqrt((len(centred) - 1) / freedom)
        pooled = without_rounding(self.spread(centred) * lost, controls.values)
        sd = without_rounding(np.sqrt((centred**2).sum(axis=0) / freedom), controls.values)
        return {"spread": np.where(pooled > 0, pooled, sd)}

    def learn_group(self, values: Floats, shared: State) -> State:
        """Return zero point and moderated spread of control rows (m, d), (d,) each."""
        rows, prior = len(values) - 1, self.options.prior
        if rows + prior == 0:
            raise InputError(
                "1 control row has no spread of its own; expected two or more with prior: 0, or a prior above 0"
            )
        pooled = shared["spread"]
        own = without_rounding(self.spread(values), values) if rows else np.zeros_like(pooled)
        moderated = np.sqrt((prior * pooled**2 + rows * own**2) / (prior + rows))
        return {"zero": self.zero(values), "spread": np.where(moderated > 0, moderated, pooled)}

    def apply(self, values: Floats, shared: State, own: State) -> Floats:
        """Return rows (m, d) scaled; features that are constant on all controls become 0."""
        return divided(values - own["zero"], np.where(shared["spread"] > 0, own["spread"], 0.0))
