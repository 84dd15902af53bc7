"""Contracts of nucleus methods and illumination methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from data_tools.illumination import ILLUMINATIONS, correct
from data_tools.nuclei import NUCLEI, FieldOfView, NucleusMethod, match_centres
from wellstream.testing.entry import EntryContract

Image = npt.NDArray[Any]


class NucleiContract(EntryContract):
    """Tests of a nucleus method.

    A subclass sets ``plain``. If its method needs more than an image, it overrides ``field`` and ``fields``. The
    attributes ``within_px`` and ``least_f1`` say how closely the centres of ``field`` must be found.
    """

    registry = NUCLEI
    key = "method"
    within_px: float = 2.0
    least_f1: float = 0.9

    @pytest.fixture
    def method(self, options: Any) -> NucleusMethod:
        """The method, made of its options."""
        made: NucleusMethod = self.entry(options).build(options)
        return made

    @pytest.fixture
    def field(self) -> tuple[Image, npt.NDArray[np.float64], FieldOfView]:
        """An image with nuclei, their centres (n, 2), and which field it is: discs of 14 px, far apart."""
        grid = np.arange(24, 200, 38)
        centres = np.array([(y, x) for y in grid for x in grid], dtype=np.float64)
        rows, columns = np.mgrid[:200, :216]
        discs = [np.hypot(rows - y, columns - x) < 7 for y, x in centres]
        bright = np.any(discs, axis=0)
        image = np.random.default_rng(0).normal(200, 10, bright.shape) + 3000 * bright
        return image.astype(np.uint16), centres, FieldOfView(plate="P", well="A01", site=1, pixel_size_um=1.0)

    def test_centres_are_found(self, method: NucleusMethod, field: Any) -> None:
        """As many as there are, where they are."""
        image, truth, place = field
        found = method.find(image, place)
        assert match_centres(found.centres(), truth, self.within_px).f1 >= self.least_f1

    def test_nuclei_lie_in_the_image_in_order_with_scores(self, method: NucleusMethod, field: Any) -> None:
        """Sorted by y, then x; float32; scores in 0..1."""
        image, _, place = field
        found = method.find(image, place)
        assert found.y_px.dtype == found.x_px.dtype == found.score.dtype == np.float32
        assert found.y_px.shape == found.x_px.shape == found.score.shape
        for axis, values in enumerate((found.y_px, found.x_px)):
            assert np.all((values >= 0) & (values <= image.shape[axis] - 1))
        assert np.array_equal(np.lexsort((found.x_px, found.y_px)), np.arange(len(found)))
        assert np.all((found.score >= 0) & (found.score <= 1))

    def test_an_image_gives_the_same_nuclei_each_time_and_stays_as_it_is(
        self, method: NucleusMethod, field: Any
    ) -> None:
        """A dataset that is made again is byte-identical, whatever worker makes which part."""
        image, _, place = field
        before = image.copy()
        one, two = method.find(image, place), method.find(image, place)
        np.testing.assert_array_equal(one.centres(), two.centres())
        np.testing.assert_array_equal(one.score, two.score)
        np.testing.assert_array_equal(image, before)

    @pytest.mark.parametrize("value", [0, 65535])
    def test_an_image_without_contrast_has_no_nuclei(self, method: NucleusMethod, field: Any, value: int) -> None:
        """Black and saturated images are met on every plate."""
        if not method.from_pixels:
            return
        image, _, place = field
        assert len(method.find(np.full_like(image, value), place)) == 0

    def test_every_type_of_pixels_is_taken(self, method: NucleusMethod, field: Any) -> None:
        """uint8, uint16 and float32 of one image give the same number of nuclei."""
        image, _, place = field
        counts = {
            len(method.find((image / image.max() * top).astype(dtype), place))
            for dtype, top in (("uint8", 255), ("uint16", 65535), ("float32", 1.0))
        }
        assert len(counts) == 1


class IlluminationContract(EntryContract):
    """Tests of an illumination method; a subclass sets ``plain``."""

    registry = ILLUMINATIONS
    key = "method"

    @pytest.fixture
    def mean(self) -> npt.NDArray[np.float32]:
        """The mean image of a plate, (H, W), brighter in its middle."""
        rows, columns = np.mgrid[:60, :80]
        fall = 1 - 0.5 * (np.hypot(rows - 30, columns - 40) / 50) ** 2
        noise = np.random.default_rng(1).normal(0, 1, fall.shape)
        return np.asarray(1000 * fall + noise, dtype=np.float32)

    def test_a_flat_field_can_be_divided_by(self, options: Any, mean: npt.NDArray[np.float32]) -> None:
        """float32, as large as the images, above 0, with mean 1."""
        field = self.entry(options).build(mean, options, "DNA")
        assert field.dtype == np.float32
        assert field.shape == mean.shape
        assert np.isfinite(field).all()
        assert field.min() > 0
        assert abs(float(field.mean()) - 1) < 1e-3
        assert correct(mean, field, np.float32).shape == mean.shape

    def test_the_same_mean_gives_the_same_field_and_stays(self, options: Any, mean: npt.NDArray[np.float32]) -> None:
        """A dataset that is made again is byte-identical."""
        before = mean.copy()
        build = self.entry(options).build
        np.testing.assert_array_equal(build(mean, options, "DNA"), build(mean, options, "DNA"))
        np.testing.assert_array_equal(mean, before)
