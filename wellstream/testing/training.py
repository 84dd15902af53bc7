"""Contracts of backbones, pools, optimisers and schedules."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from framework.models import BACKBONES, POOLS, BagPool, build_backbone
from framework.trainer.optimisers import OPTIMISERS
from framework.trainer.schedules import SCHEDULES
from wellstream.testing.entry import EntryContract


class BackboneContract(EntryContract):
    """Tests of a backbone; a subclass sets ``plain``."""

    registry = BACKBONES

    @pytest.mark.parametrize("channels", [1, 4])
    def test_trunk_and_head_have_the_widths_they_state(self, options: Any, channels: int) -> None:
        """Tiles of any size go through; the head takes any leading axes."""
        torch.manual_seed(0)
        encoder = build_backbone(options, channels).eval()
        tiles = torch.randn(3, channels, 32, 40)
        trunk = encoder.trunk(tiles)
        assert trunk.shape == (3, encoder.trunk_width)
        assert encoder(tiles).shape == (3, encoder.width)
        torch.testing.assert_close(encoder(tiles), encoder.head(trunk))
        assert encoder.head(trunk.reshape(1, 3, -1)).shape == (1, 3, encoder.width)

    def test_every_weight_learns(self, options: Any) -> None:
        """A weight without a gradient would keep what it began with."""
        torch.manual_seed(0)
        encoder = build_backbone(options, 2)
        (encoder(torch.randn(4, 2, 32, 32)) * torch.randn(4, encoder.width)).sum().backward()
        silent = [n for n, p in encoder.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
        assert silent == []


class PoolContract(EntryContract):
    """Tests of a pool; a subclass sets ``plain``, and ``width`` where its options need another."""

    registry = POOLS
    width: int = 8

    @pytest.fixture
    def pool(self, options: Any) -> BagPool:
        """The pool, in float64."""
        torch.manual_seed(0)
        made: BagPool = self.entry(options).build(options, self.width)
        return made.double()

    @pytest.fixture
    def embedded(self) -> torch.Tensor:
        """Three bags of five tiles, (3, 5, D)."""
        return torch.randn(3, 5, self.width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def test_one_vector_per_bag_and_shares_that_sum_to_one(self, pool: BagPool, embedded: torch.Tensor) -> None:
        """Attention is a share of the bag; a bag may have one tile."""
        for bags in (embedded, embedded[:, :1]):
            shares = pool.shares(bags)
            assert pool(bags).shape == (3, self.width)
            assert shares.shape == bags.shape[:2]
            assert (shares >= 0).all()
            torch.testing.assert_close(shares.sum(dim=1), torch.ones(3, dtype=torch.float64))
        assert pool.said

    def test_the_order_of_tiles_does_not_matter(self, pool: BagPool, embedded: torch.Tensor) -> None:
        """A bag is a set, and its shares go with its tiles."""
        turned = embedded.flip(1)
        torch.testing.assert_close(pool(turned), pool(embedded))
        torch.testing.assert_close(pool.shares(turned).flip(1), pool.shares(embedded))

    def test_padding_has_no_influence(self, pool: BagPool, embedded: torch.Tensor) -> None:
        """Not even as NaN; a bag without any weight is zeros."""
        padded = torch.cat([embedded, torch.full_like(embedded, torch.nan)], dim=1)
        weights = torch.cat([torch.ones(3, 5), torch.zeros(3, 5)], dim=1)
        torch.testing.assert_close(pool(padded, weights), pool(embedded))
        torch.testing.assert_close(pool.shares(padded, weights)[:, :5], pool.shares(embedded))
        assert pool.shares(padded, weights)[:, 5:].abs().max() == 0
        assert pool(padded, torch.zeros(3, 10)).abs().max() == 0

    def test_a_weight_of_two_is_a_tile_twice(self, pool: BagPool, embedded: torch.Tensor) -> None:
        """Weights count tiles."""
        twice = torch.cat([embedded, embedded[:, :1]], dim=1)
        weights = torch.ones(3, 5)
        weights[:, 0] = 2
        torch.testing.assert_close(pool(embedded, weights), pool(twice))

    def test_every_weight_learns(self, pool: BagPool, embedded: torch.Tensor) -> None:
        """A pool whose shares are learned has weights; each gets a finite gradient."""
        assert pool.learns == (len(list(pool.parameters())) > 0)
        rows = embedded.requires_grad_()
        (pool(rows) * torch.randn(3, self.width, dtype=torch.float64)).sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in (rows, *pool.parameters()))


class OptimiserContract(EntryContract):
    """Tests of an optimiser; a subclass sets ``plain``."""

    registry = OPTIMISERS

    def optimiser(self, options: Any, weights: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser of some weights."""
        made: torch.optim.Optimizer = self.entry(options).build(weights, options)
        return made

    def steps(self, weight: torch.nn.Parameter, made: torch.optim.Optimizer, count: int) -> None:
        """Go down a bowl."""
        for _ in range(count):
            made.zero_grad()
            torch.autograd.backward((weight**2).sum())
            made.step()

    def test_it_goes_down(self, options: Any) -> None:
        """By the learning rate that a schedule may set at every step."""
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        made = self.optimiser(options, [weight])
        assert [group["lr"] for group in made.param_groups] == [options.lr]
        self.steps(weight, made, 20)
        assert (weight**2).sum() < 5

    def test_its_state_makes_the_same_steps_again(self, options: Any) -> None:
        """Resume is bitwise: a checkpoint keeps ``state_dict``."""
        weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        made = self.optimiser(options, [weight])
        self.steps(weight, made, 3)
        twin = torch.nn.Parameter(weight.detach().clone())
        again = self.optimiser(options, [twin])
        again.load_state_dict(copy.deepcopy(made.state_dict()))
        self.steps(weight, made, 3)
        self.steps(twin, again, 3)
        assert torch.equal(weight, twin)


class ScheduleContract(EntryContract):
    """Tests of a schedule; a subclass sets ``plain``."""

    registry = SCHEDULES

    def test_factors_are_numbers_that_only_the_step_decides(self, options: Any) -> None:
        """At the first step, at the last, and in between; never negative."""
        factor = self.entry(options).build
        found = [factor(options, step, 10) for step in range(11)]
        assert all(isinstance(value, float) and value >= 0 for value in found)
        assert found == [factor(options, step, 10) for step in range(11)]
        if not options.depends_on_steps:
            assert found == [factor(options, step, 20) for step in range(11)]
