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
    """Share of the former average that is kept at each step."""
    validation: bool = True
    """Whether validation, and so patience, looks at the average."""
    results: bool = True
    """Whether embed, predict, export and other uses of the run, and runs that build on it, take the average."""


MOST_STEPS = 1_000_000_000
"""Of these, one per second would take decades: a number above it is a slip."""


class TrainConfig(StrictModel):
    """The section ``train``."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """How many steps to train; this or ``epochs``."""
    epochs: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """How often to visit what the plan visits once per epoch (its bags, tiles or conditions); this or ``steps``."""
    seed: int = Field(default=0, ge=0)
    """Of initial weights, batches, augmentation and dropout."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """``bf16`` and ``fp16`` compute the forward pass under autocast; weights stay float32. With ``fp16`` the loss is
    scaled so that gradients do not vanish; where a gradient overflows, the scale halves and the step leaves the weights
    as they are."""
    ema: EmaConfig | None = None
    """Keep an average of the weights too; nothing: none."""
    channels_last: bool = False
    """Whether tensors lie in memory with channels last, which some GPUs and CPUs compute faster."""
    compile: bool = False
    """torch.compile: slower to start, then faster. The chunks of ``objective.gradient_cache`` are not compiled."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is any."""
    accumulate: int = Field(default=1, ge=1)
    """Parts that the rows of a step pass the network in, one after the other, so that activations of one part are in
    memory. The batch of a step stays what the plan says, and the gradient is that of the whole batch; ranks exchange it
    once, after the last part. An objective that compares the rows of a step with each other sees all of them at once
    and computes each part twice (gradient caching). Batch normalisation sees one part at a time."""
    save_every: int = Field(default=500, ge=1)
    """Steps between checkpoints, which are written beside training; the last step is always saved."""
    keep: int = Field(default=2, ge=1)
    """How many checkpoints to keep, besides the best one."""
    evaluate_every: int | None = Field(default=None, ge=1)
    """Steps between passes over the validation part; nothing: never."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations in a row without a lower validation loss, and use the weights of the best."""
    log_every: int = Field(default=10, ge=1)
    """Steps between lines of metrics."""
    batch_norm: Literal["local", "sync", "frozen"] = "local"
    """``local``: each rank normalises by its own rows, so the world size matters; ``sync``: by the rows of all ranks,
    so it does not, however the rows divide; ``frozen``: by the running statistics, which stay as they are. Padding rows
    count in none. With ``accumulate`` the rows are those of one part, and the running statistics follow each part; the
    gradient is that of the whole batch with ``frozen``, or without batch normalisation."""
    running_statistics: Literal["average", "first_rank"] = "average"
    """What validation and checkpoints of several ranks normalise by, with ``batch_norm: local``: the mean of the ranks'
    running statistics, or those of rank 0. All ranks take them. So a run that was stopped goes on as if it never was.
    """
    deterministic: bool = False
    """On CUDA: the same bits at every repetition on the same GPUs (kernels that repeat, no TF32). Slower. The CPU
    always repeats."""
    threads: int = Field(default=2, ge=1)
    """Loader threads per rank."""
    prefetch: int = Field(default=2, ge=1)
    """Batches made ahead per rank, each by one loader thread; at least ``threads``."""
    timeout_s: float = Field(default=600.0, gt=0.0)
    """Seconds a rank may take to a step, or to a batch of validation, before the run ends with its name and its stack.
    One that the system has halted cannot name itself: the others and the command do, about ten seconds later. The first
    ones, which may compile, and what one rank does alone may take half an hour (WELLSTREAM_TIMEOUT_S)."""

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
