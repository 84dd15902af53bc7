"""Theme ``cells``: ingest of crops, one small file a cell and channel, against reading the same files and nothing else.

Limit: opening, reading and closing every file in the order of their names. Both run in one process with files in the
page cache, so that what is compared is work, not the disk.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.harness import Arm, Finding, Measured, measure
from data_tools.pipeline import CellsIngestConfig, ingest
from data_tools.pipeline.cell_survey import survey_cells

CHANNELS = ("gfp", "rfp")
_SIZE, _FIELD_CELLS = 64, 100
_BYTES_A_CELL = 600.0
_LIMIT, _INGEST = "read every file", "ingest them"


def run(*, quick: bool) -> list[Measured]:
    """Write crops (1,000 cells when quick, else 20,000), then read and ingest them."""
    n_cells = 1_000 if quick else 20_000
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder, out = Path(name) / "crops", Path(name) / "dataset"
        write_crops(folder, n_cells)
        config = config_of(folder)
        files = sorted(folder.rglob("*.tif"))
        listed = survey_cells(config, Path.cwd()).exports[0]
        held = sum(int(table.memory_usage(deep=True).sum()) for table in (listed.cells, listed.places))
        arms = [
            Arm(name=_LIMIT, work=lambda: sum(len(file.read_bytes()) for file in files), is_limit=True),
            Arm(
                name=_INGEST,
                work=lambda: ingest(config, out, workers=0),
                before=lambda: shutil.rmtree(out, ignore_errors=True),
            ),
        ]
        costs = measure(arms, 3)
    return [
        Measured(
            theme="cells",
            case=f"{n_cells} cells of two channels, {_SIZE} px float32, a file each",
            unit="cells",
            items=n_cells,
            item_bytes=len(CHANNELS) * _SIZE**2 * 4,
            costs=costs,
            limit=_LIMIT,
            findings=(Finding(name="the listing holds", value=held / n_cells, unit="B a cell", most=_BYTES_A_CELL),),
            notes=("One process; the ingest also decodes, checks, scales, shuffles, sums up and writes durably.",),
        )
    ]


def write_crops(folder: Path, n_cells: int) -> None:
    """Write crops of proteins with up to 100 cells each, drawn from a few images."""
    pool = np.random.default_rng(0).random((8, _SIZE, _SIZE), dtype=np.float32)
    for cell in range(n_cells):
        protein = f"P{cell // _FIELD_CELLS:05d}"
        (folder / protein).mkdir(parents=True, exist_ok=True)
        for channel in CHANNELS:
            file = folder / protein / f"{protein}_1_rfp_{cell % _FIELD_CELLS}_{channel}.tif"
            tifffile.imwrite(file, pool[(2 * cell + (channel == "gfp")) % len(pool)], metadata=None)


def config_of(folder: Path) -> CellsIngestConfig:
    """Return the config that ingests them, intensities scaled crop by crop as for paired cell inpainting."""
    pattern = r"(?P<protein>\w+)/(?P=protein)_(?P<field>\d+)_rfp_(?P<cell>\d+)_(?P<channel>gfp|rfp)\.tif"
    return CellsIngestConfig.from_plain(
        {
            "kind": "cells",
            "name": "bench",
            "sources": [{"plate": "BENCH", "reader": {"name": "crops", "path": str(folder), "pattern": pattern}}],
            "channels": list(CHANNELS),
            "tiles": {"size_px": _SIZE, "dtype": "float32"},
            "intensity": {channel: {"min_max": True} for channel in CHANNELS},
            "bags": {"by": ["Metadata_Protein"]},
        }
    )
