"""The interactive map: what it says of each well, and what a browser shows when a point is clicked."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fixtures.browser import CHROMIUM, opened
from fixtures.report_world import HOSTILE, World

from framework.data.dataset import Dataset
from framework.errors import ConfigError, InputError
from framework.evaluate.wells import well_embeddings
from framework.report import write_report
from framework.report.figures.embedding import project
from framework.report.page_inputs import read_embeddings
from framework.report.run import embeddings, well_map
from framework.report.run.well_map import map_facts, script_safe


@pytest.fixture(scope="module")
def page(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    file = folder / "wells.html"
    with pytest.MonkeyPatch.context() as patch:
        for module in (embeddings, well_map):
            patch.setattr(module, "project", lambda vectors: project(vectors, "pca"))
        write_report(world.run, dataset=world.dataset, embeddings=world.embeddings, out=folder / "r.html", map_out=file)
    return file


def facts_in(page: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_each_well_has_its_cells_its_facts_and_the_wells_nearest_to_it(world: World, page: Path) -> None:
    facts, dataset = facts_in(page), Dataset.open(world.dataset)
    table = well_embeddings(read_embeddings(world.embeddings))
    count = len(table.wells)
    for name in ("points", "names", "facts", "positions", "nearest", "strips", "shown"):
        assert len(facts[name]) == count
    distances = np.linalg.norm(table.vectors[:, None] - table.vectors[None], axis=2)
    for place in range(count):
        order = [other for other in np.argsort(distances[place], kind="stable") if other != place][:5]
        assert [distances[place, other] for other, _ in facts["nearest"][place]] == pytest.approx(
            distances[place, order]
        )
    names, columns = facts["names"], facts["columns"]
    bags = dataset.bags.set_index(dataset.bags["source"].astype(str) + " " + dataset.bags["bag_name"].astype(str))
    for name, row in zip(names, facts["facts"], strict=True):
        assert row[columns.index("Well")] == bags.loc[name, "Metadata_Well"]
        assert str(bags.loc[name, "Metadata_Perturbation"]) in row[columns.index("Treatment")]
    assert facts["rows"] == ["all", *dataset.manifest.tile.channels]
    image = cv2.imdecode(np.frombuffer(base64.b64decode(facts["strips"][0].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    height, width = dataset.manifest.tile.height, dataset.manifest.tile.width
    assert image.shape == (4 * (height + 2) - 2, 6 * (width + 2) - 2, 3)
    assert image.max() > 50


def test_the_page_loads_nothing_and_names_are_text(page: Path) -> None:
    text = page.read_text()
    assert HOSTILE not in text
    assert "default-src 'none'" in text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert "</script" not in script_safe({"name": "</script><script>alert(1)</script>"})


def test_embeddings_of_another_dataset_are_refused(world: World) -> None:
    dataset, data = Dataset.open(world.dataset), read_embeddings(world.embeddings)
    data.obs["bag_name"] = "elsewhere"
    with pytest.raises(InputError, match="elsewhere' is not in the dataset"):
        map_facts(dataset, data)
    with pytest.raises(InputError, match="three wells or more, found 2"):
        map_facts(dataset, read_embeddings(world.embeddings)[:2])


def test_a_map_needs_embeddings(world: World, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="with --embeddings"):
        write_report(world.run, out=tmp_path / "r.html", map_out=tmp_path / "m.html")
    with pytest.raises(ConfigError, match="is the name of the page itself"):
        write_report(world.run, embeddings=world.embeddings, out=tmp_path / "r.html", map_out=tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


def test_a_page_replaces_no_file_of_another_kind(world: World, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("a,b")
    for options in ({"out": tmp_path / "s.csv"}, {"out": tmp_path / "r.html", "map_out": tmp_path / "s.csv"}):
        with pytest.raises(ConfigError, match=r"s\.csv: the output is an \.html file"):
            write_report(world.run, embeddings=world.embeddings, dataset=world.dataset, **options)
    assert (tmp_path / "s.csv").read_text() == "a,b"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_click_on_a_point_shows_its_cells_and_its_well(page: Path, tmp_path: Path) -> None:
    facts = facts_in(page)
    with opened(page, tmp_path / "profile") as browser:
        assert browser.value("document.querySelectorAll('#points circle').length") == len(facts["names"])
        assert browser.value("document.getElementById('chosen').hidden")
        for place in (3, 7):
            browser.click(f"circle[data-place='{place}']")
            browser.until(f"document.getElementById('name').textContent === {json.dumps(facts['names'][place])}")
            browser.until("document.getElementById('strip').naturalWidth > 0")
            assert browser.value("document.getElementById('strip').src") == facts["strips"][place]
            told = browser.value("[...document.querySelectorAll('#facts dd')].map((each) => each.textContent)")
            assert told == facts["facts"][place]
            row, column, _, columns = facts["positions"][place]
            here = "[...document.querySelectorAll('#plate rect')].findIndex((each) => each.classList.contains('here'))"
            assert browser.value(here) == row * columns + column
        other, _ = facts["nearest"][7][0]
        browser.click("#near button")
        assert browser.value("document.getElementById('name').textContent") == facts["names"][other]
        browser.value("document.getElementById('find').value = 'KO03'; document.getElementById('find')"
                      ".dispatchEvent(new Event('input'))")  # fmt: skip
        faint = browser.value("document.querySelectorAll('#points circle.faint').length")
        wanted = sum("KO03" in " ".join(row) for row in facts["facts"])
        assert 0 < wanted < len(facts["names"])
        assert faint == len(facts["names"]) - wanted
        assert browser.said == []
        assert [url for url in browser.asked if not url.startswith(("file:", "data:"))] == []
