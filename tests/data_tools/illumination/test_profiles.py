"""Flat-fields of the export: polynomials by hand and against the optics they stand for, and CellProfiler's arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_tools.illumination import ILLUMINATIONS, ExportIlluminationConfig
from data_tools.illumination.profiles import HarmonyProfile, NpyFile, harmony_polynomial
from data_tools.readers.plates.harmony import HarmonyConfig, read_harmony
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.simulate.optics import PlateOptics
from framework.errors import InputError

TEXT = (
    "{Background: {Character: NonFlat, Mean: 3.5, Profile: {Coefficients: [[2.0], [0.5, -1e0], [0, 1, 2]], "
    "Dims: [4, 2], Origin: [1, 0.5], Scale: [0.5, 2], Type: Polynomial}, Quality: 1.0}, Channel: 1, ChannelName: A, "
    "Foreground: {Character: Flat}, Version: Acapella:2013}"
)


def export(profile: np.ndarray) -> np.ndarray:
    options = ExportIlluminationConfig()
    return ILLUMINATIONS.get("export").build(profile.astype(np.float32), options, "DNA")


def test_a_polynomial_by_hand() -> None:
    field = HarmonyProfile(text=TEXT, part="Background", where="i.xml").image((2, 4))
    # x = (column - 1) / 2, y = 2 * (row - 0.5): 2 + 0.5 x - y + x y + 2 y^2
    assert field[0].tolist() == [5.25, 5.0, 4.75, 4.5]
    assert field[1].tolist() == [2.25, 3.0, 3.75, 4.5]
    assert field.dtype == np.float32


def test_a_flat_profile_is_one_everywhere() -> None:
    assert HarmonyProfile(text=TEXT, part="Foreground", where="i.xml").image((2, 3)).tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[0.5, -1e0]", "[0.5]"),
        ("Dims: [4, 2]", "Dims: [4]"),
        ("[[2.0]", "[[two]"),
        ("Scale: [0.5, 2]", "Scale: [1e999, 2]"),
    ],
)
def test_a_profile_that_cannot_be_read_is_named(old: str, new: str) -> None:
    with pytest.raises(InputError, match=r"i\.xml: channel 'A': the flat-field profile cannot be read"):
        harmony_polynomial(TEXT.replace(old, new), "Background", "i.xml: channel 'A'")


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is for images of 4 x 2 px \(width x height\), those .* have 2 x 4"):
        HarmonyProfile(text=TEXT, part="Background", where="i.xml").image((4, 2))
    np.save(tmp_path / "a.npy", np.ones((4, 2)))
    with pytest.raises(InputError, match=r"a\.npy: holds float64 \(4, 2\), expected numbers \(2, 4\)"):
        NpyFile(file=tmp_path / "a.npy").image((2, 4))


def test_the_profile_is_divided_by_its_mean_and_must_be_above_0() -> None:
    np.testing.assert_allclose(export(np.array([[1.0, 3.0]])), [[0.5, 1.5]])
    for bad in ([[0.0, 1.0]], [[-1.0, 1.0]]):
        with pytest.raises(InputError, match="channel 'DNA': the flat-field of the export falls to"):
            export(np.array(bad))
    with pytest.raises(InputError, match="is not finite"):
        export(np.array([[np.inf, 1.0]]))


def test_the_index_of_a_simulated_plate_gives_the_light_it_was_drawn_with(tmp_path: Path) -> None:
    config = PlateConfig(
        rows=2, columns=3, perturbations=3, stimulations=("M1",), replicates=1, sites=1, size_px=64, cells_per_site=2,
        nucleus_diameter_px=8, transcripts=2, proteins=2, out_of_focus_wells=0, empty_wells=0,
    )  # fmt: skip
    simulate_plate(config, tmp_path / "raw")
    profiles = read_harmony(HarmonyConfig(path=str(tmp_path / "raw" / "SIM"))).profiles
    truth = PlateOptics.draw(config, 0).illumination
    for channel, name in enumerate(("Hoechst", "MitoTracker", "Phalloidin")):
        for part in ("background", "foreground"):
            np.testing.assert_allclose(profiles[name][part].image((64, 64)), truth[channel], atol=1e-6)
    assert np.ptp(truth[0]) > 0.1


@pytest.mark.real_data
def test_a_real_index(real_data: Path) -> None:
    export_ = read_harmony(HarmonyConfig(path=str(real_data / "phenix-index-xml")))
    (profile,) = export_.profiles.values()
    field = export(profile["background"].image((1080, 1080)))
    assert float(field.mean()) == pytest.approx(1, abs=1e-6)
    assert field[540, 540] > field[0, 0] > 0.3
