"""Contracts of readers of plates and readers of cells."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from data_tools.readers.cells import CELL_READERS, CellImage, CellListing, CellProblem
from data_tools.readers.cells.base import CELL
from data_tools.readers.plates import READERS, Export, read_image
from data_tools.wells import normalise_well, well_order
from framework.errors import InputError
from wellstream.testing.entry import EntryContract


class ReaderContract(EntryContract):
    """Tests of a reader of plates; a subclass has a fixture ``options`` for a small export with images."""

    registry = READERS

    @pytest.fixture
    def export(self, options: Any) -> Export:
        """What the reader lists."""
        listed: Export = self.entry(options).build(options)
        return listed

    def test_images_are_listed_in_plate_order_and_none_twice(self, export: Export) -> None:
        """By well, site, and channel in its order."""
        assert export.refs
        order = {name: place for place, name in enumerate(export.channels)}
        places = [(well_order(ref.well), ref.site, order[ref.channel]) for ref in export.refs]
        assert places == sorted(set(places))
        assert {ref.plate for ref in export.refs} == {export.plate}
        assert all(ref.well == normalise_well(ref.well) for ref in export.refs)

    def test_listing_again_gives_the_same(self, options: Any, export: Export) -> None:
        """A dataset that is made again is byte-identical."""
        assert self.entry(options).build(options) == export

    def test_images_can_be_read_where_the_work_is_done(self, export: Export) -> None:
        """References go to other processes; pixels are (H, W)."""
        ref = pickle.loads(pickle.dumps(export.refs[0]))  # noqa: S301 (made here)
        assert ref == export.refs[0]
        image = read_image(ref)
        assert image.ndim == 2
        assert image.dtype.name in ("uint8", "uint16", "float32")

    def test_a_pixel_size_is_above_zero_or_unknown(self, export: Export) -> None:
        """In um."""
        assert export.pixel_size_um is None or export.pixel_size_um > 0

    def test_a_problem_says_where_and_what_to_do(self, export: Export) -> None:
        """Nothing is dropped in silence."""
        assert all(problem.plate == export.plate and problem.reason and problem.detail for problem in export.problems)


class CellReaderContract(EntryContract):
    """Tests of a reader of cells; a subclass has a fixture ``options`` for a small export."""

    registry = CELL_READERS

    @pytest.fixture
    def listing(self, options: Any) -> CellListing:
        """What the reader lists, of all channels that the export has."""
        reader = self.entry(options).build(options)
        with pytest.raises(InputError, match="no channel 'no such channel'"):
            reader.survey(("no such channel",))
        listed: CellListing = reader.survey(self.channels(options))
        return listed

    def channels(self, options: Any) -> tuple[str, ...]:
        """Return the channels that are asked for."""
        raise NotImplementedError("say which channels the export has")

    def test_each_cell_is_listed_once(self, listing: CellListing) -> None:
        """By its ``Metadata_*`` columns, which are text."""
        assert len(listing.cells) == len(listing.places) > 0
        names = [name for name in listing.cells if str(name).startswith("Metadata_")]
        assert CELL in names
        assert not listing.cells[names].duplicated().any()

    def test_cells_are_read_in_the_order_asked_for(self, options: Any, listing: CellListing) -> None:
        """An image per channel; what cannot be read is a problem of its row."""
        reader, wanted = self.entry(options).build(options), self.channels(options)
        places = listing.places.iloc[::-1].reset_index(drop=True)
        found = list(reader.read(places, wanted))
        assert [item.row for item in found] == sorted(item.row for item in found if item.row is not None)
        assert any(isinstance(item, CellImage) for item in found)
        for item in found:
            if isinstance(item, CellProblem):
                assert item.reason
                assert item.detail
            elif len(item.pixels):
                assert len(item.pixels) == len(wanted)
                assert all(np.asarray(image).dtype.name in ("uint8", "uint16", "float32") for image in item.pixels)

    def test_reading_again_gives_the_same_pixels(self, options: Any, listing: CellListing) -> None:
        """Whatever process reads."""
        wanted = self.channels(options)
        one, two = (list(self.entry(options).build(options).read(listing.places, wanted)) for _ in range(2))
        for a, b in zip(one, two, strict=True):
            assert type(a) is type(b)
            if isinstance(a, CellImage) and isinstance(b, CellImage):
                assert all(np.array_equal(x, y) for x, y in zip(a.pixels, b.pixels, strict=True))
