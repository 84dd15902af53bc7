"""Which device a process computes on, and whether what is computed there can be repeated bit for bit."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from framework.errors import ConfigError, RunError, did_you_mean

DEVICES = ("auto", "cpu", "cuda")
# cuBLAS, and torch's check of it, read it once: at the first product of matrices of the process, whoever makes it.
_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a rank computes.

    Attributes:
        rank: rank of the run.
        host: name of its machine.
        gpu: identity of its GPU, which all processes of a machine see alike; None on the CPU.
    """

    rank: int
    host: str
    gpu: str | None


def device_here(wanted: str) -> str:
    """Return ``cpu`` or ``cuda``.

    Args:
        wanted: one of ``DEVICES``; ``auto`` is CUDA where there is such a device.

    Raises:
        ConfigError: another name, or no such device here.
    """
    if wanted not in DEVICES:
        known = f"device: expected one of: {', '.join(DEVICES)}, found '{wanted}'"
        raise ConfigError(known + did_you_mean(wanted, DEVICES))
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("device: expected a CUDA device, found none; leave it out, or use --device cpu")
    return "cuda" if there and wanted != "cpu" else "cpu"


def device_index(local_rank: int, local_world: int, shown: int) -> int:
    """Return the CUDA device of a process.

    Args:
        local_rank: its number on its machine.
        local_world: processes on its machine.
        shown: CUDA devices that this process may see.

    Returns:
        ``local_rank``; 0 where each process is shown one device alone, as Slurm does with ``--gpus-per-task=1``.

    Raises:
        RunError: there is none for it.
    """
    if local_rank < shown:
        return local_rank
    if shown == 1:
        # Whether it is this process's own, only a look at all of them can tell: ``check_own_gpus``.
        return 0
    raise RunError(
        f"{local_world} processes need a GPU each, found {shown} on {socket.gethostname()}; start at most {shown} "
        f"(--nproc {shown}), or compute on the CPU (train.device=cpu)"
    )


def place_of(rank: int, device: torch.device) -> Place:
    """Return where this rank computes."""
    gpu = str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None
    return Place(rank=rank, host=socket.gethostname(), gpu=gpu)


def check_own_gpus(places: Sequence[Place]) -> None:
    """Refuse ranks that share a GPU: they would be slower than one, and NCCL does not start.

    Raises:
        RunError: two ranks of a machine compute on one GPU.
    """
    owners: dict[tuple[str, str], int] = {}
    for place in places:
        if place.gpu is None:
            continue
        owner = owners.setdefault((place.host, place.gpu), place.rank)
        if owner != place.rank:
            there = [other for other in places if other.host == place.host]
            count = len({other.gpu for other in there})
            raise RunError(
                f"ranks {owner} and {place.rank} compute on the same GPU of {place.host}: {len(there)} "
                f"processes, {count} GPU{'s' if count > 1 else ''}; start {count} there (--nproc {count}), "
                "show each process its own GPU, or compute on the CPU (train.device=cpu)"
            )


def prepare_cuda(*, deterministic: bool | None) -> None:
    """Set what CUDA computes with, before anything is computed.

    Args:
        deterministic: the same bits at every repetition on the same device: kernels that repeat, no TF32, no choice of
            kernels by measuring. Slower. Otherwise convolutions choose their fastest kernels, and may use TF32. None:
            PyTorch's own choices; a later run of the process may still ask for the same bits.
    """
    os.environ.setdefault(*_WORKSPACE)
    if deterministic is None:
        return
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    torch.use_deterministic_algorithms(deterministic)
