"""The two orders of averaging, pooling of ragged bags, and gradient caching."""

from __future__ import annotations

import copy
import math
from typing import Literal

import pytest
import torch
from torch import nn

from framework.models import BagEncoder, GatedAttention, SmallCnnConfig, build_backbone, mean_over_tiles
from framework.models.recompute import in_chunks


def small(norm: Literal["batch", "group", "none"] = "group", dropout: float = 0.0, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build_backbone(SmallCnnConfig(widths=(4, 8), norm=norm, dense=(16, 5), dropout=dropout), channels)


def test_tile_embedding_order_averages_after_the_dense_layers() -> None:
    encoder = small()
    tiles = torch.randn(2, 4, 3, 12, 12)
    bag = BagEncoder(encoder, aggregate="tile_embedding")
    by_hand = torch.stack([torch.stack([encoder(tile[None])[0] for tile in row]).mean(0) for row in tiles])
    torch.testing.assert_close(bag(tiles), by_hand)
    assert bag.embed_tiles(tiles).shape == (2, 4, 5)
    assert (bag.embedded_width, bag.width) == (5, 5)


def test_backbone_order_averages_before_the_dense_layers() -> None:
    encoder = small()
    tiles = torch.randn(2, 4, 3, 12, 12)
    bag = BagEncoder(encoder, aggregate="backbone")
    by_hand = encoder.head(torch.stack([encoder.trunk(row).mean(0) for row in tiles]))
    torch.testing.assert_close(bag(tiles), by_hand)
    assert bag.embed_tiles(tiles).shape == (2, 4, 8)
    assert (bag.embedded_width, bag.width) == (8, 5)


def test_the_two_orders_differ() -> None:
    encoder = small()
    tiles = torch.randn(2, 6, 3, 12, 12) * 3
    paper, code = (BagEncoder(encoder, aggregate=order)(tiles) for order in ("tile_embedding", "backbone"))
    assert (paper - code).abs().max() > 1e-3


def test_l2_normalise_gives_length_one() -> None:
    bag = BagEncoder(small(), l2_normalise=True)
    torch.testing.assert_close(bag(torch.randn(3, 2, 3, 8, 8)).norm(dim=1), torch.ones(3))


def test_channels_last_is_kept() -> None:
    seen: list[torch.Tensor] = []
    bag = BagEncoder(small())
    bag.encoder.trunk.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    plain = torch.randn(2, 3, 3, 8, 8)
    last = plain.flatten(0, 1).contiguous(memory_format=torch.channels_last).reshape(2, 3, 3, 8, 8)
    assert last.stride(2) == 1
    torch.testing.assert_close(bag(last), bag(plain))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert seen[0].data_ptr() == last.data_ptr()
    assert seen[1].is_contiguous()


def test_mean_over_tiles_ignores_padding() -> None:
    embedded = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [math.nan, math.inf]], [[5.0, 5.0]] * 3])
    weights = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(mean_over_tiles(embedded, weights), torch.tensor([[2.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(mean_over_tiles(embedded[1:]), torch.tensor([[5.0, 5.0]]))


def test_mean_over_tiles_weighs() -> None:
    weights = torch.tensor([[3.0, 1.0]])
    torch.testing.assert_close(mean_over_tiles(torch.tensor([[[4.0], [8.0]]]), weights), torch.tensor([[5.0]]))


def test_gated_attention_follows_ilse_eq_9() -> None:
    torch.manual_seed(0)
    attention = GatedAttention(3, hidden=4)
    embedded = torch.randn(1, 5, 3)
    v, u, w = attention.tanh_gate, attention.sigmoid_gate, attention.score
    scores = torch.stack(
        [
            (w.weight[0] * torch.tanh(v.weight @ h + v.bias) * torch.sigmoid(u.weight @ h + u.bias)).sum() + w.bias[0]
            for h in embedded[0]
        ]
    )
    by_hand = (scores.exp() / scores.exp().sum()) @ embedded[0]
    torch.testing.assert_close(attention(embedded)[0], by_hand)


def test_gated_attention_ignores_padding() -> None:
    torch.manual_seed(0)
    attention = GatedAttention(3)
    embedded = torch.randn(2, 4, 3)
    padded = torch.cat([embedded, torch.full((2, 2, 3), math.nan)], dim=1)
    weights = torch.tensor([[1.0] * 4 + [0.0] * 2] * 2)
    torch.testing.assert_close(attention(padded, weights), attention(embedded))
    assert attention(padded, torch.zeros(2, 6)).abs().max() == 0


def test_attention_pool_learns() -> None:
    bag = BagEncoder(small(), pool="attention")
    (bag(torch.randn(2, 4, 3, 8, 8)) * torch.randn(2, 5)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (bag.attention.score.weight,))


def gradients(bag: BagEncoder, tiles: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    out = bag(tiles)
    # A loss that couples the bags, as triplets do: no chunk's gradient is known before all chunks are embedded.
    ((out @ out.T) ** 2).sum().backward()
    return {name: p.grad for name, p in bag.named_parameters()}


@pytest.mark.parametrize("aggregate", ["tile_embedding", "backbone"])
@pytest.mark.parametrize(("norm", "train"), [("group", True), ("none", True), ("batch", False)])
@pytest.mark.parametrize("chunk", [1, 4, 5, 100])
def test_gradient_caching_gives_the_same_gradients(aggregate: str, norm: str, train: bool, chunk: int) -> None:
    tiles = torch.randn(3, 4, 3, 10, 10, dtype=torch.float64)
    encoder = small(norm).double().train(train)
    plain = gradients(BagEncoder(copy.deepcopy(encoder), aggregate=aggregate), tiles)
    cached = gradients(BagEncoder(encoder, aggregate=aggregate, tile_chunk=chunk), tiles)
    assert plain.keys() == cached.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(cached[name], gradient, rtol=1e-10, atol=1e-12, msg=name)


def test_gradient_caching_draws_one_dropout_mask_for_both_passes() -> None:
    bag = BagEncoder(small(dropout=0.5).double(), tile_chunk=2, no_grad_chunk=2)
    tiles = torch.randn(2, 3, 3, 8, 8, dtype=torch.float64)
    weight = bag.encoder.head[1].weight

    def loss() -> torch.Tensor:
        torch.manual_seed(3)
        return (bag(tiles) ** 2).sum()

    loss().backward()
    step = 1e-6
    with torch.no_grad():
        weight[0, 0] += step
        up = loss()
        weight[0, 0] -= 2 * step
        down = loss()
    assert weight.grad[0, 0].item() == pytest.approx(((up - down) / (2 * step)).item(), rel=1e-5, abs=1e-9)


def test_gradient_caching_counts_each_chunk_once_in_running_statistics() -> None:
    tiles = torch.randn(3, 4, 3, 10, 10)
    bag = BagEncoder(small("batch"), tile_chunk=6)
    by_hand = copy.deepcopy(bag.encoder)
    for part in tiles.reshape(12, 3, 10, 10).split(6):
        by_hand(part)
    gradients(bag, tiles)
    for name, value in by_hand.state_dict().items():
        torch.testing.assert_close(bag.encoder.state_dict()[name], value, rtol=0, atol=0)
    norm = bag.encoder.trunk.layers[1]
    assert norm.momentum == 0.1
    assert norm.num_batches_tracked == 2


def test_gradient_caching_with_batch_norm_in_train_mode_uses_chunk_statistics() -> None:
    tiles = torch.randn(2, 4, 3, 10, 10, dtype=torch.float64)
    bag = BagEncoder(small("batch").double(), tile_chunk=4)
    twin = copy.deepcopy(bag.encoder)
    torch.testing.assert_close(bag(tiles), torch.stack([twin(row).mean(0) for row in tiles]))


def test_caching_never_sees_more_than_a_chunk() -> None:
    sizes: list[int] = []
    bag = BagEncoder(small(), tile_chunk=4, no_grad_chunk=5)
    bag.encoder.trunk.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    tiles = torch.randn(1, 11, 3, 8, 8)
    bag(tiles).sum().backward()
    assert sorted(sizes) == [3, 3, 4, 4, 4, 4]
    sizes.clear()
    with torch.no_grad():
        bag(tiles)
    assert sizes == [4, 4, 3]


def test_an_error_in_the_second_pass_leaves_the_running_statistics_usable() -> None:
    norm = nn.BatchNorm1d(2)
    calls: list[int] = []

    def run(x: torch.Tensor) -> torch.Tensor:
        calls.append(len(x))
        if len(calls) == 3:
            raise ValueError("second pass")
        out: torch.Tensor = norm(x)
        return out

    out = in_chunks(norm, run, torch.randn(4, 2, requires_grad=True), 2)
    with pytest.raises(ValueError, match="second pass"):
        out.sum().backward()
    assert norm.momentum == 0.1
