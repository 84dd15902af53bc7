"""A step in parts: the same step as whole, with clipping, averages and lower precision, and what cannot be cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.line import OPTIM, Line, Random, collaborators, weights
from torch import nn

from framework.data.batch import Batch
from framework.distributed import Ranks
from framework.errors import RunError
from framework.objectives import Gather, Losses
from framework.tracking import read_metrics
from framework.trainer import Average, EmaConfig, Progress, TrainConfig, fit


def trained(run: Path, parts: int, precision: Any = "fp32", *, compiled: bool = False) -> dict[str, torch.Tensor]:
    """Train four steps of 8 rows, 7 of which count, without dropout; return weights and their average."""
    ranks = Ranks.solo("cpu", precision)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, enabled=precision == "fp16")
    made = collaborators(run, OPTIM, 4, Random(), ranks=ranks, scaler=scaler)
    made.objective.noise = nn.Identity()
    if compiled:
        made.objective.compile(backend="eager")
    made = replace(made, average=Average(made.objective, 0.9))
    train = TrainConfig(
        steps=4, log_every=1, accumulate=parts, batch_norm="frozen", precision=precision, ema=EmaConfig(decay=0.9)
    )
    fit(made, train, OPTIM, Progress())
    assert made.average is not None
    return weights(made) | {f"average {name}": value for name, value in made.average.tensors().items()}


@pytest.mark.parametrize(("precision", "within"), [("fp32", 1e-6), ("bf16", 2e-2), ("fp16", 2e-3)])
@pytest.mark.parametrize("parts", [2, 3, 8])
def test_parts_end_where_whole_steps_end(tmp_path: Path, parts: int, precision: str, within: float) -> None:
    whole = trained(tmp_path / "whole", 1, precision)
    found = trained(tmp_path / "parts", parts, precision)
    for name, value in whole.items():
        torch.testing.assert_close(found[name], value, rtol=within, atol=within, msg=name)
    first, second = (read_metrics(tmp_path / name) for name in ("whole", "parts"))
    for column in ("loss", "twice", "grad_norm"):
        assert second[column].tolist() == pytest.approx(first[column].tolist(), rel=max(within, 1e-5))


def test_parts_compile(tmp_path: Path) -> None:
    try:
        found = trained(tmp_path / "compiled", 3, compiled=True)
    finally:
        torch.compiler.reset()
    for name, value in trained(tmp_path / "plain", 3).items():
        torch.testing.assert_close(found[name], value, msg=name)


def test_batch_normalisation_sees_one_part_at_a_time(tmp_path: Path) -> None:
    run = collaborators(tmp_path, OPTIM, 1, Random())
    assert run.objective.norm.momentum == 0.1
    fit(run, TrainConfig(steps=1, accumulate=2), OPTIM, Progress())
    rows = next(Random().batches(0, 1)).tiles[:, 0]
    expected = 0.9 * (0.1 * rows[:4].mean(0)) + 0.1 * rows[4:].mean(0)
    torch.testing.assert_close(run.objective.norm.running_mean, expected)
    assert int(run.objective.norm.num_batches_tracked) == 2


def test_an_objective_that_gathers_without_saying_so_is_refused(tmp_path: Path) -> None:
    class Gathers(Line):
        def forward(self, batch: Batch, gather: Gather) -> Losses:
            gather(batch.weights)
            return super().forward(batch, gather)

    run = collaborators(tmp_path, OPTIM, 2, Random(), objective=Gathers())
    with pytest.raises(
        RunError, match=r"train\.accumulate: this objective gathers the rows .* set couples_rows = True"
    ):
        fit(run, TrainConfig(steps=2, accumulate=2), OPTIM, Progress())


def test_an_objective_that_couples_rows_must_be_able_to() -> None:
    with pytest.raises(
        RunError, match="Line compares the rows of a step with each other, so it cannot see them in parts"
    ):
        Line().cache_gradients(2)


@pytest.mark.parametrize("counted", [None, 5])
@pytest.mark.parametrize(("parts", "sizes"), [(1, [8]), (3, [3, 3, 2]), (8, [1] * 8)])
def test_parts_of_a_batch_are_its_rows_in_order(counted: int | None, parts: int, sizes: list[int]) -> None:
    batch = next(Random().batches(0, 1))
    host: Callable[[torch.Tensor], torch.Tensor] = torch.clone
    batch = replace(batch, counted=counted, on_host=(host(batch.bags), host(batch.tile_ids), host(batch.weights)))
    found = batch.parts(parts)
    assert [len(part.bags) for part in found] == sizes
    for name in ("tiles", "bags", "tile_ids", "weights"):
        assert torch.equal(torch.cat([getattr(part, name) for part in found]), getattr(batch, name))
    assert all(part.on_host is not None and torch.equal(part.on_host[0], part.bags) for part in found)
    if counted is None:
        assert all(part.counted is None for part in found)
    else:
        assert [part.counted for part in found] == {1: [5], 3: [3, 2, 0], 8: [1] * 5 + [0] * 3}[parts]
