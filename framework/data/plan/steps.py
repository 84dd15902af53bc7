"""Every n-th step of a plan as a plan of its own: the share of one of several processes."""

from __future__ import annotations

from typing import Literal

from framework.data.permutation import I64
from framework.data.plan.base import Plan, StepRows


class EveryNthStep:
    """The steps ``first``, ``first + every``, ... of the first epoch of a plan; rows keep the number of their step.

    Args:
        plan: the plan that the steps are taken from.
        first: first step, >= 0; beyond the last step the plan is empty.
        every: distance of the steps, >= 1.
    """

    unit: Literal["bag", "tile", "condition"]

    def __init__(self, plan: Plan, first: int, every: int) -> None:
        if first < 0 or every < 1:
            raise ValueError(f"expected first >= 0 and every >= 1, found {first} and {every}")
        self._plan, self._steps = plan, range(first, plan.steps_per_epoch, every)
        self.rows, self.tiles_per_row, self.unit, self.excluded = (
            plan.rows,
            plan.tiles_per_row,
            plan.unit,
            plan.excluded,
        )
        self.steps_per_epoch = len(self._steps)

    def at(self, step: int) -> StepRows:
        """Return the rows of the ``step``-th of these steps; there is one epoch."""
        return self._plan.at(self._steps[step])

    def visits(self, rows: StepRows) -> I64:
        """Return the units that count, as the plan has them."""
        return self._plan.visits(rows)
