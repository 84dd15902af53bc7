"""What names of channels tell."""

from __future__ import annotations

import pytest

from framework.look.stains import dye_colour, is_transmitted, nucleus_channel
from framework.report.figures.images import channel_colours


@pytest.mark.parametrize(
    ("channel", "colour"),
    [
        ("gfp", "green"),
        ("Alexa488", "green"),
        ("green", "green"),
        ("mCherry", "red"),
        ("Cy3", "red"),
        ("AF568", "red"),
        ("iRFP670", "magenta"),
        ("Far red", "magenta"),
        ("Cy5", "magenta"),
        ("YFP", "yellow"),
        ("Actin", None),
        ("Ch12", None),
        ("15680", None),
    ],
)
def test_dyes_that_are_known_by_a_colour(channel: str, colour: str | None) -> None:
    assert dye_colour(channel) == colour


@pytest.mark.parametrize(
    ("channels", "colours"),
    [
        (["rfp", "gfp"], ["red", "green"]),
        (["DAPI", "FITC", "TRITC", "Cy5"], ["blue", "green", "red", "magenta"]),
        # As ever where names tell no colour; those that are known are not given away.
        (["DNA", "Actin", "ER"], ["blue", "green", "red"]),
        (["Actin", "GFP", "Brightfield"], ["red", "green", "grey"]),
        (["GFP", "Alexa488", "H2B-GFP nucleus"], ["green", "red", "blue"]),
        ([f"c{number}" for number in range(7)], ["green", "red", "yellow", "magenta", "grey", "green", "red"]),
    ],
)
def test_colours_of_channels(channels: list[str], colours: list[str]) -> None:
    assert [name for name, _ in channel_colours(channels)] == colours


def test_names_of_nuclei_and_of_transmitted_light() -> None:
    assert nucleus_channel(["Actin", "Hoechst 33342", "DAPI"]) == 1
    assert nucleus_channel(["Actin"]) is None
    assert [is_transmitted(name) for name in ("Brightfield", "BF", "Buffer")] == [True, True, False]
