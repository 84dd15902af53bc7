"""What joining the other ranks takes beside their number: the store they meet in, the groups of CUDA, Accelerate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs

from framework.distributed.devices import device_index, settle_peer_copies
from framework.errors import RunError


def store_at(url: str, timeout: timedelta) -> Any:
    """Return the part for ranks of the store that launchers of several machines share."""
    place = urlsplit(url)
    try:
        client = dist.TCPStore(  # type: ignore[attr-defined]
            str(place.hostname), int(place.port or 0), is_master=False, timeout=timeout
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise RunError(f"node 0 does not answer at {place.netloc} any more; start all nodes again") from error
    return dist.PrefixStore("ranks", client)  # type: ignore[attr-defined]


def join_with_cuda(local_rank: int, local_world: int, group: Mapping[str, Any]) -> None:
    """Open the process group of CUDA ranks: tensors over NCCL, small Python objects over gloo.

    The device is set first: NCCL would otherwise open a context on the first GPU for every rank.
    """
    index = device_index(local_rank, local_world, torch.cuda.device_count())
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    settle_peer_copies()
    dist.init_process_group("cuda:nccl,cpu:gloo", device_id=device, **group)


def accelerator_on(*, cpu: bool) -> Accelerator:
    """Accelerate wraps and places; precision stays with plain autocast, because Accelerate's patches ``forward``."""
    if not cpu and torch.cuda.device_count() == 1:
        # It takes a process's number on its machine for that of its device, which is 0 where each is shown its own.
        os.environ["ACCELERATE_BYPASS_DEVICE_MAP"] = "true"
    # Gradients lie in the buckets that are sent, so that they are neither copied there nor kept twice.
    options = DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    return Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[options])
