"""Vectorised mining against plain loops."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from framework.objectives import triplets
from framework.objectives.triplets import Mining, RowFacts, TripletSums, sample_digest, squared_distances, triplet_sums

MININGS: tuple[Mining, ...] = ("semi_hard", "hard", "all")


@pytest.fixture(autouse=True, params=["as on a processor", "as on a GPU"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with listed pairs and with a masked matrix, which GPUs take."""
    if request.param == "as on a GPU":
        monkeypatch.setattr(triplets, "LISTING", frozenset())


def facts(condition: list[int], bag: list[int] | None = None, counted: list[int] | None = None) -> RowFacts:
    n = len(condition)
    return RowFacts(
        condition=torch.tensor(condition),
        bag=torch.tensor(bag if bag is not None else list(range(n))),
        sample=torch.arange(n) + 1000,
        counted=torch.tensor(counted if counted is not None else [1] * n),
    )


def mine(x: torch.Tensor, rows: RowFacts, mining: Mining, margin: float = 0.2, same_bag: bool = True) -> TripletSums:
    return triplet_sums(x, rows, x, rows, margin=margin, mining=mining, same_bag_positives=same_bag)


def loops(
    x: torch.Tensor, rows: RowFacts, mining: Mining, margin: float, same_bag: bool
) -> tuple[torch.Tensor, int, int, float, float]:
    """The definition, row by row, with distances of plain differences."""
    total, pairs, active, sum_ap, sum_an = x.sum() * 0, 0, 0, 0.0, 0.0
    n = len(x)

    def d(i: int, j: int) -> torch.Tensor:
        return ((x[i] - x[j]) ** 2).sum()

    for a, p in itertools.product(range(n), range(n)):
        if a == p or not (rows.counted[a] and rows.counted[p]) or rows.condition[a] != rows.condition[p]:
            continue
        if rows.bag[a] == rows.bag[p] and not same_bag:
            continue
        negatives = [j for j in range(n) if rows.counted[j] and rows.condition[j] != rows.condition[a]]
        if not negatives:
            continue
        if mining == "all":
            chosen = negatives
        elif mining == "hard":
            chosen = [min(negatives, key=lambda j: d(a, j).item())]
        else:
            farther = [j for j in negatives if d(a, j) > d(a, p)]
            chosen = [
                min(farther, key=lambda j: d(a, j).item()) if farther else max(negatives, key=lambda j: d(a, j).item())
            ]
        for j in chosen:
            hinge = torch.relu(d(a, p) - d(a, j) + margin)
            total = total + hinge
            pairs += 1
            active += int(hinge.item() > 0)
            sum_ap += d(a, p).item()
            sum_an += d(a, j).item()
    return total, pairs, active, sum_ap, sum_an


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("same_bag", [True, False])
@pytest.mark.parametrize(("k", "classes", "seed"), [(4, 2, 0), (7, 3, 1), (12, 2, 2), (25, 5, 3), (40, 6, 4)])
def test_sums_and_gradients_equal_plain_loops(mining: Mining, same_bag: bool, k: int, classes: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(k, 3, generator=rng, dtype=torch.float64) * 0.5 + 4
    condition = torch.randint(classes, (k,), generator=rng)
    rows = RowFacts(
        condition=condition,
        bag=condition * 3 + torch.randint(3, (k,), generator=rng),
        sample=torch.arange(k),
        counted=(torch.rand(k, generator=rng) > 0.15).long(),
    )
    mine_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = mine(mine_x, rows, mining, 0.3, same_bag)
    total, pairs, active, d_ap, d_an = loops(their_x, rows, mining, 0.3, same_bag)
    got.total.backward()
    total.backward()
    torch.testing.assert_close(got.total, total)
    torch.testing.assert_close(mine_x.grad, their_x.grad)
    assert (int(got.pairs), int(got.active)) == (pairs, active)
    assert (got.d_ap.item(), got.d_an.item()) == (pytest.approx(d_ap), pytest.approx(d_an))
    assert pairs > 0


def test_semi_hard_takes_the_nearest_negative_beyond_the_positive() -> None:
    # On a line: a = 0, p = 1, negatives at 0.5, 1.1 and 2. From a: d_ap = 1, nearest farther is 1.21.
    x = torch.tensor([[0.0], [1.0], [0.5], [1.1], [2.0]], dtype=torch.float64)
    rows = facts([0, 0, 1, 2, 3])
    # From p: d = 1; distances to negatives 0.25, 0.01, 1: none is farther, the farthest (d = 1) is taken.
    expected = (1 - 1.21 + 0.5) + (1 - 1 + 0.5)
    got = mine(x, rows, "semi_hard", margin=0.5)
    assert got.total.item() == pytest.approx(expected)
    assert (int(got.pairs), int(got.active)) == (2, 2)
    assert got.d_an.item() == pytest.approx(2.21)


def test_hard_and_all_by_hand() -> None:
    x = torch.tensor([[0.0], [1.0], [0.5], [1.1], [2.0]], dtype=torch.float64)
    rows = facts([0, 0, 1, 2, 3])
    hard = mine(x, rows, "hard", margin=0.5)
    assert hard.total.item() == pytest.approx((1 - 0.25 + 0.5) + (1 - 0.01 + 0.5))
    every = mine(x, rows, "all", margin=0.5)
    # Anchor 0: negatives 0.25, 1.21 and 4 (too far to count); anchor 1: 0.25, 0.01, 1.
    assert every.total.item() == pytest.approx((1.25 + 0.29) + (1.25 + 1.49 + 0.5))
    assert (int(every.pairs), int(every.active)) == (6, 5)


def test_a_tie_is_not_semi_hard() -> None:
    # d_ap = d_an = 1 for the anchor at 0: the negative at -1 is not farther, the one at 2 is.
    x = torch.tensor([[0.0], [1.0], [-1.0], [2.0]], dtype=torch.float64)
    rows = facts([0, 0, 1, 1], counted=[1, 1, 1, 1])
    only_first = triplet_sums(x[:1], facts([0]), x, rows, margin=0.2, mining="semi_hard", same_bag_positives=True)
    # facts([0]) has bag 0 and sample 1000, as row 0 of the candidates.
    assert only_first.total.item() == 0
    assert only_first.d_an.item() == pytest.approx(4)


@pytest.mark.parametrize("mining", MININGS)
def test_all_embeddings_equal_give_the_margin(mining: Mining) -> None:
    x = torch.ones(6, 4, dtype=torch.float64)
    got = mine(x, facts([0, 0, 1, 1, 2, 2]), mining)
    assert (got.total / got.pairs).item() == pytest.approx(0.2)


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize(
    ("condition", "counted"),
    [([0, 1, 2, 3], None), ([0, 0, 0, 0], None), ([0, 0, 1, 1], [0, 0, 0, 0]), ([0, 0, 1, 1], [1, 0, 1, 0])],
)
def test_no_triplets_is_a_zero_with_a_gradient(mining: Mining, condition: list[int], counted: list[int] | None) -> None:
    x = torch.randn(4, 2, requires_grad=True)
    got = mine(x, facts(condition, counted=counted), mining)
    got.total.backward()
    assert (got.total.item(), int(got.pairs), int(got.active)) == (0.0, 0, 0)
    assert x.grad is not None
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("mining", MININGS)
def test_gradcheck(mining: Mining) -> None:
    torch.manual_seed(0)
    rows = facts([0, 0, 0, 1, 1, 2, 2])
    x = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda e: mine(e, rows, mining, 1.0).total, (x,))


@pytest.mark.parametrize("mining", MININGS)
def test_padding_rows_change_nothing_even_as_nan(mining: Mining) -> None:
    torch.manual_seed(1)
    x = torch.randn(6, 3)
    plain = x.clone().requires_grad_()
    mine(plain, facts([0, 0, 1, 1, 2, 2]), mining).total.backward()
    padded = torch.cat([x, torch.tensor([[math.nan] * 3, [0.0] * 3])]).requires_grad_()
    rows = facts([0, 0, 1, 1, 2, 2, 0, 1], bag=[0, 1, 2, 3, 4, 5, 5, 5], counted=[1] * 6 + [0] * 2)
    got = mine(padded, rows, mining)
    got.total.backward()
    torch.testing.assert_close(padded.grad[:6], plain.grad)
    assert padded.grad[6:].abs().max() == 0


def test_a_copy_of_a_row_is_no_positive_but_other_tiles_of_its_bag_are() -> None:
    x = torch.tensor([[0.0], [0.0], [0.3], [1.0]], dtype=torch.float64)
    rows = RowFacts(
        condition=torch.tensor([0, 0, 0, 1]),
        bag=torch.tensor([5, 5, 5, 6]),
        sample=torch.tensor([1, 1, 2, 1]),
        counted=torch.ones(4, dtype=torch.int64),
    )
    got = mine(x, rows, "hard")
    assert int(got.pairs) == 4  # each copy with the third row, and back
    assert got.d_ap.item() == pytest.approx(4 * 0.09)
    assert int(mine(x, rows, "hard", same_bag=False).pairs) == 0


def test_a_common_offset_costs_no_digits() -> None:
    torch.manual_seed(0)
    x = torch.randn(20, 128) * 0.05
    moved = x.double() + 30
    exact = torch.cdist(moved, moved) ** 2
    got = squared_distances(moved.float(), moved.float(), torch.ones(20, dtype=torch.bool))
    assert (got.double() - exact).abs().max() < 1e-4
    naive = moved.float().square().sum(1)[:, None] + moved.float().square().sum(1) - 2 * moved.float() @ moved.float().T
    assert (naive.double() - exact).abs().max() > 1e-2


def test_digest_knows_sets_of_tiles_not_their_order() -> None:
    rows = torch.tensor([[1, 3, 9], [9, 1, 3], [4, 0, 9], [1, 3, 3], [2, 2, 9]])
    digest = sample_digest(rows).tolist()
    assert digest[0] == digest[1]
    assert len(set(digest)) == 4


def test_digest_has_no_collisions_among_many_rows() -> None:
    rng = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 300, (200_000, 2), generator=rng).sort(dim=1).values
    assert len(sample_digest(rows).unique()) == len(rows.unique(dim=0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_among_equally_near_negatives_the_first_row_is_taken(dtype: torch.dtype) -> None:
    # From a = 0 with p = 1: rows 2 and 4 are both 4 away; only the first may receive a gradient.
    x = torch.tensor([[0.0], [1.0], [2.0], [5.0], [-2.0]], dtype=dtype, requires_grad=True)
    rows = facts([0, 0, 1, 1, 1])
    anchor = RowFacts(**{name: getattr(rows, name)[:1] for name in ("condition", "bag", "sample", "counted")})
    got = triplet_sums(x[:1].detach(), anchor, x, rows, margin=9.0, mining="semi_hard", same_bag_positives=True)
    got.total.backward()
    assert got.d_an.item() == pytest.approx(4)
    assert x.grad is not None
    assert x.grad[2].item() != 0
    assert x.grad[4].item() == 0


REFUSED = {"cumsum", "bincount", "histc", "median", "put_"}
"""Operations of PyTorch that CUDA does not repeat bit for bit, and refuses where that is asked."""


@pytest.mark.parametrize("mining", MININGS)
def test_a_gpu_can_repeat_every_operation_bit_for_bit(mining: Mining, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triplets, "LISTING", frozenset())
    asked: set[str] = set()

    class Noting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            asked.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    x = torch.randn(9, 3, requires_grad=True)
    with Noting():
        mine(x, facts([0, 0, 0, 1, 1, 1, 2, 2, 2]), mining).total.backward()
    assert "sum" in asked
    assert not asked & REFUSED
