"""Control rows without what differs between their groups: the noise of a control well, pooled over plates.

A plate has few controls, often six. Their own spread is too noisy to divide by, that of all plates together is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from framework.errors import InputError
from framework.profiles.methods.base import Controls, Floats

_EQUAL = 1e-9
"""A spread below this share of the largest value is rounding: the feature is constant."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Residuals:
    """Control rows less the mean of their group, in units of the pooled standard deviation.

    Attributes:
        values: (n, d); 0 where the feature is constant.
        sd: (d,) pooled standard deviation; 0 where the feature is constant.
        freedom: n less the number of groups.
    """

    values: Floats
    sd: Floats
    freedom: int

    @classmethod
    def of(cls, controls: Controls) -> Residuals:
        """Centre and scale control rows.

        Raises:
            InputError: no group has two control rows.
        """
        freedom = need_freedom(controls)
        centred = less_group(controls, group_means(controls))
        sd = np.sqrt((centred**2).sum(axis=0) / freedom)
        sd = without_rounding(sd, controls.values)
        return cls(values=divided(centred, sd), sd=sd, freedom=freedom)


def need_freedom(controls: Controls) -> int:
    """Return the number of control rows less the number of groups.

    Raises:
        InputError: no group has two control rows.
    """
    freedom = len(controls.values) - controls.group_count
    if freedom < 1:
        raise InputError(
            f"the controls of {controls.group_count} group(s) have one row each, so their spread is unknown; "
            "expected two or more in at least one group: name more controls with --to, or larger groups with "
            "--by"
        )
    return freedom


def group_means(controls: Controls) -> Floats:
    """Return the mean of each group, (G, d)."""
    counts = np.bincount(controls.groups)
    sums = np.zeros((len(counts), controls.values.shape[1]))
    np.add.at(sums, controls.groups, controls.values)
    means: Floats = sums / counts[:, None]
    return means


def less_group(controls: Controls, centres: Floats) -> Floats:
    """Return control rows less the centre (G, d) of their group."""
    centred: Floats = controls.values - centres[controls.groups]
    return centred


def without_rounding(spread: Floats, values: Floats) -> Floats:
    """Return a spread (d,) with exact zeros where it is nothing but rounding of ``values`` (n, d)."""
    cut: Floats = np.where(spread <= _EQUAL * np.abs(values).max(axis=0), 0.0, spread)
    return cut


def divided(values: Floats, spread: Floats) -> Floats:
    """Return values (n, d) in units of a spread (d,); 0 where it is 0."""
    scaled: Floats = np.divide(values, spread, out=np.zeros_like(values), where=spread > 0)
    return scaled
