"""Every kind of bad input: a sentence that names file and well, or an entry in dataset.json; never silence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.plate import SiteError
from data_tools.readers.plates import Problem
from framework.data.dataset import Dataset
from framework.errors import InputError


def _missing(raw: Any) -> None:
    raw.image("P1", "A02", 2, "DNA").unlink()


def _truncated(raw: Any) -> None:
    file = raw.image("P1", "A02", 2, "DNA")
    file.write_bytes(file.read_bytes()[:3000])


def _other_shape(raw: Any) -> None:
    tifffile.imwrite(raw.image("P1", "A02", 2, "DNA"), np.arange(80 * 96, dtype=np.uint16).reshape(80, 96))


def _whole_site_other_shape(raw: Any) -> None:
    for channel in ("DNA", "Actin"):
        tifffile.imwrite(raw.image("P1", "A02", 2, channel), np.arange(80 * 96, dtype=np.uint16).reshape(80, 96))


def _black(raw: Any) -> None:
    tifffile.imwrite(raw.image("P1", "A02", 2, "DNA"), np.zeros((96, 96), np.uint16))


def _saturated(raw: Any) -> None:
    image = np.full((96, 96), 4095, np.uint16)
    image[:48] = 100
    tifffile.imwrite(raw.image("P1", "A02", 2, "DNA"), image)


def _all_saturated(raw: Any) -> None:
    tifffile.imwrite(raw.image("P1", "A02", 2, "DNA"), np.full((96, 96), 65535, np.uint16))


def _other_type(raw: Any) -> None:
    file = raw.image("P1", "A02", 2, "DNA")
    tifffile.imwrite(file, (tifffile.imread(file) >> 8).astype(np.uint8))


def _nan(raw: Any) -> None:
    image = np.linspace(0, 1, 96 * 96, dtype=np.float32).reshape(96, 96)
    image[3, 4] = np.nan
    tifffile.imwrite(raw.image("P1", "A02", 2, "DNA"), image)


BAD_PIXELS: list[tuple[Callable[[Any], None], str, str]] = [
    (_missing, "missing_image", "plate P1 well A02 site 2 has no image of channel 'DNA' beside "),
    (_truncated, "damaged_image", "A02_s2_DNA.tif: truncated or damaged TIFF"),
    (
        _other_shape,
        "shape_mismatch",
        "A02_s2_DNA.tif: 80 x 96 px, but channel 'Actin' of the same site: 96 x 96 px; plate P1 well A02 site 2",
    ),
    (
        _whole_site_other_shape,
        "shape_mismatch",
        "A02_s2_Actin.tif: 80 x 96 px, but other images of the plate: 96 x 96 px; plate P1 well A02 site 2",
    ),
    (_black, "blank_image", "A02_s2_DNA.tif: all-black: every pixel is 0; plate P1 well A02 site 2 channel 'DNA'"),
    (_saturated, "saturated_image", "A02_s2_DNA.tif: saturated: 50.0% of its pixels are 4095, more than 20.0%"),
    (_all_saturated, "saturated_image", "A02_s2_DNA.tif: saturated: every pixel is 65535; plate P1 well A02 site 2"),
    (
        _other_type,
        "type_mismatch",
        "A02_s2_DNA.tif: pixels are uint8, but those of other images of the channel: uint16; plate P1 well A02 site 2",
    ),
    (_nan, "nan_pixels", "A02_s2_DNA.tif: 1 of 9216 pixels are NaN or infinite; plate P1 well A02 site 2"),
]


@pytest.mark.parametrize(("spoil", "reason", "sentence"), BAD_PIXELS, ids=[row[0].__name__[1:] for row in BAD_PIXELS])
def test_a_bad_image_is_an_error_or_its_site_is_listed(
    raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Any], None], reason: str, sentence: str
) -> None:
    spoil(raw)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        ingest(raw.config(), tmp_path / "data", workers=0)
    assert sentence in str(caught.value)
    assert "on_error: skip" in str(caught.value)
    assert not (tmp_path / "data" / "dataset.json").exists()

    summary = ingest(raw.config(on_error="skip"), tmp_path / "skipped", workers=0)
    dataset = Dataset.open(tmp_path / "skipped")
    (entry,) = dataset.manifest.skipped
    assert (entry.source, entry.bag, entry.site, entry.reason) == ("P1", "A02", 2, reason)
    assert sentence in entry.detail
    assert str(tmp_path) not in entry.detail, "a message must not depend on where the data lie"
    assert summary.problems == (entry.detail,)
    bags = dataset.bags.set_index("Metadata_Well")
    assert bags.n_sites["A02"] == 1
    assert bags.n_tiles["A02"] > 0
    assert set(dataset.tile_table().query("bag == 1").site) == {1}


def test_the_build_continues_after_the_repair(raw: Any, tmp_path: Path, tree: Callable[[Path], Any]) -> None:
    file = raw.image("P1", "B01", 2, "Actin")
    good = file.read_bytes()
    file.write_bytes(good[:3000])
    config = raw.config(illumination={"method": "none"})
    with pytest.raises(InputError, match=r"B01_s2_Actin\.tif: truncated"):
        ingest(config, tmp_path / "data", workers=0)
    first = tmp_path / "data" / "shards" / "shard-000000.tar"
    written = first.stat().st_ino
    file.write_bytes(good)
    summary = ingest(config, tmp_path / "data", workers=0)
    assert summary.shards_reused == 1
    assert first.stat().st_ino == written
    ingest(config, tmp_path / "other", workers=0)
    assert tree(tmp_path / "data") == tree(tmp_path / "other")


def test_an_image_that_changes_between_attempts_redoes_its_shard(
    raw: Any, tmp_path: Path, tree: Callable[[Path], Any], stop_before_tables: Callable[..., None]
) -> None:
    config = raw.config(illumination={"method": "none"})
    stop_before_tables(config, tmp_path / "data")
    file = raw.image("P1", "B01", 1, "Actin")
    tifffile.imwrite(file, tifffile.imread(file) + 1)
    assert ingest(config, tmp_path / "data", workers=0).shards_reused == 1, "the shard of A01 and A02"
    ingest(config, tmp_path / "other", workers=0)
    assert tree(tmp_path / "data") == tree(tmp_path / "other")


def test_the_first_bad_site_in_order_is_the_one_reported(raw: Any, tmp_path: Path) -> None:
    for well in ("B01", "A02"):
        file = raw.image("P1", well, 1, "DNA")
        file.write_bytes(file.read_bytes()[:3000])
    for workers in (0, 2):
        with pytest.raises(InputError, match=r"A02_s1_DNA\.tif"):
            ingest(raw.config(), tmp_path / f"data{workers}", workers=workers)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_an_unknown_channel_is_always_an_error(raw: Any, tmp_path: Path, on_error: str) -> None:
    with pytest.raises(
        InputError, match=r"plate 'P1': no channel 'Actine'; the export has Actin, DNA; did you mean 'Actin'\?"
    ):
        ingest(raw.config(channels=["DNA", "Actine"], on_error=on_error), tmp_path / "data", workers=0)


def test_duplicate_images_are_named_both(raw: Any, tmp_path: Path) -> None:
    twin = raw.folder / "P1" / "more" / "A02_s2_DNA.tif"
    twin.parent.mkdir()
    twin.write_bytes(raw.image("P1", "A02", 2, "DNA").read_bytes())
    with pytest.raises(InputError, match="a second image of plate P1 well A02 site 2 channel 'DNA'"):
        ingest(raw.config(), tmp_path / "data", workers=0)
    ingest(raw.config(on_error="skip"), tmp_path / "data", workers=0)
    (entry,) = Dataset.open(tmp_path / "data").manifest.skipped
    assert entry.reason == "duplicate_image"


def test_wells_must_be_on_both_sides(raw: Any, tmp_path: Path) -> None:
    text = raw.platemap.read_text().replace("A02,", "C07,")
    raw.platemap.write_text(text)
    with pytest.raises(InputError) as caught:
        ingest(raw.config(), tmp_path / "data", workers=0)
    assert "plate P1 well A02 has images, but the plate map has no row for it" in str(caught.value)
    assert "plate P1 well C07 is in the plate map, but has no image" in str(caught.value)
    ingest(raw.config(on_error="skip"), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    assert [(item.bag, item.reason) for item in dataset.manifest.skipped] == [
        ("A02", "well_not_in_platemap"),
        ("C07", "well_without_images"),
    ]
    assert dataset.bags.Metadata_Well.tolist() == ["A01", "A10", "B01", "B02"]


def test_a_well_that_lost_a_whole_site_is_named(raw: Any, tmp_path: Path) -> None:
    for channel in ("DNA", "Actin"):
        raw.image("P1", "B01", 2, channel).unlink()
    summary = ingest(raw.config(), tmp_path / "data", workers=0)
    assert "plate P1: 4 wells have 2 sites each, but B01 has 1" in summary.notes


def test_bad_images_of_an_empty_well_do_no_harm(raw: Any, tmp_path: Path) -> None:
    raw.image("P1", "A10", 1, "DNA").write_bytes(b"no TIFF")
    summary = ingest(raw.config(), tmp_path / "data", workers=0)
    assert "P1/A10" in summary.empty_wells
    assert summary.problems == ()


def test_checks_can_be_loosened(raw: Any, tmp_path: Path) -> None:
    _saturated(raw)
    tifffile.imwrite(raw.image("P1", "A02", 1, "Actin"), np.zeros((96, 96), np.uint16))
    checks = {"allow_blank": True, "max_saturated_share": 0.6}
    summary = ingest(raw.config(checks=checks), tmp_path / "data", workers=0)
    assert summary.problems == ()


def test_many_problems_are_counted(raw: Any, tmp_path: Path) -> None:
    for well in ("A01", "A02", "B01"):
        for site in (1, 2):
            raw.image("P1", well, site, "DNA").unlink()
    with pytest.raises(InputError, match=r"\.\.\. and 1 more problems; list them all with --dry-run"):
        ingest(raw.config(), tmp_path / "data", workers=0)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tiles": {"size_px": 200}}, "images of 96 x 96 px hold no tile of 200 px; lower tiles.size_px"),
        ({"tiles": {"size_px": 96}}, "but none whose tile of 96 px is inside the image"),
        ({"nuclei": {"channel": "DNA", "diameter_um": 0.5}}, "a nucleus of 0.5 um is 1.0 px at 0.5 um a pixel"),
    ],
)
def test_sizes_that_cannot_work_are_explained(raw: Any, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        ingest(raw.config(**changes), tmp_path / "data", workers=0)
    assert sentence in str(caught.value)


def test_no_usable_site_at_all_is_an_error_even_when_skipping(raw: Any, tmp_path: Path) -> None:
    for file in (raw.folder / "P1").glob("*_DNA.tif"):
        file.write_bytes(b"no TIFF")
    with pytest.raises(InputError, match="plate 'P1': no usable site"):
        ingest(raw.config(on_error="skip"), tmp_path / "data", workers=0)


def test_plates_must_agree(two_plates: Any, tmp_path: Path) -> None:
    first, second = two_plates.plain["plates"]
    with pytest.raises(InputError, match="two entries of 'plates' are called 'P1'"):
        ingest(two_plates.config(plates=[first, first]), tmp_path / "data", workers=0)
    other = {**second, "source": {**second["source"], "pixel_size_um": 0.6}}
    with pytest.raises(InputError, match=r"plate 'P1' has pixels of 0\.5 um and plate 'P2' of 0\.6 um"):
        ingest(two_plates.config(plates=[first, other]), tmp_path / "data", workers=0)


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"site": None}, "has 2 sites, but the table does not say in which site a cell lies"),
        ({"x": "xx"}, "no column 'xx' for 'cells.x' among 4 columns"),
        ({"pattern": "nowhere/{well}.csv"}, "nowhere/A01.csv: plate P1 well A01 has no such table of cells"),
    ],
)
def test_cell_tables_that_do_not_fit(raw: Any, tmp_path: Path, cells: dict[str, Any], sentence: str) -> None:
    pattern = str(raw.folder / "P1" / "cells_{well}.csv")
    markers = {"M": {"column": "intensity"}}
    plain = {"pattern": pattern, "x": "x", "y": "y", "site": "site", "markers": markers, **cells}
    raw.plain["plates"][0]["cells"] = plain
    with pytest.raises(InputError) as caught:
        ingest(raw.config(), tmp_path / "data", workers=0)
    assert sentence in str(caught.value)


def test_a_site_error_survives_the_way_back_from_a_worker() -> None:
    problem = Problem(plate="P", well="A01", site=1, file="f.tif", reason="nan_pixels", detail="f.tif: NaN")
    copy = pickle.loads(pickle.dumps(SiteError(problem)))  # noqa: S301 - what Dask does
    assert (type(copy), copy.problem, str(copy)) == (SiteError, problem, "f.tif: NaN")
