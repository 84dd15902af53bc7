"""Tensors from files: ``.safetensors``, and what ``torch.save`` wrote.

The library of ``.safetensors`` checks every offset before it reads. Files of ``torch.save`` are loaded as weights and
plain values only: code in them is refused, not run.
"""

from __future__ import annotations

import pickle
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from framework.durable import naming, sync_file
from framework.errors import CheckpointError, WellstreamError
from framework.files.failures import AGAIN, check_regular, reading
from framework.files.npz import open_zip

_OPTIONS = threading.Lock()
"""Options of ``torch.save`` are those of the process."""


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


def load_weights_only(
    file: Path | str,
    *,
    error: type[WellstreamError] = CheckpointError,
    what: str = "a file of weights",
    then: str = AGAIN,
    mapped: bool = False,
) -> Any:
    """Return tensors and plain values of a ``.pt`` or ``.pth``, on the CPU.

    Args:
        file: where.
        error: class of what is raised.
        what: the file, for messages.
        then: what to do, for messages.
        mapped: let tensors be parts of the file, which must stay as it is, and which torch.save wrote.

    Raises:
        WellstreamError: of class ``error``: no such regular file, a damaged one, or one that holds more than tensors
            and plain values.
    """
    check_regular(file, error, what, then)
    with reading(file, error, what, then):
        if zipfile.is_zipfile(file):
            with open_zip(file):
                pass
        try:
            with warnings.catch_warnings():
                # Of a foreign pickle torch says that an issue should be filed.
                warnings.simplefilter("ignore", UserWarning)
                return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as found:
            # What torch says here tells people to switch the protection off.
            raise error(f"{file}: not readable as {what}: {_why(str(found))}; {then}") from None


def save_plain(file: Path, content: Any) -> None:
    """Write tensors and plain values with ``torch.save`` where they will not be read before all is whole, and sync.

    Without the CRC-32 of each tensor, which takes torch longer than all the rest; callers keep a better checksum.

    Raises:
        OSError: it cannot be written; names the file.
    """
    with naming(file, RuntimeError):  # torch's word for a disk that takes no more
        with _without_crc32():
            torch.save(content, file)
        sync_file(file)


@contextmanager
def _without_crc32() -> Iterator[None]:
    with _OPTIONS:
        before = torch.serialization.get_crc32_options()
        torch.serialization.set_crc32_options(False)
        try:
            yield
        finally:
            torch.serialization.set_crc32_options(before)


def _why(said: str) -> str:
    if "GLOBAL" in said or "global" in said:
        return (
            "it holds more than tensors and plain values, which would run code when loaded; save the weights alone, "
            "with torch.save(model.state_dict(), FILE) or as safetensors"
        )
    return "torch.save has not written this"
