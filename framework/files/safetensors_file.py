"""Tensors of ``.safetensors``, whose library checks every offset before it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from framework.durable import naming, sync_file
from framework.errors import CheckpointError, WellstreamError
from framework.files.failures import AGAIN, check_regular, reading


def load_tensors(
    file: Path | str,
    *,
    error: type[WellstreamError] = CheckpointError,
    what: str = "a file of weights",
    then: str = AGAIN,
) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, of any shape, on the CPU.

    Raises:
        WellstreamError: of class ``error``: no such regular file, or no whole ``.safetensors``.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then):
        return load_file(file, device="cpu")


def save_tensors(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors by name where they will not be read before all is whole, and sync them.

    Args:
        file: ``.safetensors``.
        tensors: on any device; they may share memory, as tied weights do.

    Raises:
        OSError: it cannot be written; names the file.
    """
    plain, seen = {}, set[int]()
    for name, value in tensors.items():
        dense = value.detach().cpu().contiguous()
        memory = dense.untyped_storage().data_ptr()
        # safetensors refuses tensors that share memory.
        plain[name] = dense.clone() if memory in seen else dense
        seen.add(memory)
    with naming(file, SafetensorError):
        save_file(plain, file)
        sync_file(file)
