"""Patterns over names whose letters with marks are stored in two ways."""

from __future__ import annotations

import unicodedata

import pytest

from data_tools.readers.patterns import compiled, matched, misfit

NAME = "Süd_A01.tif"


@pytest.mark.parametrize("of_pattern", ["NFC", "NFD"])
@pytest.mark.parametrize("of_name", ["NFC", "NFD"])
def test_both_ways_to_store_an_umlaut_are_one(of_pattern: str, of_name: str) -> None:
    pattern = compiled(unicodedata.normalize(of_pattern, r"(?P<plate>Süd)_(?P<well>[A-Z]\d\d)\.tif"))
    found = matched(pattern, unicodedata.normalize(of_name, NAME))
    assert found is not None
    assert found.groupdict() == {"plate": "Süd", "well": "A01"}
    said = misfit(compiled(r"Süd_B"), unicodedata.normalize(of_name, NAME))
    assert said == "the first is Süd_A01.tif, which fits up to 'Süd_'; then the pattern expects 'B'"
