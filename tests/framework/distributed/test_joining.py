"""How ranks on GPUs join and leave their group. No GPU is asked: CUDA and the group only note what they are told."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest
import torch
import torch.distributed as dist

from framework.distributed import Ranks, joining
from framework.errors import RunError


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is asked of CUDA and of the process group, in order; this process sees 4 GPUs."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: found.append(("set", device)))
    monkeypatch.setattr(joining, "_settle_peer_copies", lambda: None)
    monkeypatch.setattr(dist, "init_process_group", lambda *words, **facts: found.append(("init", *words, facts)))
    return found


def test_a_rank_takes_its_gpu_before_it_joins_and_sends_objects_over_gloo(told: list[tuple[Any, ...]]) -> None:
    timeout = timedelta(seconds=60)
    joining.join_with_cuda(2, 4, {"timeout": timeout, "init_method": "file:///there"})
    device = torch.device("cuda", 2)
    facts = {"device_id": device, "timeout": timeout, "init_method": "file:///there"}
    assert told == [("set", device), ("init", "cuda:nccl,cpu:gloo", facts)]


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
