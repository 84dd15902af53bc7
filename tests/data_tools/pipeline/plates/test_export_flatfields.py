"""An ingest that divides by the flat-fields of the export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.pipeline import IngestConfig, ingest
from data_tools.simulate import PlateConfig, simulate_plate
from data_tools.simulate.optics import PlateOptics
from framework.errors import InputError

CONFIG = PlateConfig(
    rows=2, columns=3, perturbations=3, stimulations=("M1",), replicates=1, sites=1, size_px=96, cells_per_site=6,
    nucleus_diameter_px=10, transcripts=2, proteins=2, out_of_focus_wells=0, empty_wells=0,
)  # fmt: skip


def plain(raw: Path, **more: Any) -> IngestConfig:
    entry = {"source": {"name": "harmony", "path": str(raw / "SIM")}, "platemap": {"path": str(raw / "platemap.csv")}}
    return IngestConfig.from_plain(
        {"name": "t", "plates": [entry], "channels": ["Hoechst"], "tiles": {"size_px": 16},
         "nuclei": {"channel": "Hoechst", "diameter_px": 10}, "illumination": {"method": "export"}, **more}
    )  # fmt: skip


def test_the_flat_field_of_the_export_is_kept_and_applied(tmp_path: Path) -> None:
    simulate_plate(CONFIG, tmp_path / "raw")
    ingest(plain(tmp_path / "raw"), tmp_path / "data")
    (kept,) = (tmp_path / "data" / "qc").glob("flatfield_*.npy")
    truth = PlateOptics.draw(CONFIG, 0).illumination[0]
    np.testing.assert_allclose(np.load(kept), truth / truth.mean(), atol=1e-5)
    source = json.loads((tmp_path / "data" / "dataset.json").read_text())["source"]
    assert source["illumination"] == {"method": "export", "profile": "background", "max_images": None}


def test_an_export_without_a_flat_field_is_refused_before_an_image_is_read(tmp_path: Path) -> None:
    simulate_plate(CONFIG, tmp_path / "raw")
    index = tmp_path / "raw/SIM/Images/Index.idx.xml"
    index.write_text(index.read_text().replace("FlatfieldProfile", "Other"))
    with pytest.raises(InputError, match=r"holds no background flat-field of channel 'Hoechst'.*it holds none"):
        ingest(plain(tmp_path / "raw"), tmp_path / "data", dry_run=True)
