"""Contract of an objective: sums do not depend on the number of ranks, padding has no influence, roles work."""

from __future__ import annotations

import dataclasses
import itertools
import json
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import yaml

from framework.data.dataset import Dataset
from framework.objectives import OBJECTIVES, Embeds, Losses, Objective, Predicts, PretrainedBackbone
from wellstream.testing.entry import EntryContract
from wellstream.testing.ranks import alone, make_batch, on_ranks, part


class ObjectiveContract(EntryContract):
    """Tests of an objective; a subclass sets ``plain`` and has a fixture ``dataset`` with labels that it learns from.

    Attributes:
        bags: rows of the batches, bags that have labels; at least ten, and more than one of each condition.
        needs_labels: whether it reads label tables; False where it learns from pixels alone.
    """

    registry = OBJECTIVES
    bags: ClassVar[tuple[int, ...]] = (0, 6, 1, 7, 2, 8, 3, 9, 0, 5)
    needs_labels: ClassVar[bool] = True

    @pytest.fixture
    def pretrained(self) -> PretrainedBackbone | None:
        """The run it builds on, where it needs one."""
        return None

    @pytest.fixture
    def objective(self, options: Any, dataset: Dataset, pretrained: PretrainedBackbone | None) -> Objective:
        """The objective, measured on all bags of the batches."""
        return self.build(options, dataset, pretrained)

    def build(self, options: Any, dataset: Dataset, pretrained: PretrainedBackbone | None) -> Objective:
        """Make an objective; batch normalisation is frozen, because in train mode it sees all rows of its rank."""
        entry = self.entry(options)
        given = pretrained if "pretrained" in entry.config.model_fields else None
        channels = dataset.manifest.tile.channels
        train = np.array(sorted(set(self.bags)), dtype=np.int64)
        profile = entry.build.measure(options, dataset, channels, train, given)
        torch.manual_seed(0)
        objective: Objective = entry.build(options, profile)
        if given is not None:
            objective.start_from(given)
        return frozen(objective)

    def test_sums_are_finite_and_every_free_weight_learns(self, objective: Objective, dataset: Dataset) -> None:
        """Sums and counts are 0-d tensors, and only the total has a gradient."""
        losses = objective(make_batch(dataset, objective, self.bags), alone)
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

    def test_labels_fit_the_dataset(self, objective: Objective, dataset: Dataset) -> None:
        """One row per bag or per tile, in memory of the processor."""
        tables = objective.labels(dataset)
        rows = {"bag": len(dataset.bags), "tile": len(dataset.index)}
        assert tables or not self.needs_labels
        for table in tables.values():
            assert len(table.values) == rows[table.per]
            assert table.values.device.type == "cpu"

    def test_zero_weight_rows_change_nothing(self, objective: Objective, dataset: Dataset) -> None:
        """The last rank has padding where rows do not divide by ranks."""
        weights = [1.0] * (len(self.bags) - 2) + [0.0] * 2
        batch = make_batch(dataset, objective, self.bags, weights=weights)
        with_padding = objective(batch, alone)
        with_padding.total.backward()
        padded = gradients(objective)
        objective.zero_grad()
        without = objective(part(batch, slice(len(self.bags) - 2)), alone)
        without.total.backward()
        torch.testing.assert_close(with_padding.total, without.total)
        assert with_padding.count == without.count
        assert numbers(with_padding) == {k: pytest.approx(v, rel=1e-5) for k, v in numbers(without).items()}
        for key, gradient in gradients(objective).items():
            torch.testing.assert_close(padded[key], gradient, rtol=1e-4, atol=1e-6, msg=key)

    @pytest.mark.parametrize(
        ("weights", "counted"), [([1, 1, 1, 1, 0, 0], 4), ([1, 1, 1, 1, 0, 0], None), ([1, 0, 1, 1, 0, 1], None)]
    )
    def test_batch_normalisation_sees_no_padding(
        self,
        options: Any,
        dataset: Dataset,
        pretrained: PretrainedBackbone | None,
        weights: list[float],
        counted: int | None,
    ) -> None:
        """In train mode, where rows influence each other; on one process, so with ``local`` too."""
        objective = self.build(normalised_by_batch(options), dataset, pretrained).double().train()
        before = {key: value.clone() for key, value in objective.state_dict().items()}
        batch = make_batch(dataset, objective, self.bags[:6], weights=weights)
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
        assert_same_gradients(padded_gradients, expected, 1e-10)
        for key, value in state.items():
            torch.testing.assert_close(padded_state[key], value, rtol=1e-12, atol=0, msg=key)

    def test_only_padding_gives_zero_with_a_gradient(self, objective: Objective, dataset: Dataset) -> None:
        """A rank without rows takes part in every collective."""
        losses = objective(make_batch(dataset, objective, self.bags[:2], weights=[0, 0]), alone)
        losses.total.backward()
        assert (losses.total.item(), losses.count.item()) == (0.0, 0.0)
        assert set(gradients(objective)) == {n for n, p in objective.named_parameters() if p.requires_grad}
        assert all(g.abs().max() == 0 for g in gradients(objective).values())

    @pytest.mark.parametrize("cuts", [(5,), (3, 4), (1, 9)])
    def test_sums_and_gradients_over_ranks_equal_one_process(
        self, objective: Objective, dataset: Dataset, cuts: tuple[int, ...]
    ) -> None:
        """In float64, at 2 and 3 ranks with uneven rows."""
        objective = objective.double()
        batch = make_batch(dataset, objective, self.bags)
        batch = dataclasses.replace(batch, tiles=batch.tiles.double())
        whole = objective(batch, alone)
        whole.total.backward()
        expected = gradients(objective)
        objective.zero_grad()
        pieces = [part(batch, slice(a, b)) for a, b in itertools.pairwise([0, *cuts, len(self.bags)])]
        losses: list[Losses] = on_ranks([partial(objective, piece) for piece in pieces])
        total = torch.stack([each.total for each in losses]).sum()
        torch.autograd.backward(total)
        torch.testing.assert_close(total, whole.total, rtol=1e-9, atol=0)
        assert sum(each.count.item() for each in losses) == whole.count.item()
        for key, pair in numbers(whole).items():
            summed = [sum(numbers(each)[key][i] for each in losses) for i in (0, 1)]
            assert summed == pytest.approx(list(pair), rel=1e-4)
        assert_same_gradients(gradients(objective), expected, 1e-9)

    @pytest.mark.parametrize("parts", [2, 3, 7])
    def test_a_step_in_parts_has_the_gradient_of_the_whole(
        self, objective: Objective, dataset: Dataset, parts: int
    ) -> None:
        """``train.accumulate``: in float64, where rows do not divide by parts and the last ones are padding.

        An objective whose loss compares rows says so (``couples_rows``) and sees all of them at once.
        """
        objective = objective.double()
        batch = make_batch(dataset, objective, self.bags, weights=[1.0] * (len(self.bags) - 2) + [0.0] * 2)
        batch = dataclasses.replace(batch, tiles=batch.tiles.double(), counted=len(self.bags) - 2)
        whole = objective(batch, alone)
        whole.total.backward()
        expected = gradients(objective)
        objective.zero_grad()
        pieces = batch.parts(parts)
        if objective.config.couples_rows:
            objective.cache_gradients(parts)
            pieces = (batch,)
        losses = [objective(piece, alone) for piece in pieces]
        for each in losses:
            each.total.backward()
        torch.testing.assert_close(sum(each.total for each in losses), whole.total, rtol=1e-10, atol=0)
        assert sum(each.count.item() for each in losses) == whole.count.item()
        assert_same_gradients(gradients(objective), expected, 1e-10)

    def test_compiled_it_computes_the_same(self, objective: Objective, dataset: Dataset) -> None:
        """Traced as ``train.compile`` does; what a machine's compiler makes of it is not looked at."""
        batch = make_batch(dataset, objective, self.bags)
        plain = objective(batch, alone)
        plain.total.backward()
        expected = gradients(objective)
        objective.zero_grad()
        try:
            objective.compile(backend="eager")
            compiled = objective(batch, alone)
            compiled.total.backward()
        finally:
            torch.compiler.reset()
        torch.testing.assert_close(compiled.total, plain.total, rtol=1e-6, atol=0)
        assert_same_gradients(gradients(objective), expected, 1e-5)

    def test_profile_and_weights_make_the_same_objective_again(self, objective: Objective, dataset: Dataset) -> None:
        """Resume is bitwise, and a run can be opened without its training data."""
        assert type(objective.profile) is objective.profile_type
        again = yaml.safe_load(yaml.safe_dump(objective.profile.plain()))
        assert objective.profile_type.from_plain(again) == objective.profile
        profile = objective.profile_type.from_plain(json.loads(json.dumps(objective.profile.plain())))
        twin = frozen(type(objective)(objective.config, profile))
        twin.load_state_dict(objective.state_dict())
        batch = make_batch(dataset, objective, self.bags[:4])
        torch.testing.assert_close(twin(batch, alone).total, objective(batch, alone).total, rtol=0, atol=0)

    def test_predictions_have_one_column_per_output(self, objective: Objective, dataset: Dataset) -> None:
        """Of what ``outputs`` names, finite, in float32."""
        objective = objective.eval()
        if not isinstance(objective, Predicts):
            return
        outputs = objective.outputs()
        assert len({(output.target, output.name) for output in outputs}) == len(outputs) > 0
        assert all(
            np.isfinite((output.train_mean, output.train_sd)).all() and output.train_sd > 0 for output in outputs
        )
        batch = make_batch(dataset, objective, self.bags[:3], tiles=5)
        shape = (3, len(outputs)) if objective.predicts_per == "bag" else (3, 5, len(outputs))
        with torch.no_grad():
            predicted = objective.predict(batch)
        assert predicted.shape == shape
        assert predicted.dtype == torch.float32
        assert torch.isfinite(predicted).all()

    def test_tiles_embed_one_by_one_or_together(self, objective: Objective, dataset: Dataset) -> None:
        """A tile's embedding depends on no other; a bag has one vector."""
        objective = objective.eval()
        if not isinstance(objective, Embeds):
            return
        tiles = make_batch(dataset, objective, self.bags[:3], tiles=5).tiles
        with torch.no_grad():
            embedded = objective.embed_tiles(tiles)
            bags = objective.embed_bags(embedded)
            torch.testing.assert_close(objective.embed_tiles(tiles[1]), embedded[1])
        assert embedded.shape[:2] == (3, 5)
        assert bags.shape[0] == 3
        assert bags.ndim == 2


def frozen(objective: Objective) -> Objective:
    """Return it with batch normalisation that uses its running statistics."""
    for module in objective.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    return objective


def gradients(objective: Objective) -> dict[str, torch.Tensor]:
    """Return the gradients by name of the weight, in its shape."""
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def numbers(losses: Losses) -> dict[str, tuple[float, float]]:
    """Return the parts of a loss as numbers."""
    return {name: (total.item(), count.item()) for name, (total, count) in losses.parts.items()}


def assert_same_gradients(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], within: float) -> None:
    """Check that gradients differ by less than a share of the length of all together."""
    size = torch.cat([g.flatten() for g in expected.values()]).norm()
    for key, gradient in expected.items():
        assert (found[key] - gradient).norm() <= within * size, key


def normalised_by_batch(options: Any) -> Any:
    """Return the options with batch normalisation in the backbone, where that can be chosen."""
    plain = options.plain()
    backbone = plain.get("backbone")
    if not isinstance(backbone, dict) or "norm" not in backbone or not isinstance(backbone["norm"], str):
        return options
    return type(options).from_plain({**plain, "backbone": {**backbone, "norm": "batch"}})
