from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import anndata
import pytest

from framework.errors import ConfigError, InputError, RunError
from framework.report import write_report
from framework.report.figures.embedding import project
from framework.report.run import embeddings as sections_data

HOSTILE = "<script>alert(1)</script>"
VOID = {"meta", "img", "link", "br", "input", "hr"}


class Page(HTMLParser):
    """Collects tags, checks nesting, and keeps everything that could load something."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attributes["id"] for attributes in self.all("section")]


@pytest.fixture(autouse=True)
def _without_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """UMAP compiles for seconds; test_figures has a slow test of it."""
    monkeypatch.setattr(sections_data, "project", lambda vectors: project(vectors, "pca"))


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections_data, "project", lambda vectors: project(vectors, "pca"))
        return write_report(
            world.run, dataset=world.dataset, evaluation=world.omics, embeddings=world.embeddings, out=out
        )


def test_a_whole_page_has_every_section(whole: Path) -> None:
    page = Page(whole)
    assert page.open == []
    assert page.sections == [
        "overview", "genes", "tiles", "plates", "embeddings", "nuclei", "illumination", "skipped", "training",
        "reproduce", "missing",
    ]  # fmt: skip
    # An evaluation without baselines says how to have them.
    assert "--baselines all" in whole.read_text()
    linked = [attributes["href"] for attributes in page.all("a")]
    assert linked == [f"#{name}" for name in page.sections]


def test_nothing_is_loaded_from_anywhere(whole: Path) -> None:
    page = Page(whole)
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("data:image/", "#")), value
    text = whole.read_text()
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("script")
    assert not page.all("link")
    assert whole.stat().st_size < 10_000_000


def test_every_figure_has_words(whole: Path) -> None:
    page = Page(whole)
    pictures = page.all("img")
    assert len(pictures) > 12
    assert all(len(attributes["alt"] or "") > 10 for attributes in pictures)
    assert len(page.all("figcaption")) == len(page.all("figure"))
    assert "Look for" in " ".join(page.text)


def test_hostile_names_stay_text(whole: Path) -> None:
    assert HOSTILE not in whole.read_text()
    page = Page(whole)
    assert any(HOSTILE in text for text in page.text)
    assert any(HOSTILE in (attributes["alt"] or "") for attributes in page.all("img"))


def test_numbers_of_the_run_are_shown(whole: Path) -> None:
    text = " ".join(Page(whole).text)
    for shown in (
        "triplet_mil",
        "balanced_bags: 6 conditions × 4 bags × 8 tiles",
        "1.2%",
        "5 min 12 s",
        "truncated image",
    ):
        assert shown in text
    assert "both significant at 0.05" in text
    assert "GENE0029" in text


def test_equal_inputs_give_equal_bytes(world, whole: Path, tmp_path: Path) -> None:
    again = write_report(
        world.run, dataset=world.dataset, evaluation=world.omics, embeddings=world.embeddings, out=tmp_path / "x.html"
    )
    assert again.read_bytes() == whole.read_bytes()


def test_markers_have_their_section(world, tmp_path: Path) -> None:
    file = write_report(world.run, evaluation=world.markers, out=tmp_path / "m.html")
    page = Page(file)
    assert page.sections[:2] == ["overview", "markers"]
    text = " ".join(page.text)
    assert "FRA1" in text
    assert "linear r (95 %)" in text


def test_what_is_missing_is_said_with_its_command(world, tmp_path: Path) -> None:
    page = Page(write_report(world.run, out=tmp_path / "bare.html"))
    assert page.sections == ["overview", "training", "reproduce", "missing"]
    text = " ".join(page.text)
    assert "wellstream embed runs/demo --data DATASET" in text
    assert "wellstream evaluate" in text
    assert "wellstream report runs/demo --data DATASET" in text


def test_a_young_run_and_a_dataset_without_qc(world, tmp_path: Path) -> None:
    run = tmp_path / "young"
    run.mkdir()
    (run / "config.yaml").write_text("objective: {name: triplet_mil}\n")
    dataset = tmp_path / "bare"
    shutil.copytree(world.dataset, dataset)
    shutil.rmtree(dataset / "qc")
    page = Page(write_report(run, dataset=dataset))
    assert page.sections == ["overview", "tiles", "plates", "skipped", "reproduce", "missing"]
    text = " ".join(page.text)
    assert "is unfinished or was stopped" in text
    assert "keeps no field overviews" in text
    assert (run / "report.html").is_file()


def test_the_evaluation_inside_the_run_is_found(world, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(world.run, run)
    shutil.copytree(world.omics, run / "evaluation")
    assert "genes" in Page(write_report(run)).sections


def test_a_file_name_cannot_lead_out_of_the_dataset(world, tmp_path: Path) -> None:
    dataset = tmp_path / "d"
    shutil.copytree(world.dataset, dataset)
    shutil.copy(next((dataset / "qc").glob("site_*.png")), tmp_path / "outside.png")
    index = json.loads((dataset / "qc" / "index.json").read_text())
    index["overviews"] = [{**index["overviews"][0], "file": "../outside.png"}]
    (dataset / "qc" / "index.json").write_text(json.dumps(index))
    assert "nuclei" not in Page(write_report(world.run, dataset=dataset, out=tmp_path / "r.html")).sections


def test_wrong_inputs_are_named(world, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="make one with: wellstream evaluate"):
        write_report(world.run, evaluation=tmp_path)
    with pytest.raises(InputError, match="no such file; make one with: wellstream embed"):
        write_report(world.run, embeddings=tmp_path / "none.h5ad")
    wrong = tmp_path / "p.h5ad"
    anndata.AnnData(obs={"a": [1]}, uns={"wellstream": {"kind": "predictions"}}).write_h5ad(wrong)
    with pytest.raises(InputError, match=r"expected uns\['wellstream'\]\['kind'\] = 'embeddings'"):
        write_report(world.run, embeddings=wrong)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"config\.yaml:2: not valid YAML"):
        write_report(broken)
