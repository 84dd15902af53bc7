"""Label images: every format, every way of naming sites, and what are not labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from fixtures.labelled_plate import (
    SHAPE,
    LabelledPlate,
    assert_true,
    built,
    images,
    with_labels,
    write_labelled_plate,
)

from data_tools.nuclei import FieldOfView
from data_tools.nuclei.label_images import NO_LABEL, nuclei_of_labels
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import sites_digest
from data_tools.pipeline.plates.survey import survey
from framework.errors import InputError

FIELD = FieldOfView(plate="P1", well="A01", site=1)


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelledPlate:
    monkeypatch.chdir(tmp_path)
    made = write_labelled_plate(tmp_path)
    (tmp_path / "labels").mkdir()
    return made


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "uint32", "float32", "png", "npy", "int64.npy"])
def test_every_format_gives_the_same_centres(plate: LabelledPlate, kind: str) -> None:
    labels = plate.labels("A01", 1)
    file = plate.folder / ("x.png" if kind == "png" else "x.npy" if kind.endswith("npy") else "x.tif")
    if kind == "png":
        cv2.imwrite(str(file), labels)
    elif kind.endswith("npy"):
        np.save(file, labels.astype("int64" if kind == "int64.npy" else "uint16"))
    else:
        tifffile.imwrite(file, labels.astype(kind) * (70_000 if kind[-2:] == "32" else 1), compression="zlib")
    np.testing.assert_array_equal(nuclei_of_labels(file, SHAPE, FIELD).centres(), plate.truth["A01", 1])


def test_the_centre_is_the_mean_of_the_pixels_of_a_label(tmp_path: Path) -> None:
    labels = np.zeros((4, 6), np.uint16)
    labels[0, 0], labels[2:4, 1:4], labels[0, 3:5] = 9, 2, 40000
    np.save(tmp_path / "a.npy", labels)
    nuclei = nuclei_of_labels(tmp_path / "a.npy", (4, 6), FIELD)
    assert nuclei.centres().tolist() == [[0, 0], [0, 3.5], [2.5, 2]]
    assert nuclei.remark == ""


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            np.zeros((120, 96), np.uint16),
            "labels of 120 x 96 px, but the image of plate P1 well A01 site 1 has 96",
        ),
        (np.zeros((120, 96), np.uint16), "(rows and columns are exchanged)"),
        (np.zeros((48, 60), np.uint16), "(the labels are of an image reduced 2 times)"),
        (np.zeros((3, 96, 120), np.uint16), "an array of shape (3, 96, 120); expected a label image"),
        (
            np.tile(np.array([[0, 1], [0, 0]], np.uint8), (48, 60)),
            "hold 1, in several separate places: this is a mask, not labels",
        ),
        (np.ones(SHAPE, bool), "a mask of true and false"),
        (np.full(SHAPE, 0.5), "holds 0.5; expected a label image"),
        (np.full(SHAPE, np.nan), "holds nan; expected a label image"),
        (np.full(SHAPE, -1, np.int32), "holds the number -1"),
        (np.full(SHAPE, "a"), "values of type <U1"),
        (np.arange(96 * 120).reshape(SHAPE).astype(np.uint8), "uses all 255 numbers of 8 bits"),
    ],
)
def test_what_are_no_labels_is_said(tmp_path: Path, labels: Any, sentence: str) -> None:
    np.save(tmp_path / "a.npy", labels)
    with pytest.raises(InputError) as caught:
        nuclei_of_labels(tmp_path / "a.npy", SHAPE, FIELD)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy"])
def test_a_damaged_file_is_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"a\.\w+: no such file"):
        nuclei_of_labels(tmp_path / name, SHAPE, FIELD)
    (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=rf"{name}: .*expected|{name}: not readable"):
        nuclei_of_labels(tmp_path / name, SHAPE, FIELD)
    colours = np.zeros((*SHAPE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "rgb.png"), colours)
    with pytest.raises(InputError, match=r"an array of shape \(96, 120, 3\).*neither colours nor planes"):
        nuclei_of_labels(tmp_path / "rgb.png", SHAPE, FIELD)


def test_python_objects_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a_seg.npy", np.array({"masks": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a_seg\.npy: .*save the array of labels alone"):
        nuclei_of_labels(tmp_path / "a_seg.npy", SHAPE, FIELD)


def test_label_images_without_a_label_are_counted(plate: LabelledPlate) -> None:
    with_labels(plate)
    for site in (1, 2):
        tifffile.imwrite(plate.folder / "labels" / f"A02_s{site}.tif", np.zeros(SHAPE, np.uint16))
    dataset, summary = built(plate, images())
    said = f"2 sites have {NO_LABEL}, as plate P1 well A02 site 1"
    assert said in summary.notes
    assert said in dataset.manifest.notes
    assert dataset.bags.set_index("Metadata_Well").n_cells.to_dict() == {"A01": 12, "A02": 0, "B03": 12}


def test_a_site_without_labels_is_named_or_left_out(plate: LabelledPlate) -> None:
    (with_labels(plate).folder / "labels" / "A02_s2.tif").unlink()
    sentence = "plate P1 well A02 site 2 has no label image in labels; make it, or set 'on_error: skip'"
    with pytest.raises(InputError, match=sentence):
        built(plate, images())
    dataset, summary = built(plate, images(), on_error="skip")
    assert [problem.split(" has")[0] for problem in summary.problems] == ["plate P1 well A02 site 2"]
    assert dataset.bags.n_sites.tolist() == [2, 1, 2]


def test_labels_of_another_shape_are_named_or_left_out(plate: LabelledPlate) -> None:
    tifffile.imwrite(with_labels(plate).folder / "labels" / "A02_s2.tif", np.zeros((50, 50), np.uint16))
    with pytest.raises(InputError, match=r"labels/A02_s2\.tif: labels of 50 x 50 px.*or set 'on_error: skip'"):
        built(plate, images())
    dataset, summary = built(plate, images(), on_error="skip")
    assert len(summary.problems) == 1
    assert dataset.manifest.skipped[0].reason == "unusable_nuclei"


def test_labels_of_sites_that_are_not_read_are_counted(plate: LabelledPlate) -> None:
    shutil.copy(with_labels(plate).folder / "labels" / "A01_s1.tif", plate.folder / "labels" / "C01_s1.tif")
    (plate.folder / "labels" / "outlines.png").touch()
    _, summary = built(plate, images())
    assert (
        "labels: 6 of 6 sites have a label image; 1 others belong to no site that is read, as labels/C01_s1.tif"
        in summary.notes
    )
    assert any("1 of 8 images do not match the pattern" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("rename", "options", "sentence"),
    [
        (lambda w, s: f"{w}_s{s - 1}.tif", {}, "numbers the sites 0 to 1, but the images are numbered 1 to 2"),
        (
            lambda w, s: f"D{w[1:]}_s{s}.tif",
            {},
            r"none of 6 label images in labels belongs.*well D01, site",
        ),
        (lambda w, s: f"{w}_s{s}.tiff", {}, r"no label image of 6 matches .*correct 'nuclei\.images\.pattern'"),
        (lambda w, s: f"Z99_s{s}.tif", {}, r"pattern' reads .* from the name"),
    ],
)
def test_names_that_do_not_fit_are_said(plate: LabelledPlate, rename: Any, options: Any, sentence: str) -> None:
    for well, site, _ in plate.fields():
        tifffile.imwrite(plate.folder / "labels" / rename(well, site), plate.labels(well, site))
    with pytest.raises(InputError, match=sentence):
        built(plate, images(**options))


def test_sites_that_are_one_off_can_be_put_right(plate: LabelledPlate) -> None:
    for well, site, _ in plate.fields():
        tifffile.imwrite(plate.folder / "labels" / f"{well}_s{site - 1}.tif", plate.labels(well, site))
    assert_true(plate, built(plate, images(site_offset=1))[0])


def test_two_label_images_of_a_site_are_refused(plate: LabelledPlate) -> None:
    cv2.imwrite(str(with_labels(plate).folder / "labels" / "A01_s1.png"), plate.labels("A01", 1))
    with pytest.raises(InputError, match=r"A01_s1\.png and .*A01_s1\.tif are label images of one site"):
        built(plate, images())


def test_the_name_of_the_image_and_the_plate_may_say_the_site(plate: LabelledPlate) -> None:
    (plate.folder / "labels" / "P1").mkdir()
    for well, site, _ in plate.fields():
        cv2.imwrite(str(plate.folder / f"labels/P1/{well}_s{site}_DNA_cp_masks.png"), plate.labels(well, site))
    options = {"path": "labels/{plate}", "pattern": r"(?P<image>.+)_cp_masks\.png"}
    assert_true(plate, built(plate, images(**options))[0])
    options = {"path": "labels", "pattern": r"(?P<plate>\w+)/(?P<row>[A-Z])(?P<column>\d+)_s(?P<site>\d)_.*"}
    assert_true(plate, built(plate, images(**options))[0])


def test_labels_belong_to_what_a_site_is_made_of(plate: LabelledPlate) -> None:
    """An ingest that goes on makes the shards of changed labels again."""
    config = IngestConfig.from_plain(with_labels(plate).plain(images()))
    (site,) = [
        site for bag, site in survey(config, plate.folder).plates[0].sites() if (bag.well, site.number) == ("A01", 2)
    ]
    assert site.nuclei_files == (plate.folder / "labels" / "A01_s2.tif",)
    before = sites_digest([site])
    tifffile.imwrite(plate.folder / "labels" / "A01_s2.tif", np.zeros((7, 7), np.uint16))
    assert sites_digest([site]) != before
