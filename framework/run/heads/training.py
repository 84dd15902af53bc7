"""The loop over steps for stacks of models; each model ends as the trainer would end it, and is handed on at once."""

from __future__ import annotations

import math
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
from framework.run.heads.stack import Seen, Stack
from framework.run.heads.visits import Visits
from framework.trainer import OptimConfig, Progress, TrainConfig, rate_factor

Floats = npt.NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Trained:
    """What training a model left behind, for its run folder.

    Attributes:
        name: of the model.
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
    """A stack, its models, and what they validate on.

    Attributes:
        stack: the weights.
        models: of the stack, in its order.
        held_out: vectors (K, D) and bags (K,) of the validation part of each model; None where the run never looks.
    """

    stack: Stack
    models: list[Trained]
    held_out: list[tuple[torch.Tensor, I64]] | None


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
            if self._is_due(step + 1):
                for side in self._sides:
                    self._evaluate(side)
            for side in self._sides:
                self._end(side)
            self._sides = [side for side in self._sides if len(side.stack)]
            if progress and ((step + 1) % every == 0 or step + 1 == steps):
                progress("train", step + 1, steps)
            if not self._sides:
                break
        if progress:
            progress("train", steps, steps)

    def _step(self, side: Side, step: int) -> None:
        is_logged = (step + 1) % self._train.log_every == 0 or step + 1 == self._train.steps_in_all
        rate = self._optim.lr * rate_factor(step, self._optim, self._train.steps_in_all)
        seen = self._seen([model.visits.at(step) for model in side.models], side.stack.bags_of_data, step)
        losses, counts, norms = side.stack.step(seen, rate, norms=is_logged)
        for model, loss, count in zip(side.models, losses.tolist(), counts.tolist(), strict=True):
            model.losses[step], model.counts[step] = loss, count
            if not math.isfinite(loss):
                raise RunError(
                    f"{model.name}: step {step}: the loss is {loss / max(count, 1.0)}; try a lower optim.lr, "
                    "optim.clip_norm=1 or a longer optim.warmup_steps, and look at the data with: wellstream inspect"
                )
            model.progress = model.progress.after_step()
        if norms is not None:
            for model, norm in zip(side.models, norms.tolist(), strict=True):
                model.norms[step + 1] = norm

    def _evaluate(self, side: Side) -> None:
        if side.held_out is None:
            return
        seen = self._seen(side.held_out, side.stack.bags_of_data, None)
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
        if side.held_out is not None:
            side.held_out = [side.held_out[place] for place in left]

    def _seen(self, each: Sequence[tuple[torch.Tensor, I64]], nobody: int, step: int | None) -> Seen:
        """Put the bags of all models into one tensor; ``step`` is None where nothing is dropped out."""
        rows = max(len(bags) for _, bags in each)
        vectors = torch.zeros(len(each), rows, each[0][0].shape[1], device=self._device)
        places = np.full((len(each), rows), nobody, dtype=np.int64)
        for model, (mine, bags) in enumerate(each):
            vectors[model, : len(bags)] = mine
            places[model, : len(bags)] = bags
        padded = any(len(bags) < rows for _, bags in each)
        if self._dropout and step is not None:
            for length in {len(bags) for _, bags in each}:
                these = [model for model, (_, bags) in enumerate(each) if len(bags) == length]
                vectors[these, :length] *= self._kept(step, length, vectors.shape[2])
        return Seen(vectors=vectors, bags=torch.from_numpy(places).to(self._device), padded=padded)

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
