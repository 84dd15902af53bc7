"""The page before a build and after it: whole in itself, true to the images, and it warns."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import wellstream as ws
from framework.errors import ConfigError, InputError

SIZE, DISC = 192, 13


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three wells of discs of 13 px, one well without any."""
    folder = tmp_path_factory.mktemp("raw")
    rows, columns = np.mgrid[:SIZE, :SIZE]
    (folder / "P1").mkdir()
    for number, well in enumerate(("A01", "A02", "A03")):
        image = np.random.default_rng(number).normal(200, 10, (SIZE, SIZE))
        for y in range(16, SIZE - 8, 26) if number < 2 else ():
            for x in range(16, SIZE - 8, 26):
                image[(rows - y) ** 2 + (columns - x) ** 2 <= (DISC / 2) ** 2] += 3000
        tifffile.imwrite(folder / "P1" / f"{well}_s1_DNA.tif", image.astype(np.uint16))
    lines = ["Metadata_Well,Metadata_Perturbation", *(f"{well},none" for well in ("A01", "A02", "A03"))]
    (folder / "map.csv").write_text("\n".join(lines) + "\n")
    return folder


def config(raw: Path, **changes: Any) -> dict[str, Any]:
    pattern = r"(?P<well>[A-Z]\d+)_s(?P<site>\d+)_(?P<channel>\w+)\.tif"
    source = {"name": "filenames", "path": str(raw / "P1"), "plate": "P1", "pattern": pattern, "pixel_size_um": 0.5}
    plain = {
        "name": "discs",
        "plates": [{"source": source, "platemap": {"path": str(raw / "map.csv")}}],
        "channels": ["DNA"],
        "nuclei": {"channel": "DNA", "diameter_px": DISC},
        "illumination": {"method": "none"},
        "tiles": {"size_px": 32},
    }
    return plain | changes


def test_a_page_shows_what_is_there(raw: Path, tmp_path: Path) -> None:
    found = ws.preview(config(raw), tmp_path / "data")
    assert found.page == tmp_path / "data.preview.html"
    assert not (tmp_path / "data").exists()
    page = found.page.read_text()
    assert found.warnings == ("No nucleus was found in P1/A03: check these wells.",)
    titles = ["In short", "Fields", "Sizes", "Channels", "Focus", "Plate", "Input"]
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == titles
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)[^\"']+", page), "a page loads nothing"
    assert "nuclei per field by well on 1 plate: 0 to 49, median 49" in page


@pytest.mark.parametrize("um", [3, 30, 100])
def test_diameters_that_do_not_fit_are_said_on_the_page(raw: Path, tmp_path: Path, um: float) -> None:
    plain = config(raw, nuclei={"channel": "DNA", "diameter_um": um})
    found = ws.preview(plain, tmp_path / "data")
    said = [text for text in found.warnings if text.startswith("The nucleus diameter does not fit")]
    assert len(said) == 1
    assert found.page is not None
    assert "The nucleus diameter does not fit" in found.page.read_text()


def test_flat_fields_of_few_images_and_large_tiles_are_said(raw: Path, tmp_path: Path) -> None:
    plain = config(raw, illumination={"kernel_px": 40, "sigma_px": 10}, tiles={"size_px": 120})
    said = " ".join(ws.preview(plain, tmp_path / "data").warnings)
    assert "The flat-field is fitted to 3 images of a channel" in said
    assert "A tile of 120 px is far larger than the distance of nuclei (26 px)" in said


def test_all_inputs_are_checked_at_once(raw: Path, tmp_path: Path) -> None:
    plain = config(raw, omics=[{"name": "rna", "table": str(tmp_path / "gone.csv"), "kind": "counts"}])
    plain["plates"] = [{**plain["plates"][0], "platemap": {"path": str(tmp_path / "lost.csv")}}]
    with pytest.raises(InputError) as refused:
        ws.preview(plain, tmp_path / "data")
    assert [line.partition(": ")[0] for line in str(refused.value).splitlines()] == [
        str(tmp_path / "lost.csv"),
        str(tmp_path / "gone.csv"),
    ]


def test_a_finished_dataset_has_the_same_page(raw: Path, tmp_path: Path) -> None:
    ws.ingest(config(raw, nuclei={"channel": "DNA", "diameter_um": 6.5}), tmp_path / "data", workers=0)
    file = ws.report(tmp_path / "data")
    assert file == tmp_path / "data.report.html"
    page = file.read_text()
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert titles == ["In short", "Fields", "Sizes", "Channels", "Focus", "Plate", "Input", "Cells"]
    assert "The flat-field" not in page
    with pytest.raises(ConfigError, match=r"is a dataset, and data belong to the page of a run"):
        ws.report(tmp_path / "data", data="x")


@pytest.fixture
def crops(tmp_path: Path) -> dict[str, Any]:
    """Twelve cells of 20 x 24 px of two proteins, and a table that knows ten of them."""
    folder = tmp_path / "crops"
    folder.mkdir()
    lines = ["protein,cell,phase,size"]
    for protein in ("AAC1", "AAH1"):
        for cell in range(6):
            rng = np.random.default_rng([ord(protein[2]), cell])
            image = rng.integers(0, 4000, (20, 24), dtype=np.uint16)
            tifffile.imwrite(folder / f"{protein}_{cell}_gfp.tif", image)
            tifffile.imwrite(folder / f"{protein}_{cell}_mask.tif", np.where(image > 2000, 255, 0).astype(np.uint8))
            lines += [f"{protein},{cell},{'S' if cell % 2 else 'G1'},{cell}"] if cell < 5 else []
    (tmp_path / "cells.csv").write_text("\n".join(lines) + "\n")
    pattern = r"(?P<protein>\w+)_(?P<cell>\d+)_(?P<channel>gfp|mask)\.tif"
    table = {
        "table": {"name": "csv", "path": str(tmp_path / "cells.csv")},
        "by": {"Metadata_Protein": "protein", "Metadata_Cell": "cell"},
        "labels": {"Metadata_Phase": "phase"},
        "measurements": ["size"],
    }
    reader = {"name": "crops", "path": str(folder), "pattern": pattern, "pixel_size_um": 0.5}
    return {
        "kind": "cells",
        "name": "yeast",
        "sources": [{"name": "SCREEN", "reader": reader, "tables": [table]}],
        "channels": ["gfp", "mask"],
        "tiles": {"size_px": 24, "fit": "pad"},
        "bags": {"by": ["Metadata_Protein"]},
        "markers": {"size": "size"},
    }


def test_a_page_shows_cells_that_come_one_by_one(crops: dict[str, Any], tmp_path: Path) -> None:
    found = ws.preview(crops, tmp_path / "data")
    assert found.page == tmp_path / "data.preview.html"
    assert not (tmp_path / "data").exists()
    page = found.page.read_text()
    assert found.warnings == ()
    titles = ["In short", "Cells", "Sizes", "Channels", "Counts", "Measurements", "Input"]
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == titles
    for told in (
        "Example tiles, one row per bag or label: AAC1, AAH1",
        "Sizes of 12 crops: typically 20 x 24 px; tiles of 24 px",
        "cells of 2 bags: 6 to 6, median 6",
        "AAC1: 6, AAH1: 6",
        "G1: 6, S: 4, (blank): 2",
        "10 of 12 cells have one of its 10 rows",
        "83.3%",  # 10 of 12 have a size
    ):
        assert told in page, told
    assert "% saturated" not in page, "a mask of 255 is not a camera at its top"


def test_a_page_of_cells_warns(crops: dict[str, Any], tmp_path: Path) -> None:
    said = " ".join(
        ws.preview(crops | {"tiles": {"size_px": 64, "fit": "pad"}, "bags": {}}, tmp_path / "data").warnings
    )
    assert "Tiles of 64 px are mostly padding" in said
    assert "All cells are in one bag" in said


def test_a_finished_dataset_of_cells_has_the_same_page(crops: dict[str, Any], tmp_path: Path) -> None:
    ws.ingest(crops, tmp_path / "data", workers=0)
    page = ws.report(tmp_path / "data").read_text()
    titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert titles == ["In short", "Channels", "Counts", "Measurements", "Input", "Cells"]
    assert "Example tiles, one row per bag: AAC1, AAH1" in page
    assert "No nucleus" not in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_a_browser_shows_the_page_without_network(raw: Path, tmp_path: Path) -> None:
    found = ws.preview(config(raw), tmp_path / "data")
    words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    shown = subprocess.run(
        [*words, f"file://{found.page}"], capture_output=True, text=True, timeout=300, check=True, cwd=tmp_path
    ).stdout
    assert "No nucleus was found in P1/A03" in shown
    assert shown.count("<img") >= 6
