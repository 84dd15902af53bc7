"""The filter bank: values by scipy, rings by hand, and what may not change them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage

from framework.models import FilterBankConfig, build_backbone
from framework.models.filter_bank import FilterBank
from wellstream.testing import BackboneContract


class TestFilterBank(BackboneContract):
    plain: ClassVar[dict[str, Any]] = {"name": "filter_bank", "octaves": 2, "rings_px": [0, 4, 8, 16], "dense": [6]}


def averages(tiles: torch.Tensor, **options: object) -> torch.Tensor:
    """(n, C, H, W) -> (n, C, numbers), before they are standardised."""
    bank = FilterBank(tiles.shape[1], FilterBankConfig.from_plain({"dense": [], **options}))
    bank.standard = torch.nn.Identity()
    return bank(tiles).reshape(len(tiles), tiles.shape[1], -1)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_maps_are_those_of_scipy() -> None:
    tile = noise(1, 1, 40, 40)
    bank = FilterBank(1, FilterBankConfig())
    for name, sigma in (("gaussian_0", 1.0), ("gaussian_1", 1.5)):
        reach = int(4 * sigma + 0.5)
        weight = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
        setattr(bank, name, torch.tensor(weight / weight.sum()))
    maps = bank._maps(tile)[0].numpy()
    plane = tile[0, 0].numpy()
    narrow, wide = (ndimage.gaussian_filter(plane, sigma, mode="nearest") for sigma in (1.0, 1.5))
    blob = ndimage.laplace(narrow, mode="nearest")
    centre = np.array([[1, 0, -1]]) / 2
    along_y, along_x = (ndimage.convolve(narrow, kernel, mode="nearest") for kernel in (centre.T, centre))
    variance = ndimage.gaussian_filter(plane**2, 1.5, mode="nearest") - wide**2
    second = np.array([[1, -2, 1]])
    yy, xx = (ndimage.convolve(wide, kernel, mode="nearest") for kernel in (second.T, second))
    xy = ndimage.convolve(ndimage.convolve(wide, centre.T, mode="nearest"), centre, mode="nearest")
    expected = {
        0: plane,
        1: wide,
        2: np.maximum(blob, 0),
        3: np.maximum(-blob, 0),
        6: np.hypot(along_y, along_x),
        7: np.sqrt((yy - xx) ** 2 + 4 * xy**2),
        8: np.sqrt(np.maximum(variance, 0)),
    }
    for place, values in expected.items():
        np.testing.assert_allclose(maps[place], values, atol=2e-6, err_msg=str(place))


def test_a_disc_is_seen_by_its_ring() -> None:
    y, x = (np.arange(33) - 16.0 for _ in range(2))
    radius = np.hypot(y[:, None], x[None])
    tile = torch.tensor((radius < 6) * 2.0)[None, None]
    found = averages(tile, octaves=1, rings_px=[0, 4, 8, 16], seen_px=32).reshape(9, 3, 2)
    inner, middle, outer = found[0, :, 0].tolist()
    assert inner == pytest.approx(2.0)
    share = ((radius < 6) & (radius >= 4)).sum() / ((radius < 8) & (radius >= 4)).sum()
    assert middle == pytest.approx(2 * share, abs=0.1)
    assert outer == pytest.approx(0.0, abs=1e-6)
    assert found[0, 0, 1] == pytest.approx(0, abs=1e-4)
    assert found[0, 1, 1] == pytest.approx(2 * np.sqrt(share * (1 - share)), abs=0.05)


@pytest.mark.parametrize("change", [lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: torch.rot90(t, 1, (-2, -1))])
def test_mirrors_and_quarter_turns_change_nothing(change: object) -> None:
    tiles = noise(2, 2, 96, 96)
    torch.testing.assert_close(averages(change(tiles)), averages(tiles), atol=2e-6, rtol=1e-5)  # type: ignore[operator]


def test_octaves_have_the_rings_that_they_see() -> None:
    """64 px hold the rings to 32 px, 128 those to 64: 7, 8, 10 and 11 of the default ones."""
    bank = FilterBank(3, FilterBankConfig())
    assert [len(rings) for rings in bank.rings] == [7, 8, 10, 11]
    assert bank.width == 3 * 9 * 2 * 36


def test_what_lies_beyond_is_not_looked_at() -> None:
    """Rings end at 16 px; octave 0 sees 32 px and the reach of its filters, so pixels beyond 24 px do not matter."""
    tiles = noise(1, 1, 96, 96)
    other = tiles.clone()
    other[..., :8, :] += 100
    options = {"octaves": 1, "rings_px": [0, 8, 16], "seen_px": 32}
    torch.testing.assert_close(averages(other, **options), averages(tiles, **options))


def test_it_has_no_weights_and_pixels_get_gradients() -> None:
    encoder = build_backbone(FilterBankConfig(dense=()), 1)
    assert list(encoder.parameters()) == []
    tiles = torch.zeros(4, 1, 40, 40, requires_grad=True)
    encoder(tiles).sum().backward()
    assert tiles.grad is not None
    assert torch.isfinite(tiles.grad).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"rings_px": [0, 5, 5]}, "edges must grow"), ({"seen_px": 8, "rings_px": [0, 6, 9]}, "are too few for a ring")],
)
def test_rings_that_cannot_be(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FilterBankConfig.from_plain(options)
