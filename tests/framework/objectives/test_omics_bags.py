"""Backbone and heads together: everything learns, large bags in chunks, and what is taken over from pretraining."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest
import torch

from framework.data.dataset import Dataset
from framework.errors import CheckpointError, RunError
from framework.models import BagEncoder, MeanPoolConfig, PoolOptions, SmallCnnConfig, build_backbone
from framework.models.pools import GatedAttentionConfig, SetAttentionConfig
from framework.objectives import OmicsBags, OmicsBagsConfig, PretrainedBackbone

TRAIN = np.arange(7)
SMALL = SmallCnnConfig(widths=(4, 8), norm="group", dense=(8, 6))


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def built(dataset: Dataset, given: PretrainedBackbone | None = None, **options: Any) -> OmicsBags:
    torch.manual_seed(3)
    own = {} if given else {"backbone": SMALL}
    config = OmicsBagsConfig(**{"targets": ("rna_M1", "protein_M1"), **own, **options})
    objective = OmicsBags(config, OmicsBags.measure(config, dataset, ("A", "B"), TRAIN, given))
    if given is not None:
        objective.start_from(given)
    return objective


def pretrained(pool: PoolOptions, aggregate: Any = "tile_embedding") -> PretrainedBackbone:
    torch.manual_seed(5)
    encoder = BagEncoder(build_backbone(SMALL, 2), aggregate=aggregate, pool=pool)
    return PretrainedBackbone(
        encoder_config=SMALL,
        aggregate=aggregate,
        pool=pool,
        l2_normalise=True,
        channels=("A", "B"),
        state=encoder.state_dict(),
    )


def gradients(objective: OmicsBags, batch: Any) -> dict[str, torch.Tensor]:
    objective.zero_grad()
    objective(batch, alone).total.backward()
    return {name: p.grad.clone() for name, p in objective.named_parameters()}


@pytest.mark.parametrize("aggregate", ["tile_embedding", "backbone"])
@pytest.mark.parametrize("pool", [MeanPoolConfig(), GatedAttentionConfig(hidden=3), SetAttentionConfig(heads=2)])
@pytest.mark.parametrize("chunk", [1, 5])
def test_large_bags_in_chunks_have_the_same_gradients(
    dataset: Dataset, make_batch: Any, pool: PoolOptions, aggregate: str, chunk: int
) -> None:
    whole = built(dataset, pool=pool, aggregate=aggregate).double()
    parts = built(dataset, pool=pool, aggregate=aggregate, gradient_cache=chunk).double()
    parts.load_state_dict(whole.state_dict())
    batch = make_batch(whole, [0, 2, 3, 5], tiles=7)
    batch = dataclasses.replace(batch, tiles=batch.tiles.double())
    expected = gradients(whole, batch)
    for name, gradient in gradients(parts, batch).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-12, msg=name)
    assert parts.config.splits_rows
    assert not whole.config.splits_rows


def test_backbone_pool_and_heads_all_learn(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset, pool=GatedAttentionConfig(hidden=3))
    optimiser = torch.optim.AdamW(objective.parameters(), lr=3e-2)
    losses = []
    for _ in range(60):
        found = objective(make_batch(objective, [0, 2, 3, 5]), alone)
        optimiser.zero_grad()
        (found.total / found.count).backward()
        optimiser.step()
        losses.append((found.total / found.count).item())
    assert losses[-1] < 0.5 * losses[0]
    still = built(dataset, pool=GatedAttentionConfig(hidden=3)).state_dict()
    same = [name for name, value in objective.named_parameters() if torch.equal(value, still[name])]
    assert same == []


@pytest.mark.parametrize("pool", [MeanPoolConfig(), SetAttentionConfig(heads=2)])
def test_pretraining_is_taken_over(dataset: Dataset, pool: PoolOptions, caplog: pytest.LogCaptureFixture) -> None:
    given = pretrained(pool, "backbone")
    caplog.set_level(logging.INFO)
    objective = built(dataset, given, pool=pool, pretrained="RUN")
    for name, value in given.state.items():
        torch.testing.assert_close(objective.bag_encoder.state_dict()[name], value, rtol=0, atol=0)
    assert (objective.facts.aggregate, objective.facts.l2_normalise) == ("backbone", True)
    assert all(p.requires_grad for p in objective.parameters())
    assert ("the pool of tiles is the pretrained one" in caplog.text) == isinstance(pool, SetAttentionConfig)


def test_another_pool_begins_anew(dataset: Dataset, caplog: pytest.LogCaptureFixture) -> None:
    given = pretrained(MeanPoolConfig())
    caplog.set_level(logging.INFO)
    objective = built(dataset, given, pool=SetAttentionConfig(heads=2), pretrained="RUN", aggregate="backbone")
    state = objective.bag_encoder.state_dict()
    torch.testing.assert_close(state["encoder.head.1.weight"], given.state["encoder.head.1.weight"], rtol=0, atol=0)
    assert objective.facts.aggregate == "backbone"
    assert "the pool of tiles begins anew" in caplog.text


def test_what_cannot_be_trained_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="'pretrained' already says which backbone is used; leave out 'backbone'"):
        OmicsBagsConfig(targets=("rna_M1",), pretrained="RUN", backbone=SMALL)
    config = OmicsBagsConfig(targets=("rna_M1",), pretrained="RUN")
    with pytest.raises(RunError, match="was trained on the channels A, B, but this run reads B, A"):
        OmicsBags.measure(config, dataset, ("B", "A"), TRAIN, pretrained(MeanPoolConfig()))
    other = dataclasses.replace(pretrained(MeanPoolConfig()), channels=("B", "A"))
    with pytest.raises(CheckpointError, match="this run was made for the backbone"):
        built(dataset).start_from(other)
    with pytest.raises(ValueError, match="rna_M1 is listed twice"):
        OmicsBagsConfig(targets=("rna_M1", "rna_M1"))


def test_without_a_backbone_it_is_that_of_the_paper(dataset: Dataset) -> None:
    config = OmicsBagsConfig(targets=("rna_M1",))
    facts = OmicsBags.measure(config, dataset, ("A", "B"), TRAIN)
    assert facts.backbone.plain()["dense"] == [1024, 128]
    assert facts.aggregate == "tile_embedding"
