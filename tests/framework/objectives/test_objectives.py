"""The contract every objective keeps, over the whole registry."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.errors import RunError
from framework.models import BagEncoder, build_backbone
from framework.objectives import OBJECTIVES, Embeds, Losses, Objective, Predicts, PretrainedBackbone
from framework.objectives.painting import Painting
from framework.registry import Entry

BACKBONE = {"name": "small_cnn", "widths": [4, 8], "norm": "group", "dense": [8, 6]}
CASES: dict[str, list[dict[str, Any]]] = {
    "triplet_mil": [
        {"backbone": BACKBONE},
        {"backbone": BACKBONE, "mining": "hard", "aggregate": "backbone", "l2_normalise": True, "average": "active"},
        {"backbone": BACKBONE, "mining": "all", "pool": "attention", "gradient_cache": 4},
    ],
    "omics_heads": [
        {"targets": ["rna_M1", "protein_M1"]},
        {"targets": ["protein_M1"], "authors_relu": True},
    ],
    "marker_regression": [
        {"markers": ["FRA1", "MITF"], "backbone": BACKBONE, "transform": "log10"},
        {"markers": ["MITF"], "backbone": BACKBONE, "loss": "mse", "transform": "unit_range", "standardise": False},
    ],
}
PAINTING = {"backbone": {"name": "alexnet", "widths": [4, 6, 8, 8, 6]}, "decoder_widths": [6, 8, 8, 6, 4]}
CASES["paired_inpainting"] = [
    {"structure": ["A"], "protein": ["B"], "marker_widths": [2, 3, 3], **PAINTING},
    {
        "structure": ["B"],
        "protein": ["A"],
        "source": ["A"],
        "backbone": {"name": "resnet18", "width": 4},
        "layer": "layer2",
    },
]
CASES["autoencoder"] = [PAINTING]
TRAIN = np.arange(8)
every_case = pytest.mark.parametrize(
    ("name", "options"), [(name, options) for name, cases in CASES.items() for options in cases]
)


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def pretrained() -> PretrainedBackbone:
    torch.manual_seed(5)
    config = OBJECTIVES.get("triplet_mil").config.from_plain({"name": "triplet_mil", "backbone": BACKBONE}).backbone
    return PretrainedBackbone(
        encoder_config=config,
        aggregate="backbone",
        pool="mean",
        l2_normalise=False,
        channels=("A", "B"),
        state=BagEncoder(build_backbone(config, 2), aggregate="backbone").state_dict(),
    )


def build(name: str, options: dict[str, Any], dataset: Dataset) -> Objective:
    entry: Entry[type[Objective]] = OBJECTIVES.get(name)
    config = entry.config.from_plain({"name": name, **options})
    given = pretrained() if "pretrained" in entry.config.model_fields else None
    profile = entry.build.measure(config, dataset, ("A", "B"), TRAIN, given)
    torch.manual_seed(0)
    objective = entry.build(config, profile)
    if given is not None:
        objective.start_from(given)
    return frozen(objective)


def frozen(objective: Objective) -> Objective:
    """Batch normalisation in train mode sees all rows of its rank; what is said of sums here holds without it."""
    for module in objective.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return objective


def clone(objective: Objective) -> Objective:
    profile = objective.profile_type.from_plain(json.loads(json.dumps(objective.profile.plain())))
    return frozen(type(objective)(objective.config, profile))


def part(batch: Batch, rows: slice | list[int]) -> Batch:
    return dataclasses.replace(
        batch,
        tiles=batch.tiles[rows],
        bags=batch.bags[rows],
        tile_ids=batch.tile_ids[rows],
        weights=batch.weights[rows],
        labels={name: values[rows] for name, values in batch.labels.items()},
    )


def gradients(objective: Objective) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def numbers(losses: Losses) -> dict[str, tuple[float, float]]:
    return {name: (total.item(), count.item()) for name, (total, count) in losses.parts.items()}


def test_every_objective_has_a_case() -> None:
    assert sorted(CASES) == OBJECTIVES.names(), "add the new objective to CASES"


@every_case
def test_sums_are_finite_and_every_free_weight_learns(
    name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any
) -> None:
    objective = build(name, options, dataset)
    losses = objective(make_batch(objective, [0, 6, 1, 7, 2, 8, 3, 9]), alone)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert losses.total > 0
    assert losses.total.shape == losses.count.shape == ()
    assert losses.count.is_floating_point()
    assert not losses.count.requires_grad
    assert losses.count > 0
    for total, count in losses.parts.values():
        assert not total.requires_grad
        assert total.shape == count.shape == ()
    free = {n for n, p in objective.named_parameters() if p.requires_grad}
    assert free == set(gradients(objective))
    assert any(g.abs().sum() > 0 for g in gradients(objective).values())


@every_case
def test_labels_fit_the_dataset(name: str, options: dict[str, Any], dataset: Dataset) -> None:
    objective = build(name, options, dataset)
    tables = objective.labels(dataset)
    rows = {"bag": len(dataset.bags), "tile": len(dataset.index)}
    assert tables or isinstance(objective, Painting), "only what learns from pixels alone has no labels"
    for table in tables.values():
        assert len(table.values) == rows[table.per]
        assert table.values.device.type == "cpu"


@every_case
def test_zero_weight_rows_change_nothing(name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any) -> None:
    objective = build(name, options, dataset)
    batch = make_batch(objective, [0, 6, 1, 7, 2, 8, 3, 9, 9, 4], weights=[1] * 8 + [0] * 2)
    with_padding = objective(batch, alone)
    with_padding.total.backward()
    padded = gradients(objective)
    objective.zero_grad()
    without = objective(part(batch, slice(8)), alone)
    without.total.backward()
    torch.testing.assert_close(with_padding.total, without.total)
    assert with_padding.count == without.count
    assert numbers(with_padding) == {k: pytest.approx(v, rel=1e-5) for k, v in numbers(without).items()}
    for key, gradient in gradients(objective).items():
        torch.testing.assert_close(padded[key], gradient, rtol=1e-4, atol=1e-6, msg=key)


def normalised_by_batch(options: dict[str, Any]) -> dict[str, Any]:
    backbone = options.get("backbone", {})
    return {**options, "backbone": {**backbone, "norm": "batch"}} if "norm" in backbone else options


@every_case
@pytest.mark.parametrize(
    ("weights", "counted"), [([1, 1, 1, 1, 0, 0], 4), ([1, 1, 1, 1, 0, 0], None), ([1, 0, 1, 1, 0, 1], None)]
)
def test_batch_normalisation_sees_no_padding(
    name: str, options: dict[str, Any], weights: list[int], counted: int | None, dataset: Dataset, make_batch: Any
) -> None:
    """In train mode, where rows influence each other; on one process, so with ``local`` too."""
    objective = build(name, normalised_by_batch(options), dataset).double().train()
    before = {key: value.clone() for key, value in objective.state_dict().items()}
    batch = make_batch(objective, [0, 6, 1, 7, 2, 8], weights=weights)
    batch = dataclasses.replace(batch, tiles=batch.tiles.double(), counted=counted)
    without = part(dataclasses.replace(batch, counted=None), [row for row, weight in enumerate(weights) if weight])
    found = []
    for each in (batch, without):
        objective.load_state_dict(before)
        objective.zero_grad()
        losses = objective(each, alone)
        losses.total.backward()
        found.append((losses, gradients(objective), {k: v.clone() for k, v in objective.state_dict().items()}))
    (padded, padded_gradients, padded_state), (losses, expected, state) = found
    torch.testing.assert_close(padded.total, losses.total, rtol=1e-12, atol=0)
    assert padded.count == losses.count
    size = torch.cat([g.flatten() for g in expected.values()]).norm()
    for key, gradient in expected.items():
        assert (padded_gradients[key] - gradient).norm() <= 1e-10 * size, key
    for key, value in state.items():
        torch.testing.assert_close(padded_state[key], value, rtol=1e-12, atol=0, msg=key)


@every_case
def test_only_padding_gives_zero_with_a_gradient(
    name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any
) -> None:
    objective = build(name, options, dataset)
    losses = objective(make_batch(objective, [0, 6], weights=[0, 0]), alone)
    losses.total.backward()
    assert (losses.total.item(), losses.count.item()) == (0.0, 0.0)
    assert set(gradients(objective)) == {n for n, p in objective.named_parameters() if p.requires_grad}
    assert all(g.abs().max() == 0 for g in gradients(objective).values())


@every_case
@pytest.mark.parametrize("cuts", [(5,), (3, 4), (1, 9)])
def test_sums_over_ranks_equal_one_process(
    name: str, options: dict[str, Any], cuts: tuple[int, ...], dataset: Dataset, make_batch: Any, on_ranks: Any
) -> None:
    objective = build(name, options, dataset)
    batch = make_batch(objective, [0, 6, 1, 7, 2, 8, 3, 9, 0, 5])
    whole = objective(batch, alone)
    whole.total.backward()
    expected = gradients(objective)
    objective.zero_grad()
    edges = [0, *cuts, 10]
    pieces = [part(batch, slice(a, b)) for a, b in itertools.pairwise(edges)]
    losses = on_ranks([lambda gather, piece=piece: objective(piece, gather) for piece in pieces])
    total = torch.stack([each.total for each in losses]).sum()
    total.backward()
    torch.testing.assert_close(total, whole.total)
    assert sum(each.count.item() for each in losses) == whole.count.item()
    for key, pair in numbers(whole).items():
        summed = [sum(numbers(each)[key][i] for each in losses) for i in (0, 1)]
        assert summed == pytest.approx(list(pair), rel=1e-4)
    for key, gradient in expected.items():
        torch.testing.assert_close(gradients(objective)[key], gradient, rtol=1e-3, atol=1e-5, msg=key)


@every_case
def test_profile_and_weights_make_the_same_objective_again(
    name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any
) -> None:
    objective = build(name, options, dataset)
    assert type(objective.profile) is objective.profile_type
    again = yaml.safe_load(yaml.safe_dump(objective.profile.plain()))
    assert objective.profile_type.from_plain(again) == objective.profile
    twin = clone(objective)
    twin.load_state_dict(objective.state_dict())
    batch = make_batch(objective, [0, 6, 1, 7])
    torch.testing.assert_close(twin(batch, alone).total, objective(batch, alone).total, rtol=0, atol=0)


@every_case
def test_predictions_have_one_column_per_output(
    name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any
) -> None:
    objective = build(name, options, dataset).eval()
    if not isinstance(objective, Predicts):
        assert name in ("triplet_mil", "paired_inpainting", "autoencoder")
        return
    outputs = objective.outputs()
    assert len({(output.target, output.name) for output in outputs}) == len(outputs) > 0
    assert all(np.isfinite((output.train_mean, output.train_sd)).all() and output.train_sd > 0 for output in outputs)
    batch = make_batch(objective, [0, 4, 1], tiles=5)
    shape = (3, len(outputs)) if objective.predicts_per == "bag" else (3, 5, len(outputs))
    with torch.no_grad():
        predicted = objective.predict(batch)
    assert predicted.shape == shape
    assert predicted.dtype == torch.float32
    assert torch.isfinite(predicted).all()


@every_case
def test_tiles_embed_one_by_one_or_together(
    name: str, options: dict[str, Any], dataset: Dataset, make_batch: Any
) -> None:
    objective = build(name, options, dataset).eval()
    assert isinstance(objective, Embeds)
    tiles = make_batch(objective, [0, 4, 1], tiles=5).tiles
    with torch.no_grad():
        embedded = objective.embed_tiles(tiles)
        bags = objective.embed_bags(embedded)
        torch.testing.assert_close(objective.embed_tiles(tiles[1]), embedded[1])
    assert embedded.shape[:2] == (3, 5)
    assert bags.shape[0] == 3
    assert bags.ndim == 2


@every_case
def test_another_run_can_build_on_the_backbone(name: str, options: dict[str, Any], dataset: Dataset) -> None:
    objective = build(name, options, dataset)
    assert isinstance(objective, Embeds)
    if isinstance(objective, Painting):
        with pytest.raises(RunError, match="has no backbone that another run could start from"):
            objective.backbone_facts()
        return
    facts = objective.backbone_facts()
    assert facts.channels == ("A", "B")
    assert facts.in_channels == 2
    tiles = torch.randn(2, 3, 2, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            facts.build().eval()(tiles), objective.eval().embed_bags(objective.embed_tiles(tiles))
        )
