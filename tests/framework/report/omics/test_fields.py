"""Figures 8 and 11: fields of a dataset, before and after its flat-fields."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.dataset import Dataset
from framework.errors import InputError
from framework.report.figure import FIGURES
from framework.report.figure_inputs import FigureInputs
from framework.report.omics import drawing as _ours  # noqa: F401 (registers them)
from wellstream import testing

CHANNELS = ("Hoechst", "MitoTracker", "Phalloidin")


def with_fields(folder: Path) -> Dataset:
    """A dataset whose first four wells keep a field; the light fell off to the corners, where it is 0.5."""
    dataset = make_dataset(folder, bags=8, channels=CHANNELS, size=16, perturbations=["NT", "KO"])
    qc = dataset.root / "qc"
    qc.mkdir(exist_ok=True)
    y, x = np.mgrid[:64, :64] / 31.5 - 1
    flat = 1.5 - 0.5 * (x**2 + y**2)
    overviews, flats = [], []
    bags = dataset.bags
    for channel in CHANNELS:
        np.save(qc / f"flatfield_{channel}.npy", flat.astype(np.float32))
        flats += [
            {"file": f"qc/flatfield_{channel}.npy", "plate": plate, "channel": channel} for plate in set(bags["source"])
        ]
        for bag in range(4):
            name = f"qc/site_{bag}_{channel}.png"
            grey = np.random.default_rng(bag).integers(60, 180, (48, 48)).astype(np.uint8)
            cv2.imwrite(str(dataset.root / name), grey)
            row = bags.iloc[bag]
            place = {"plate": row["source"], "well": row["bag_name"], "site": 1, "bag": bag, "channel": channel}
            overviews.append({"file": name, "scale": 0.5, "low": 100.0, "high": 1100.0, **place})
    (qc / "index.json").write_text(json.dumps({"overviews": overviews, "flatfields": flats}))
    return Dataset.open(dataset.root)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return with_fields(tmp_path_factory.mktemp("fields") / "data")


class TestStains(testing.FigureContract):
    name = "stains"

    @pytest.fixture
    def inputs(self, data: Dataset) -> FigureInputs:
        return FigureInputs(data=data.root)

    def test_a_row_per_stimulation_with_its_controls(self, data: Dataset) -> None:
        entry = FIGURES.get(self.name)
        drawn = entry.build(entry.config()).draw(FigureInputs(data=data.root))
        states = sorted(set(data.bags["Metadata_Stimulation"].astype(str)))
        assert drawn.numbers["stimulation"].unique().tolist() == states
        assert len(drawn.numbers) == len(states) * 3
        # Grey 0 is 100 and grey 255 is 1100: the mean of 60..180 lies near 120.
        assert drawn.numbers["mean"].mean() == pytest.approx(100 + 119.5 / 255 * 1000, rel=0.02)
        assert [axes.get_title() or axes.get_title("left") for axes in drawn.canvas.axes[:4]] == [
            "Phalloidin",
            "MitoTracker",
            "Hoechst",
            "overlay",
        ]


class TestShading(testing.FigureContract):
    name = "shading"

    @pytest.fixture
    def inputs(self, data: Dataset) -> FigureInputs:
        return FigureInputs(data=data.root)

    def test_before_is_after_times_the_flat_field(self, data: Dataset) -> None:
        entry = FIGURES.get(self.name)
        rows = entry.build(entry.config()).draw(FigureInputs(data=data.root)).numbers
        assert rows["channel"].tolist() == list(CHANNELS)
        assert rows["corner_to_centre_after"].to_numpy() == pytest.approx(1.0, abs=0.05)
        assert rows["corner_to_centre_before"].to_numpy() == pytest.approx(0.729 / 1.479, abs=0.04)
        assert (rows["flat_low"].iloc[0], rows["flat_high"].iloc[0]) == pytest.approx((0.5, 1.5), abs=0.03)

    def test_another_well_can_be_named(self, data: Dataset) -> None:
        entry, wells = FIGURES.get(self.name), data.bags["bag_name"]
        drawn = entry.build(entry.config(well=wells[2])).draw(FigureInputs(data=data.root))
        assert set(drawn.numbers["well"]) == {wells[2]}
        with pytest.raises(InputError, match="well 'Z99': no field of it is kept; there are"):
            entry.build(entry.config(well="Z99")).draw(FigureInputs(data=data.root))


def test_a_dataset_without_fields_says_how_to_get_them(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "data")
    entry = FIGURES.get("stains")
    with pytest.raises(InputError, match="has no picture of a field with all its channels"):
        entry.build(entry.config()).draw(FigureInputs(data=dataset.root))
