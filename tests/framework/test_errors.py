"""What all messages share."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.platemap import PlatemapConfig, read_platemap
from framework.errors import InputError, did_you_mean, some_of


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
