"""How ranks on GPUs join and leave their group. No GPU is asked: CUDA and the group only note what they are told."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from framework.distributed import Ranks, joining
from framework.distributed.devices import Place
from framework.distributed.failures import failure_of
from framework.errors import RunError


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of CUDA and of the process group, in order; this process sees 4 GPUs, ``g0`` to ``g3``."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: found.append(("set", device)))
    monkeypatch.setattr(joining, "_settle_peer_copies", lambda: None)
    monkeypatch.setattr(joining, "place_of", lambda rank, device: place(rank, f"g{device.index}"))
    monkeypatch.setattr(dist, "init_process_group", lambda *words, **facts: found.append(("init", *words, facts)))
    return found


def place(rank: int, gpu: str) -> Place:
    return Place(rank=rank, host="alpha", gpu=gpu)


def met(file: Path, gpus: dict[int, str]) -> Any:
    """A store in which other ranks have said on which GPU they compute."""
    store = dist.FileStore(str(file), 4)  # type: ignore[attr-defined]
    for rank, gpu in gpus.items():
        store.set(f"place/{rank}", json.dumps(asdict(place(rank, gpu))))
    return store


@pytest.mark.parametrize("how", ["file", "store", "environment"])
def test_a_rank_takes_its_gpu_before_it_joins_and_sends_objects_over_gloo(
    told: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    store = met(tmp_path / "met", {0: "g0", 1: "g1", 3: "g3"})
    timeout, numbers = timedelta(seconds=60), {"rank": 2, "world_size": 4}
    group: dict[str, Any] = {"timeout": timeout}
    if how == "file":
        group |= numbers | {"init_method": f"file://{tmp_path}/met"}
    elif how == "store":
        group |= numbers | {"store": store}
    else:
        monkeypatch.setattr(joining, "rendezvous", lambda url, **_: iter([(store, 2, 4)] if url == "env://" else []))
    joining.join_with_cuda(2, 4, group)
    device = torch.device("cuda", 2)
    (first, (name, backends, facts)) = told
    assert (first, name, backends) == (("set", device), "init", "cuda:nccl,cpu:gloo")
    assert isinstance(facts.pop("store"), dist.PrefixStore)  # type: ignore[attr-defined]
    assert facts == {"device_id": device, "timeout": timeout, **numbers}


def test_ranks_that_share_a_gpu_say_so_before_nccl_begins(told: list[tuple[Any, ...]], tmp_path: Path) -> None:
    """NCCL refuses them with words of its own, as a rank that lost the others."""
    store = met(tmp_path / "met", {0: "g0", 1: "g2", 3: "g3"})
    group = {"timeout": timedelta(seconds=60), "store": store, "rank": 2, "world_size": 4}
    with pytest.raises(RunError, match=r"ranks 1 and 2 compute on the same GPU of alpha: 4 processes") as caught:
        joining.join_with_cuda(2, 4, group)
    assert failure_of(caught.value, 2).sentence().startswith("ranks 1 and 2 ")
    assert [name for name, *_ in told] == ["set"]


def test_a_rank_without_a_gpu_does_not_join(told: list[tuple[Any, ...]]) -> None:
    with pytest.raises(RunError, match="8 processes need a GPU each, found 4"):
        joining.join_with_cuda(5, 8, {})
    assert told == []


@pytest.mark.usefixtures("told")
def test_bf16_that_a_gpu_only_emulates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "including_emulation" in inspect.signature(torch.cuda.is_bf16_supported).parameters
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    with pytest.raises(RunError, match=r"this CUDA device computes no bf16; set train\.precision=fp32"):
        Ranks.open(device="cuda", precision="bf16", deterministic=None)


@pytest.mark.parametrize(
    ("device", "failed", "left"), [("cuda", True, "aborted"), ("cuda", False, "destroyed"), ("cpu", True, "destroyed")]
)
def test_a_rank_of_a_gpu_that_fails_waits_for_nobody(
    monkeypatch: pytest.MonkeyPatch, device: str, failed: bool, left: str
) -> None:
    found: list[str] = []
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist.distributed_c10d, "_abort_process_group", lambda: found.append("aborted"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: found.append("destroyed"))
    handle: Any = object()
    ranks = Ranks(rank=1, world_size=2, local_rank=1, device=torch.device(device), accelerator=handle)
    ranks.close(failed=failed)
    assert found == [left]
