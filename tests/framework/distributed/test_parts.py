"""Steps in parts over ranks, of every objective, against one process with whole steps: same gradients, one exchange."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fixtures.ranks import run_ranks
from fixtures.uneven_steps import CASES, REAL, every_case_in_parts, write_data

from framework.distributed import Ranks

CLOSE = 1e-10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("parts") / "data"
    write_data(folder)
    return str(folder)


@pytest.fixture(scope="module")
def whole(data: str) -> dict[str, Any]:
    return every_case_in_parts(Ranks.solo(), data, 1)


@pytest.fixture(scope="module", params=[1, 2])
def in_parts(request: pytest.FixtureRequest, data: str, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """7 rows in 3 parts on one process; 4 rows of each of two in 3 parts, of which some are padding."""
    if request.param == 1:
        return [every_case_in_parts(Ranks.solo(), data, 3)]
    return run_ranks(every_case_in_parts, request.param, tmp_path_factory.mktemp("ranks"), data, 3)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_steps_in_parts_equal_whole_ones(in_parts: list[dict[str, Any]], whole: dict[str, Any], case: str) -> None:
    expected = whole[case]
    for found in (each[case] for each in in_parts):
        for step in range(len(REAL)):
            assert distance(found["sums"][step], expected["sums"][step]) <= CLOSE, f"sums of step {step}"
            assert distance(found["gradients"][step], expected["gradients"][step]) <= CLOSE, f"gradient, step {step}"
        for name, value in expected["state"].items():
            assert distance(found["state"][name].double(), value.double()) <= CLOSE, name


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_ranks_exchange_each_gradient_once_per_step(
    in_parts: list[dict[str, Any]], whole: dict[str, Any], case: str
) -> None:
    if len(in_parts) > 1:
        elements = len(whole[case]["gradients"][0])
        assert [sum(each[case]["exchanged"]) for each in in_parts] == [elements * len(REAL)] * 2
