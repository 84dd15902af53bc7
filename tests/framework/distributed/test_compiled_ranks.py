"""``train.compile`` over ranks, of every objective and with ``gradient_cache``: gradients of one process without it.

That one process computes the same compiled is part of the contract of objectives.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fixtures.ranks import run_ranks
from fixtures.uneven_steps import CACHED, CASES, REAL, every_case_compiled, write_data

from framework.distributed import Ranks

CLOSE = 1e-10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("compiled") / "data"
    write_data(folder)
    return str(folder)


@pytest.fixture(scope="module")
def plain(data: str) -> dict[str, Any]:
    return every_case_compiled(Ranks.solo(), data, False)


@pytest.fixture(scope="module")
def compiled(data: str, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return run_ranks(every_case_compiled, 2, tmp_path_factory.mktemp("ranks"), data, True)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


@pytest.mark.distributed
@pytest.mark.parametrize("case", [*CASES, *CACHED])
def test_compiled_ranks_equal_one_process_that_is_not(
    compiled: list[dict[str, Any]], plain: dict[str, Any], case: str
) -> None:
    expected = plain[case]
    for found in (each[case] for each in compiled):
        for step in range(len(REAL)):
            assert distance(found["sums"][step], expected["sums"][step]) <= CLOSE, f"sums of step {step}"
            assert distance(found["gradients"][step], expected["gradients"][step]) <= CLOSE, f"gradient, step {step}"
