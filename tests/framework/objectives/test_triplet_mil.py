"""The triplet objective: who is a condition, what is refused, gradient caching and reduced precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from framework.config import StrictModel, parse_config
from framework.data.dataset import Dataset
from framework.data.plan import BagsConfig, BalancedBagsConfig, PlanConfig, plan_over
from framework.errors import ConfigError, RunError
from framework.models import SmallCnnConfig
from framework.objectives import TripletMIL, TripletMILConfig

BOTH = ("Metadata_Perturbation", "Metadata_Stimulation")
SMALL = SmallCnnConfig(widths=(4, 8), norm="group", dense=(8, 6))


def built(dataset: Dataset, **options: Any) -> TripletMIL:
    config = TripletMILConfig(**{"backbone": SMALL, **options})
    profile = TripletMIL.measure(config, dataset, ("A", "B"), np.arange(12))
    torch.manual_seed(0)
    return TripletMIL(config, profile)


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def test_conditions_are_perturbation_and_stimulation(dataset: Dataset) -> None:
    objective = built(dataset)
    table = objective.labels(dataset)["condition"]
    assert table.per == "bag"
    # Bag b has perturbation b % 3 and stimulation (b // 3) % 2; ids in the order of the sorted names.
    assert table.values.tolist() == [2 * (b % 3) + (b // 3) % 2 for b in range(12)]
    assert objective.profile.plain()["classes"] == [f"P{p} / M{s}" for p in range(3) for s in (1, 2)]


def test_conditions_by_one_column_and_of_training_bags_only(dataset: Dataset) -> None:
    config = TripletMILConfig(backbone=SMALL, by=("Metadata_Perturbation",))
    profile = TripletMIL.measure(config, dataset, ("A", "B"), np.array([0, 1, 3]))
    assert profile.classes == ("P0", "P1")
    labels = TripletMIL(config, profile).labels(dataset)["condition"].values
    assert labels.tolist() == [b % 3 for b in range(12)]


def test_an_unknown_column_is_named(dataset: Dataset) -> None:
    with pytest.raises(RunError, match=r"no bag column 'Metadata_Pertubation'.*did you mean 'Metadata_Perturbation'"):
        built(dataset, by=("Metadata_Pertubation",))


def test_one_condition_is_refused(dataset: Dataset) -> None:
    config = TripletMILConfig(backbone=SMALL)
    with pytest.raises(RunError, match="the 2 training bags have 1 condition"):
        TripletMIL.measure(config, dataset, ("A", "B"), np.array([0, 6]))


def test_no_positives_are_refused(dataset: Dataset) -> None:
    config = TripletMILConfig(backbone=SMALL, same_bag_positives=False)
    with pytest.raises(RunError, match="no two training bags share a condition"):
        TripletMIL.measure(config, dataset, ("A", "B"), np.arange(6))


@pytest.mark.parametrize(
    ("plan", "bags", "said"),
    [
        # Bags b and b + 6 share a condition of both columns; a step of one condition has no negative.
        (BalancedBagsConfig(by=BOTH, conditions=1, bags=2, tiles=2), (0, 6, 1, 7), "1 condition by .* in 2 bags"),
        (BagsConfig(bags=1, tiles=2), range(6), "1 condition by Metadata_Perturbation, Metadata_Stimulation in 1 bag,"),
        # Six bags of six conditions, and each stands once in an epoch.
        (BagsConfig(bags=2, tiles=2), range(6), "2 conditions by .* in 2 bags"),
        (BalancedBagsConfig(by=BOTH, conditions=2, bags=2, tiles=2), (0, 6, 1, 7), None),
        (BagsConfig(bags=12, tiles=2), range(12), None),
    ],
)
def test_a_plan_without_a_triplet_is_refused_before_the_first_step(
    dataset: Dataset, plan: PlanConfig, bags: Sequence[int], said: str | None
) -> None:
    objective = built(dataset)
    made, labels = plan_over(plan, dataset, np.array(bags), 0), objective.labels(dataset)
    if said is None:
        objective.check_plan(made, labels, "train")
        return
    expected = rf"part 'val': no triplet can be formed, the first step has {said}.*evaluate_every"
    with pytest.raises(RunError, match=expected):
        objective.check_plan(made, labels, "val")


def test_two_draws_of_one_bag_are_a_positive_where_they_show_other_tiles(dataset: Dataset) -> None:
    """Bag 0 alone has its condition here; the plan draws it twice, with other tiles as long as it has enough."""
    plan = BalancedBagsConfig(by=("Metadata_Perturbation",), conditions=2, bags=2, tiles=2)
    made = plan_over(plan, dataset, np.array([0, 3, 1, 4]), 0)
    alike = built(dataset, by=("Metadata_Perturbation",), same_bag_positives=False)
    alike.check_plan(made, alike.labels(dataset), "train")
    apart = built(dataset, same_bag_positives=False)  # bags 0 and 3 differ in their stimulation
    with pytest.raises(RunError, match=r"4 conditions .* in 4 bags, and a triplet is two bags of one condition"):
        apart.check_plan(made, apart.labels(dataset), "train")


def test_the_paper_is_the_default() -> None:
    config = TripletMILConfig()
    assert (config.margin, config.mining, config.aggregate, config.l2_normalise) == (
        0.2,
        "semi_hard",
        "tile_embedding",
        False,
    )
    assert config.backbone.plain() == {"name": "resnet18", "dense": [1024, 128], "dropout": 0.0, "width": 64}


def test_a_misspelt_backbone_option_is_named() -> None:
    class Run(StrictModel):
        objective: TripletMILConfig

    with pytest.raises(ConfigError, match=r"objective.backbone.denses: unknown key.*did you mean 'dense'"):
        parse_config("objective:\n  name: triplet_mil\n  backbone: {name: resnet18, denses: [8]}\n", Run)


@pytest.mark.parametrize("chunk", [1, 7, 24, 1000])
def test_gradient_cache_gives_the_gradients_of_the_whole_batch(dataset: Dataset, make_batch: Any, chunk: int) -> None:
    plain, cached = built(dataset), built(dataset, gradient_cache=chunk)
    cached.load_state_dict(plain.state_dict())
    for objective in (plain, cached):
        objective.double()
        batch = make_batch(objective, [0, 6, 1, 7, 2, 8, 3, 9])
        batch.tiles.data = batch.tiles.double()
        objective(batch, alone).total.backward()
    pairs = zip(plain.parameters(), cached.parameters(), strict=True)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-9, atol=1e-12)
    assert sum(p.grad.abs().sum() for p in plain.parameters()) > 0


def test_gradient_cache_over_ranks(dataset: Dataset, make_batch: Any, on_ranks: Any) -> None:
    objective = built(dataset, gradient_cache=2)
    first, second = make_batch(objective, [0, 6, 1]), make_batch(objective, [7, 2, 8], seed=1)
    losses = on_ranks([lambda gather, piece=piece: objective(piece, gather) for piece in (first, second)])
    torch.stack([each.total for each in losses]).sum().backward()
    chunked = [p.grad.clone() for p in objective.parameters()]
    objective.zero_grad()
    objective.bag_encoder.tile_chunk = None
    losses = on_ranks([lambda gather, piece=piece: objective(piece, gather) for piece in (first, second)])
    torch.stack([each.total for each in losses]).sum().backward()
    for mine, theirs in zip(objective.parameters(), chunked, strict=True):
        torch.testing.assert_close(mine.grad, theirs)


def test_distances_stay_float32_under_bf16_autocast(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    batch = make_batch(objective, [0, 6, 1, 7, 2, 8])
    seen: list[torch.dtype] = []

    def gather(rows: torch.Tensor) -> torch.Tensor:
        seen.append(rows.dtype)
        return rows

    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = objective(batch, gather)
    losses.total.backward()
    assert seen == [torch.float32, torch.int64]
    assert losses.total.dtype == torch.float32
    exact = objective(batch, alone)
    assert losses.total.item() == pytest.approx(exact.total.item(), rel=0.05)


def test_active_average_counts_only_triplets_with_a_loss(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset, average="active", mining="all", margin=1e-6)
    losses = objective(make_batch(objective, [0, 6, 1, 7, 2, 8]), alone)
    active, pairs = losses.parts["active_triplets"]
    assert losses.count == active
    assert 0 < active < pairs == 6 * 4


def test_triplets_do_not_start_from_another_run(dataset: Dataset) -> None:
    objective = built(dataset)
    with pytest.raises(RunError, match="TripletMIL does not start from a pretrained backbone"):
        objective.start_from(objective.backbone_facts())


def test_it_learns_the_conditions(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset, margin=0.2)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-2)

    def loss(seed: int) -> float:
        losses = objective(make_batch(objective, [*range(12)], tiles=6, seed=seed), alone)
        optimiser.zero_grad()
        (losses.total / losses.count).backward()
        return (losses.total / losses.count).item()

    before = loss(100)
    for seed in range(60):
        loss(seed)
        optimiser.step()
    assert loss(100) < 0.5 * before


def test_facts_carry_trained_weights_not_views(dataset: Dataset) -> None:
    objective = built(dataset)
    facts = objective.backbone_facts()
    key = "encoder.head.1.weight"
    before = facts.state[key].clone()
    with torch.no_grad():
        objective.bag_encoder.encoder.head[1].weight.add_(1)
    torch.testing.assert_close(facts.state[key], before)
