"""The estimate of a dry run on uneven sites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.nuclei import Nuclei
from data_tools.pipeline.plates import estimate as module
from data_tools.pipeline.plates.estimate import estimate
from data_tools.pipeline.plates.plate import Bag, Plate, Site
from data_tools.pipeline.plates.survey import Survey


def _plates(counts: list[list[int]]) -> Survey:
    """One plate; well w, site s shows ``counts[w][s]`` nuclei."""
    bags = tuple(
        Bag(
            bag=number,
            well=f"A{number + 1:02d}",
            metadata={},
            sites=tuple(Site(number=count, images=()) for count in sites),
            n_sites_imaged=len(sites),
        )
        for number, sites in enumerate(counts)
    )
    plate = Plate(name="P", key="P", pixel_size_um=None, bags=bags, cells=None, channels=(), notes=())
    return Survey(plates=(plate,), problems=())


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sites cost nothing: a site shows as many nuclei as its number says; returns those that were read."""
    read: list[int] = []

    def load(site: Site, **_: Any) -> Any:
        read.append(site.number)
        return np.zeros((1, 64, 64)) + site.number

    def find(image: Any, *_: Any) -> Any:
        n = int(image[0, 0])
        return Nuclei(
            y_px=np.full(n, 32.0, np.float32), x_px=np.full(n, 32.0, np.float32), score=np.ones(n, np.float32)
        )

    monkeypatch.setattr(module, "load_site", load)
    monkeypatch.setattr(module, "find_centres", find)
    monkeypatch.setattr(module, "field_of", lambda *_: None)
    return read


def _config(raw: Any) -> Any:
    return raw.config(tiles={"size_px": 24}, channels=["DNA"])


def test_uneven_wells_are_estimated_from_many(raw: Any, counted: list[int], tmp_path: Path) -> None:
    # Half of the wells are dead: three sites of one plate could be off by the whole of it.
    truth = [[40] * 9 if well % 2 else [0] * 9 for well in range(60)]
    guess = estimate(_config(raw), _plates(truth), tmp_path, lambda *_: None)
    total = sum(sum(sites) for sites in truth)
    assert len(counted) == 32
    assert abs(guess.tiles - total) < 3 * guess.tiles_error
    assert 0.5 * total < guess.tiles < 1.5 * total


def test_even_sites_need_few(raw: Any, counted: list[int], tmp_path: Path) -> None:
    guess = estimate(_config(raw), _plates([[20, 21, 19]] * 30), tmp_path, lambda *_: None)
    assert len(counted) == 8
    assert guess.tiles == pytest.approx(1800, rel=0.05)
    assert guess.bytes == guess.tiles * 24 * 24 * 2


def test_each_well_is_read_before_a_second_site_of_any(raw: Any, counted: list[int], tmp_path: Path) -> None:
    estimate(_config(raw), _plates([[well + 1, well + 101] for well in range(8)]), tmp_path, lambda *_: None)
    assert {number % 100 for number in counted[:8]} == set(range(1, 9))


def test_no_site_is_no_estimate(raw: Any, tmp_path: Path) -> None:
    assert estimate(_config(raw), _plates([[], []]), tmp_path, lambda *_: None).tiles == 0
