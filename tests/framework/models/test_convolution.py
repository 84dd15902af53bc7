"""Strided convolutions of small maps: the numbers of ``nn.Conv2d`` in float64, in 16 bits too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from framework.models.base import StridedConv2d


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (4, 5), (8, 8)])
def test_it_computes_what_torch_does(kernel: int, stride: int, height: int, width: int) -> None:
    padding = kernel // 2
    torch.manual_seed(0)
    exact = nn.Conv2d(3, 64, kernel, stride=stride, padding=padding).double()
    ours = StridedConv2d(3, 64, kernel, stride=stride, padding=padding)
    ours.load_state_dict(exact.state_dict())
    tiles = torch.randn(8, 3, height, width)
    there = tiles.double().requires_grad_()
    expected = exact(there)
    expected.sin().sum().backward()
    for is_fast, close in ((False, 1e-5), (True, 0.03)):
        ours.zero_grad()
        here = tiles.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_fast):
            found = ours(here)
        loss = found.float().sin().sum()
        litter = [torch.full((200 * size,), torch.nan) for size in range(1, 60)]
        del litter  # what oneDNN leaves unwritten holds no zeros then
        loss.backward()
        assert found.shape == expected.shape
        pairs = [(found, expected), (here.grad, there.grad)]
        pairs += [(mine.grad, other.grad) for mine, other in zip(ours.parameters(), exact.parameters(), strict=True)]
        for mine, other in pairs:
            assert (mine.double() - other).norm() <= close * other.norm().clamp(min=1e-6)
