"""The loop over steps for stacks of models; each model ends as the trainer would end it, and is handed on at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from framework.data.permutation import I64, hash_u64
from framework.errors import RunError
from framework.progress import OnProgress
from framework.run.heads.chunk import HeadState
from framework.run.heads.stack import Stack
from framework.run.heads.visits import Course, Seen, Visits
from framework.trainer import OptimConfig, Progress, TrainConfig, rate_factor

Floats = npt.NDArray[np.float64]
_TOLD_EVERY = 64
"""Steps after which losses are looked at, if nothing asks for that before: looking waits for the device."""


@dataclass(kw_only=True, eq=False)
class Trained:
    """What training a model left behind, for its run folder.

    Attributes:
        name: name of the model.
        visits: steps of its plan.
        losses, counts: float64 (steps,), sums of squared errors and what they are over.
        norms: step -> norm of the gradient, of steps that are logged; steps are counted from 1 here and below.
        validations: step -> loss of validation.
        progress: how far it is.
        best: where it stood at the best validation, if patience asks for that.
        final: where it stands at the end.
        ended_by: all steps, or patience.
    """

    name: str
    visits: Visits
    losses: Floats
    counts: Floats
    norms: dict[int, float] = field(default_factory=dict)
    validations: dict[int, float] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    best: HeadState | None = None
    final: HeadState | None = None
    ended_by: Literal["steps", "patience"] = "steps"

    def progress_at(self, step: int) -> Progress:
        """Return how far it was after ``step`` steps."""
        progress = Progress()
        for at in sorted(at for at in self.validations if at <= step):
            progress = replace(progress, step=at).after_evaluation(self.validations[at])
        return replace(progress, step=step)


@dataclass(kw_only=True, eq=False)
class Side:
    """A stack, its models, and what they see.

    Attributes:
        stack: the weights.
        models: models of the stack, in its order.
        course: what they are trained on.
        held_out: vectors (K, D) and bags (K,) of the validation part of each model; None where the run never looks.
        told: sums of squared errors and numbers of measured values of steps that the models do not know yet.
    """

    stack: Stack
    models: list[Trained]
    course: Course
    held_out: list[tuple[torch.Tensor, I64]] | None
    told: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)


class Training:
    """Trains stacks side by side.

    Args:
        sides: the stacks.
        train, optim: of every model.
        dropout: before the linear layer.
        device: where it is done.
        done: called with each model that is at its end, while the others go on.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        train: TrainConfig,
        optim: OptimConfig,
        dropout: float,
        device: torch.device,
        done: Callable[[Trained], None],
    ) -> None:
        self._sides, self._train, self._optim, self._dropout = list(sides), train, optim, dropout
        self._device, self._done = device, done

    def run(self, progress: OnProgress | None) -> None:
        """Train until every model is at its end.

        Raises:
            RunError: a loss is not finite; models that are done already are kept.
        """
        steps, every = self._train.steps_in_all, max(1, self._train.steps_in_all // 100)
        for step in range(steps):
            for side in self._sides:
                self._step(side, step)
            if self._is_due(step + 1) or step + 1 == steps or (step + 1) % _TOLD_EVERY == 0:
                self._look(step + 1)
            if progress and ((step + 1) % every == 0 or step + 1 == steps):
                progress("train", step + 1, steps)
            if not self._sides:
                break
        if progress:
            progress("train", steps, steps)

    def _look(self, step: int) -> None:
        """Tell the models what became of them by ``step``, validate them where that is due, and let go who is done."""
        for side in self._sides:
            _tell(side, step)
            if self._is_due(step):
                self._evaluate(side)
            self._end(side)
        self._sides = [side for side in self._sides if len(side.stack)]

    def _step(self, side: Side, step: int) -> None:
        is_logged = (step + 1) % self._train.log_every == 0 or step + 1 == self._train.steps_in_all
        rate = self._optim.lr * rate_factor(step, self._optim, self._train.steps_in_all)
        seen = side.course.at(step)
        if self._dropout:
            seen = self._thinned(seen, step)
        losses, counts, norms = side.stack.step(seen, rate, norms=is_logged)
        side.told.append((losses, counts))
        if norms is not None:
            for model, norm in zip(side.models, norms.tolist(), strict=True):
                model.norms[step + 1] = norm

    def _evaluate(self, side: Side) -> None:
        if side.held_out is None:
            return
        seen = self._validated(side, side.held_out)
        counts = side.stack.counts(seen.bags)
        means = (side.stack.losses(seen) / counts).tolist()
        for place, (model, loss) in enumerate(zip(side.models, means, strict=True)):
            step = model.progress.step
            model.validations[step] = loss
            model.progress = model.progress.after_evaluation(loss)
            if self._train.patience is not None and model.progress.best_step == step:
                model.best = side.stack.state_of(place)

    def _end(self, side: Side) -> None:
        """Hand on the models that are at their end, and go on without them."""
        over = [place for place, model in enumerate(side.models) if self._is_over(model.progress)]
        if not over:
            return
        for place in over:
            model = side.models[place]
            model.final = side.stack.state_of(place)
            model.ended_by = "steps" if model.progress.step >= self._train.steps_in_all else "patience"
            self._done(model)
            model.final = model.best = None
        left = [place for place in range(len(side.models)) if place not in over]
        side.stack.keep(left)
        side.models = [side.models[place] for place in left]
        if left:
            side.course.keep(left)
        if side.held_out is not None:
            side.held_out = [side.held_out[place] for place in left]

    def _validated(self, side: Side, each: Sequence[tuple[torch.Tensor, I64]]) -> Seen:
        """Put the validation bags of all models into one tensor."""
        lengths = tuple(len(bags) for _, bags in each)
        vectors = torch.zeros(len(each), max(lengths), each[0][0].shape[1], device=self._device)
        places = np.full(vectors.shape[:2], side.stack.nobody, dtype=np.int64)
        for model, ((mine, bags), offset) in enumerate(zip(each, side.stack.offsets, strict=True)):
            vectors[model, : len(bags)] = mine
            places[model, : len(bags)] = bags + offset
        there = torch.from_numpy((places != side.stack.nobody)[..., None].astype(np.float32)).to(self._device)
        return Seen(vectors=vectors, bags=torch.from_numpy(places).to(self._device), lengths=lengths, there=there)

    def _thinned(self, seen: Seen, step: int) -> Seen:
        """Return what dropout leaves."""
        vectors = seen.vectors.clone()
        for length in set(seen.lengths):
            these = [model for model, mine in enumerate(seen.lengths) if mine == length]
            vectors[these, :length] *= self._kept(step, length, vectors.shape[2])
        return replace(seen, vectors=vectors)

    def _kept(self, step: int, rows: int, width: int) -> torch.Tensor:
        """Return what the trainer's dropout would multiply (rows, width) by in this step."""
        torch.manual_seed(int(hash_u64(self._train.seed, step, 0)) >> 1)
        return torch.nn.functional.dropout(torch.ones(rows, width, device=self._device), self._dropout)

    def _is_due(self, step: int) -> bool:
        every = self._train.evaluate_every
        return every is not None and (step % every == 0 or step == self._train.steps_in_all)

    def _is_over(self, progress: Progress) -> bool:
        patience = self._train.patience
        return progress.step >= self._train.steps_in_all or (patience is not None and progress.stale >= patience)


def _tell(side: Side, step: int) -> None:
    """Hand losses and counts of the steps before ``step`` to the models.

    Raises:
        RunError: a loss is not finite.
    """
    losses, counts = (torch.stack(each).cpu().numpy() for each in zip(*side.told, strict=True))
    these = slice(step - len(side.told), step)
    side.told = []
    for place, model in enumerate(side.models):
        model.losses[these], model.counts[these] = losses[:, place], counts[:, place]
        model.progress = replace(model.progress, step=step)
    if not np.isfinite(losses).all():
        row, place = np.argwhere(~np.isfinite(losses))[0]
        raise RunError(
            f"{side.models[place].name}: step {these.start + row}: the loss is "
            f"{losses[row, place] / max(counts[row, place], 1.0)}; try a lower optim.lr, optim.clip_norm=1 or a longer "
            "optim.warmup_steps, and look at the data with: wellstream inspect"
        )
