"""Tensors of ``.safetensors``, whose library checks every offset before it reads."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from framework.errors import CheckpointError, WellstreamError
from framework.files.failures import AGAIN, check_regular, reading


def load_tensors(
    file: Path | str,
    *,
    error: type[WellstreamError] = CheckpointError,
    what: str = "a file of weights",
    then: str = AGAIN,
) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        WellstreamError: of class ``error``: no such regular file, or no whole ``.safetensors``.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then):
        return load_file(file, device="cpu")
