"""Pools by name, as configs and older runs write them."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter

from framework.errors import RegistryError
from framework.models import BagEncoder, GatedAttention, PoolChoice, SmallCnnConfig, build_backbone
from framework.models.pools import GatedAttentionConfig, MeanPoolConfig, build_pool, pool_options
from framework.objectives import TripletMILConfig


@pytest.mark.parametrize("written", ["mean", "attention"])
def test_a_name_is_read_and_written_as_a_name(written: str) -> None:
    config = TripletMILConfig.from_plain({"name": "triplet_mil", "pool": written})
    assert config.plain()["pool"] == written


def test_options_are_written_with_the_name() -> None:
    read = TypeAdapter(PoolChoice).validate_python("gated_attention")
    assert read.plain() == {"name": "gated_attention", "hidden": 128}
    assert TripletMILConfig.from_plain({"name": "triplet_mil", "pool": read.plain()}).pool == read


def test_attention_of_older_runs_is_gated_attention() -> None:
    torch.manual_seed(0)
    old = build_pool(pool_options("attention"), 6)
    new = build_pool(GatedAttentionConfig(), 6)
    assert isinstance(old, GatedAttention)
    new.load_state_dict(old.state_dict())
    tiles = torch.randn(2, 3, 6)
    torch.testing.assert_close(new(tiles), old(tiles), rtol=0, atol=0)


def test_weights_of_a_pool_keep_their_names_in_a_bag_encoder() -> None:
    encoder = build_backbone(SmallCnnConfig(widths=(4,), dense=(5,)), 2)
    plain, attention = (set(BagEncoder(encoder, pool=pool).state_dict()) for pool in ("mean", "attention"))
    assert {name.rpartition(".")[0] for name in attention - plain} == {
        "attention.tanh_gate",
        "attention.sigmoid_gate",
        "attention.score",
    }
    assert pool_options("mean") == MeanPoolConfig()


def test_an_unknown_pool_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"no pool is called 'meen'.*did you mean 'mean'"):
        pool_options("meen")


@pytest.mark.parametrize("name", ["mean", "gated_attention"])
@pytest.mark.parametrize("padded", [False, True])
def test_vectors_of_half_precision_are_summed_in_float32(name: str, padded: bool) -> None:
    """256 tiles of 1 + 1/128 and one of 0: bfloat16 keeps three digits, and would give 1.0."""
    pool = build_pool(pool_options(name), 2)
    for parameter in pool.parameters():
        torch.nn.init.zeros_(parameter)
    embedded = torch.full((1, 257, 2), 1 + 2**-7, dtype=torch.bfloat16)
    embedded[:, 0] = 0
    weights = torch.ones(1, 257) if padded else None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pool(embedded, weights)
    assert pooled.dtype == torch.float32
    torch.testing.assert_close(
        pooled, torch.full((1, 2), 256 * (1 + 2**-7) / 257), rtol=3e-3 if name != "mean" else 1e-5, atol=0
    )
