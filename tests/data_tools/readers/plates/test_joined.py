"""Measurements of one Harmony plate as one export."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.harmony_index import (
    image,
    image_facts,
    image_url,
    image_v5,
    index_document,
    plate_element,
    read,
)

from framework.errors import InputError


def test_measurements_that_are_named_are_joined(tmp_path: Path) -> None:
    _write_measurements(
        tmp_path, m1=image_v5() + image_v5(channel=2), m2=image_v5(site=2) + image_v5(site=2, channel=2)
    )
    export = read(tmp_path, measurement=["m1", "m2"])
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
    _write_measurements(tmp_path, m1=image_v5(), m2=image_v5() + image_v5(channel=2))
    with pytest.raises(InputError, match=r"well B03 site 1 has images of channel 'Hoechst' in .*'m1' and 'm2'; rename"):
        read(tmp_path, measurement=["m1", "m2"])
    export = read(tmp_path, measurement=["m1", "m2"], rename={"m2": {"Hoechst": "Hoechst 2"}})
    assert export.channels == ("Hoechst", "Hoechst 2", "Actin")
    assert {channel: ref.file.parts[-3] for channel, ref in export.images("B03", 1).items()} == {
        "Hoechst": "m1",
        "Hoechst 2": "m2",
        "Actin": "m2",
    }
    with pytest.raises(InputError, match=r"'rename' names channel 'Hoecht' of measurement 'm2', .*did you mean"):
        read(tmp_path, measurement=["m1", "m2"], rename={"m2": {"Hoecht": "x"}})
    with pytest.raises(ValueError, match="'rename' names 'm3', which is not one of the joined measurements"):
        read(tmp_path, measurement=["m1", "m2"], rename={"m3": {}})
    with pytest.raises(ValueError, match="'measurement' names one twice: m1, m1"):
        read(tmp_path, measurement=["m1", "m1"])


def test_measurements_of_different_plates_or_pixels_are_not_joined(tmp_path: Path) -> None:
    _write_measurements(tmp_path, m1=image_v5(), m2=image(image_facts(1, size="1E-06"), site=2))
    with pytest.raises(InputError, match=r"different pixel sizes \('m1': 0\.5, 'm2': 1\.0\) are not joined"):
        read(tmp_path, measurement=["m1", "m2"])
    (tmp_path / "m2/Images/Index.idx.xml").write_text(index_document(image_v5(site=2), plates=plate_element("P2")))
    with pytest.raises(InputError, match=r"different plates \('m1': P1, 'm2': P2\) are not joined; if they are one"):
        read(tmp_path, measurement=["m1", "m2"])
    assert read(tmp_path, measurement=["m1", "m2"], plate="P").plate == "P"


def _write_measurements(folder: Path, **images: str) -> None:
    for name, listed in images.items():
        (folder / name / "Images").mkdir(parents=True)
        (folder / name / "Images" / "Index.idx.xml").write_text(index_document(listed))
        for site in (1, 2):
            for channel in (1, 2):
                (folder / name / "Images" / image_url(site=site, channel=channel)).touch()
