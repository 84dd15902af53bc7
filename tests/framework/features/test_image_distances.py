"""Normalised distances between images, and scores between two compartments, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from framework.errors import InputError
from framework.features.compartments import two_compartments
from framework.features.image_distances import Images, normalised_distances


def test_distances_by_hand() -> None:
    # Images at 0 and 1 (label 0), 10 and 14 (label 1), one dimension; the first image has two cells at -1 and 1.
    values = np.array([[-1.0], [1.0], [1.0], [10.0], [14.0]], np.float32)
    images = Images.of(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 3]))
    found = normalised_distances(values, images, ("a", "b"), pairs=100, controlled_pairs=100)
    table = found.set_index("label")["distance"]
    # Cells -1 and 1 are 2 and 0 from 1: 1 on average; unlike images are 10, 14, 9 and 13 apart.
    apart = np.array([10, 14, 9, 13])
    assert table["a"] == pytest.approx((1 - apart.mean()) / apart.std())
    assert table["b"] == pytest.approx((4 - apart.mean()) / apart.std())
    assert table["all"] == pytest.approx((table["a"] + table["b"]) / 2)
    ratio = normalised_distances(values, images, ("a", "b"), pairs=100, controlled_pairs=100, normalise="mean")
    assert ratio["distance"].iloc[0] == pytest.approx(1 / apart.mean() - 1)


def test_lines_are_held_equal_or_different() -> None:
    # The line moves cells by 100, the label by 1: only pairs of one line can see the label.
    label, line = np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    values = (100 * line + label).astype(np.float32)[:, None]
    values[:, 0] += [0, 0.1, 0, 0.1, 0, 0.1, 0, 0.1]
    images = Images.of(label, np.arange(8), line=line)
    found = normalised_distances(values, images, ("a", "b"), pairs=100, controlled_pairs=100)
    table = found[found["label"] == "all"].set_index("lines")
    same_line_apart = np.array([1, 1.1, 0.9, 1.0] * 2)
    assert table.loc["same", "distance"] == pytest.approx((0.1 - 1) / same_line_apart.std(), rel=1e-4)
    assert table.loc["same", "pairs"] == 4
    assert abs(table.loc["different", "distance"]) < 0.1


def test_two_images_of_one_protein_are_no_pair() -> None:
    values = np.zeros((3, 1), np.float32)
    images = Images.of(np.array([0, 0, 1]), np.arange(3), protein=np.array([5, 5, 6]))
    found = normalised_distances(values, images, ("a", "b"), pairs=10, controlled_pairs=10)
    assert found.loc[0, "pairs"] == 0
    assert np.isnan(found.loc[0, "distance"])


def test_many_pairs_are_drawn_and_the_draw_is_repeated() -> None:
    random = np.random.default_rng(0)
    label = np.arange(400) % 2
    values = (random.normal(size=(400, 3)) + label[:, None]).astype(np.float32)
    images = Images.of(label, np.arange(400))
    options = {"pairs": 200, "controlled_pairs": 10}
    found = normalised_distances(values, images, ("a", "b"), **options)
    assert found["pairs"].tolist() == [200, 200, 400]
    assert found.equals(normalised_distances(values, images, ("a", "b"), **options))
    whole = normalised_distances(values, images, ("a", "b"), pairs=100_000, controlled_pairs=10)
    assert found["distance"].iloc[2] == pytest.approx(whole["distance"].iloc[2], abs=0.15)


def test_scores_between_two_compartments_by_hand() -> None:
    values = np.array([[0.0], [2.0], [9.0], [11.0], [4.0], [7.0], [50.0]], np.float32)
    labels = np.array(["cyto", "cyto", "nuc", "nuc", "cyto;nuc", "nuc | cyto", "golgi"], dtype=object)
    cells, spread = two_compartments(values, labels, "cyto", "nuc", np.array([0, 0, 1, 1, 2, 2, 3]))
    # The means are 1 and 10.
    expected = np.log([1 / 10, 1 / 8, 8 / 1, 10 / 1, 3 / 6, 6 / 3])
    np.testing.assert_allclose(cells["score"], expected)
    assert cells["row"].tolist() == [0, 1, 2, 3, 4, 5]
    both = spread[spread["compartments"] == "cyto;nuc"].iloc[0]
    assert (both["image"], both["cells"]) == (2, 2)
    assert both["mean"] == pytest.approx(0)
    assert both["sd"] == pytest.approx(np.std(np.log([0.5, 2]), ddof=1))


def test_an_unknown_compartment_is_named() -> None:
    with pytest.raises(InputError, match="no cell is labelled 'nucleus' alone; labels are cyto, nucleoli"):
        two_compartments(
            np.zeros((2, 1), np.float32), np.array(["cyto", "nucleoli"], object), "cyto", "nucleus", np.zeros(2, int)
        )
