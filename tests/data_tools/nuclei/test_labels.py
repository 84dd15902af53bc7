"""Nuclei that other programs found: each way of naming sites, and each way in which files and images do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from fixtures.labelled_plate import PIXEL_UM, SHAPE, LabelledPlate, write_labelled_plate

from data_tools.nuclei import FieldOfView
from data_tools.nuclei.label_images import NO_LABEL, nuclei_of_labels
from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.site import sites_digest
from data_tools.pipeline.plates.survey import survey
from data_tools.readers.plates import READERS, read_image
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.tiles import cut_tile, tiles_inside
from framework.config import load_config, parse_config, to_yaml
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import ConfigError, InputError, WellstreamError

BY_NAME = {"pattern": r"(?P<well>[A-Z]\d+)_s(?P<site>\d+)\.(tif|png|npy)"}
FIELD = FieldOfView(plate="P1", well="A01", site=1)


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelledPlate:
    monkeypatch.chdir(tmp_path)
    made = write_labelled_plate(tmp_path)
    (tmp_path / "labels").mkdir()
    return made


def with_labels(plate: LabelledPlate) -> LabelledPlate:
    for well, site, _ in plate.fields():
        tifffile.imwrite(plate.folder / "labels" / f"{well}_s{site}.tif", plate.labels(well, site))
    return plate


def images(**changes: Any) -> dict[str, Any]:
    return {"channel": "DNA", "method": "labels", "images": {"path": "labels", **BY_NAME, **changes}}


def table(**changes: Any) -> dict[str, Any]:
    options = {"path": "centres.csv", "well": "Well", "site": "Field", "x": "X", "y": "Y", **changes}
    return {"channel": "DNA", "method": "labels", "table": {k: v for k, v in options.items() if v is not None}}


def frame(plate: LabelledPlate) -> pd.DataFrame:
    rows = [(well, site, y, x) for well, site, centres in plate.fields() for y, x in centres.tolist()]
    return pd.DataFrame(rows, columns=["Well", "Field", "Y", "X"])


def built(plate: LabelledPlate, nuclei: dict[str, Any], **changes: Any) -> tuple[Dataset, Any]:
    config = IngestConfig.from_plain(plate.plain(nuclei, **changes))
    assert parse_config(to_yaml(config), IngestConfig) == config
    shutil.rmtree("data", ignore_errors=True)
    summary = ingest(config, plate.folder / "data", workers=0)
    return Dataset.open(plate.folder / "data"), summary


def assert_true(plate: LabelledPlate, dataset: Dataset) -> None:
    """All centres are the truth, and tiles are the pixels around it."""
    found = dataset.nuclei()
    wells = dataset.bags["Metadata_Well"].to_numpy()
    for well, site, centres in plate.fields():
        mine = found[(wells[found["bag"]] == well) & (found["site"] == site)]
        np.testing.assert_array_equal(mine[["y_px", "x_px"]].to_numpy(), centres)
    assert (found["score"] == 1).all()
    tiles = pd.read_parquet(dataset.root / "tiles.parquet")
    pixels = np.empty((len(tiles), 2, 16, 16), dtype=np.uint16)
    TileStore(dataset).gather(np.arange(len(tiles)), pixels)
    assert len(tiles) > 20
    for number, tile in enumerate(tiles.itertuples()):
        image = plate.images[wells[tile.bag], tile.site]
        np.testing.assert_array_equal(pixels[number], cut_tile(image, tile.y_px, tile.x_px, 16))


def test_tiles_are_cut_around_the_labels(plate: LabelledPlate) -> None:
    dataset, summary = built(with_labels(plate), images())
    assert_true(plate, dataset)
    assert "labels: 6 of 6 sites have a label image" in summary.notes
    again = ingest(IngestConfig.from_plain(plate.plain(images())), plate.folder / "data", workers=0)
    assert again.state == "already_complete"


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
        (np.tile(np.array([[0, 1], [0, 0]], np.uint8), (48, 60)), "holds 1, in several places: a mask, not labels"),
        (np.ones(SHAPE, bool), "a mask of true and false"),
        (np.full(SHAPE, 0.5), "holds 0.5; expected a label image"),
        (np.full(SHAPE, np.nan), "holds nan; expected a label image"),
        (np.full(SHAPE, -1, np.int32), "holds the number -1"),
        (np.full(SHAPE, "a"), "values of type <U1"),
        (np.arange(96 * 120).reshape(SHAPE).astype(np.uint8), "uses every number that 8 bits hold"),
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
    assert dataset.bags.set_index("Metadata_Well").n_nuclei.to_dict() == {"A01": 12, "A02": 0, "B03": 12}


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
        (lambda w, s: f"{w}_s{s - 1}.tif", {}, "numbers the sites 0 to 1, the images are numbered 1 to 2"),
        (
            lambda w, s: f"D{w[1:]}_s{s}.tif",
            {},
            r"not one of 6 label images in labels belongs.*well D01, site",
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


def test_tiles_are_cut_around_the_rows_of_a_table(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows.sample(frac=1, random_state=0).to_csv("centres.csv", index=False)
    dataset, summary = built(plate, table())
    assert_true(plate, dataset)
    assert "centres.csv: 6 of 6 sites have rows" in summary.notes


def test_um_from_the_middle_upwards_and_lines_before_the_header(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows["Row"], rows["Column"] = [ord(well[0]) - 64 for well in rows.Well], [int(well[1:]) for well in rows.Well]
    rows["Position X [um]"] = (rows.X - (SHAPE[1] - 1) / 2) * PIXEL_UM
    rows["Position Y [um]"] = ((SHAPE[0] - 1) / 2 - rows.Y) * PIXEL_UM
    rows["Timepoint"] = 1
    text = rows.drop(columns=["X", "Y", "Well"]).to_csv(index=False, sep="\t")
    later = text.splitlines()[1].rpartition("\t")[0] + "\t2\n"
    Path("centres.txt").write_text(f"Database\tX\n\n[Data]\n{text}{later}")
    options = {
        "path": "centres.txt",
        "well": None,
        "row": "Row",
        "column": "Column",
        "x": "Position X [um]",
        "y": "Position Y [um]",
        "unit": "um",
        "origin": "centre",
        "y_axis": "up",
        "only": {"Timepoint": "1"},
        "header": "Timepoint",
    }
    dataset, summary = built(plate, table(**options))
    assert_true(plate, dataset)
    assert "centres.txt: 1 rows whose 'Timepoint' is not '1' are left out" in summary.notes
    plain = plate.plain(table(**options))
    del plain["plates"][0]["source"]["pixel_size_um"]
    with pytest.raises(InputError, match="needs a pixel size, which the export does not state"):
        ingest(IngestConfig.from_plain(plain), plate.folder / "other", workers=0)


def test_a_table_per_well_two_header_rows_and_an_offset(plate: LabelledPlate) -> None:
    for well, rows in frame(plate).groupby("Well"):
        lines = [f"{field},{x - 2},{y + 1}" for field, y, x in rows[["Field", "Y", "X"]].itertuples(index=False)]
        Path(f"cells_{well}.csv").write_text("Image,Nuclei,Nuclei\nSite,X,Y\n" + "\n".join(lines) + "\n")
    options = {
        "path": "cells_{well}.csv",
        "well": None,
        "site": ["Image", "Site"],
        "x": ["Nuclei", "X"],
        "y": ["Nuclei", "Y"],
        "header_rows": 2,
        "offset_px": {"x": 2, "y": -1},
    }
    assert_true(plate, built(plate, table(**options))[0])
    Path("cells_A02.csv").unlink()
    with pytest.raises(InputError, match=r"cells_A02\.csv: no such file; plate P1 well A02 site 1 has no table"):
        built(plate, table(**options))
    assert built(plate, table(**options), on_error="skip")[0].bags.n_sites.tolist() == [2, 0, 2]


def test_rows_that_do_not_fit_are_counted(plate: LabelledPlate) -> None:
    rows = frame(plate)
    rows = rows[~((rows.Well == "A02") & (rows.Field == 1))]
    more = pd.DataFrame([("C01", 1, 5, 5), ("C01", 1, 9, 9)], columns=rows.columns)
    pd.concat([rows, more, rows.head(1).assign(X="")]).to_csv("centres.csv", index=False)
    dataset, summary = built(plate, table())
    for note in (
        "centres.csv: 5 of 6 sites have rows",
        "centres.csv: 1 sites have no row and get no nuclei, as plate P1 well A02 site 1",
        "centres.csv: 2 rows belong to no site that is read, as those of well C01, site 1",
        "centres.csv: 1 rows have no position and are left out",
    ):
        assert note in dataset.manifest.notes
    assert summary.nuclei == 30


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        (lambda f: f.assign(Field=f.Field - 1), {}, "numbers the sites 0 to 1, the images are numbered 1 to 2"),
        (
            lambda f: f.assign(Well="D01"),
            {},
            r"not one row belongs to a site.*the first has well D01, site 1,",
        ),
        (
            lambda f: f.assign(Well="well 1"),
            {},
            r"csv: line 2: column of 'nuclei\.table\.well': 'well 1' is no",
        ),
        (lambda f: f.assign(Field="a"), {}, r"line 2: column of 'nuclei\.table\.site': 'a' is no number of a site"),
        (lambda f: f.assign(X="left"), {}, r"line 2: column 'X' reads 'left', expected a number"),
        (
            lambda f: f.assign(X=f.X * 10),
            {},
            r"4 of 6 centres of plate P1 well A01 site 1 lie outside its image of 96",
        ),
        (lambda f: f, {"x": "Xx"}, r"no column 'Xx'.*did you mean 'X'"),
        (lambda f: f, {"only": {"Field": "9"}}, r"no row has '9' in the column 'Field'"),
        (lambda f: f, {"site": None}, r"says well of each nucleus, which is the same for plate P1 well A01 site 1 and"),
        (lambda f: f, {"path": "other.csv"}, r"other\.csv: no such file"),
    ],
)
def test_tables_that_do_not_fit_are_said(plate: LabelledPlate, change: Any, options: Any, sentence: str) -> None:
    change(frame(plate)).to_csv("centres.csv", index=False)
    with pytest.raises(WellstreamError, match=sentence):
        built(plate, table(**options))


@pytest.mark.parametrize(
    ("nuclei", "sentence"),
    [
        ({"method": "labels", "channel": "DNA"}, "expected exactly one of 'images' (label images) and 'table'"),
        (images(pattern="("), "'pattern' is no regular expression"),
        (images(pattern=r"(?P<wel>\w+)"), "'pattern' has unknown group(s) wel"),
        (images(pattern=r"(?P<site>\d)"), "'pattern' needs the group (?P<image>...), or (?P<well>...)"),
        (images(pattern=r"(?P<well>\w+)"), "either the group (?P<site>...) in 'pattern' or 'site: NUMBER'"),
        (images(pattern=r"(?P<image>\w+)_(?P<site>\d)"), "the group (?P<image>...) names the site already"),
        (table(image="Image"), "expected one of 'image', 'well', 'row' and 'column', or {well} in 'path'"),
        (table(well=None, row="Row"), "'row' and 'column' belong together"),
        (table(plate="P", path="{plate}.csv"), "'plate' is a column, and 'path' has {plate}"),
        ({**table(), "diameter_px": 9}, "nuclei.diameter_px: unknown key"),
    ],
)
def test_contradictions_are_config_errors(plate: LabelledPlate, nuclei: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(plate.plain(nuclei), IngestConfig)
    assert sentence in str(caught.value)


def test_two_plates_need_a_word_about_the_plate(plate: LabelledPlate) -> None:
    shutil.copytree(with_labels(plate).folder / "P1", plate.folder / "P2")
    plain = plate.plain(images())
    second = {**plain["plates"][0], "source": {**plain["plates"][0]["source"], "path": "P2", "plate": "P2"}}
    plain["plates"].append(second)
    with pytest.raises(InputError, match=r"same for plate P1 well A01 site 1 and for plate P2 .*put \{plate\} into"):
        ingest(IngestConfig.from_plain(plain), plate.folder / "data", workers=0)


def test_a_dry_run_reads_labels_too(plate: LabelledPlate) -> None:
    config = IngestConfig.from_plain(with_labels(plate).plain(images()))
    summary = ingest(config, plate.folder / "data", workers=0, dry_run=True)
    assert summary.nuclei == 36
    assert "labels: 6 of 6 sites have a label image" in summary.notes


def test_the_truth_of_a_simulation_gives_its_tiles(tmp_path: Path) -> None:
    """Tiles around the centres that a simulated Harmony export was drawn from are the pixels around the truth."""
    options = {"rows": 2, "columns": 3, "perturbations": 3, "stimulations": ("M1",), "replicates": 1, "sites": 2}
    sizes = {"size_px": 160, "cells_per_site": 6, "transcripts": 5, "proteins": 5, "out_of_focus_wells": 0}
    raw = tmp_path / "raw"
    simulate_plate(PlateConfig(**options, **sizes), raw)
    truth = pd.read_parquet(raw / "truth_nuclei.parquet")
    truth.to_csv(tmp_path / "truth.csv", index=False)
    plain = {
        "name": "truth",
        "plates": [{"source": {"name": "harmony", "path": f"{raw}/SIM"}, "platemap": {"path": f"{raw}/platemap.csv"}}],
        "channels": ["Hoechst"],
        "illumination": {"method": "none"},
        "nuclei": {
            "channel": "Hoechst",
            "method": "labels",
            "table": {"path": f"{tmp_path}/truth.csv", "well": "well", "site": "site", "x": "x_px", "y": "y_px"},
        },
        "tiles": {"size_px": 24},
    }
    ingest(IngestConfig.from_plain(plain), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    tiles = pd.read_parquet(dataset.root / "tiles.parquet")
    tiles["well"] = dataset.bags["Metadata_Well"].to_numpy()[tiles["bag"]]
    inside = truth[tiles_inside(truth.y_px.to_numpy(), truth.x_px.to_numpy(), 24, (160, 160))]
    assert len(dataset.nuclei()) == len(truth)
    assert len(tiles) == len(inside) > 10
    pixels = np.empty((len(tiles), 1, 24, 24), dtype=np.uint16)
    TileStore(dataset).gather(np.arange(len(tiles)), pixels)
    export = READERS.get("harmony").build(READERS.get("harmony").config.from_plain(plain["plates"][0]["source"]))
    for row in inside.itertuples():
        there = (tiles.well == row.well) & (tiles.site == row.site) & (abs(tiles.y_px - row.y_px) < 1e-3)
        (number,) = np.flatnonzero(there & (abs(tiles.x_px - row.x_px) < 1e-3))
        image = read_image(export.images(row.well, row.site)["Hoechst"])
        np.testing.assert_array_equal(pixels[number], cut_tile(image[None], row.y_px, row.x_px, 24))
