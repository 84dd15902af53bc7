"""Set attention by hand, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from framework.errors import ConfigError
from framework.models.pools import SetAttention, SetAttentionConfig, build_pool


def test_set_attention_equals_torchs_multihead_attention() -> None:
    torch.manual_seed(0)
    pool = SetAttention(6, heads=3).double()
    reference = torch.nn.MultiheadAttention(6, 3, batch_first=True).double()
    with torch.no_grad():
        parts = (pool.query, pool.key, pool.value)
        reference.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        reference.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        reference.out_proj.load_state_dict(pool.joined.state_dict())
    embedded = torch.randn(2, 5, 6, dtype=torch.float64)
    seen = torch.relu(pool.before(embedded))
    asked, shares = reference(pool.seed.expand(2, 1, 6), seen, seen)
    first = pool.first_norm(pool.seed + asked[:, 0])
    torch.testing.assert_close(pool(embedded), pool.second_norm(first + torch.relu(pool.after(first))))
    torch.testing.assert_close(pool.shares(embedded), shares[:, 0])


def test_heads_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="expected heads that divide the width 6 of the vectors of tiles, found 4"):
        build_pool(SetAttentionConfig(), 6)
