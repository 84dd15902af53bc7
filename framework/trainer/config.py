"""The section ``train`` of a run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from framework.config import StrictModel, contradiction


class TrainConfig(StrictModel):
    """The section ``train``."""

    steps: int = Field(ge=1, description="how many steps to train, a whole number >= 1")
    seed: int = Field(default=0, ge=0)
    """Of initial weights, batches, augmentation and dropout."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """``bf16`` computes the forward pass under autocast; weights stay float32."""
    channels_last: bool = False
    compile: bool = False
    """torch.compile: slower to start, then faster. The chunks of ``objective.gradient_cache`` are not compiled."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every: int = Field(default=500, ge=1)
    """Steps between checkpoints; the last step is always saved."""
    keep: int = Field(default=2, ge=1)
    """How many checkpoints to keep, besides the best one."""
    evaluate_every: int | None = Field(default=None, ge=1)
    """Steps between passes over the validation part; nothing: never."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many evaluations in a row without a lower validation loss, and use the weights of the best."""
    log_every: int = Field(default=10, ge=1)
    batch_norm: Literal["local", "sync", "frozen"] = "local"
    """``local``: each rank normalises by its own rows, so the world size matters; ``sync``: by the rows of all ranks,
    so it does not, however the rows divide; ``frozen``: by the running statistics, which stay as they are. Padding rows
    count in none."""
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
    """Batches read ahead a rank."""
    timeout_s: float = Field(default=600.0, gt=0.0)
    """Seconds a rank may take to a step, or to a batch of validation, before the run ends with its name and its stack.
    The first ones, which may compile, and what one rank does alone may take half an hour (WELLSTREAM_TIMEOUT_S)."""

    @model_validator(mode="after")
    def _patience_needs_evaluations(self) -> TrainConfig:
        if self.patience is not None and self.evaluate_every is None:
            raise contradiction("counts evaluations: set evaluate_every too, or leave patience out", "patience")
        return self
