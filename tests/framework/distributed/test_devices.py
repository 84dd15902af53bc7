"""Which device a rank computes on, and ranks that share one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from framework.distributed import Ranks
from framework.distributed.devices import Place, check_own_gpus, device_index, place_of, prepare_cuda
from framework.errors import RunError


def place(rank: int, gpu: str | None, host: str = "alpha") -> Place:
    return Place(rank=rank, host=host, gpu=gpu)


@pytest.mark.parametrize(
    ("local_rank", "local_world", "shown", "index"),
    [(0, 1, 1, 0), (0, 8, 8, 0), (7, 8, 8, 7), (1, 2, 4, 1), (3, 4, 1, 0)],
)
def test_a_process_takes_the_device_of_its_number_or_the_only_one_it_is_shown(
    local_rank: int, local_world: int, shown: int, index: int
) -> None:
    assert device_index(local_rank, local_world, shown) == index


def test_more_processes_than_devices_is_a_sentence() -> None:
    with pytest.raises(RunError, match=r"8 processes need a GPU each, found 4 on .*--nproc 4.*train\.device=cpu"):
        device_index(5, 8, 4)


def test_ranks_with_a_gpu_each_are_accepted() -> None:
    check_own_gpus([place(0, "a"), place(1, "b"), place(2, "a", host="beta"), place(3, "b", host="beta")])
    check_own_gpus([place(0, None), place(1, None)])


def test_two_ranks_on_one_gpu_are_named() -> None:
    with pytest.raises(RunError, match=r"ranks 0 and 1 .* same GPU of alpha: 2 processes, 1 GPU; .*--nproc 1"):
        check_own_gpus([place(0, "a"), place(1, "a")])
    with pytest.raises(RunError, match=r"ranks 1 and 3 .* 3 processes, 2 GPUs"):
        check_own_gpus([place(0, "a"), place(1, "b"), place(2, "b", host="beta"), place(3, "b")])


def test_the_cpu_is_no_gpu_to_share() -> None:
    assert place_of(2, torch.device("cpu")).gpu is None


@pytest.fixture
def flags() -> Iterator[None]:
    """What CUDA computes with, set back afterwards."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32
    repeats = torch.are_deterministic_algorithms_enabled()
    yield
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul.allow_tf32 = before
    torch.use_deterministic_algorithms(repeats)


@pytest.mark.usefixtures("flags")
def test_deterministic_allows_neither_tf32_nor_a_choice_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    prepare_cuda(deterministic=True)
    assert (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == (False, True, False)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.are_deterministic_algorithms_enabled()
    prepare_cuda(deterministic=None)
    assert torch.are_deterministic_algorithms_enabled()
    prepare_cuda(deterministic=False)
    assert (cudnn.benchmark, cudnn.deterministic) == (True, False)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.usefixtures("flags")
@pytest.mark.parametrize("how", ["fast", "alone"])
def test_a_run_that_asks_for_nothing_leaves_the_next_one_free_to_ask(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """torch looks for the variable once per process, when the first matrices are multiplied."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    if how == "fast":
        prepare_cuda(deterministic=False)
    else:
        Ranks.solo("cuda")
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"


def test_the_tests_compute_on_the_cpu_wherever_they_run() -> None:
    """Where there is a GPU, runs of tests would take it, and two ranks would share it."""
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
