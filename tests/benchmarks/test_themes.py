from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import ingest, knn, mil, plans, stream, tiling, training
from benchmarks.__main__ import main
from framework.models.pooling import GatedAttention, mean_over_tiles


@pytest.mark.parametrize("theme", [ingest, knn, mil, plans, stream, tiling, training], ids=lambda theme: theme.__name__)
def test_every_theme_agrees_with_its_peers(theme: object) -> None:
    for result in theme.run(quick=True):  # type: ignore[attr-defined]
        assert result.limit in result.costs.seconds
        assert all(result.ratio(arm) > 0 for arm in result.costs.seconds)
        assert all({target.arm} <= set(result.costs.seconds) for target in result.targets)


def test_a_theme_writes_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["tiling", "--quick", "--out", str(tmp_path)]) in (0, 1)
    assert [path.name.split("_")[0] for path in tmp_path.glob("*_quick.json")] == ["tiling"]


def test_pixels_that_differ_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "AGREEMENT", 1.1)
    assert main(["tiling", "--quick", "--out", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


def test_gradients_of_ragged_pooling_in_float64() -> None:
    torch.manual_seed(0)
    tiles = torch.randn(3, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [2, 0, 0, 1]], dtype=torch.float64)
    attention = GatedAttention(5, hidden=3).double()
    assert torch.autograd.gradcheck(lambda x: mean_over_tiles(x, weights), (tiles,))
    assert torch.autograd.gradcheck(lambda x: attention(x, weights), (tiles,))
