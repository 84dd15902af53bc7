"""The few numbers of a step that the processor needs, read without making it wait for a GPU.

Reading a number from a GPU means waiting until all work queued before it is done. So on a GPU the numbers of a step are
copied while it computes, and read when the next step has been queued; the GPU always has work. There a signal to stop
takes effect one step later, and a loss that is not a number is found one step later. On a CPU nothing is queued, and
the numbers of a step are read at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from framework.distributed import Ranks
from framework.errors import RunError
from framework.objectives import Losses
from framework.trainer.stop import StoppedBy

LATE_ON: frozenset[str] = frozenset({"cuda"})
"""Types of devices whose numbers are read a step later."""
_LEAST_SCALE = 1.0
"""A gradient that overflows at this scale of the loss is not a matter of the scale."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a step was, as the processor knows it.

    Attributes:
        step: its number, from 0.
        loss: mean over the items of all ranks.
        gradient_norm: L2 norm of the global gradient.
        stopped_by: the signal that any rank was sent.
    """

    step: int
    loss: float
    gradient_norm: float
    stopped_by: StoppedBy | None


class StepFacts:
    """One step: this rank's losses, its learning rate, and its numbers on their way.

    Args:
        step: its number, from 0.
        losses: sums of this rank, on the device.
        rate: learning rate.
        sums: (5,) float64: loss, items, how many ranks were told SIGTERM and SIGINT, L2 norm of the gradient.
        scaler: scaler of the loss.
        ranks: the processes.
    """

    def __init__(
        self,
        *,
        step: int,
        losses: Losses,
        rate: float,
        sums: torch.Tensor,
        scaler: torch.amp.GradScaler,
        ranks: Ranks,
    ) -> None:
        self.step, self.losses, self.rate = step, losses, rate
        self._scaler, self._ranks = scaler, ranks
        self._ready: torch.cuda.Event | None = None
        self._sums = sums
        if sums.is_cuda:
            self._sums = torch.empty(sums.shape, dtype=sums.dtype, pin_memory=True)
            self._sums.copy_(sums, non_blocking=True)
            self._ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._ready.record()
        self.is_late = sums.device.type in LATE_ON
        """Whether reading now would make the processor wait."""

    def read(self) -> Seen:
        """Wait for the numbers and return them.

        Raises:
            RunError: the loss or gradient is not finite.
        """
        with self._ranks.meeting("step"):
            if self._ready is not None:
                self._ready.synchronize()
            summed, count, terminated, interrupted, gradient = self._sums.tolist()
        mean = summed / max(count, 1.0)
        _need_finite(self.step, mean, 0.0 if _was_skipped(self._scaler, gradient) else gradient)
        stopped_by: StoppedBy | None = "SIGTERM" if terminated else "SIGINT" if interrupted else None
        return Seen(step=self.step, loss=mean, gradient_norm=gradient, stopped_by=stopped_by)


class Unread:
    """Steps whose numbers were not read yet: none, or on a GPU the one that was queued last."""

    def __init__(self) -> None:
        self._facts: StepFacts | None = None

    def after(self, facts: StepFacts, *, settle: bool) -> list[Seen]:
        """Return what is to be read after a step, in order of steps.

        Args:
            facts: facts of the step that was queued.
            settle: read it too, however long that takes: something follows that needs it, as a checkpoint.

        Raises:
            RunError: as ``StepFacts.read``.
        """
        before, self._facts = self._facts, facts
        seen = [] if before is None else [before.read()]
        stops = any(each.stopped_by for each in seen)
        if settle or stops or not facts.is_late:
            self._facts = None
            seen.append(facts.read())
        return seen


def _was_skipped(scaler: torch.amp.GradScaler, gradient_norm: float) -> bool:
    """Whether a gradient overflowed because its scale was too large, which is then lower from the next step on."""
    return scaler.is_enabled() and not math.isfinite(gradient_norm) and scaler.get_scale() >= _LEAST_SCALE


def _need_finite(step: int, loss: float, gradient_norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(gradient_norm):
        return
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {gradient_norm}"
    raise RunError(
        f"step {step}: {what}; earlier checkpoints are unharmed. Try a lower optim.lr, optim.clip_norm=1, a longer "
        "optim.warmup_steps or train.precision=fp32; and look at the data with: wellstream inspect DATASET"
    )
