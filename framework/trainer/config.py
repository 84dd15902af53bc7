"""The section ``train`` of a run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from framework.config import StrictModel, contradiction


class EmaConfig(StrictModel):
    """``train.ema``: an exponential moving average of the weights, kept beside them in every checkpoint.

    After step t (counted from 1) the average is multiplied by d and the weights by 1 - d, with d = min(decay, (1 + t) /
    (10 + t)), so that it forgets the initial weights. It holds the weights that train; running statistics of batch
    normalisation are averages already and are used as they are.
    """

    decay: float = Field(default=0.999, gt=0.0, lt=1.0)
    """Share of the old average that is kept at each step."""
    validation: bool = True
    """Whether validation, and so patience, uses the average."""
    results: bool = True
    """Whether embed, predict, export and other commands, and runs that build on this one, use the average."""


MOST_STEPS = 1_000_000_000
"""At one step per second this many would take decades, so a larger number must be a mistake."""


class TrainConfig(StrictModel):
    """The section ``train``."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """How many steps to train. Set this or ``epochs``."""
    epochs: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """How many epochs to train: in one epoch the plan visits each of its bags, tiles or conditions once. Set this or
    ``steps``."""
    seed: int = Field(default=0, ge=0)
    """Seed of initial weights, batches, augmentation and dropout."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """``bf16`` and ``fp16`` compute the forward pass under autocast; weights stay float32. With ``fp16`` the loss is
    scaled so that gradients do not vanish. If a gradient overflows, the scale is halved and the step does not change
    the weights."""
    ema: EmaConfig | None = None
    """Also keep an average of the weights; left out: none is kept."""
    channels_last: bool = False
    """Whether tensors are stored with channels last, which is faster on some GPUs and CPUs."""
    compile: bool = False
    """torch.compile: slower to start, then faster. The chunks of ``objective.gradient_cache`` are not compiled."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` uses CUDA if there is a GPU."""
    accumulate: int = Field(default=1, ge=1)
    """Number of parts of a step. The parts pass through the network one after the other, so memory holds the
    activations of one part. The batch of a step stays what the plan says, and the gradient is that of the whole batch;
    ranks exchange it once, after the last part. An objective that compares the rows of a step with each other sees all
    of them at once, and computes each part twice (gradient caching). Batch normalisation sees one part at a time."""
    save_every: int = Field(default=500, ge=1)
    """Steps between checkpoints. They are written while training goes on; the last step is always saved."""
    keep: int = Field(default=2, ge=1)
    """How many checkpoints to keep, besides the best one."""
    evaluate_every: int | None = Field(default=None, ge=1)
    """Steps between passes over the validation part; left out: no validation."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many validation passes in a row without a lower loss, and use the weights of the best one."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of metrics."""
    batch_norm: Literal["local", "sync", "frozen"] = "local"
    """What batch normalisation normalises by. ``local``: each rank uses its own rows, so the number of ranks matters.
    ``sync``: the rows of all ranks, so their number does not matter, even with uneven rows. ``frozen``: the running
    statistics, which do not change. Padding rows never count. With ``accumulate`` the rows are those of one part, and
    the running statistics follow each part; the gradient is then that of the whole batch only with ``frozen``, or
    without batch normalisation."""
    running_statistics: Literal["average", "first_rank"] = "average"
    """Running statistics for validation and checkpoints of several ranks, with ``batch_norm: local``: the mean over
    ranks, or those of rank 0. All ranks then use them, so a run that was stopped goes on as if it had not stopped.
    """
    deterministic: bool = False
    """On CUDA: every repetition on the same GPUs gives the same bits (deterministic kernels, no TF32). Slower. On a CPU
    this is always so."""
    threads: int = Field(default=2, ge=1)
    """Loader threads per rank."""
    prefetch: int = Field(default=2, ge=1)
    """Batches made ahead per rank, each by one loader thread; at least ``threads``."""
    timeout_s: float = Field(default=600.0, gt=0.0)
    """Seconds that a rank may take for a step, or for a batch of validation. After that the run ends and names the
    rank, with its stack. If the system has halted the rank, the other ranks and the command name it, about ten seconds
    later. The first steps, which may compile, and work that one rank does alone may take half an hour
    (WELLSTREAM_TIMEOUT_S)."""

    @property
    def steps_in_all(self) -> int:
        """How many steps to train.

        Raises:
            ValueError: the plan has not said yet how many steps an epoch has.
        """
        if self.steps is None:
            raise ValueError("train.epochs needs the steps of an epoch; see TrainConfig.with_steps")
        return self.steps

    def with_steps(self, steps_per_epoch: int) -> TrainConfig:
        """Return the section with steps in place of epochs."""
        if self.epochs is None:
            return self
        return self.model_copy(update={"steps": self.epochs * steps_per_epoch, "epochs": None})

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> TrainConfig:
        if self.steps is None and self.epochs is None:
            raise ValueError("missing key; expected steps (how many to train), or epochs")
        if self.steps is not None and self.epochs is not None:
            raise contradiction("expected either train.steps or train.epochs, found both; leave one out", "epochs")
        return self

    @model_validator(mode="after")
    def _every_thread_has_a_batch(self) -> TrainConfig:
        if self.threads > self.prefetch:
            raise contradiction(
                f"{self.threads} threads make {self.threads} batches at a time, but train.prefetch allows "
                f"{self.prefetch}; set train.prefetch={self.threads} too, or fewer threads",
                "threads",
            )
        return self

    @model_validator(mode="after")
    def _patience_needs_evaluations(self) -> TrainConfig:
        if self.patience is not None and self.evaluate_every is None:
            raise contradiction("counts validation passes; set evaluate_every too, or leave patience out", "patience")
        return self
