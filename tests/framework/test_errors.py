"""What all messages share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from data_tools.platemap import PlatemapConfig, read_platemap
from framework.errors import InputError, code_of, did_you_mean, sentence_of, some_of


def test_names_of_a_file_are_listed_as_far_as_somebody_reads_them() -> None:
    assert some_of([]) == "none"
    assert some_of(["a", 2]) == "a, 2"
    assert some_of(f"c{number}" for number in range(25)) == ", ".join(f"c{n}" for n in range(20)) + " and 5 more"
    assert some_of(["x" * 61]) == "x" * 60 + "..."


def test_a_header_of_any_length_is_a_sentence(tmp_path: Path) -> None:
    """A table whose only name has 60,000 letters, or that has 5,000 columns."""
    for header in ("<a>" * 20_000, ",".join(f"column {number}" for number in range(5000))):
        (tmp_path / "map.csv").write_text(f"{header}\n{',' * header.count(',')}\n")
        with pytest.raises(InputError) as caught:
            read_platemap(PlatemapConfig(path=str(tmp_path / "map.csv")))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("typed", ["gpu", "GPU", "gpus", "nvidia", "rocm", "cuda:1", "gpu:1", "cuda1", "mps", "xpu:0"])
def test_a_gpu_by_another_name_is_told_its_name_here(typed: str) -> None:
    told = did_you_mean(typed, ["auto", "cpu", "cuda"])
    assert told.startswith("; 'cuda' is the name for GPUs")
    assert ("CUDA_VISIBLE_DEVICES=1 before the command" in told) == typed.endswith("1")
    assert ("is not supported: 'cpu' computes there" in told) == typed.startswith(("mps", "xpu"))


def test_other_names_of_devices_and_other_lists_get_the_nearest_name() -> None:
    assert did_you_mean("cdua", ("auto", "cpu", "cuda")) == "; did you mean 'cuda'?"
    assert did_you_mean("gpu", ("cpu", "auto")) == "; did you mean 'cpu'?"


def test_a_full_gpu_is_told_what_helps_there() -> None:
    """More processes on one machine take more of its memory; more GPUs take less of each."""
    found = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.20 GiB is "
        "free. Including non-PyTorch memory, this process has 77.90 GiB memory in use. Of the allocated memory 77 GiB"
    )
    said = sentence_of(found)
    assert said.startswith("out of memory of the GPU (CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has")
    assert "1.20 GiB is free): pass a step through the network in parts (train.accumulate" in said
    assert said.endswith("or use more GPUs")
    assert sentence_of(MemoryError()).endswith("or use fewer processes")
    assert code_of(found) == code_of(MemoryError()) == 2


@pytest.mark.parametrize(
    "words",
    ["CUDA error: out of memory\nCUDA kernel errors might be reported", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"],
)
def test_cuda_and_its_libraries_run_out_in_words_of_their_own(words: str) -> None:
    assert sentence_of(torch.AcceleratorError(words)).startswith("out of memory of the GPU (CUDA error")
    assert code_of(RuntimeError(words)) == 2
    assert code_of(RuntimeError("CUDA error: an illegal memory access was encountered")) == 1
