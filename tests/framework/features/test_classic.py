"""Classic features against hand-worked values and against scikit-image's co-occurrence matrices."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.feature import graycomatrix, graycoprops

from framework.features import classic as module
from framework.features.classic import (
    HARALICK,
    SCALES_PX,
    classic,
    classic_names,
    crop_range,
    grey_levels,
    haralick,
    intensity,
    intensity_names,
)

TEXTURE = {name: position for position, name in enumerate(HARALICK)}


def test_intensity_by_hand() -> None:
    tile = np.array([[[[0, 1], [2, 5]], [[4, 4], [4, 4]]]], dtype=np.uint16)
    assert intensity_names(["gfp", "rfp"])[:5] == ["gfp_mean", "gfp_sd", "gfp_p10", "gfp_median", "gfp_p90"]
    expected = [[2.0, np.sqrt(3.5), 0.3, 1.5, 4.1, 4.0, 0.0, 4.0, 4.0, 4.0]]
    np.testing.assert_allclose(intensity(tile), expected)


def test_haralick_by_hand() -> None:
    # The picture of Haralick 1973, figure 3; its counts at distance 1 are printed there for four directions.
    grey = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]])
    right = module._pair_counts(grey, 0, 1, 4)[0]
    np.testing.assert_array_equal(right, [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]])
    down_right = module._pair_counts(grey, 1, 1, 4)[0]
    np.testing.assert_array_equal(down_right, [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]])
    found = dict(zip(HARALICK, module._texture(right[None])[0], strict=True))
    p = right / 24
    marginal = p.sum(axis=0)
    i, j = np.mgrid[:4, :4]
    assert found["asm"] == pytest.approx((16 + 4 + 1 + 4 + 16 + 1 + 36 + 1 + 1 + 4) / 576)
    assert found["contrast"] == pytest.approx((4 * 1 + 2 * 4 + 2 * 1) / 24)
    assert found["inverse_difference_moment"] == pytest.approx((16 + 4 / 2 + 2 / 5 + 2 / 2) / 24)
    assert found["sum_average"] == pytest.approx((p * (i + j)).sum())
    assert found["sum_variance"] == pytest.approx((p * (i + j) ** 2).sum() - (p * (i + j)).sum() ** 2)
    difference = np.array([16, 6, 2, 0]) / 24
    assert found["difference_variance"] == pytest.approx((difference * [0, 1, 4, 9]).sum() - (10 / 24) ** 2)
    assert found["difference_entropy"] == pytest.approx(-sum(x * np.log2(x) for x in difference if x))
    sums = np.array([4, 4, 6, 0, 6, 2, 2]) / 24
    assert found["sum_entropy"] == pytest.approx(-sum(x * np.log2(x) for x in sums if x))
    own = -(marginal * np.log2(marginal)).sum()
    assert found["information_correlation_1"] == pytest.approx((found["entropy"] - 2 * own) / own)
    nats = np.log(2) * (2 * own - found["entropy"])
    assert found["information_correlation_2"] == pytest.approx(np.sqrt(1 - np.exp(-2 * nats)))


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_haralick_against_scikit_image(distance: int) -> None:
    grey = np.random.default_rng(distance).integers(0, 32, size=(3, 20, 17))
    found = haralick(grey, distance, 32)
    names = {
        "asm": "ASM",
        "contrast": "contrast",
        "correlation": "correlation",
        "inverse_difference_moment": "homogeneity",
        "entropy": "entropy",
        "variance": "variance",
    }
    for cell in range(3):
        # scikit-image turns its angles into rounded offsets; for these the diagonal is distance pixels in both axes.
        matrices = np.concatenate(
            [
                graycomatrix(grey[cell].astype(np.uint8), [step], [angle], levels=32, symmetric=True, normed=True)
                for angle, step in (
                    (0, distance),
                    (np.pi / 4, distance * np.sqrt(2)),
                    (np.pi / 2, distance),
                    (3 * np.pi / 4, distance * np.sqrt(2)),
                )
            ],
            axis=3,
        )
        for ours, theirs in names.items():
            expected = graycoprops(matrices, theirs).mean()
            if theirs == "entropy":
                expected /= np.log(2)
            assert found[cell, TEXTURE[ours]] == pytest.approx(expected), ours


def test_a_cell_does_not_depend_on_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = np.random.default_rng(0).random((6, 1, 20, 20))
    together = classic(tiles, tiles[:, :0], levels=16)
    monkeypatch.setattr(module, "_COUNTS", 1)
    alone = np.concatenate([classic(tile[None], tile[None, :0], levels=16) for tile in tiles])
    np.testing.assert_array_equal(together, alone)


def test_classic_columns_and_correlation() -> None:
    random = np.random.default_rng(1)
    protein, structure = random.random((2, 1, 18, 18)), random.random((2, 2, 18, 18))
    structure[0, 1] = 3 - 2 * protein[0, 0]
    found = classic(protein, structure, levels=8)
    names = classic_names(["gfp"], ["rfp", "dapi"])
    assert found.shape == (2, len(names)) == (2, 3 + 2 + 13 * len(SCALES_PX))
    assert names[:6] == [
        "gfp_sum",
        "gfp_mean",
        "gfp_sd",
        "gfp_correlation_with_rfp",
        "gfp_correlation_with_dapi",
        "gfp_asm_1px",
    ]
    np.testing.assert_allclose(found[:, 0], protein.sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(found[:, 2], protein.std(axis=(1, 2, 3)))
    assert found[0, 4] == pytest.approx(-1)
    assert found[1, 3] == pytest.approx(np.corrcoef(protein[1].ravel(), structure[1, 0].ravel())[0, 1])


def test_an_empty_crop_has_finite_features() -> None:
    flat = np.full((1, 1, 17, 17), 7.0)
    found = classic(flat, flat)
    assert np.isfinite(found).all()
    texture = dict(zip(HARALICK, found[0, 4:17], strict=True))
    assert texture["asm"] == texture["correlation"] == texture["inverse_difference_moment"] == 1
    assert texture["entropy"] == texture["contrast"] == texture["information_correlation_2"] == 0


def test_grey_levels_and_range() -> None:
    tiles = np.array([[[[10.0, 20.0], [15.0, 30.0]]]])
    np.testing.assert_allclose(crop_range(tiles)[0, 0], [[0, 0.5], [0.25, 1]])
    np.testing.assert_array_equal(grey_levels(tiles[:, 0], 4), [[[0, 2], [1, 3]]])


def test_pairs_beyond_the_crop_are_refused() -> None:
    with pytest.raises(ValueError, match="16 px apart"):
        haralick(np.zeros((1, 16, 20), np.int64), 16, 4)
