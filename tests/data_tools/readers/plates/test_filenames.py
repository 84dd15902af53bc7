"""Plates read by a pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_tools.readers.plates.base import read_image
from data_tools.readers.plates.filenames import FilenamesConfig, read_filenames
from framework.config import parse_config
from framework.errors import ConfigError, InputError

PATTERN = r"(?P<well>[A-Z]+\d+)_s(?P<site>\d+)_w(?P<channel>\d)\.tif"


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def _config(folder: Path, **more: object) -> FilenamesConfig:
    plain = {"path": str(folder), "plate": "P1", "pattern": PATTERN, **more}
    return FilenamesConfig.from_plain(plain)


def test_wells_sites_and_channels_stand_in_the_names(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_w1.tif", "A1_s1_w2.tif", "deep/er/B10_s2_w1.tif", "notes.txt")
    export = read_filenames(_config(tmp_path))
    assert [(ref.well, ref.site, ref.channel) for ref in export.refs] == [
        ("A01", 1, "1"),
        ("A01", 1, "2"),
        ("B10", 2, "1"),
    ]
    assert (export.plate, export.channels, export.pixel_size_um) == ("P1", ("1", "2"), None)
    assert export.problems == ()
    assert export.notes == ()


def test_channel_names_order_and_rename(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_w1.tif", "A1_s1_w2.tif")
    export = read_filenames(_config(tmp_path, channel_names={"2": "Actin", "1": "DNA", "3": "ER"}, pixel_size_um=0.65))
    assert export.channels == ("Actin", "DNA")
    assert [ref.channel for ref in export.refs] == ["Actin", "DNA"]
    assert export.pixel_size_um == 0.65


def test_a_channel_without_a_name_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_w1.tif", "A1_s1_w2.tif")
    with pytest.raises(InputError, match=r"finds channel\(s\) 2 that 'channel_names' does not name; it names 1"):
        read_filenames(_config(tmp_path, channel_names={"1": "DNA"}))


def test_other_files_are_counted_with_an_example(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_w1.tif", "A1_s1_w1_thumb.tif", "._A1_s1_w1.tif", "@eaDir/A1_s1_w1.tif", "q.tif", "x.TIFF")
    hidden, missed = read_filenames(_config(tmp_path)).notes
    assert "3 hidden files, thumbnails or folders of other systems are not images and are not read, as ._A1" in hidden
    assert "2 of 3 images do not match the pattern and are not read, as q.tif" in missed


def test_no_match_shows_an_example(tmp_path: Path) -> None:
    _touch(tmp_path, "plate_A1.tif")
    with pytest.raises(InputError, match=r"no image name of 1 matches .*; the first is plate_A1\.tif, which "):
        read_filenames(_config(tmp_path))


def test_rows_may_be_numbers_or_letters(tmp_path: Path) -> None:
    _touch(tmp_path, "r02c11f1chX.tif", "rDc3f1chX.tif")
    pattern = r"r(?P<row>\w+?)c(?P<column>\d+)f(?P<site>\d)ch(?P<channel>\w)\.tif"
    assert read_filenames(_config(tmp_path, pattern=pattern)).wells() == ["B11", "D03"]


def test_planes_and_timepoints_must_be_chosen(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_1_D_z1_t5.tif", "A1_1_D_z2_t5.tif")
    pattern = r"(?P<well>\w\d)_(?P<site>\d)_(?P<channel>\w)_z(?P<plane>\d)_t(?P<timepoint>\d)\.tif"
    with pytest.raises(InputError, match=r"several planes \(1, 2\)"):
        read_filenames(_config(tmp_path, pattern=pattern))
    (ref,) = read_filenames(_config(tmp_path, pattern=pattern, plane=2)).refs
    assert (ref.plane, ref.timepoint, ref.file.name) == (2, 5, "A1_1_D_z2_t5.tif")


def test_the_same_place_twice_is_a_problem(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_w1.tif", "A01_s1_w1.tif", "copy/A1_s1_w1.tif")
    export = read_filenames(_config(tmp_path))
    assert len(export.refs) == 1
    assert [problem.reason for problem in export.problems] == ["duplicate_image", "duplicate_image"]


def test_what_the_pattern_reads_must_be_a_well(tmp_path: Path) -> None:
    _touch(tmp_path, "Z99_s1_w1.tif")
    with pytest.raises(InputError, match=r"Z99_s1_w1\.tif: 'pattern' reads .*'well': 'Z99'.*expected 1 to 48"):
        read_filenames(_config(tmp_path))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<well>", "'pattern' is not a regular expression: missing ), unterminated subpattern at position 0"),
        (
            "(?P<well>a)(?P<channel>1)",
            "'pattern' lacks the group(s) (?P<site>...); with one site per well, write 'site: 1'",
        ),
        ("(?P<row>a)(?P<site>1)(?P<channel>c)", "either the group (?P<well>...), or (?P<row>...) and (?P<column>...)"),
        (
            "(?P<well>a)(?P<sight>1)(?P<channel>c)",
            "'pattern' has unknown group(s) sight; expected well, row, column, site, channel, plane, timepoint",
        ),
    ],
)
def test_a_bad_pattern_is_a_config_error(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"name: filenames\npath: x\nplate: P\npattern: '{pattern}'\n", FilenamesConfig, "c.yaml")
    assert message in str(caught.value)


@pytest.mark.real_data
def test_the_nf1_plate(real_data: Path) -> None:
    config = FilenamesConfig(
        path=str(real_data / "nf1-genotype-plate" / "Plate_2_images"),
        plate="Plate_2",
        pattern=r"(?P<well>[A-H]\d+)_01_\d_(?P<site>\d)_(?P<channel>[A-Z]+)_001\.tif",
    )
    export = read_filenames(config)
    assert export.sites() == [("B07", 3), ("D06", 2), ("D07", 1), ("F07", 2), ("H12", 1)]
    assert export.channels == ("DAPI", "GFP", "RFP")
    assert len(export.refs) == 15
    assert export.problems == ()
    image = read_image(export.images("B07", 3)["DAPI"])
    assert image.shape == (904, 1224)
    assert image.dtype == "uint16"


def test_constants_stand_for_groups_that_names_lack(tmp_path: Path) -> None:
    _touch(tmp_path, "9987_B02.TIF")
    pattern = r"9987_(?P<well>[A-H]\d\d)\.TIF"
    with pytest.raises(
        InputError,
        match=r"lacks the group \(\?P<channel>...\); with one channel, write 'channel: NAME' with its name, as DAPI",
    ):
        read_filenames(_config(tmp_path, pattern=pattern, site=1))
    (ref,) = read_filenames(_config(tmp_path, pattern=pattern, site=1, channel="DAPI")).refs
    assert (ref.well, ref.site, ref.channel) == ("B02", 1, "DAPI")
    (tmp_path / "9987.HTD").write_text('"WaveName1", "Hoechst"\n')
    assert read_filenames(_config(tmp_path, pattern=pattern, site=1)).channels == ("Hoechst",)
    with pytest.raises(ValueError, match="'site' is given, and 'pattern' has the group"):
        _config(tmp_path, site=1)


def test_groups_may_stand_in_folders(tmp_path: Path) -> None:
    _touch(tmp_path, *(f"TimePoint_{t}/ZStep_{z}/A1_s1_w1.tif" for t in (1, 2) for z in (0, 1)))
    pattern = r"TimePoint_(?P<timepoint>\d)/ZStep_(?P<plane>\d)/" + PATTERN
    with pytest.raises(InputError, match=r"several planes \(0, 1\); choose one with 'plane:', as 'plane: 0'"):
        read_filenames(_config(tmp_path, pattern=pattern))
    export = read_filenames(_config(tmp_path, pattern=pattern, plane=1, timepoint=2))
    assert [ref.file.relative_to(tmp_path).as_posix() for ref in export.refs] == ["TimePoint_2/ZStep_1/A1_s1_w1.tif"]
    assert export.notes[0] == "plate P1: plane 1 of 0, 1 is read, as 'plane: 1' says"
    assert export.notes[1] == "plate P1: timepoint 2 of 1, 2 is read, as 'timepoint: 2' says"


def test_what_has_no_image_of_the_chosen_plane_is_named(tmp_path: Path) -> None:
    _touch(tmp_path, "z1/A1_s1_w1.tif", "z1/A1_s2_w1.tif", "z2/A1_s1_w1.tif", "z1/B1_s1_w1.tif")
    export = read_filenames(_config(tmp_path, pattern=r"z(?P<plane>\d)/" + PATTERN, plane=2))
    assert [(item.reason, item.well, item.site) for item in export.problems] == [
        ("missing_plane", "A01", 2),
        ("missing_plane", "B01", 1),
    ]
    assert "well A01 site 2 channel '1' has images, but none of plane 2, as " in export.problems[0].detail


def test_sites_may_be_any_text(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_left_1.tif", "A1_f10_1.tif", "A1_f9_1.tif")
    export = read_filenames(_config(tmp_path, pattern=r"(?P<well>A1)_(?P<site>\w+)_(?P<channel>1)\.tif"))
    assert [(ref.site, ref.file.name) for ref in export.refs] == [
        (1, "A1_f9_1.tif"),
        (2, "A1_f10_1.tif"),
        (3, "A1_left_1.tif"),
    ]
    assert "sites are numbered in the order of their names: f9 = 1, f10 = 2, left = 3" in export.notes[0]


def test_wells_may_be_numbered(tmp_path: Path) -> None:
    _touch(tmp_path, "13_s1_w1.tif", "96_s1_w1.tif")
    pattern = r"(?P<well>\d+)_s(?P<site>\d)_w(?P<channel>\d)\.tif"
    with pytest.raises(InputError, match="'13' is not a well; if wells are numbered, write 'numbered_wells:"):
        read_filenames(_config(tmp_path, pattern=pattern))
    rows = {"wells": 96, "order": "rows"}
    assert read_filenames(_config(tmp_path, pattern=pattern, numbered_wells=rows)).wells() == ["B01", "H12"]
    columns = {"wells": 96, "order": "columns"}
    assert read_filenames(_config(tmp_path, pattern=pattern, numbered_wells=columns)).wells() == ["E02", "H12"]
    with pytest.raises(InputError, match="well number 96: expected 1 to 24"):
        read_filenames(_config(tmp_path, pattern=pattern, numbered_wells={"wells": 24, "order": "rows"}))


def test_a_misfit_is_shown_where_it_begins(tmp_path: Path) -> None:
    _touch(tmp_path, "A1_s1_ch1.tif")
    with pytest.raises(InputError, match=r"fits up to 'A1_s1_'; then the pattern expects 'w"):
        read_filenames(_config(tmp_path, pattern=r"(?P<well>[A-H]\d+)_s(?P<site>\d+)_w(?P<channel>\d+)\.tif"))
    with pytest.raises(InputError, match=r"differs in upper and lower case only; begin 'pattern' with \(\?i\)"):
        read_filenames(_config(tmp_path, pattern=r"(?P<well>a\d+)_s(?P<site>\d+)_CH(?P<channel>\d+)\.tif"))
