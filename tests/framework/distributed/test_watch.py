"""A rank that does not move names itself and what it does; one that waits lets the others speak first."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch.distributed as dist

from framework.distributed import failures, watch
from framework.distributed.failures import Failure
from framework.distributed.watch import Mark, Watch


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Failure]:
    found: list[Failure] = []
    monkeypatch.setattr(watch, "tell", found.append)
    monkeypatch.setattr(watch, "_POLL_S", 0.02)
    monkeypatch.setattr(watch, "_MARGIN_S", 0.3)
    return found


class Codes:
    """Takes the exit codes that a watch would end this process with."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.came = threading.Event()

    def __call__(self, code: int) -> None:
        self.code = code
        self.came.set()


STEP = Mark(what="step 7", allowed_s=0.2, setting="train.timeout_s")


def stands_here(codes: Codes) -> bool:
    return codes.came.wait(20)


def test_a_rank_that_stands_still_is_named_with_its_stack(told: list[Failure]) -> None:
    codes = Codes()
    seen = Watch(3, None, codes)
    seen.at(STEP)
    assert stands_here(codes)
    (failure,) = told
    assert (codes.code, failure.kind, failure.rank, failure.is_cause) == (124, "stalled", 3, True)
    assert failure.sentence() == "rank 3 has not moved for 0.2 s (train.timeout_s) in step 7"
    assert "in stands_here" in failure.trace


def test_a_rank_that_waits_is_no_cause(told: list[Failure]) -> None:
    codes = Codes()
    seen = Watch(0, None, codes)
    seen.at(STEP)
    with seen.waiting("step"):
        assert not codes.came.wait(0.3), "the others come first"
        assert codes.came.wait(20)
    assert (told[0].kind, told[0].is_cause) == ("waited", False)


def test_a_rank_that_moves_or_is_not_timed_goes_on(told: list[Failure]) -> None:
    codes = Codes()
    seen = Watch(0, None, codes)
    for _ in range(10):
        seen.at(STEP)
        with seen.waiting("step"):
            assert not codes.came.wait(0.05)
    seen.at(None)
    assert not codes.came.wait(0.6)
    seen.close()
    assert told == []


def test_a_rank_ends_with_its_launcher(told: list[Failure]) -> None:
    codes = Codes()
    Watch(0, 1 << 30, codes)
    assert codes.came.wait(20)
    assert (codes.code, told) == (130, [])


def test_a_rank_tells_once_and_its_launcher_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(failures.REPORTS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(failures, "_TOLD", [])
    cause = failures.failure_of(MemoryError("2 GiB"), rank=1)
    failures.tell(cause)
    failures.tell(failures.failure_of(KeyError("later"), rank=1))
    assert failures.notes(tmp_path) == {1: cause}
    assert json.loads((tmp_path / "rank-1.json").read_text())["code"] == 2
    assert cause.sentence().startswith("rank 1: out of memory (2 GiB): make a step smaller")


def nccl(kind: str, last: str) -> dist.DistBackendError:
    """An error as torch words those of NCCL."""
    where = "NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:94, NCCL version 2.28.9"
    return dist.DistBackendError(f"{where}\n{kind}\nLast error:\n{last}")


def test_nccl_is_quoted_with_what_went_wrong() -> None:
    lost = failures.failure_of(nccl("ncclRemoteError: A call failed", "socketProgress: Connection closed"), 3)
    assert lost.sentence() == "rank 3 lost its connection to another rank (socketProgress: Connection closed)"
    wrong = failures.failure_of(nccl("ncclInvalidUsage: invalid usage", "Duplicate GPU detected: rank 1"), 3)
    assert wrong.sentence().startswith("rank 3: NCCL failed: Duplicate GPU detected: rank 1; with NCCL_DEBUG=INFO")
    full = failures.failure_of(nccl("ncclUnhandledCudaError: failed", "Cuda failure 2 'out of memory'"), 3)
    assert (full.code, full.message.partition(" (")[0]) == (2, "out of memory of the GPU")


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (
            RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"),
            True,
        ),
        (RuntimeError("Expected all tensors to be on the same device"), False),
        (ConnectionResetError("Connection reset by peer"), False),
        (
            nccl("ncclRemoteError: A call failed possibly due to a remote process exiting", "socketProgress: closed"),
            True,
        ),
        (nccl("ncclInvalidUsage: This usually reflects invalid usage of NCCL library.", "Duplicate GPU"), False),
        (nccl("ncclUnhandledCudaError: Call to CUDA function failed.", "Cuda failure 2 'out of memory'"), False),
    ],
)
def test_what_another_rank_did_is_told_from_what_this_one_did(error: Exception, lost: bool) -> None:
    assert (failures.failure_of(error, 0).kind == "lost") == lost
