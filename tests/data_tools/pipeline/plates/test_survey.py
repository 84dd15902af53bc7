"""What is listed before anything is decoded: images that are gone are named, whatever is left of their well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.survey import survey
from framework.data.dataset import Dataset
from framework.errors import InputError


def _image(row: int, column: int, plane: int) -> str:
    return (
        f"<Image><URL>r{row:02d}c{column:02d}p{plane:02d}.tiff</URL><State>Ok</State><Row>{row}</Row><Col>{column}</Col>"
        f"<FieldID>1</FieldID><PlaneID>{plane}</PlaneID><ChannelID>1</ChannelID><TimepointID>0</TimepointID>"
        "<ChannelName>DNA</ChannelName></Image>"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Wells A01 and A02, two planes each."""
    places = [(1, column, plane) for column in (1, 2) for plane in (1, 2)]
    text = "".join(_image(*place) for place in places)
    (tmp_path / "Index.idx.xml").write_text(f"<EvaluationInputData><Images>{text}</Images></EvaluationInputData>")
    image = np.full((64, 64), 100, np.uint16)
    image[20:40, 20:40] = 3000
    image[:, 0] = np.arange(64)
    for row, column, plane in places:
        tifffile.imwrite(tmp_path / f"r{row:02d}c{column:02d}p{plane:02d}.tiff", image + plane)
    (tmp_path / "map.csv").write_text("Metadata_Well,Metadata_Perturbation\nA01,x\nA02,y\n")
    return tmp_path


def _config(folder: Path, **more: Any) -> IngestConfig:
    source = {"name": "harmony", "path": str(folder), "plate": "P", **more.pop("source", {})}
    platemap = {"path": str(folder / "map.csv"), **more.pop("platemap", {})}
    plain = {
        "name": "d",
        "plates": [{"source": source, "platemap": platemap}],
        "channels": ["DNA"],
        "illumination": {"method": "none"},
        "nuclei": {"channel": "DNA", "diameter_px": 16},
        "tiles": {"size_px": 16},
        **more,
    }
    return IngestConfig.from_plain(plain)


def test_planes_are_chosen_and_the_choice_is_kept(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several planes \(1, 2\); choose one with 'plane:'"):
        survey(_config(folder), folder)
    summary = ingest(_config(folder, source={"plane": 2}), tmp_path / "data", workers=0)
    said = "plate P: plane 2 of 1, 2 is read, as 'plane: 2' says"
    assert said in summary.notes
    manifest = Dataset.open(tmp_path / "data").manifest
    assert manifest.source["plates"][0]["source"]["plane"] == 2
    assert said in manifest.notes


@pytest.mark.parametrize("partial", [False, True])
def test_every_image_that_is_gone_is_named(folder: Path, tmp_path: Path, partial: bool) -> None:
    (folder / "r01c02p02.tiff").unlink()
    config = {"source": {"plane": 2}, "platemap": {"partial": partial}}
    problems = survey(_config(folder, **config), folder).problems
    found = [(problem.reason, problem.well, problem.file) for problem in problems]
    assert ("missing_image", "A02", "r01c02p02.tiff") in found
    assert {well for _, well, _ in found} == {"A02"}
    with pytest.raises(InputError, match=r"r01c02p02\.tiff: the index lists this image, but there is no such file"):
        ingest(_config(folder, **config), tmp_path / "data", workers=0)
    ingest(_config(folder, on_error="skip", **config), tmp_path / "data", workers=0)
    skipped = Dataset.open(tmp_path / "data").manifest.skipped
    assert ("A02", "missing_image") in [(entry.bag, entry.reason) for entry in skipped]
