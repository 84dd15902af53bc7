"""How far a run is: the few numbers besides weights and optimiser that a resume needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is done.

    Attributes:
        step: completed steps.
        best_step: step of the lowest validation loss so far, or None.
        best_loss: that loss, inf before the first evaluation.
        stale: evaluations since then.
        owes_evaluation: the run was stopped before or in the validation that follows this step; whoever resumes makes
            it first.
    """

    step: int = 0
    best_step: int | None = None
    best_loss: float = math.inf
    stale: int = 0
    owes_evaluation: bool = False

    def after_step(self) -> Progress:
        """Return the progress one step later."""
        return replace(self, step=self.step + 1)

    def after_evaluation(self, loss: float) -> Progress:
        """Return the progress after validating at the current step; NaN is never better."""
        if loss < self.best_loss:
            return replace(self, best_step=self.step, best_loss=loss, stale=0, owes_evaluation=False)
        return replace(self, stale=self.stale + 1, owes_evaluation=False)

    def plain(self) -> dict[str, Any]:
        """Return JSON-ready facts; ``from_plain`` of them gives an equal object."""
        loss = self.best_loss if math.isfinite(self.best_loss) else None
        owing = {"owes_evaluation": True} if self.owes_evaluation else {}
        return {"step": self.step, "best_step": self.best_step, "best_loss": loss, "stale": self.stale, **owing}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Progress:
        """Return the progress that ``plain`` gave these facts."""
        loss = math.inf if plain["best_loss"] is None else float(plain["best_loss"])
        best_step = None if plain["best_step"] is None else int(plain["best_step"])
        return cls(
            step=int(plain["step"]),
            best_step=best_step,
            best_loss=loss,
            stale=int(plain["stale"]),
            owes_evaluation=plain.get("owes_evaluation") is True,
        )
