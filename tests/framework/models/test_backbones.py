"""Every backbone keeps the TileEncoder contract; the published ones have the published sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from framework.config import StrictModel
from framework.errors import RegistryError, RunError
from framework.models import (
    BACKBONES,
    IfcSeqConfig,
    ResNet18Config,
    SmallCnnConfig,
    TileEncoder,
    build_backbone,
)


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def with_statistics(module: nn.Module) -> int:
    return sum(t.numel() for name, t in module.state_dict().items() if not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize("name", BACKBONES.names())
def test_the_embedding_is_not_cut_at_zero_where_there_are_dense_layers(name: str) -> None:
    torch.manual_seed(0)
    config = BACKBONES.get(name).config(dense=(16, 8))
    embedding = build_backbone(config, 1).eval()(torch.randn(8, 1, 32, 32))
    assert embedding.shape == (8, 8)
    assert (embedding < 0).any()


def test_resnet18_has_the_size_of_the_paper() -> None:
    encoder = build_backbone(ResNet18Config(), 3)
    assert trainable(encoder.trunk) == 11_176_512
    assert trainable(encoder.head) == 656_512
    assert trainable(encoder) == 11_833_024
    assert (encoder.trunk_width, encoder.width) == (512, 128)


def torchvision_resnet18() -> dict[str, tuple[int, ...]]:
    """Name -> shape of every entry of torchvision's ``resnet18().state_dict()`` but ``fc``, written out by its rule."""
    found: dict[str, tuple[int, ...]] = {}

    def norm(name: str, width: int) -> None:
        found.update({f"{name}.{each}": (width,) for each in ("weight", "bias", "running_mean", "running_var")})
        found[f"{name}.num_batches_tracked"] = ()

    found["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    inside = 64
    for stage, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            begins = f"layer{stage}.{block}"
            found[f"{begins}.conv1.weight"] = (width, inside, 3, 3)
            norm(f"{begins}.bn1", width)
            found[f"{begins}.conv2.weight"] = (width, width, 3, 3)
            norm(f"{begins}.bn2", width)
            if inside != width:
                found[f"{begins}.downsample.0.weight"] = (width, inside, 1, 1)
                norm(f"{begins}.downsample.1", width)
            inside = width
    return found


def test_resnet18_trunk_has_the_names_and_shapes_of_torchvision() -> None:
    expected = torchvision_resnet18()
    assert len(expected) == 120  # torchvision's resnet18 has 122 entries, two of them fc
    state = build_backbone(ResNet18Config(), 3).trunk.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == expected


def test_resnet18_shrinks_tiles_32_times_before_it_averages() -> None:
    trunk = build_backbone(ResNet18Config(width=4), 3).trunk
    sizes: list[torch.Size] = []
    trunk.layer4.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape))
    trunk(torch.randn(2, 3, 128, 96))
    assert sizes == [(2, 32, 4, 3)]


def test_resnet18_starts_as_he_et_al() -> None:
    torch.manual_seed(0)
    weight = build_backbone(ResNet18Config(), 3).trunk.layer3[1].conv2.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.01)


def test_ifcseq_cnn_has_the_size_of_the_paper() -> None:
    encoder = build_backbone(IfcSeqConfig(), 1)
    heads = nn.Linear(encoder.width, 2)
    assert sum(isinstance(m, nn.Conv2d) for m in encoder.modules()) == 17
    assert trainable(encoder) + trainable(heads) == 693_842
    assert with_statistics(encoder) + with_statistics(heads) == 695_698
    norms = [m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(m.momentum, m.eps) for m in norms} == {(0.01, 1e-3)}


def test_ifcseq_statistics_follow_the_batches_as_fast_as_asked() -> None:
    encoder = build_backbone(IfcSeqConfig(momentum=0.5), 1)
    first = next(m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d))
    seen: list[torch.Tensor] = []
    first.register_forward_pre_hook(lambda _m, given: seen.append(given[0].mean(dim=(0, 2, 3))))
    encoder(torch.randn(4, 1, 16, 16))
    torch.testing.assert_close(first.running_mean, 0.5 * seen[0])


def test_ifcseq_block_adds_before_it_normalises() -> None:
    encoder = build_backbone(IfcSeqConfig(), 1).eval()
    block = encoder.trunk.layers[7]
    x = torch.randn(2, 16, 8, 8)
    inner = block.conv2(torch.relu(block.bn1(block.conv1(x))))
    expected = torch.relu(block.bn2(inner + nn.functional.conv2d(x, block.project.weight, block.project.bias)))
    torch.testing.assert_close(block(x), expected)
    assert block.project.weight.shape == (32, 16, 1, 1)


def test_ifcseq_starts_as_keras_does() -> None:
    torch.manual_seed(0)
    convs = [m for m in build_backbone(IfcSeqConfig(), 1).modules() if isinstance(m, nn.Conv2d)]
    assert all((m.bias == 0).all() for m in convs)
    bound = (6 / (9 * 128 + 9 * 128)) ** 0.5
    assert convs[-1].weight.abs().max().item() == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize("size", [16, 17, 48])
def test_ifcseq_takes_tiles_from_16_px(size: int) -> None:
    assert build_backbone(IfcSeqConfig(), 2).eval()(torch.randn(1, 2, size, size)).shape == (1, 128)


def test_ifcseq_refuses_smaller_tiles() -> None:
    with pytest.raises(RunError, match="at least 16 px, found 15 x 40 px"):
        build_backbone(IfcSeqConfig(), 1)(torch.randn(1, 1, 15, 40))


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm2d), ("group", nn.GroupNorm), ("none", nn.Identity)])
def test_small_cnn_norms(norm: str, kind: type[nn.Module]) -> None:
    config = SmallCnnConfig.from_plain({"name": "small_cnn", "norm": norm, "widths": [6, 12]})
    assert sum(isinstance(m, kind) for m in build_backbone(config, 1).trunk.modules()) == 2


def test_group_norm_treats_each_tile_alone() -> None:
    encoder = build_backbone(SmallCnnConfig(norm="group"), 1).train()
    tiles = torch.randn(6, 1, 16, 16)
    torch.testing.assert_close(encoder(tiles)[:2], encoder(tiles[:2]))


def test_an_unknown_backbone_is_named() -> None:
    class Other(StrictModel):
        name: str = "resnet81"

    with pytest.raises(RegistryError, match=r"no backbone is called 'resnet81'.*did you mean 'resnet18'"):
        build_backbone(Other(), 1)


@pytest.mark.parametrize("rows", [16, 96])
@pytest.mark.parametrize("name", BACKBONES.names())
def test_bf16_of_the_smallest_tiles_has_a_gradient_of_the_size_of_fp32(name: str, rows: int) -> None:
    """At 16 px the last layers of ResNet-18 see one pixel."""
    torch.manual_seed(rows)
    encoder: TileEncoder = build_backbone(BACKBONES.get(name).config(dense=(8,)), 3).train()
    tiles = torch.randn(rows, 3, 16, 16)
    sizes = {}
    for is_fast in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_fast):
            loss = encoder(tiles).float().square().mean()
        litter = [torch.full_like(value, torch.nan) for value in encoder.parameters()]
        del litter  # what oneDNN leaves unwritten holds no zeros then
        loss.backward()
        sizes[is_fast] = {key: p.grad.norm().item() for key, p in encoder.named_parameters() if p.grad is not None}
    for key, size in sizes[False].items():
        assert sizes[True][key] == pytest.approx(size, rel=1.0, abs=0.02 * max(sizes[False].values())), key


@pytest.mark.gpu
@pytest.mark.parametrize("name", BACKBONES.names())
def test_bf16_channels_last_on_a_gpu_is_near_fp32(name: str) -> None:
    torch.manual_seed(0)
    encoder: TileEncoder = build_backbone(BACKBONES.get(name).config(), 3).eval().cuda()
    tiles = torch.randn(16, 3, 64, 64, device="cuda")
    exact = encoder(tiles)
    encoder = encoder.to(memory_format=torch.channels_last)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        fast = encoder(tiles.contiguous(memory_format=torch.channels_last)).float()
    assert (fast - exact).norm() / exact.norm() < 0.03
