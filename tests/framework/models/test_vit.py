"""The vision transformer: the published size, attention by hand, positions, and tiles of any size."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from framework.models import VitConfig, build_backbone
from framework.models.vit import Attention, positions
from wellstream.testing import BackboneContract


class TestVit(BackboneContract):
    plain: ClassVar[dict[str, Any]] = {"name": "vit", "patch_px": 8, "width": 8, "depth": 1, "heads": 2, "dense": [6]}


def test_the_default_has_the_size_of_vit_small() -> None:
    trunk = build_backbone(VitConfig(), 3).trunk
    block = 2 * 2 * 384 + 384 * 1152 + 1152 + 384 * 384 + 384 + 2 * 384 * 1536 + 1536 + 384
    patches, last = 3 * 16 * 16 * 384 + 384, 2 * 384
    assert sum(p.numel() for p in trunk.parameters()) == 12 * block + patches + last == 21_589_632


def test_attention_is_a_softmax_over_patches() -> None:
    torch.manual_seed(0)
    layer = Attention(6, 2).double()
    x = torch.randn(1, 3, 6, dtype=torch.float64)
    query, key, value = (x[0] @ layer.qkv.weight.T + layer.qkv.bias).detach().numpy().reshape(3, 3, 2, 3).swapaxes(0, 1)
    mixed = np.empty((3, 6))
    for head in range(2):
        scores = np.exp(query[:, head] @ key[:, head].T / np.sqrt(3))
        mixed[:, 3 * head : 3 * head + 3] = scores / scores.sum(axis=1, keepdims=True) @ value[:, head]
    expected = mixed @ layer.proj.weight.detach().numpy().T + layer.proj.bias.detach().numpy()
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, rtol=1e-12)


def test_positions_are_sines_and_cosines_of_column_and_row() -> None:
    found = positions(2, 3, 8)
    assert found.shape == (6, 8)
    # The patch in row 1, column 2; rates 1 and 1 / 10,000.
    expected = [np.sin(2), np.sin(2e-4), np.cos(2), np.cos(2e-4), np.sin(1), np.sin(1e-4), np.cos(1), np.cos(1e-4)]
    np.testing.assert_allclose(found[5], expected, rtol=1e-5)
    assert len({tuple(row) for row in found.tolist()}) == 6


def test_tiles_of_any_size() -> None:
    network = build_backbone(VitConfig(patch_px=8, width=8, depth=1, heads=2, dense=(4,)), 2).eval()
    for height, width in ((8, 8), (32, 16), (24, 40)):
        assert network(torch.randn(2, 2, height, width)).shape == (2, 4)


def test_a_tile_that_patches_do_not_divide_has_a_border_of_zeros() -> None:
    network = build_backbone(VitConfig(patch_px=8, width=8, depth=1, heads=2, dense=(4,)), 2).eval()
    tile = torch.randn(1, 2, 21, 8)
    bordered = torch.zeros(1, 2, 24, 8)
    bordered[:, :, 1:22] = tile
    torch.testing.assert_close(network(tile), network(bordered))


def test_where_a_cell_lies_matters() -> None:
    torch.manual_seed(0)
    network = build_backbone(VitConfig(patch_px=4, width=16, depth=1, heads=2, dense=()), 1).eval()
    tile = torch.zeros(1, 1, 16, 16)
    tile[..., :4, :4] = 1
    assert (network(tile) - network(tile.flip(-1))).abs().max() > 1e-4


def test_widths_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"heads: expected a divisor of width \(384\), found 5"):
        VitConfig(heads=5)
    with pytest.raises(ValidationError, match=r"width: expected a multiple of 4, .* found 6"):
        VitConfig(width=6, heads=2)
