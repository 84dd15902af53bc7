"""The networks of paired cell inpainting: published sizes, shapes, where ReLU and normalisation stand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from framework.errors import RegistryError
from framework.models import (
    SOURCE_ENCODERS,
    AlexNetSourceConfig,
    AutoencoderNet,
    BatchNormConstants,
    InpaintingNet,
    ResNet18SourceConfig,
    build_source,
)

TINY = AlexNetSourceConfig(widths=(4, 6, 8, 8, 6))
TINY_DECODER = (6, 8, 8, 6, 4)


def with_statistics(module: nn.Module) -> int:
    return sum(t.numel() for name, t in module.state_dict().items() if not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize(("source", "structure", "numbers"), [(3, 2, 7_324_529), (2, 1, 7_323_521)])
def test_published_sizes(source: int, structure: int, numbers: int) -> None:
    """Counted from the authors' networks for human cells (3 and 2 channels) and for yeast (2 and 1)."""
    assert with_statistics(InpaintingNet(AlexNetSourceConfig(), source, structure, 1)) == numbers


def test_the_autoencoder_has_the_encoder_and_decoder_of_the_paper() -> None:
    """Without markers (304 + 64 + 4,640 + 128 + 9,248 + 128) and their 32 maps in the first decoder convolution."""
    paired = with_statistics(InpaintingNet(AlexNetSourceConfig(), 2, 1, 1))
    markers = 16 * 9 + 16 + 64 + 16 * 32 * 9 + 32 + 128 + 32 * 32 * 9 + 32 + 128
    second_output_channel = 96 + 1
    expected = paired - markers - 32 * 256 * 9 + second_output_channel
    assert with_statistics(AutoencoderNet(AlexNetSourceConfig(), 2)) == expected


@pytest.mark.parametrize("name", SOURCE_ENCODERS.names())
@pytest.mark.parametrize("size", [(64, 64), (32, 48)])
def test_every_source_encoder_gives_maps_of_a_quarter(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    config = SOURCE_ENCODERS.get(name).config()
    encoder = build_source(config, 3).eval()
    assert encoder(torch.rand(2, 3, *size)).shape == (2, encoder.width, size[0] // 4, size[1] // 4)
    assert type(config).from_plain(config.plain()) == config


def test_an_unknown_source_encoder_is_named() -> None:
    class Odd(AlexNetSourceConfig):
        name: str = "vgg16"  # type: ignore[assignment]

    with pytest.raises(RegistryError, match="no source encoder is called 'vgg16'; expected one of: alexnet, resnet18"):
        build_source(Odd(), 2)


@pytest.mark.parametrize("source", [TINY, ResNet18SourceConfig(width=4)])
def test_it_paints_proteins_as_large_as_the_cells_and_every_weight_learns(source: AlexNetSourceConfig) -> None:
    torch.manual_seed(0)
    net = InpaintingNet(source, 3, 2, 1, marker_widths=(2, 3, 3), decoder_widths=TINY_DECODER)
    painted = net(torch.rand(4, 3, 32, 32), torch.rand(4, 2, 32, 32))
    assert painted.shape == (4, 1, 32, 32)
    (painted * torch.randn_like(painted)).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()] == []


def test_both_inputs_matter_and_the_output_is_linear() -> None:
    torch.manual_seed(0)
    net = InpaintingNet(TINY, 2, 1, 1, marker_widths=(2, 3, 3), decoder_widths=TINY_DECODER).eval()
    source, structure = torch.rand(2, 2, 16, 16), torch.rand(2, 1, 16, 16)
    painted = net(source, structure)
    assert not torch.allclose(painted, net(torch.rand_like(source), structure))
    assert not torch.allclose(painted, net(source, torch.rand_like(structure)))
    nn.init.constant_(net.decoder[-1].bias, -5.0)
    assert (net(source, structure) < 0).all()


def test_relu_stands_inside_the_convolution_and_normalisation_after_it() -> None:
    torch.manual_seed(0)
    encoder = build_source(TINY, 2).train()
    seen: dict[str, torch.Tensor] = {}
    for name in ("conv4", "bn4", "conv5", "bn5"):
        encoder.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o.detach()))
    maps = encoder(torch.rand(8, 2, 32, 32))
    assert (seen["conv4"] >= 0).all()
    assert (seen["conv4"] == 0).any()
    torch.testing.assert_close(seen["bn4"].mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-5, rtol=0)
    assert torch.equal(maps, seen["bn5"])
    assert not any(isinstance(m, nn.BatchNorm2d) for m in InpaintingNet(TINY, 2, 1, 1).decoder.modules())


@pytest.mark.parametrize("source", [TINY, ResNet18SourceConfig(width=4)])
def test_batch_normalisation_has_the_constants_of_the_authors(source: AlexNetSourceConfig) -> None:
    """Keras' eps 1e-3 and momentum 0.99; the share of a batch in the running statistics is 1 - 0.99."""
    nets = [InpaintingNet(source, 2, 1, 1, decoder_widths=TINY_DECODER), AutoencoderNet(source, 2)]
    for net in nets:
        norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert {(layer.eps, layer.momentum) for layer in norms} == {(1e-3, 0.01)}
    torchs = BatchNormConstants(eps=1e-5, momentum=0.1)
    other = InpaintingNet(source, 2, 1, 1, decoder_widths=TINY_DECODER, norm=torchs)
    norms = [layer for layer in other.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(layer.eps, layer.momentum) for layer in norms} == {(1e-5, 0.1)}


def test_the_normalised_maps_equal_keras_formula_where_the_variance_is_small() -> None:
    """gamma (x - mean) / sqrt(variance + 0.001) + beta, worked out in float64; with eps 1e-5 thrice that."""
    torch.manual_seed(0)
    encoder = build_source(TINY, 1).double().train()
    first = encoder.get_submodule("conv1.0")
    nn.init.constant_(first.weight, 0.01)
    cells = torch.rand(8, 1, 16, 16, dtype=torch.float64)
    maps = torch.relu(nn.functional.conv2d(cells, first.weight, first.bias, padding=1))
    mean, variance = maps.mean(dim=(0, 2, 3), keepdim=True), maps.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    assert float(variance.max()) < 1e-3
    seen: list[torch.Tensor] = []
    encoder.get_submodule("bn1").register_forward_hook(lambda m, i, o: seen.append(o.detach()))
    encoder(cells)
    torch.testing.assert_close(seen[0], (maps - mean) / (variance + 1e-3).sqrt(), atol=1e-12, rtol=0)
    after_one = 0.99 * 0.0 + 0.01 * maps.mean(dim=(0, 2, 3))
    torch.testing.assert_close(encoder.get_submodule("bn1").running_mean, after_one, atol=1e-12, rtol=0)


def test_convolutions_start_as_in_keras() -> None:
    """Glorot uniform: within +- sqrt(6 / (fan_in + fan_out)), with variance bound^2 / 3, biases 0."""
    torch.manual_seed(0)
    net = InpaintingNet(AlexNetSourceConfig(), 2, 1, 1)
    for layer, inner, outer in ((net.source.get_submodule("conv3.0"), 256, 384), (net.decoder[0][0], 288, 256)):
        bound = math.sqrt(6 / (9 * (inner + outer)))
        assert bound * 0.99 < layer.weight.abs().max() <= bound
        assert layer.weight.var().item() == pytest.approx(bound**2 / 3, rel=0.01)
        assert torch.equal(layer.bias, torch.zeros(outer))
