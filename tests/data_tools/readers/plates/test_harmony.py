"""Harmony exports: both forms of the index, names without one, and everything that can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fixtures.harmony_index import (
    CHANNELS,
    V5,
    V7,
    _v7_maps,
    _write,
    image,
    image_facts,
    image_url,
    image_v5,
    index_document,
    plate_element,
    read,
)

from data_tools.readers.plates.base import Export, read_image
from data_tools.readers.plates.harmony import HarmonyConfig
from framework.config import parse_config
from framework.errors import ConfigError, InputError


def _facts_of(export: Export) -> list[tuple[str, int, str, int, int, str]]:
    return [(ref.well, ref.site, ref.channel, ref.plane, ref.timepoint, ref.file.name) for ref in export.refs]


EXPECTED = [("B03", site, CHANNELS[ch - 1], 1, 1, image_url(site=site, channel=ch)) for site in (1, 2) for ch in (1, 2)]
PLACES = [{"site": site, "channel": channel} for site in (2, 1) for channel in (2, 1)]
FILES = [image_url(**place) for place in PLACES]


@pytest.mark.parametrize("bom", [True, False])
@pytest.mark.parametrize("namespace", [V5, "", 'xmlns="urn:something-else"'])
def test_a_v5_index(tmp_path: Path, bom: bool, namespace: str) -> None:
    text = index_document("".join(image_v5(**place) for place in PLACES), namespace=namespace)
    export = read(_write(tmp_path, text, *FILES, bom=bom))
    assert _facts_of(export) == EXPECTED
    assert (export.plate, export.rows, export.columns, export.channels) == ("P1", 8, 12, CHANNELS)
    assert export.pixel_size_um == pytest.approx(0.5)
    assert export.problems == ()


def test_a_v7_index_says_the_same(tmp_path: Path) -> None:
    images = "".join(image(time_id=1, **place) for place in PLACES)
    text = index_document(images, maps=_v7_maps(), namespace=V7)
    export = read(_write(tmp_path, text, *FILES, name="Index.xml"))
    assert _facts_of(export) == EXPECTED
    assert export.channels == CHANNELS
    assert export.pixel_size_um == pytest.approx(0.5)
    assert export.problems == ()


def test_a_prefix_instead_of_a_default_namespace(tmp_path: Path) -> None:
    text = index_document(image_v5(), namespace="").replace("<", "<h:").replace("<h:/", "</h:").replace("<h:?", "<?")
    text = text.replace("<h:EvaluationInputData ", '<h:EvaluationInputData xmlns:h="urn:x" ')
    assert read(_write(tmp_path, text, image_url())).sites() == [("B03", 1)]


def test_the_path_may_be_export_folder_images_folder_or_index(tmp_path: Path) -> None:
    folder = _write(tmp_path, index_document(image_v5()), image_url())
    exports = [read(path) for path in (folder, folder / "Images", folder / "Images" / "Index.idx.xml")]
    assert exports[0].refs == exports[1].refs == exports[2].refs
    assert len(exports[0].refs) == 1


def test_two_indexes_are_not_guessed_between(tmp_path: Path) -> None:
    folder = _write(tmp_path, index_document(image_v5()), image_url())
    (folder / "Images" / "Index.xml").write_text(index_document(image_v5()))
    with pytest.raises(InputError, match=r"holds Index\.idx\.xml and Index\.xml; write the right one in 'path:'"):
        read(folder)


def test_images_of_bad_state_are_problems(tmp_path: Path) -> None:
    text = index_document(image_v5() + image_v5(site=2, state="Aborted"))
    export = read(_write(tmp_path, text, image_url(), image_url(site=2)))
    assert export.sites() == [("B03", 1)]
    (problem,) = export.problems
    assert (problem.reason, problem.well, problem.site) == ("image_state", "B03", 2)
    assert "has state 'Aborted', expected 'Ok'" in problem.detail


def test_missing_files_are_problems(tmp_path: Path) -> None:
    export = read(_write(tmp_path, index_document(image_v5() + image_v5(site=2)), image_url()))
    assert export.sites() == [("B03", 1)]
    (problem,) = export.problems
    assert (problem.reason, problem.well, problem.site) == ("missing_image", "B03", 2)
    assert problem.detail.endswith("plate P1 well B03 site 2 channel 'Hoechst'")


def test_urls_may_have_folders_but_not_leave_the_export(tmp_path: Path) -> None:
    (tmp_path / "secret.tiff").touch()
    urls = ("sub/a.tiff", r"sub\b.tiff", "../../secret.tiff", "/etc/passwd", "C:/a.tiff", "sub/../../x.tiff", ".")
    images = "".join(image_v5(site=site, url=url) for site, url in enumerate(urls, start=1))
    export = read(_write(tmp_path, index_document(images), "sub/a.tiff", "sub/b.tiff"))
    assert export.sites() == [("B03", 1), ("B03", 2)]
    assert [problem.reason for problem in export.problems] == ["path_outside_export"] * 5


def test_a_linked_folder_is_no_way_around(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.tiff").touch()
    folder = _write(tmp_path, index_document(image_v5(url="link/a.tiff")))
    (folder / "Images" / "link").symlink_to(outside)
    assert [ref.file.name for ref in read(folder).refs] == ["a.tiff"], "links are set by the user, not by the index"


@pytest.mark.parametrize("inner", ["", "Measurement 1"])
def test_an_index_that_is_no_ordinary_file_is_refused_at_once(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / inner / "Images"
    folder.mkdir(parents=True)
    (folder / image_url()).touch()
    os.mkfifo(folder / "Index.idx.xml")
    with pytest.raises(InputError, match=r"Index\.idx\.xml: expected an ordinary file with the index"):
        read(tmp_path)


def test_an_index_that_is_a_link_to_nothing_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / image_url()).touch()
    (tmp_path / "Index.xml").symlink_to("gone.xml")
    with pytest.raises(InputError, match=r"Index\.xml: expected an ordinary .* a link that leads nowhere"):
        read(tmp_path)


def test_one_plane_is_read(tmp_path: Path) -> None:
    text = index_document(image_v5() + image_v5(plane=2))
    folder = _write(tmp_path, text, image_url(), image_url(plane=2))
    with pytest.raises(InputError, match=r"several planes \(1, 2\); choose one with 'plane:', as 'plane: 1'"):
        read(folder)
    assert read(folder, plane=2).notes == ("plate P1: plane 2 of 1, 2 is read, as 'plane: 2' says",)
    assert [ref.file.name for ref in read(folder, plane=2).refs] == [image_url(plane=2)]
    with pytest.raises(InputError, match="no image of plane 3; there is plane 1, 2"):
        read(folder, plane=3)


def test_planes_are_projected_where_all_are_there(tmp_path: Path) -> None:
    images = "".join(image_v5(site=site, plane=plane) for site in (1, 2) for plane in (1, 2))
    folder = _write(tmp_path, index_document(images), image_url(), image_url(plane=2), image_url(site=2))
    export = read(folder, plane="max")
    (ref,) = export.refs
    assert (ref.site, ref.projection) == (1, "max")
    assert [file.name for file in ref.files] == [image_url(), image_url(plane=2)]
    (lost,) = export.problems
    assert (lost.reason, Path(lost.file or "").name) == ("missing_image", image_url(site=2, plane=2))


def test_timepoints_count_from_one_and_must_be_chosen(tmp_path: Path) -> None:
    images = "".join(image_v5(time_id=time, url=image_url(time=time + 1)) for time in (0, 1))
    folder = _write(tmp_path, index_document(images), image_url(), image_url(time=2))
    with pytest.raises(InputError, match=r"several timepoints \(1, 2\)"):
        read(folder)
    assert [ref.file.name for ref in read(folder, timepoint=2).refs] == [image_url(time=2)]


def test_a_duplicate_is_a_problem_but_an_entry_written_twice_is_not(tmp_path: Path) -> None:
    folder = _write(
        tmp_path, index_document(image_v5() + image_v5() + image_v5(url="other.tiff")), image_url(), "other.tiff"
    )
    export = read(folder)
    assert [ref.file.name for ref in export.refs] == ["other.tiff"]
    (problem,) = export.problems
    assert problem.reason == "duplicate_image"
    assert image_url() in problem.detail
    assert "other.tiff" in problem.detail


def test_two_plates_must_be_chosen_between(tmp_path: Path) -> None:
    plates = plate_element("P1", ("0203",)) + plate_element("P2", ("0304",))
    text = index_document(image_v5() + image_v5(row=3, col=4), plates=plates)
    folder = _write(tmp_path, text, image_url(), image_url(row=3, col=4))
    with pytest.raises(InputError, match=r"holds 2 plates \(P1, P2\); choose one with 'plate:'"):
        read(folder)
    assert read(folder, plate="P2").wells() == ["C04"]
    with pytest.raises(InputError, match="called 'P22'; it holds P1, P2; did you mean 'P2'"):
        read(folder, plate="P22")


def test_plates_that_share_a_well_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = _write(tmp_path, index_document(image_v5(), plates=plate_element("P1") + plate_element("P2")), image_url())
    with pytest.raises(InputError, match="well B03 belongs to several plates"):
        read(folder, plate="P2")


def test_plate_renames_the_only_one(tmp_path: Path) -> None:
    export = read(_write(tmp_path, index_document(image_v5()), image_url()), plate="mine")
    assert export.plate == "mine"
    assert export.refs[0].plate == "mine"


@pytest.mark.parametrize(
    ("size", "unit", "expected"), [("0.6", "um", 0.6), ("1", "m", None), ("0", "m", None), ("", "m", None)]
)
def test_placeholders_are_no_pixel_size(tmp_path: Path, size: str, unit: str, expected: float | None) -> None:
    text = index_document(image(image_facts(1, size).replace("Unit='m'", f"Unit='{unit}'")))
    export = read(_write(tmp_path, text, image_url()))
    assert export.pixel_size_um == expected
    assert export.problems == ()


def test_oblong_pixels_are_a_problem(tmp_path: Path) -> None:
    export = read(_write(tmp_path, index_document(image(image_facts(1, "5E-07", "6E-07"))), image_url()))
    assert [problem.reason for problem in export.problems] == ["pixel_size"]
    assert "0.5 um wide and 0.6 um high" in export.problems[0].detail


def test_channels_of_unequal_size_are_a_problem(tmp_path: Path) -> None:
    images = "".join(image(time_id=1, channel=channel) for channel in (1, 2))
    text = index_document(images, maps=_v7_maps(("5E-07", "1E-06")), namespace=V7)
    export = read(_write(tmp_path, text, image_url(), image_url(channel=2)))
    assert "channels have pixels of 0.5, 1 um" in export.problems[0].detail


def test_channels_of_one_name_need_names(tmp_path: Path) -> None:
    images = image(image_facts(1)) + image(image_facts(1), channel=2)
    folder = _write(tmp_path, index_document(images), image_url(), image_url(channel=2))
    with pytest.raises(InputError, match=r"[/\\].*: plate .*: channels ch1, ch2 are all called 'Hoechst'"):
        read(folder)
    assert read(folder, channel_names={"ch2": "Brightfield"}).channels == ("Hoechst", "Brightfield")


def test_a_channel_of_two_names_is_a_problem(tmp_path: Path) -> None:
    images = image(image_facts(1)) + image(image_facts(2), site=2)
    export = read(_write(tmp_path, index_document(images), image_url(), image_url(site=2)))
    assert [problem.reason for problem in export.problems] == ["channel_name"]
    assert "calls channel ch1 by 2 names (Hoechst, Actin)" in export.problems[0].detail


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<EvaluationInputData><Images>", "damaged, or not XML .*; expected an index of Harmony; export it again"),
        ("", "damaged, or not XML"),
        ("<html />", "expected an index of Harmony with the element EvaluationInputData, found html"),
        (index_document(""), "the index lists no image"),
        (
            index_document(image_v5().replace("<Row>2</Row>", "")),
            "Image 0203F1R1: Row: expected a whole number, found ''",
        ),
        (
            index_document(image_v5().replace("<FieldID>1<", "<FieldID>one<")),
            "FieldID: expected a whole number, found 'one'",
        ),
        (
            '<!DOCTYPE a [<!ENTITY b "c">]><EvaluationInputData>&b;</EvaluationInputData>',
            "not safe XML .*EntitiesForbidden",
        ),
    ],
)
def test_a_bad_index_is_an_error(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read(_write(tmp_path, text, bom=False))


def test_measurements_are_never_mixed(tmp_path: Path) -> None:
    _write(tmp_path, index_document(image_v5()), image_url()).rename(tmp_path / "m1")
    assert [ref.file.name for ref in read(tmp_path).refs] == [image_url()], (
        "the only measurement is the one that is meant"
    )
    _write(tmp_path, index_document(image_v5()), image_url()).rename(tmp_path / "m2")
    with pytest.raises(InputError, match=r"holds 2 measurements \(m1/.*Index\.idx\.xml, m2/.*Index\.idx\.xml\); write"):
        read(tmp_path)


def test_without_an_index_names_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "Plate7" / "Images"
    folder.mkdir(parents=True)
    for name in (image_url(1, 2, 3), image_url(16, 24, channel=2).upper(), image_url(1, 2, 3, plane=2), "x.tif"):
        (folder / name).touch()
    export = read(folder.parent, plane=1)
    places = [(ref.well, ref.site, ref.channel, ref.plane) for ref in export.refs]
    assert places == [("A02", 3, "ch1", 1), ("P24", 1, "ch2", 1)]
    assert (export.plate, export.channels, export.pixel_size_um) == ("Plate7", ("ch1", "ch2"), None)
    assert "no index" in export.notes[0]
    assert "1 image files have other names and are not read, as x.tif" in export.notes[2]
    named = read(folder, plane=1, channel_names={"ch1": "Hoechst"}, plate="Q")
    assert (named.plate, named.channels) == ("Q", ("Hoechst", "ch2"))


def test_a_folder_without_anything_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image \(\.tif, \.tiff\) in this folder or below it: it is empty"):
        read(tmp_path)
    (tmp_path / "x.tif").touch()
    with pytest.raises(
        InputError, match=r"no Index\.idx\.xml or Index\.xml here .* none of its 1 images has a name like r01"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("channel_names: {Hoechst: ch1}", "'channel_names' has the key 'Hoechst'; expected ch1, ch2, ..."),
        ("channel_names: {ch1: A, ch2: A}", "'channel_names' gives two channels the same name"),
        ("plane: 0", "expected a number >= 1, found 0"),
        (
            "plain: 1",
            "channel_names, plane, timepoint, measurement, rename; did you mean 'plane'?",
        ),
    ],
)
def test_a_bad_config_is_an_error(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"name: harmony\npath: x\n{line}\n", HarmonyConfig, "c.yaml")
    assert message in str(caught.value)


def test_a_large_index_is_streamed(tmp_path: Path) -> None:
    places = [(row, col, site) for row in range(1, 17) for col in range(1, 25) for site in range(1, 6)]
    images = "".join(image_v5(row=row, col=col, site=site) for row, col, site in places)
    export = read(_write(tmp_path, index_document(images), *(image_url(row=r, col=c, site=s) for r, c, s in places)))
    assert len(export.refs) == len(export.sites()) == 1920
    assert export.problems == ()


@pytest.mark.real_data
def test_a_true_v5_export(real_data: Path) -> None:
    export = read(real_data / "phenix-index-xml")
    assert (export.plate, export.rows, export.columns) == ("Test_Sample_BALL", 16, 24)
    assert export.sites() == [("C03", 1), ("C03", 2)]
    assert export.channels == ("Fluorescein (FITC)",)
    assert export.pixel_size_um == pytest.approx(1.1959521619135234)
    assert export.problems == ()
    image = read_image(export.refs[1])
    assert (image.shape, str(image.dtype)) == ((1080, 1080), "uint16")


@pytest.mark.real_data
def test_the_4i_plate_and_its_names_agree(real_data: Path, tmp_path: Path) -> None:
    images = real_data / "phenix-4i-round1" / "images"
    export = read(images)
    assert export.plate == "COLO858_R1"
    assert export.sites() == [("B02", 1), ("B03", 1), ("B04", 1)]
    assert export.channels[0] == "Hoechst"
    assert len(export.refs) == 12
    for file in images.glob("*.tiff"):
        (tmp_path / file.name).symlink_to(file)
    names = {f"ch{number}": name for number, name in enumerate(export.channels, start=1)}
    by_name = read(tmp_path, channel_names=names, plate=export.plate)
    assert _facts_of(by_name) == _facts_of(export)
