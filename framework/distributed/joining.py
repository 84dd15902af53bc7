"""What joining the other ranks takes beside their number: the store they meet in, the groups of CUDA, Accelerate."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from framework.distributed.devices import Place, check_own_gpus, device_index, place_of
from framework.distributed.failures import share
from framework.errors import RunError

if TYPE_CHECKING:
    from accelerate import Accelerator, PartialState


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

    The device is set first: NCCL would otherwise open a context on the first GPU for every rank. Ranks tell each other
    their GPUs before NCCL begins, which fails where two share one, and does not say so.

    Raises:
        RunError: there is no GPU for this rank, or two ranks share one.
    """
    index = device_index(local_rank, local_world, torch.cuda.device_count())
    device = torch.device("cuda", index)
    torch.cuda.set_device(device)
    _settle_peer_copies()
    store, rank, world = _met(group)
    try:
        check_own_gpus(_places(store, place_of(rank, device), world))
    except RunError as error:
        share(error)
        raise
    dist.init_process_group(
        "cuda:nccl,cpu:gloo",
        device_id=device,
        store=dist.PrefixStore("group", store),  # type: ignore[attr-defined]
        rank=rank,
        world_size=world,
        timeout=group["timeout"],
    )


def _met(group: Mapping[str, Any]) -> tuple[Any, int, int]:
    """Return the store in which ranks meet, the number of this one, and how many there are."""
    if "store" in group:
        return group["store"], group["rank"], group["world_size"]
    numbers = {name: group[name] for name in ("rank", "world_size") if name in group}
    store, rank, world = next(rendezvous(group.get("init_method", "env://"), timeout=group["timeout"], **numbers))
    store.set_timeout(group["timeout"])
    return store, rank, world


def _places(store: Any, mine: Place, world: int) -> list[Place]:
    """Tell the others where this rank computes, and return where each does."""
    store.set(f"place/{mine.rank}", json.dumps(asdict(mine)))
    return [Place(**json.loads(store.get(f"place/{rank}"))) for rank in range(world)]


def accelerator_on(*, cpu: bool) -> Accelerator:
    """Accelerate wraps and places; precision stays with plain autocast, because Accelerate's patches ``forward``."""
    if not cpu and torch.cuda.device_count() == 1:
        # It takes a process's number on its machine for that of its device, which is 0 where each is shown its own.
        os.environ["ACCELERATE_BYPASS_DEVICE_MAP"] = "true"
    # Gradients lie in the buckets that are sent, so that they are neither copied there nor kept twice.
    options = _library().DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
    accelerator: Accelerator = _library().Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[options])
    return accelerator


def state_of(group: Mapping[str, Any], *, cpu: bool) -> PartialState:
    """Return this rank's number and device; where there is no process group yet, one of ``group`` is opened."""
    state: PartialState = _library().PartialState(cpu=cpu, **group)
    return state


def forget_state() -> None:
    """Let the next group of this process begin afresh: Accelerate keeps the last one for the whole process."""
    importlib.import_module("accelerate.state").AcceleratorState._reset_state(reset_partial_state=True)


def _settle_peer_copies() -> None:
    """Let NCCL do without copies between GPUs that cannot make them (RTX 4000 series); Accelerate would refuse."""
    if not importlib.import_module("accelerate.utils").check_cuda_p2p_ib_support():
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")
        os.environ.setdefault("NCCL_IB_DISABLE", "1")


def _library() -> Any:
    """Return Accelerate. It takes a third of a second to load, and one process alone does not need it."""
    return importlib.import_module("accelerate")
