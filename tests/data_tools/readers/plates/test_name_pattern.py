"""Patterns that names tell of themselves, and names that do not."""

from __future__ import annotations

import re

import pytest

from data_tools.readers.plates.name_pattern import NoPatternError, pattern_of


def read(names: list[str]) -> list[dict[str, str]]:
    pattern, _, _ = pattern_of(sorted(names))
    found = [re.fullmatch(pattern, name) for name in sorted(names)]
    assert all(found)
    return [match.groupdict() for match in found if match]


def test_well_site_and_channel() -> None:
    names = [f"{well}_s{site}_{channel}.tif" for well in ("A01", "B12") for site in (1, 2) for channel in ("DNA", "ER")]
    assert read(names)[:2] == [
        {"well": "A01", "site": "1", "channel": "DNA"},
        {"well": "A01", "site": "1", "channel": "ER"},
    ]


@pytest.mark.parametrize("form", ["P1_{well}_s{site}_{channel}.tif", "s{site}_{well}_{channel}_B2.tif"])
def test_a_plate_or_a_site_that_is_written_like_a_well(form: str) -> None:
    names = [
        form.format(well=well, site=site, channel=channel)
        for well in ("A01", "B12")
        for site in (1, 2)
        for channel in ("DNA", "ER")
    ]
    assert {tuple(sorted(row.items())) for row in read(names)} == {
        (("channel", channel), ("site", site), ("well", well))
        for well in ("A01", "B12")
        for site in "12"
        for channel in ("DNA", "ER")
    }


def test_several_sites_of_one_well() -> None:
    assert read(["A01_s1_DNA.tif", "A01_s2_DNA.tif"])[0] == {"well": "A01", "site": "1"}


def test_a_number_that_follows_from_the_channel_says_nothing() -> None:
    names = [f"{well}_01_{n}_3_{stain}_001.tif" for well in ("B7", "D6") for n, stain in ((1, "DAPI"), (2, "GFP"))]
    _, has_site, has_channel = pattern_of(names)
    assert (has_site, has_channel) == (False, True)
    assert read(names)[0] == {"well": "B7", "channel": "DAPI"}


def test_row_and_column_in_two_parts() -> None:
    names = [f"Channel {n}-01-{row}-{column}-00.tif" for n in (1, 2) for row in "AB" for column in ("01", "02")]
    assert read(names)[0] == {"row": "A", "column": "01", "channel": "Channel 1"}


def test_wells_are_folders() -> None:
    names = [f"{well}/f{site}_{channel}.tif" for well in ("A01", "A02") for site in (1, 2) for channel in ("w1", "w2")]
    assert read(names)[3] == {"well": "A01", "site": "2", "channel": "w2"}


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["x_1_DNA.tif", "x_2_DNA.tif"], "no part of the names is a well; an example is x_1_DNA.tif"),
        (
            ["A01_1_DNA.tif", "A01_1_DNA_x.tif"],
            "the names do not have the same parts, such as A01_1_DNA.tif and A01_1_DNA_x.tif",
        ),
        (
            [f"{a}_{b}.tif" for a in ("B2", "B3") for b in ("A01", "A02")],
            "in names like B2_A01.tif the parts 'B2' and 'A01' look like wells, so it is not clear which is",
        ),
        (
            [f"A01_{a}_{b}.tif" for a in (1, 2) for b in (3, 4)],
            "in names like A01_1_3.tif the parts '1' and '3' differ, so it is not clear which one is the site",
        ),
        (
            [f"A01_{a}_{b}.tif" for a in ("x", "y") for b in ("u", "v")],
            "in names like A01_x_u.tif the parts 'x' and 'u' differ, so it is not clear which one is the channel",
        ),
    ],
)
def test_names_that_do_not_say_what_they_mean(names: list[str], told: str) -> None:
    with pytest.raises(NoPatternError, match=re.escape(told)):
        pattern_of(names)
