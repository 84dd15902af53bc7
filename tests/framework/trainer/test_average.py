"""The average of the weights by hand, beside torch's own, and what becomes of the weights meanwhile."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from framework.errors import CheckpointError
from framework.trainer import Average


def test_two_steps_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    average = Average(layer, 0.9)
    for done, value in ((1, 3.0), (2, 5.0)):
        layer.weight.data.fill_(value)
        average.update(done)
    # (1 + 1) / (10 + 1) and (1 + 2) / (10 + 2) are below 0.9.
    first = 2 / 11 * 1.0 + 9 / 11 * 3.0
    assert average.tensors()["weight"].item() == pytest.approx(3 / 12 * first + 9 / 12 * 5.0)


def test_after_many_steps_it_is_the_average_of_torch() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    mine = Average(model, 0.5)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    theirs.update_parameters(model)
    for step in range(20):
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        mine.update(1000 + step)
        theirs.update_parameters(model)
    for name, value in theirs.module.named_parameters():
        assert torch.allclose(mine.tensors()[name], value, rtol=1e-5)


def test_the_weights_come_back_bit_for_bit_and_the_optimiser_keeps_them() -> None:
    model = nn.Linear(2, 1)
    average = Average(model, 0.9)
    with torch.no_grad():
        model.weight.add_(1.0)
    trained, averaged = model.weight.detach().clone(), average.tensors()["weight"].clone()
    parameter = model.weight
    with average.in_place():
        assert torch.equal(model.weight, averaged)
    assert model.weight is parameter
    assert torch.equal(model.weight, trained)
    assert torch.equal(average.tensors()["weight"], averaged)


def test_what_does_not_train_is_not_averaged_and_another_models_average_is_refused() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    average = Average(model, 0.9)
    assert list(average.tensors()) == ["weight"]
    with pytest.raises(CheckpointError, match="1 tensors differ, first 'weight'"):
        Average(model, 0.9, {"weight": torch.zeros(3, 3)})
