"""Harmony exports: both forms of the index, names without one, and everything that can be wrong with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from data_tools.readers.plates.base import Export, read_image
from data_tools.readers.plates.harmony import HarmonyConfig, read_harmony
from framework.config import parse_config
from framework.errors import ConfigError, InputError

V5 = 'xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"'
V7 = 'xmlns="http://www.perkinelmer.com/PEHH/HarmonyV7"'
CHANNELS = ("Hoechst", "Actin")


def _facts(channel: int, size: str = "5E-07", size_y: str | None = None) -> str:
    return (
        f"<ChannelName>{CHANNELS[channel - 1]}</ChannelName><ImageResolutionX Unit='m'>{size}</ImageResolutionX>"
        f"<ImageResolutionY Unit='m'>{size_y or size}</ImageResolutionY>"
    )


def _url(row: int = 2, col: int = 3, site: int = 1, plane: int = 1, channel: int = 1, time: int = 1) -> str:
    return f"r{row:02d}c{col:02d}f{site:02d}p{plane:02d}-ch{channel}sk{time}fk1fl1.tiff"


def _image(facts: str = "", *, state: str = "Ok", url: str | None = None, time_id: int = 0, **place: int) -> str:
    at = {"row": 2, "col": 3, "site": 1, "plane": 1, "channel": 1} | place
    return (
        f"<Image Version='1'><id>{at['row']:02d}{at['col']:02d}F{at['site']}R{at['channel']}</id><State>{state}</State>"
        f"<URL>{_url(**at) if url is None else url}</URL><Row>{at['row']}</Row><Col>{at['col']}</Col>"
        f"<FieldID>{at['site']}</FieldID><PlaneID>{at['plane']}</PlaneID><TimepointID>{time_id}</TimepointID>"
        f"<ChannelID>{at['channel']}</ChannelID><FlimID>1</FlimID>{facts}</Image>"
    )


def _v5(**options: Any) -> str:
    return _image(_facts(options.get("channel", 1)), **options)


def _plate(name: str = "P1", wells: tuple[str, ...] = ("0203",)) -> str:
    listed = "".join(f"<Well id='{well}' />" for well in wells)
    return (
        f"<Plate><PlateID>{name}</PlateID><Name>{name} name</Name><PlateRows>8</PlateRows>"
        f"<PlateColumns>12</PlateColumns>{listed}</Plate>"
    )


def _document(images: str, *, plates: str | None = None, maps: str = "<Maps />", namespace: str = V5) -> str:
    return (
        f"<?xml version='1.0' encoding='utf-8'?><EvaluationInputData {namespace}><User>x</User>"
        f"<Plates>{_plate() if plates is None else plates}</Plates>"
        f"<Wells><Well><id>0203</id><Row>2</Row><Col>3</Col><Image id='x' /></Well></Wells>{maps}"
        f"<Images>{images}</Images></EvaluationInputData>"
    )


def _v7_maps(sizes: tuple[str, str] = ("5E-07", "5E-07")) -> str:
    flat = "".join(f"<Entry ChannelID='{n}'><FlatfieldProfile>{{}}</FlatfieldProfile></Entry>" for n in (1, 2))
    facts = "".join(f"<Entry ChannelID='{n}'>{_facts(n, size)}</Entry>" for n, size in enumerate(sizes, start=1))
    other = "<Entry ChannelID='1'><SkewcropParameters /></Entry>"
    return f"<Maps><Map>{flat}</Map><Map>{other}</Map><Map>{facts}</Map></Maps>"


def _write(tmp_path: Path, text: str, *files: str, name: str = "Index.idx.xml", bom: bool = True) -> Path:
    folder = tmp_path / "export" / "Images"
    folder.mkdir(parents=True)
    (folder / name).write_bytes((b"\xef\xbb\xbf" if bom else b"") + text.encode())
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).touch()
    return folder.parent


def _read(folder: Path, **options: Any) -> Export:
    return read_harmony(HarmonyConfig.from_plain({"name": "harmony", "path": str(folder), **options}))


def _facts_of(export: Export) -> list[tuple[str, int, str, int, int, str]]:
    return [(ref.well, ref.site, ref.channel, ref.plane, ref.timepoint, ref.file.name) for ref in export.refs]


EXPECTED = [("B03", site, CHANNELS[ch - 1], 1, 1, _url(site=site, channel=ch)) for site in (1, 2) for ch in (1, 2)]
PLACES = [{"site": site, "channel": channel} for site in (2, 1) for channel in (2, 1)]
FILES = [_url(**place) for place in PLACES]


@pytest.mark.parametrize("bom", [True, False])
@pytest.mark.parametrize("namespace", [V5, "", 'xmlns="urn:something-else"'])
def test_a_v5_index(tmp_path: Path, bom: bool, namespace: str) -> None:
    text = _document("".join(_v5(**place) for place in PLACES), namespace=namespace)
    export = _read(_write(tmp_path, text, *FILES, bom=bom))
    assert _facts_of(export) == EXPECTED
    assert (export.plate, export.rows, export.columns, export.channels) == ("P1", 8, 12, CHANNELS)
    assert export.pixel_size_um == pytest.approx(0.5)
    assert export.problems == ()


def test_a_v7_index_says_the_same(tmp_path: Path) -> None:
    images = "".join(_image(time_id=1, **place) for place in PLACES)
    text = _document(images, maps=_v7_maps(), namespace=V7)
    export = _read(_write(tmp_path, text, *FILES, name="Index.xml"))
    assert _facts_of(export) == EXPECTED
    assert export.channels == CHANNELS
    assert export.pixel_size_um == pytest.approx(0.5)
    assert export.problems == ()


def test_a_prefix_instead_of_a_default_namespace(tmp_path: Path) -> None:
    text = _document(_v5(), namespace="").replace("<", "<h:").replace("<h:/", "</h:").replace("<h:?", "<?")
    text = text.replace("<h:EvaluationInputData ", '<h:EvaluationInputData xmlns:h="urn:x" ')
    assert _read(_write(tmp_path, text, _url())).sites() == [("B03", 1)]


def test_the_path_may_be_export_folder_images_folder_or_index(tmp_path: Path) -> None:
    folder = _write(tmp_path, _document(_v5()), _url())
    exports = [_read(path) for path in (folder, folder / "Images", folder / "Images" / "Index.idx.xml")]
    assert exports[0].refs == exports[1].refs == exports[2].refs
    assert len(exports[0].refs) == 1


def test_two_indexes_are_not_guessed_between(tmp_path: Path) -> None:
    folder = _write(tmp_path, _document(_v5()), _url())
    (folder / "Images" / "Index.xml").write_text(_document(_v5()))
    with pytest.raises(InputError, match=r"holds Index\.idx\.xml and Index\.xml; write the right one in 'path:'"):
        _read(folder)


def test_images_of_bad_state_are_problems(tmp_path: Path) -> None:
    text = _document(_v5() + _v5(site=2, state="Aborted"))
    export = _read(_write(tmp_path, text, _url(), _url(site=2)))
    assert export.sites() == [("B03", 1)]
    (problem,) = export.problems
    assert (problem.reason, problem.well, problem.site) == ("image_state", "B03", 2)
    assert "has state 'Aborted', expected 'Ok'" in problem.detail


def test_missing_files_are_problems(tmp_path: Path) -> None:
    export = _read(_write(tmp_path, _document(_v5() + _v5(site=2)), _url()))
    assert export.sites() == [("B03", 1)]
    (problem,) = export.problems
    assert (problem.reason, problem.well, problem.site) == ("missing_image", "B03", 2)
    assert problem.detail.endswith("plate P1 well B03 site 2 channel 'Hoechst'")


def test_urls_may_have_folders_but_not_leave_the_export(tmp_path: Path) -> None:
    (tmp_path / "secret.tiff").touch()
    urls = ("sub/a.tiff", r"sub\b.tiff", "../../secret.tiff", "/etc/passwd", "C:/a.tiff", "sub/../../x.tiff", ".")
    images = "".join(_v5(site=site, url=url) for site, url in enumerate(urls, start=1))
    export = _read(_write(tmp_path, _document(images), "sub/a.tiff", "sub/b.tiff"))
    assert export.sites() == [("B03", 1), ("B03", 2)]
    assert [problem.reason for problem in export.problems] == ["path_outside_export"] * 5


def test_a_linked_folder_is_no_way_around(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.tiff").touch()
    folder = _write(tmp_path, _document(_v5(url="link/a.tiff")))
    (folder / "Images" / "link").symlink_to(outside)
    assert [ref.file.name for ref in _read(folder).refs] == ["a.tiff"], "links are set by the user, not by the index"


@pytest.mark.parametrize("inner", ["", "Measurement 1"])
def test_an_index_that_is_no_ordinary_file_is_refused_at_once(tmp_path: Path, inner: str) -> None:
    folder = tmp_path / inner / "Images"
    folder.mkdir(parents=True)
    (folder / _url()).touch()
    os.mkfifo(folder / "Index.idx.xml")
    with pytest.raises(InputError, match=r"Index\.idx\.xml: expected an ordinary file with the index"):
        _read(tmp_path)


def test_an_index_that_is_a_link_to_nothing_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / _url()).touch()
    (tmp_path / "Index.xml").symlink_to("gone.xml")
    with pytest.raises(InputError, match=r"Index\.xml: expected an ordinary .* a link that leads nowhere"):
        _read(tmp_path)


def test_one_plane_is_read(tmp_path: Path) -> None:
    text = _document(_v5() + _v5(plane=2))
    folder = _write(tmp_path, text, _url(), _url(plane=2))
    with pytest.raises(InputError, match=r"several planes \(1, 2\); choose one with 'plane:', as 'plane: 1'"):
        _read(folder)
    assert _read(folder, plane=2).notes == ("plate P1: plane 2 of 1, 2 is read, as 'plane: 2' says",)
    assert [ref.file.name for ref in _read(folder, plane=2).refs] == [_url(plane=2)]
    with pytest.raises(InputError, match="no image of plane 3; there is plane 1, 2"):
        _read(folder, plane=3)


def test_planes_are_projected_where_all_are_there(tmp_path: Path) -> None:
    images = "".join(_v5(site=site, plane=plane) for site in (1, 2) for plane in (1, 2))
    folder = _write(tmp_path, _document(images), _url(), _url(plane=2), _url(site=2))
    export = _read(folder, plane="max")
    (ref,) = export.refs
    assert (ref.site, ref.projection) == (1, "max")
    assert [file.name for file in ref.files] == [_url(), _url(plane=2)]
    (lost,) = export.problems
    assert (lost.reason, Path(lost.file or "").name) == ("missing_image", _url(site=2, plane=2))


def test_timepoints_count_from_one_and_must_be_chosen(tmp_path: Path) -> None:
    images = "".join(_v5(time_id=time, url=_url(time=time + 1)) for time in (0, 1))
    folder = _write(tmp_path, _document(images), _url(), _url(time=2))
    with pytest.raises(InputError, match=r"several timepoints \(1, 2\)"):
        _read(folder)
    assert [ref.file.name for ref in _read(folder, timepoint=2).refs] == [_url(time=2)]


def test_a_duplicate_is_a_problem_but_an_entry_written_twice_is_not(tmp_path: Path) -> None:
    folder = _write(tmp_path, _document(_v5() + _v5() + _v5(url="other.tiff")), _url(), "other.tiff")
    export = _read(folder)
    assert [ref.file.name for ref in export.refs] == ["other.tiff"]
    (problem,) = export.problems
    assert problem.reason == "duplicate_image"
    assert _url() in problem.detail
    assert "other.tiff" in problem.detail


def test_two_plates_must_be_chosen_between(tmp_path: Path) -> None:
    plates = _plate("P1", ("0203",)) + _plate("P2", ("0304",))
    text = _document(_v5() + _v5(row=3, col=4), plates=plates)
    folder = _write(tmp_path, text, _url(), _url(row=3, col=4))
    with pytest.raises(InputError, match=r"holds 2 plates \(P1, P2\); choose one with 'plate:'"):
        _read(folder)
    assert _read(folder, plate="P2").wells() == ["C04"]
    with pytest.raises(InputError, match="called 'P22'; it holds P1, P2; did you mean 'P2'"):
        _read(folder, plate="P22")


def test_plates_that_share_a_well_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = _write(tmp_path, _document(_v5(), plates=_plate("P1") + _plate("P2")), _url())
    with pytest.raises(InputError, match="well B03 belongs to several plates"):
        _read(folder, plate="P2")


def test_plate_renames_the_only_one(tmp_path: Path) -> None:
    export = _read(_write(tmp_path, _document(_v5()), _url()), plate="mine")
    assert export.plate == "mine"
    assert export.refs[0].plate == "mine"


@pytest.mark.parametrize(
    ("size", "unit", "expected"), [("0.6", "um", 0.6), ("1", "m", None), ("0", "m", None), ("", "m", None)]
)
def test_placeholders_are_no_pixel_size(tmp_path: Path, size: str, unit: str, expected: float | None) -> None:
    text = _document(_image(_facts(1, size).replace("Unit='m'", f"Unit='{unit}'")))
    export = _read(_write(tmp_path, text, _url()))
    assert export.pixel_size_um == expected
    assert export.problems == ()


def test_oblong_pixels_are_a_problem(tmp_path: Path) -> None:
    export = _read(_write(tmp_path, _document(_image(_facts(1, "5E-07", "6E-07"))), _url()))
    assert [problem.reason for problem in export.problems] == ["pixel_size"]
    assert "0.5 um wide and 0.6 um high" in export.problems[0].detail


def test_channels_of_unequal_size_are_a_problem(tmp_path: Path) -> None:
    images = "".join(_image(time_id=1, channel=channel) for channel in (1, 2))
    text = _document(images, maps=_v7_maps(("5E-07", "1E-06")), namespace=V7)
    export = _read(_write(tmp_path, text, _url(), _url(channel=2)))
    assert "channels have pixels of 0.5, 1 um" in export.problems[0].detail


def test_channels_of_one_name_need_names(tmp_path: Path) -> None:
    images = _image(_facts(1)) + _image(_facts(1), channel=2)
    folder = _write(tmp_path, _document(images), _url(), _url(channel=2))
    with pytest.raises(InputError, match=r"[/\\].*: plate .*: channels ch1, ch2 are all called 'Hoechst'"):
        _read(folder)
    assert _read(folder, channel_names={"ch2": "Brightfield"}).channels == ("Hoechst", "Brightfield")


def test_a_channel_of_two_names_is_a_problem(tmp_path: Path) -> None:
    images = _image(_facts(1)) + _image(_facts(2), site=2)
    export = _read(_write(tmp_path, _document(images), _url(), _url(site=2)))
    assert [problem.reason for problem in export.problems] == ["channel_name"]
    assert "calls channel ch1 by 2 names (Hoechst, Actin)" in export.problems[0].detail


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<EvaluationInputData><Images>", "damaged or no XML .*; expected an index of Harmony; export it again"),
        ("", "damaged or no XML"),
        ("<html />", "expected an index of Harmony with the element EvaluationInputData, found html"),
        (_document(""), "the index lists no image"),
        (_document(_v5().replace("<Row>2</Row>", "")), "Image 0203F1R1: Row: expected a whole number, found ''"),
        (_document(_v5().replace("<FieldID>1<", "<FieldID>one<")), "FieldID: expected a whole number, found 'one'"),
        (
            '<!DOCTYPE a [<!ENTITY b "c">]><EvaluationInputData>&b;</EvaluationInputData>',
            "no safe XML .*EntitiesForbidden",
        ),
    ],
)
def test_a_bad_index_is_an_error(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        _read(_write(tmp_path, text, bom=False))


def test_measurements_are_never_mixed(tmp_path: Path) -> None:
    _write(tmp_path, _document(_v5()), _url()).rename(tmp_path / "m1")
    assert [ref.file.name for ref in _read(tmp_path).refs] == [_url()], "the only measurement is the one that is meant"
    _write(tmp_path, _document(_v5()), _url()).rename(tmp_path / "m2")
    with pytest.raises(InputError, match=r"holds 2 measurements \(m1/.*Index\.idx\.xml, m2/.*Index\.idx\.xml\); write"):
        _read(tmp_path)


def test_without_an_index_names_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "Plate7" / "Images"
    folder.mkdir(parents=True)
    for name in (_url(1, 2, 3), _url(16, 24, channel=2).upper(), _url(1, 2, 3, plane=2), "x.tif"):
        (folder / name).touch()
    export = _read(folder.parent, plane=1)
    places = [(ref.well, ref.site, ref.channel, ref.plane) for ref in export.refs]
    assert places == [("A02", 3, "ch1", 1), ("P24", 1, "ch2", 1)]
    assert (export.plate, export.channels, export.pixel_size_um) == ("Plate7", ("ch1", "ch2"), None)
    assert "no index" in export.notes[0]
    assert "1 image files have other names and are not read, as x.tif" in export.notes[2]
    named = _read(folder, plane=1, channel_names={"ch1": "Hoechst"}, plate="Q")
    assert (named.plate, named.channels) == ("Q", ("Hoechst", "ch2"))


def test_a_folder_without_anything_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image \(\.tif, \.tiff\) in this folder or below it: it is empty"):
        _read(tmp_path)
    (tmp_path / "x.tif").touch()
    with pytest.raises(
        InputError, match=r"no Index\.idx\.xml or Index\.xml here .* none of its 1 images is named as r01"
    ):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("channel_names: {Hoechst: ch1}", "'channel_names' has the key 'Hoechst'; expected ch1, ch2, ..."),
        ("channel_names: {ch1: A, ch2: A}", "'channel_names' gives two channels the same name"),
        ("plane: 0", "expected a number >= 1, found 0"),
        (
            "plain: 1",
            "timepoint, channel_names, measurement, rename; did you mean 'plane'?",
        ),
    ],
)
def test_a_bad_config_is_an_error(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"name: harmony\npath: x\n{line}\n", HarmonyConfig, "c.yaml")
    assert message in str(caught.value)


def test_a_large_index_is_streamed(tmp_path: Path) -> None:
    places = [(row, col, site) for row in range(1, 17) for col in range(1, 25) for site in range(1, 6)]
    images = "".join(_v5(row=row, col=col, site=site) for row, col, site in places)
    export = _read(_write(tmp_path, _document(images), *(_url(row=r, col=c, site=s) for r, c, s in places)))
    assert len(export.refs) == len(export.sites()) == 1920
    assert export.problems == ()


@pytest.mark.real_data
def test_a_true_v5_export(real_data: Path) -> None:
    export = _read(real_data / "phenix-index-xml")
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
    export = _read(images)
    assert export.plate == "COLO858_R1"
    assert export.sites() == [("B02", 1), ("B03", 1), ("B04", 1)]
    assert export.channels[0] == "Hoechst"
    assert len(export.refs) == 12
    for file in images.glob("*.tiff"):
        (tmp_path / file.name).symlink_to(file)
    names = {f"ch{number}": name for number, name in enumerate(export.channels, start=1)}
    by_name = _read(tmp_path, channel_names=names, plate=export.plate)
    assert _facts_of(by_name) == _facts_of(export)


def test_measurements_that_are_named_are_joined(tmp_path: Path) -> None:
    _write_measurements(tmp_path, m1=_v5() + _v5(channel=2), m2=_v5(site=2) + _v5(site=2, channel=2))
    export = _read(tmp_path, measurement=["m1", "m2"])
    assert [(ref.well, ref.site, ref.channel, ref.file.parts[-3]) for ref in export.refs] == [
        ("B03", 1, "Hoechst", "m1"),
        ("B03", 1, "Actin", "m1"),
        ("B03", 2, "Hoechst", "m2"),
        ("B03", 2, "Actin", "m2"),
    ]
    assert (export.plate, export.pixel_size_um, export.problems) == ("P1", 0.5, ())
    assert export.notes[-1] == (
        "plate P1: joined from the measurements 'm1' (1 wells, Hoechst, Actin), 'm2' (1 wells, Hoechst, Actin); sites "
        "of one number are one place"
    )


def test_channels_of_a_second_round_need_names_of_their_own(tmp_path: Path) -> None:
    _write_measurements(tmp_path, m1=_v5(), m2=_v5() + _v5(channel=2))
    with pytest.raises(InputError, match=r"well B03 site 1 has images of channel 'Hoechst' in .*'m1' and 'm2'; call"):
        _read(tmp_path, measurement=["m1", "m2"])
    export = _read(tmp_path, measurement=["m1", "m2"], rename={"m2": {"Hoechst": "Hoechst 2"}})
    assert export.channels == ("Hoechst", "Hoechst 2", "Actin")
    assert {channel: ref.file.parts[-3] for channel, ref in export.images("B03", 1).items()} == {
        "Hoechst": "m1",
        "Hoechst 2": "m2",
        "Actin": "m2",
    }
    with pytest.raises(InputError, match=r"'rename' names channel 'Hoecht' of measurement 'm2', .*did you mean"):
        _read(tmp_path, measurement=["m1", "m2"], rename={"m2": {"Hoecht": "x"}})
    with pytest.raises(ValueError, match="'rename' names 'm3', which is none of the joined measurements"):
        _read(tmp_path, measurement=["m1", "m2"], rename={"m3": {}})
    with pytest.raises(ValueError, match="'measurement' names one twice: m1, m1"):
        _read(tmp_path, measurement=["m1", "m1"])


def test_measurements_of_different_plates_or_pixels_are_not_joined(tmp_path: Path) -> None:
    _write_measurements(tmp_path, m1=_v5(), m2=_image(_facts(1, size="1E-06"), site=2))
    with pytest.raises(InputError, match=r"different pixel sizes \('m1': 0\.5, 'm2': 1\.0\) are not joined"):
        _read(tmp_path, measurement=["m1", "m2"])
    (tmp_path / "m2/Images/Index.idx.xml").write_text(_document(_v5(site=2), plates=_plate("P2")))
    with pytest.raises(InputError, match=r"different plates \('m1': P1, 'm2': P2\) are not joined; if they are one"):
        _read(tmp_path, measurement=["m1", "m2"])
    assert _read(tmp_path, measurement=["m1", "m2"], plate="P").plate == "P"


def _write_measurements(folder: Path, **images: str) -> None:
    for name, listed in images.items():
        (folder / name / "Images").mkdir(parents=True)
        (folder / name / "Images" / "Index.idx.xml").write_text(_document(listed))
        for site in (1, 2):
            for channel in (1, 2):
                (folder / name / "Images" / _url(site=site, channel=channel)).touch()
