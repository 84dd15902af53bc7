"""Synchronised batch normalisation where rows do not divide by ranks, against one process without any padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fixtures.ranks import run_ranks
from fixtures.uneven_steps import CASES, REAL, every_case, write_data
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from framework.distributed import Ranks, single_value_batch_norm
from framework.objectives import OBJECTIVES

CLOSE = 1e-10


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("uneven") / "data"
    write_data(folder)
    return str(folder)


@pytest.fixture(scope="module")
def alone(data: str) -> dict[str, Any]:
    """Steps without padding rows, torch's own batch normalisation, no process group."""
    return every_case(Ranks.solo(), data, True)


@pytest.fixture(scope="module", params=[1, 2, 4])
def together(request: pytest.FixtureRequest, data: str, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """One process, with padding rows in its batches, or several."""
    if request.param == 1:
        return [every_case(Ranks.solo(), data, False)]
    return run_ranks(every_case, request.param, tmp_path_factory.mktemp("ranks"), data, False)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm().clamp(min=1e-12))


def test_every_objective_is_tried() -> None:
    assert {name for name, _ in CASES.values()} == set(OBJECTIVES.names()), "add the new objective to CASES"


@pytest.mark.distributed
@pytest.mark.parametrize("case", CASES)
def test_uneven_ranks_equal_one_process_without_padding(
    together: list[dict[str, Any]], alone: dict[str, Any], case: str
) -> None:
    expected, world = alone[case], len(together)
    rows = [[found[case]["rows"][step] for found in together] for step in range(len(REAL))]
    assert [sum(each) for each in rows] == list(REAL)
    if world == 4:
        assert rows == [[2, 2, 2, 1], [2, 2, 1, 0], [2, 1, 0, 0]]
    for found in (each[case] for each in together):
        for step in range(len(REAL)):
            assert distance(found["sums"][step], expected["sums"][step]) <= CLOSE, f"sums of step {step}"
            assert distance(found["gradients"][step], expected["gradients"][step]) <= CLOSE, f"gradient, step {step}"
        assert found["state"].keys() == expected["state"].keys()
        for name, value in expected["state"].items():
            assert distance(found["state"][name].double(), value.double()) <= CLOSE, name


@pytest.mark.parametrize("case", CASES)
def test_every_step_has_a_gradient_and_moves_what_batch_norm_remembers(alone: dict[str, Any], case: str) -> None:
    for gradient in alone[case]["gradients"]:
        assert gradient.norm() > 1e-3
    counted = [value for name, value in alone[case]["state"].items() if name.endswith("num_batches_tracked")]
    # The frozen backbone of the heads counts nothing.
    assert {int(value) for value in counted} == {0 if case == "heads" else len(REAL)}


@pytest.mark.distributed
def test_a_rank_may_bring_any_number_of_rows(together: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for found in (each["layers"] for each in together):
        for layer, expected in alone["layers"].items():
            for name, value in expected.items():
                torch.testing.assert_close(found[layer][name], value, rtol=1e-10, atol=1e-11, msg=f"{layer} {name}")
            if len(together) > 1:
                assert found[layer]["held"], "a step without any row must leave the running statistics"


def test_one_value_per_channel_has_no_variance_where_torch_refuses_it() -> None:
    rows = torch.tensor([[3.0, -2.0]], requires_grad=True)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm1d(2)(rows)
    layer = nn.BatchNorm1d(2, momentum=0.5)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([5.0, 7.0]))
    norm = single_value_batch_norm(layer)
    output = norm(rows)
    output.sum().backward()
    assert output.tolist() == [[5.0, 7.0]]
    assert rows.grad is not None
    assert rows.grad.tolist() == [[0.0, 0.0]]
    assert norm.running_mean.tolist() == [1.5, -1.0]  # type: ignore[union-attr, operator]
    assert norm.running_var.tolist() == [0.5, 0.5]  # type: ignore[union-attr, operator]


def test_more_values_per_channel_are_torchs_own_numbers_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
    twin = single_value_batch_norm(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()))
    twin.load_state_dict(model.state_dict())
    for _ in range(2):
        images = torch.randn(4, 2, 5, 5)
        assert torch.equal(model(images), twin(images))
    assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.eval()(images), twin.eval()(images))
    assert twin[1](torch.zeros(0, 3, 2, 2)).shape == (0, 3, 2, 2)  # type: ignore[index, operator]


def over_one_rank(layer: nn.Module) -> nn.Module:
    """Return a synchronised layer whose gather finds no other ranks."""
    alone = single_value_batch_norm(layer)
    alone.gather = lambda rows: rows  # type: ignore[assignment]
    return alone


def test_what_is_kept_for_backward_is_the_input_as_torch_keeps_it() -> None:
    def kept(layer: nn.Module) -> int:
        sizes: dict[int, int] = {}

        def keep(value: torch.Tensor) -> torch.Tensor:
            sizes[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            layer(torch.randn(8, 16, 32, 32, requires_grad=True))
        return sum(sizes.values())

    inputs = 8 * 16 * 32 * 32 * 4
    assert inputs <= kept(nn.BatchNorm2d(16)) < 1.01 * inputs
    assert inputs <= kept(over_one_rank(nn.BatchNorm2d(16))) < 1.01 * inputs


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bf16_rows_have_moments_and_gradients_of_float32(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    rows = (40 + 3 * torch.randn(16, 4, 9, 9)).bfloat16().contiguous(memory_format=layout)
    asked = torch.randn(16, 4, 9, 9).bfloat16()
    found = {}
    for name, layer in {"ours": over_one_rank(nn.BatchNorm2d(4)), "torch": nn.BatchNorm2d(4)}.items():
        mine = rows.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = layer(mine)
        output.backward(asked)
        assert mine.grad is not None
        assert output.dtype == mine.grad.dtype == torch.bfloat16
        assert output.is_contiguous(memory_format=layout)
        assert mine.grad.is_contiguous(memory_format=layout)
        found[name] = [output.float(), mine.grad.float(), layer.weight.grad, layer.running_mean, layer.running_var]
    for ours, theirs in zip(found["ours"], found["torch"], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-2)
    expected = rows.double().mean(dim=(0, 2, 3)) * 0.1
    torch.testing.assert_close(found["ours"][3].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_backward_pass_brings_what_a_gpu_asks_for() -> None:
    """On CUDA the operator refuses to begin without the mean and the inverse deviation that a forward pass keeps."""
    found: list[tuple[Any, ...]] = []

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket is torch.ops.aten.native_batch_norm_backward:
                found.append(args)
            return func(*args, **(kwargs or {}))

    torch.manual_seed(0)
    rows = (5 + 2 * torch.randn(6, 3)).requires_grad_()
    output = over_one_rank(nn.BatchNorm1d(3))(rows)
    with Noting():
        output.square().sum().backward()
    ((_, _, _, _, _, mean, inverse_sd, *_),) = found
    torch.testing.assert_close(mean, rows.detach().mean(dim=0))
    torch.testing.assert_close(inverse_sd, (rows.detach().var(dim=0, correction=0) + 1e-5).rsqrt())


def test_a_gradient_of_a_gradient_is_refused() -> None:
    rows = torch.randn(5, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(over_one_rank(nn.BatchNorm1d(3))(rows).square().sum(), rows, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
