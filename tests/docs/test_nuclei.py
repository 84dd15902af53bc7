"""Every example of docs/nuclei.md is run on a plate whose centres are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from fixtures.labelled_plate import PIXEL_UM, SHAPE, LabelledPlate, write_labelled_plate

from data_tools.pipeline import ingest
from data_tools.pipeline.plates.config import IngestConfig
from framework.data.dataset import Dataset

PAGE = Path(__file__).resolve().parents[2] / "docs" / "nuclei.md"
EXAMPLES = dict(re.findall(r"```yaml\n# (\w+)[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL))


def cellpose(plate: LabelledPlate) -> None:
    Path("labels").mkdir()
    for well, site, _ in plate.fields():
        cv2.imwrite(f"labels/{well}_s{site}_DNA_cp_masks.png", plate.labels(well, site))


def stardist(plate: LabelledPlate) -> None:
    Path("labels/P1").mkdir(parents=True)
    for well, site, _ in plate.fields():
        tifffile.imwrite(f"labels/P1/{well}_f{site - 1}.label.tif", plate.labels(well, site, "int32"))


def rows(plate: LabelledPlate) -> pd.DataFrame:
    found = [(well, site, y, x) for well, site, centres in plate.fields() for y, x in centres.tolist()]
    return pd.DataFrame(found, columns=["Metadata_Well", "Metadata_Site", "Location_Center_Y", "Location_Center_X"])


def cellprofiler(plate: LabelledPlate) -> None:
    rows(plate).to_csv("Nuclei.csv", index=False)


def harmony(plate: LabelledPlate) -> None:
    found = rows(plate)
    table = pd.DataFrame(
        {
            "Row": [ord(well[0]) - 64 for well in found.Metadata_Well],
            "Column": [int(well[1:]) for well in found.Metadata_Well],
            "Timepoint": 1,
            "Field": found.Metadata_Site,
            "Object No": np.arange(len(found)),
            "Position X [µm]": (found.Location_Center_X - (SHAPE[1] - 1) / 2) * PIXEL_UM,
            "Position Y [µm]": ((SHAPE[0] - 1) / 2 - found.Location_Center_Y) * PIXEL_UM,
        }
    )
    later = table.assign(Timepoint=2)
    text = pd.concat([table, later]).to_csv(index=False, sep="\t")
    head = "Database Name\tLab\nEvaluation Signature\tabc\nPlate Name\tP1\n\nPopulation - Nuclei\n\n[Data]\n"
    Path("P1/Objects_Population - Nuclei.txt").write_text(head + text, encoding="utf-8")


MADE: dict[str, Callable[[LabelledPlate], None]] = {
    "Cellpose": cellpose,
    "StarDist": stardist,
    "CellProfiler": cellprofiler,
    "Harmony": harmony,
}


@pytest.mark.parametrize("program", MADE)
def test_an_example_gives_the_centres(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plate = write_labelled_plate(tmp_path)
    MADE[program](plate)
    nuclei: Any = yaml.safe_load(EXAMPLES[program])
    ingest(IngestConfig.from_plain(plate.plain(nuclei)), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    found = dataset.cells()
    wells = dataset.bags["Metadata_Well"].to_numpy()[found["bag"]]
    for well, site, centres in plate.fields():
        mine = found[(wells == well) & (found["site"] == site)]
        np.testing.assert_allclose(mine[["y_px", "x_px"]].to_numpy(), centres, atol=1e-4)


def test_no_example_is_passed_over() -> None:
    assert set(EXAMPLES) == set(MADE)
    assert PAGE.read_text().count("```yaml") == len(MADE)
