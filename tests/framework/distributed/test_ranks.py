"""Several real processes against one: facts, gathers, gradients, weights and batch normalisation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fixtures.rank_cases import every_case
from fixtures.ranks import run_ranks
from torch import nn

from framework.distributed import Ranks, sync_batch_norm
from framework.errors import RunError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """One process without a process group: torch's own BatchNorm, no gather, no DDP."""
    return every_case(Ranks.solo())


@pytest.fixture(scope="module", params=[1, 2, 3])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_ranks(every_case, request.param, tmp_path_factory.mktemp("ranks"))


@pytest.mark.distributed
def test_ranks_know_each_other(together: list[dict[str, Any]]) -> None:
    world = len(together)
    for rank, found in enumerate(case["facts"] for case in together):
        assert (found["rank"], found["world"], found["is_main"]) == (rank, world, rank == 0)
        assert found["sum"].tolist() == [sum(range(1, world + 1)), -sum(range(world))]
        assert found["max"].tolist() == [world, 0]
        assert found["detached"]
        assert found["untouched"] == [rank + 1, -rank]
        assert found["objects"] == [{"rank": r, "name": f"r{r}"} for r in range(world)]
        assert found["of_main"] == f"rank 0 of {world}"
        assert found["refused_by_main"] == "rank 0 says no"
        assert found["gathered_ints"].tolist() == [[r, 7] for r in range(world)]
        assert found["gathered_bools"].tolist() == [r % 2 == 0 for r in range(world)]
        assert found["wrapped_is_module"] == (world == 1)


@pytest.mark.distributed
def test_running_statistics_are_those_of_all_ranks_or_of_the_first(together: list[dict[str, Any]]) -> None:
    middle = (len(together) - 1) / 2
    for case in together:
        average, first = case["statistics_average"], case["statistics_first"]
        assert average["mean"].tolist() == [middle, middle + 1]
        assert average["var"].tolist() == [1 + 2 * middle, 3]
        assert (first["mean"].tolist(), first["var"].tolist()) == ([0, 1], [1, 3])


@pytest.mark.distributed
def test_gathered_rows_get_the_gradient_of_one_process(together: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    for case in together:
        torch.testing.assert_close(case["gather"], alone["gather"], rtol=1e-12, atol=1e-12)


@pytest.mark.distributed
@pytest.mark.parametrize("case", ["training", "training_bn"])
def test_training_ends_with_the_weights_of_one_process(
    together: list[dict[str, Any]], alone: dict[str, Any], case: str
) -> None:
    for found in together:
        assert found[case].keys() == alone[case].keys()
        for name, value in alone[case].items():
            torch.testing.assert_close(found[case][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.distributed
@pytest.mark.parametrize("case", ["bn1d", "bn2d", "bn_plain"])
def test_global_batch_norm_equals_one_process(together: list[dict[str, Any]], alone: dict[str, Any], case: str) -> None:
    """Outputs, gradients and running statistics; inputs lie near 100, where E[x^2] - E[x]^2 would lose its digits.

    The layer without running statistics has no global ones to evaluate with, so its evaluation is each rank's own.
    """
    for found in together:
        assert found[case].keys() == alone[case].keys()
        for name, value in alone[case].items():
            if (case, name) == ("bn_plain", "evaluated") and len(together) > 1:
                continue
            torch.testing.assert_close(
                found[case][name], value, rtol=2e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_alone_nothing_is_replaced_and_checkpoints_fit_both_ways() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm1d(2)))
    assert sync_batch_norm(model, Ranks.solo()) is model
    assert type(model[0]) is nn.BatchNorm2d
    names, parameters = list(model.state_dict()), list(model.parameters())
    two = Ranks(rank=0, world_size=2, local_rank=0, device=torch.device("cpu"))
    replaced = sync_batch_norm(model, two)
    assert list(replaced.state_dict()) == names
    assert all(a is b for a, b in zip(replaced.parameters(), parameters, strict=True))
    assert not isinstance(replaced[0], nn.BatchNorm2d)  # type: ignore[index]
    assert not isinstance(replaced[1][0], nn.BatchNorm1d)  # type: ignore[index]


def test_solo_ranks_communicate_nothing() -> None:
    ranks = Ranks.solo()
    rows = torch.ones(2, 3, requires_grad=True)
    assert ranks.gather_rows(rows) is rows
    assert ranks.gather_objects("x") == ["x"]
    module = nn.Linear(1, 1)
    assert ranks.wrap(module) is module
    ranks.barrier()
    ranks.close()


@pytest.mark.parametrize(("capability", "warned"), [("AVX2", True), ("DEFAULT", True), ("AVX512", False)])
def test_bf16_without_instructions_for_it_is_said(
    capability: str, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    with caplog.at_level("WARNING"):
        Ranks.open(device="cpu", precision="bf16").close()
        Ranks.open(device="cpu", precision="fp32").close()
    said = [record.getMessage() for record in caplog.records if "bf16" in record.getMessage()]
    assert len(said) == warned
    assert all(capability in text and "set train.precision=fp32" in text for text in said)


def test_bf16_is_autocast() -> None:
    layer, rows = nn.Linear(2, 2), torch.ones(1, 2)
    with Ranks.solo(precision="bf16").autocast():
        assert layer(rows).dtype == torch.bfloat16
    with Ranks.solo().autocast():
        assert layer(rows).dtype == torch.float32


@pytest.mark.parametrize(
    ("environment", "device", "message"),
    [
        ({"LOCAL_RANK": "0", "WELLSTREAM_TIMEOUT_S": "soon"}, "cpu", "expected a number of seconds > 0, found 'soon'"),
        ({"LOCAL_RANK": "0", "WELLSTREAM_TIMEOUT_S": "-1"}, "cpu", "expected a number of seconds > 0, found '-1'"),
        ({"WORLD_SIZE": "4"}, "cpu", "WORLD_SIZE is 4 but LOCAL_RANK is not set; start with: torchrun"),
        ({"WORLD_SIZE": "many"}, "cpu", "environment variable WORLD_SIZE: expected a whole number, found 'many'"),
    ],
)
def test_a_half_set_environment_is_explained(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], device: Any, message: str
) -> None:
    for name in ("LOCAL_RANK", "WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError) as error:
        Ranks.open(device)
    assert message in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there_is_an_error() -> None:
    with pytest.raises(RunError, match=r"expected a CUDA device, found none; set train\.device=cpu or auto"):
        Ranks.open("cuda")
    assert Ranks.open("auto").device == torch.device("cpu")


@pytest.mark.distributed
def test_torchrun_opens_and_closes_quietly(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import torch\n"
        "from framework.distributed import Ranks\n"
        "ranks = Ranks.open('cpu')\n"
        "total = ranks.sum(torch.ones(1)).item()\n"
        "ranks.close()\n"
        "ranks.close()\n"
        "open(f'rank{ranks.rank}', 'w').write(f'{ranks.rank} of {ranks.world_size}: {total:.0f}')\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-m", "torch.distributed.run", "--standalone"]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", str(script)],
        env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(2)] == ["0 of 2: 2", "1 of 2: 2"]
    assert "destroy_process_group" not in done.stderr
