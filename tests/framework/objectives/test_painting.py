"""Paired inpainting and its autoencoder: which pixels are seen, which are compared, and what a cell's features are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fixtures.tiny_dataset import make_dataset
from pydantic import ValidationError
from torch.utils._python_dispatch import TorchDispatchMode

from framework.data.dataset import Dataset
from framework.errors import RunError
from framework.models import AlexNetSourceConfig, ResNet18SourceConfig, pooled_layers
from framework.objectives import (
    OBJECTIVES,
    Autoencoder,
    AutoencoderConfig,
    PairedInpainting,
    PairedInpaintingConfig,
    TripletMIL,
    TripletMILConfig,
)
from framework.objectives.painting import PaintingProfile, taken

SMALL: dict[str, Any] = {"backbone": AlexNetSourceConfig(widths=(4, 6, 8, 8, 6)), "decoder_widths": (6, 8, 8, 6, 4)}
CHANNELS = ("A", "B")


def alone(rows: torch.Tensor) -> torch.Tensor:
    return rows


def paired(channels: tuple[str, ...] = CHANNELS, **options: Any) -> PairedInpainting:
    torch.manual_seed(0)
    settings = {"structure": ("A",), "protein": ("B",), "marker_widths": (2, 3, 3), **SMALL, **options}
    return PairedInpainting(PairedInpaintingConfig(**settings), PaintingProfile(channels=channels))


def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(AutoencoderConfig(**SMALL), PaintingProfile(channels=CHANNELS))


def test_the_loss_is_the_mean_squared_error_of_the_targets_protein(make_batch: Any) -> None:
    objective = paired().eval()
    batch = make_batch(objective, [0, 3, 5], tiles=2)
    losses = objective(batch, alone)
    source, target = batch.tiles[:, 0], batch.tiles[:, 1]
    painted = objective.network(source, target[:, :1])
    expected = ((painted - target[:, 1:]) ** 2).sum()
    torch.testing.assert_close(losses.total, expected)
    assert losses.count.item() == 3 * 16 * 16
    torch.testing.assert_close(losses.parts["mse/B"][0], expected.detach())


def test_the_targets_protein_is_never_seen(make_batch: Any) -> None:
    """Painting does not change with the pixels that are to be painted, and does with all others."""
    objective = paired().eval()
    tiles = make_batch(objective, [0, 3], tiles=2).tiles
    painted = objective.inpaint(tiles[:, 0], tiles[:, 1])
    for cell, channel, seen in ((0, 0, True), (0, 1, True), (1, 0, True), (1, 1, False)):
        changed = tiles.clone()
        changed[:, cell, channel] += torch.rand(16, 16)
        assert torch.equal(objective.inpaint(changed[:, 0], changed[:, 1]), painted) is not seen


def test_channels_are_found_by_name_in_any_order() -> None:
    objective = paired(("P", "N", "M"), structure=("M", "N"), protein=("P",), source=("N", "P"))
    cells = torch.arange(3.0)[None, :, None, None].expand(2, 3, 16, 16)
    assert objective.source_cells(cells)[0, :, 0, 0].tolist() == [1, 0]
    assert objective.structures(cells)[0, :, 0, 0].tolist() == [2, 1]
    assert objective.truth(cells)[0, :, 0, 0].tolist() == [0]
    assert objective.embed_tiles(cells).shape == (2, 8)


def test_channels_last_pixels_stay_so_and_give_the_same_loss(make_batch: Any) -> None:
    objective = paired().eval()
    batch = make_batch(objective, [0, 3], tiles=2)
    last = batch.tiles.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    assert objective.source_cells(last).is_contiguous(memory_format=torch.channels_last)
    row = last.view(2, 2, *last.shape[1:])
    assert objective.source_cells(row[:, 1]).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(objective.inpaint(row[:, 0], row[:, 1]), objective.inpaint(*batch.tiles.unbind(1)))


@pytest.mark.parametrize("make", [paired, autoencoder])
def test_padding_rows_count_nowhere(make: Any, make_batch: Any) -> None:
    objective = make().eval()
    whole = make_batch(objective, [0, 3, 5], tiles=2)
    padded = make_batch(objective, [0, 3, 5], tiles=2, weights=[1, 1, 0])
    padded.tiles[2] = 1e3
    some = make_batch(objective, [0, 3], tiles=2)
    torch.testing.assert_close(whole.tiles[:2], some.tiles)
    losses, expected = objective(padded, alone), objective(some, alone)
    torch.testing.assert_close(losses.total, expected.total)
    torch.testing.assert_close(losses.count, expected.count)
    weights = list(objective.parameters())
    found, wanted = torch.autograd.grad(losses.total, weights), torch.autograd.grad(expected.total, weights)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_sums_of_ranks_add_up_to_the_sum_of_one(make_batch: Any) -> None:
    objective = paired().eval()
    whole = objective(make_batch(objective, [0, 3, 5, 1], tiles=2), alone)
    batch = make_batch(objective, [0, 3, 5, 1], tiles=2)
    halves = []
    for rows in (slice(0, 3), slice(3, 4)):
        part = {name: getattr(batch, name)[rows] for name in ("tiles", "bags", "tile_ids", "weights")}
        halves.append(objective(type(batch)(**part, labels={}, step=0, epoch=0), alone))
    torch.testing.assert_close(sum(half.total for half in halves), whole.total)
    torch.testing.assert_close(sum(half.count for half in halves), whole.count)


def test_the_autoencoder_paints_each_cell_by_itself(make_batch: Any) -> None:
    objective = autoencoder().eval()
    batch = make_batch(objective, [0, 3], tiles=3)
    losses = objective(batch, alone)
    cells = batch.tiles.reshape(6, 2, 16, 16)
    torch.testing.assert_close(losses.total, ((objective.network(cells) - cells) ** 2).sum())
    assert losses.count.item() == 6 * 2 * 16 * 16
    assert set(losses.parts) == {"mse/A", "mse/B"}


@pytest.mark.parametrize("make", [paired, autoencoder])
@torch.no_grad()
def test_a_cells_embedding_is_its_pooled_layer(make: Any, make_batch: Any) -> None:
    objective = make().eval()
    tiles = make_batch(objective, [0, 3], tiles=2).tiles
    expected = pooled_layers(objective.network.source, ("conv4",), tiles.flatten(0, 1))["conv4"]
    torch.testing.assert_close(objective.embed_tiles(tiles), expected.view(2, 2, 8))
    assert list(pooled_layers(objective.feature_network(), ("conv1", "conv5"), tiles.flatten(0, 1))) == [
        "conv1",
        "conv5",
    ]


def test_a_resnet_can_be_the_source_encoder(make_batch: Any) -> None:
    objective = paired(backbone=ResNet18SourceConfig(width=4), layer="layer3", pool="mean")
    losses = objective(make_batch(objective, [0, 3, 4], tiles=2), alone)
    losses.total.backward()
    assert np.isfinite(losses.total.item())
    assert objective.embed_tiles(torch.rand(2, 2, 16, 16)).shape == (2, 16)


def test_learning_lowers_the_loss(make_batch: Any) -> None:
    objective = paired()
    optimiser = torch.optim.Adam(objective.parameters(), 3e-3, betas=(0.5, 0.999))
    batch = make_batch(objective, list(range(12)), tiles=2)
    seen = []
    for _ in range(30):
        losses = objective(batch, alone)
        optimiser.zero_grad()
        (losses.total / losses.count).backward()
        optimiser.step()
        seen.append(losses.total.item())
    assert seen[-1] < 0.5 * seen[0]


def test_objectives_are_registered_with_their_configs() -> None:
    for name, config in (("paired_inpainting", PairedInpaintingConfig), ("autoencoder", AutoencoderConfig)):
        assert OBJECTIVES.get(name).config is config


def test_a_config_that_gives_the_answer_away_is_refused() -> None:
    with pytest.raises(ValidationError, match="'B' is named under structure and under protein"):
        PairedInpaintingConfig(structure=("A", "B"), protein=("B",))
    with pytest.raises(ValidationError, match="names 'B' twice; name each once"):
        PairedInpaintingConfig(structure=("A",), protein=("B", "B"))


def test_misfits_are_said_before_training(dataset: Dataset, tmp_path: Any, make_batch: Any) -> None:
    train = np.arange(6)

    def fit(**options: Any) -> Any:
        return PairedInpainting.measure(PairedInpaintingConfig(**options), dataset, CHANNELS, train)

    assert fit(structure=("A",), protein=("B",)).channels == CHANNELS
    with pytest.raises(RunError, match=r"objective\.protein: channel 'GFP' is not among those of the run: A, B"):
        fit(structure=("A",), protein=("GFP",))
    with pytest.raises(RunError, match="no layer is called 'conv9'"):
        fit(structure=("A",), protein=("B",), layer="conv9")
    odd = make_dataset(tmp_path / "odd", bags=2, size=18)
    with pytest.raises(RunError, match="tiles of 18 x 18 px; autoencoder needs sides that are multiples of 4 px"):
        Autoencoder.measure(AutoencoderConfig(), odd, CHANNELS, train)
    objective = paired()
    with pytest.raises(RunError, match=r"found 3 tile\(s\) per row; use plan: \{name: pairs\}"):
        objective(make_batch(objective, [0, 3], tiles=3), alone)


def test_other_objectives_offer_the_layers_of_their_backbone(dataset: Dataset) -> None:
    config = TripletMILConfig(by=("Metadata_Perturbation",))
    triplet = TripletMIL(config, TripletMIL.measure(config, dataset, CHANNELS, np.arange(6)))
    found = pooled_layers(triplet.eval().feature_network(), ("trunk.layer1", "head.1"), torch.rand(2, 2, 32, 32))
    assert [tuple(value.shape) for value in found.values()] == [(2, 64), (2, 1024)]


@pytest.mark.parametrize("places", [[0, 1, 2, 3], [1], [1, 2], [3, 1], [0, 2, 3], [2, 3, 0, 1]])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_channels_are_taken_in_the_order_asked_and_in_the_layout_of_the_cells(
    places: list[int], layout: torch.memory_format
) -> None:
    cells = torch.randn(3, 4, 5, 6).contiguous(memory_format=layout)
    some = taken(cells, places)
    assert torch.equal(some, torch.stack([cells[:, place] for place in places], dim=1))
    assert some.is_contiguous(memory_format=layout)


class Asked(TorchDispatchMode):
    """Notes which operations are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_no_list_of_channels_is_sent_to_a_device() -> None:
    """What a list of places becomes is a tensor that a GPU is sent, and operation ``index``."""
    cells = torch.empty(3, 4, 5, 6, device="meta")
    with Asked() as asked:
        assert taken(cells, [3, 0, 1]).shape == (3, 3, 5, 6)
    assert "index" not in asked.names
    with Asked() as asked:
        assert cells[:, [3, 0, 1]].shape == (3, 3, 5, 6)
    assert "index" in asked.names
