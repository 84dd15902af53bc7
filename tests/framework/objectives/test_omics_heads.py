"""Heads on a frozen backbone: frozen it stays, cached or not, each bag for the targets it has."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset, resealed

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.errors import CheckpointError, DatasetError, RunError
from framework.models import BagEncoder, MeanPoolConfig, SmallCnnConfig, build_backbone
from framework.objectives import OmicsHeads, OmicsHeadsConfig, PretrainedBackbone

TRAIN = np.array([0, 1, 2, 3, 4, 5, 6])


def pretrained(aggregate: str = "tile_embedding", **changes: Any) -> PretrainedBackbone:
    torch.manual_seed(5)
    config = SmallCnnConfig(widths=(4, 8), norm="batch", dense=(8, 6), dropout=0.5)
    encoder = BagEncoder(build_backbone(config, 2), aggregate=aggregate)
    encoder.train()(torch.randn(4, 3, 2, 16, 16) * 2 + 1)  # so that running statistics are not the defaults
    facts = {"encoder_config": config, "aggregate": aggregate, "pool": MeanPoolConfig(), "l2_normalise": False}
    return PretrainedBackbone(**{**facts, "channels": ("A", "B"), "state": encoder.state_dict(), **changes})


def built(dataset: Dataset, given: PretrainedBackbone | None = None, **options: Any) -> OmicsHeads:
    given = given or pretrained()
    config = OmicsHeadsConfig(**{"targets": ("rna_M1", "protein_M1"), **options})
    objective = OmicsHeads(config, OmicsHeads.measure(config, dataset, ("A", "B"), TRAIN, given))
    objective.start_from(given)
    return objective


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def test_the_profile_holds_train_mean_and_sd_with_ddof_1(dataset: Dataset) -> None:
    facts = built(dataset).facts.targets[0]
    table = dataset.target("rna_M1").to_df()
    train = table[np.isin(dataset.target("rna_M1").obs["bag"], TRAIN)].astype(np.float64)
    assert len(train) == 6  # bag 1 has no target
    assert facts.genes == tuple(table.columns)
    assert facts.train_mean == pytest.approx(train.mean().tolist())
    assert facts.train_sd == pytest.approx(train.std(ddof=1).tolist())


def test_the_backbone_is_frozen_whatever_mode_is_set(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    before = {name: value.clone() for name, value in objective.bag_encoder.state_dict().items()}
    objective.train()
    assert not any(module.training for module in objective.bag_encoder.modules())
    assert objective.heads.training
    assert {n.split(".")[0] for n, p in objective.named_parameters() if p.requires_grad} == {"heads"}
    objective(make_batch(objective, [0, 2, 3]), alone).total.backward()
    for name, value in objective.bag_encoder.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("aggregate", ["tile_embedding", "backbone"])
def test_cached_embeddings_give_the_same_numbers(dataset: Dataset, make_batch: Any, aggregate: str) -> None:
    objective = built(dataset, pretrained(aggregate))
    pixels = make_batch(objective, [0, 2, 3, 5], tiles=5)
    cached = dataclasses.replace(pixels, tiles=objective.embed_tiles(pixels.tiles))
    assert cached.tiles.shape == (4, 5, 6 if aggregate == "tile_embedding" else 8)
    results: list[tuple[torch.Tensor, ...]] = []
    for batch in (pixels, cached):
        objective.zero_grad()
        losses = objective(batch, alone)
        losses.total.backward()
        gradients = [p.grad.clone() for p in objective.heads.parameters()]
        results.append((losses.total.detach(), objective.predict(batch).detach(), *gradients))
    for online, offline in zip(*results, strict=True):
        torch.testing.assert_close(online, offline, rtol=1e-6, atol=1e-6)


def test_cached_embeddings_of_another_backbone_are_refused(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    batch = dataclasses.replace(make_batch(objective, [0, 2]), tiles=torch.zeros(2, 3, 9))
    with pytest.raises(RunError, match="cached tile embeddings are 9 wide, but those of the frozen backbone are 6"):
        objective(batch, alone)


def test_loss_is_the_squared_z_score_over_measured_pairs(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    batch = make_batch(objective, [0, 1, 5], weights=[1, 1, 1])
    losses = objective(batch, alone)
    mean, sd = (np.concatenate([getattr(t, f"train_{s}") for t in objective.facts.targets]) for s in ("mean", "sd"))
    measured = batch.labels["targets"].numpy()
    assert np.isnan(measured[1]).all()
    z = (measured - mean) / sd
    predicted = (objective.predict(batch).detach().numpy() - mean) / sd
    expected = np.nansum((predicted - z) ** 2)
    assert losses.total.item() == pytest.approx(expected, rel=1e-4)
    assert losses.count == 2 * 7
    assert losses.parts["mse/rna_M1"][1] == 2 * 4
    assert losses.parts["mse/protein_M1"][1] == 2 * 3
    assert sum(total.item() for total, _ in losses.parts.values()) == pytest.approx(losses.total.item())


def test_a_bag_without_targets_has_no_influence(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    losses = objective(make_batch(objective, [1, 1]), alone)
    losses.total.backward()
    assert (losses.total.item(), losses.count.item()) == (0, 0)
    assert all(p.grad.abs().max() == 0 for p in objective.heads.parameters())


def test_one_unmeasured_gene_masks_that_gene_alone(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset)
    batch: Batch = make_batch(objective, [0, 2])
    batch.labels["targets"][0, 1] = torch.nan
    losses = objective(batch, alone)
    assert losses.count == 13
    assert torch.isfinite(losses.total)


def test_authors_relu_cuts_the_embedding_before_the_linear_layer(dataset: Dataset, make_batch: Any) -> None:
    plain, authors = built(dataset), built(dataset, authors_relu=True)
    authors.load_state_dict(plain.state_dict())
    batch = make_batch(plain, [0, 2, 3])
    bags = plain.embed_bags(plain.embed_tiles(batch.tiles))
    assert (bags < 0).any()
    head = plain.heads[0]
    mean, sd = plain.mean[:4], plain.sd[:4]
    torch.testing.assert_close(plain.predict(batch)[:, :4], head(bags) * sd + mean)
    torch.testing.assert_close(authors.predict(batch)[:, :4], head(bags.relu()) * sd + mean)


def test_dropout_acts_in_training_only(dataset: Dataset, make_batch: Any) -> None:
    objective = built(dataset, dropout=0.5)
    batch = make_batch(objective, [0, 2, 3])
    objective.train()
    assert (objective.predict(batch) != objective.predict(batch)).any()
    objective.eval()
    torch.testing.assert_close(objective.predict(batch), objective.predict(batch), rtol=0, atol=0)


def test_outputs_name_target_and_gene(dataset: Dataset) -> None:
    objective = built(dataset)
    last, first = objective.outputs()[3:5]
    assert (last.target, last.name) == ("rna_M1", "rna_M1_G3")
    assert (first.target, first.name) == ("protein_M1", "protein_M1_G0")
    assert last.train_mean == objective.facts.targets[0].train_mean[3]
    assert first.train_sd == objective.facts.targets[1].train_sd[0]


def test_two_targets_at_once_learn_as_two_runs_would(dataset: Dataset, make_batch: Any) -> None:
    both, one = built(dataset), built(dataset, targets=("protein_M1",))
    one.heads[0].load_state_dict(both.heads[1].state_dict())
    for objective in (both, one):
        optimiser = torch.optim.AdamW(objective.heads.parameters(), lr=1e-2, eps=1e-12)
        for seed in range(5):
            losses = objective(make_batch(objective, [0, 2, 3, 5], seed=seed), alone)
            optimiser.zero_grad()
            (losses.total / losses.count).backward()
            optimiser.step()
    torch.testing.assert_close(both.heads[1].weight, one.heads[0].weight, rtol=1e-4, atol=1e-5)


def test_images_without_omics_can_still_be_predicted(dataset: Dataset, tmp_path: Path) -> None:
    objective = built(dataset)
    other = make_dataset(tmp_path / "other", bags=3, targets={"rna_M1": 2})
    values = objective.labels(other)["targets"].values
    assert values.shape == (3, 7)
    assert torch.isfinite(values[:, :2]).sum() == 2 * 2  # bag 1 has no target
    assert torch.isnan(values[:, 2:]).all()


def test_genes_that_no_training_bag_has_get_no_output(dataset: Dataset, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "gap", bags=8, targets={"rna_M1": 3, "protein_M1": 2})
    table = other.target("rna_M1")
    table.X[np.isin(table.obs["bag"], TRAIN), 1] = np.nan
    table.X[0, 2] = np.nan
    table.write_h5ad(other.root / "targets" / "rna_M1.h5ad")
    other = resealed(other.root)
    with pytest.warns(UserWarning, match=r"target 'rna_M1': 1 gene\(s\) are measured in no training bag.*rna_M1_G1"):
        objective = built(other)
    facts = objective.facts.targets[0]
    assert facts.excluded == ("rna_M1_G1",)
    assert facts.genes == ("rna_M1_G0", "rna_M1_G2")
    train = np.asarray(table.X)[np.isin(table.obs["bag"], TRAIN)].astype(np.float64)
    assert facts.train_mean[1] == pytest.approx(np.nanmean(train[:, 2]))
    assert facts.train_sd[1] == pytest.approx(np.nanstd(train[:, 2], ddof=1))
    assert objective.labels(other)["targets"].values[0].isnan().tolist() == [False, True, False, False]


def test_a_constant_gene_has_sd_one(dataset: Dataset, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "flat", bags=8, targets={"rna_M1": 2, "protein_M1": 2})
    table = other.target("rna_M1")
    table.X[:, 0] = 3
    table.write_h5ad(other.root / "targets" / "rna_M1.h5ad")
    assert built(resealed(other.root)).facts.targets[0].train_sd[0] == 1.0


def test_what_cannot_be_trained_is_refused(dataset: Dataset) -> None:
    config = OmicsHeadsConfig(targets=("rna_M1",))
    with pytest.raises(RunError, match=r"set objective.pretrained to the folder of a pretraining run"):
        OmicsHeads.measure(config, dataset, ("A", "B"), TRAIN)
    with pytest.raises(RunError, match="was trained on the channels A, B, but this run reads B, A"):
        OmicsHeads.measure(config, dataset, ("B", "A"), TRAIN, pretrained())
    with pytest.raises(RunError, match=r"no training bag has the target 'rna_M1' \(11 bags have it\)"):
        OmicsHeads.measure(config, dataset, ("A", "B"), np.array([1]), pretrained())
    with pytest.raises(DatasetError, match=r"no target 'rna_M2'.*did you mean 'rna_M1'"):
        OmicsHeads.measure(OmicsHeadsConfig(targets=("rna_M2",)), dataset, ("A", "B"), TRAIN, pretrained())
    with pytest.raises(ValueError, match="rna_M1 is listed twice"):
        OmicsHeadsConfig(targets=("rna_M1", "rna_M1"))


def test_weights_of_another_plan_are_refused(dataset: Dataset) -> None:
    objective = built(dataset)
    with pytest.raises(CheckpointError, match="these heads were made for the backbone"):
        objective.start_from(pretrained("backbone"))
