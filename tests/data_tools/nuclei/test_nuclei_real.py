"""Nucleus finding on two real plates, with the settings a user starts from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from data_tools.nuclei import NUCLEI, IntensityPeaksConfig, find_nuclei, match_centres
from data_tools.readers.plates.base import read_image
from data_tools.readers.plates.harmony import HarmonyConfig, read_harmony

BORDER_PX = 8
Centres = npt.NDArray[np.floating]


def _inside(centres: Centres, shape: tuple[int, ...]) -> Centres:
    far = (centres >= BORDER_PX) & (centres <= np.array(shape) - 1 - BORDER_PX)
    return centres[far.all(axis=1)]


def _published(folder: Path, well: str) -> Centres:
    file = folder / "measurements" / f"Round1_{well[0]}{int(well[1:])}_site1_Measurements.csv.gz"
    nucleus = pd.read_csv(file, header=[0, 1])["Nucleus"]
    # measured on shifted and cropped images: +2 px in y and +4 px in x lead back to the raw ones
    return np.stack([nucleus["Location_Center_Y"] + 2, nucleus["Location_Center_X"] + 4], axis=1)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("method", "least"),
    [("intensity_peaks", 0.9696), ("log_intensity", 0.947), ("log_binary", 0.919)],
)
def test_published_centres_of_the_4i_plate(real_data: Path, method: str, least: float) -> None:
    folder = real_data / "phenix-4i-round1"
    config = NUCLEI.get(method).config(channel="Hoechst", diameter_px=13.0)
    export = read_harmony(HarmonyConfig(path=str(folder)))
    scores = []
    for well, site in export.sites():
        image = read_image(export.images(well, site)["Hoechst"])
        found = _inside(find_nuclei(image, config).centres(), image.shape)
        scores.append(match_centres(found, _inside(_published(folder, well), image.shape), 8).f1)
    assert len(scores) == 3
    assert np.mean(scores) >= least


@pytest.mark.real_data
def test_the_default_meets_its_target_over_diameters(real_data: Path) -> None:
    folder = real_data / "phenix-4i-round1"
    image = tifffile.imread(folder / "images" / "r02c03f01p01-ch1sk1fk1fl1.tiff")
    truth = _inside(_published(folder, "B03"), image.shape)
    for diameter in (11.0, 12.0, 13.0, 14.0, 15.0):
        found = find_nuclei(image, IntensityPeaksConfig(channel="Hoechst", diameter_px=diameter)).centres()
        assert match_centres(_inside(found, image.shape), truth, 8).f1 >= 0.95


@pytest.mark.real_data
@pytest.mark.parametrize("times", [2, 3])
def test_the_default_is_as_good_at_a_higher_magnification(real_data: Path, times: int) -> None:
    """Where it works in a reduced image: 26 and 39 px, reduced to 13."""
    folder = real_data / "phenix-4i-round1"
    scores = []
    for well, column in (("B02", 2), ("B03", 3), ("B04", 4)):
        image = tifffile.imread(folder / "images" / f"r02c{column:02d}f01p01-ch1sk1fk1fl1.tiff")
        large = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        found = find_nuclei(large, IntensityPeaksConfig(channel="Hoechst", diameter_px=13.0 * times)).centres()
        truth = _inside(_published(folder, well), image.shape)
        scores.append(match_centres(_inside((found + 0.5) / times - 0.5, image.shape), truth, 8).f1)
    assert np.mean(scores) >= 0.97


@pytest.mark.real_data
def test_masks_of_the_nf1_plate(real_data: Path) -> None:
    folder = real_data / "nf1-genotype-plate"
    masks = once = found = inside = 0
    for file in sorted((folder / "Plate_2_masks").glob("*_MaskNuclei.tiff")):
        label, count = ndimage.label(tifffile.imread(file) > 0)
        image = tifffile.imread(folder / "Plate_2_images" / file.name.replace("_MaskNuclei.tiff", ".tif"))
        nuclei = find_nuclei(image, IntensityPeaksConfig(channel="DAPI", diameter_px=60.0))
        y, x = nuclei.centres().round().astype(int).T
        # the masks leave nuclei at the border out: half a diameter from it the truth is complete
        far = (y >= 30) & (x >= 30) & (y < image.shape[0] - 30) & (x < image.shape[1] - 30)
        once += int(np.sum(np.bincount(label[y, x], minlength=count + 1)[1:] == 1))
        masks += count
        found += int(far.sum())
        inside += int(np.sum(label[y, x][far] > 0))
    assert masks == 132
    assert once / masks >= 0.96
    assert inside / found >= 0.96
