"""Wellstream from Python: one place to import from, for scripts and notebooks.

Whatever the command ``wellstream`` does is a call here. Importing costs little: a name loads what is behind it when it
is first used.

>>> import tempfile
>>> import wellstream as ws
>>> folder = tempfile.mkdtemp()
>>> ws.simulate_crops(f"{folder}/raw", proteins=4, fields=2, cells_per_field=6).cells
48
>>> made = ws.ingest(
...     {
...         "kind": "cells",
...         "name": "library",
...         "channels": ["rfp", "gfp"],
...         "sources": [
...             {
...                 "plate": "library",
...                 "reader": {
...                     "name": "crops",
...                     "path": f"{folder}/raw/images",
...                     "pattern": r"(?P<protein>\\w+)/\\w+?_(?P<field>\\d+)_rfp_(?P<cell>\\d+)_(?P<channel>...)\\.tif",
...                 },
...             }
...         ],
...         "tiles": {"size_px": 64, "dtype": "float32"},
...         "bags": {"by": ["Metadata_Protein", "Metadata_Field"]},
...     },
...     f"{folder}/data",
...     workers=0,
... )
>>> data = ws.Dataset(f"{folder}/data")
>>> data
Dataset 'library': 48 tiles of 2 x 64 x 64 float32 in 8 bags, channels rfp, gfp
>>> data.tile(0).shape
(2, 64, 64)
>>> run = ws.fit(
...     {
...         "run_dir": f"{folder}/run",
...         "data": {"path": f"{folder}/data", "scale": "per_tile_minmax"},
...         "split": {"by": "Metadata_Field", "test": ["1"]},
...         "plan": {"name": "pairs", "pairs": 4, "by": ["Metadata_Protein"]},
...         "objective": {
...             "name": "paired_inpainting",
...             "structure": ["rfp"],
...             "protein": ["gfp"],
...             "backbone": {"name": "alexnet", "widths": [4, 6, 8, 8, 6]},
...             "decoder_widths": [6, 8, 8, 6, 4],
...         },
...         "optim": {"lr": 1e-3},
...         "train": {"steps": 2, "device": "cpu"},
...         "tracking": {"wandb": "disabled"},
...     }
... )
>>> run
Run 'run': paired_inpainting, step 2, on library
>>> run.embed(layers=["conv2"])["conv2"].shape
(48, 6)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from framework import __version__

if TYPE_CHECKING:
    from data_tools.readers.cells import CELL_READERS
    from data_tools.readers.plates import READERS as PLATE_READERS
    from data_tools.readers.tables import CELL_TABLES
    from framework.data.plan import PLANS
    from framework.errors import WellstreamError
    from framework.models import BACKBONES
    from framework.objectives import OBJECTIVES
    from wellstream.data import Dataset
    from wellstream.exports import ingest, prepare, simulate_crops, simulate_ifc, simulate_plate
    from wellstream.results import evaluate, evaluate_features, express, report
    from wellstream.runs import Run, fit, open_run

_PLACES = {
    "simulate_plate": "wellstream.exports",
    "simulate_crops": "wellstream.exports",
    "simulate_ifc": "wellstream.exports",
    "ingest": "wellstream.exports",
    "prepare": "wellstream.exports",
    "Dataset": "wellstream.data",
    "fit": "wellstream.runs",
    "open_run": "wellstream.runs",
    "Run": "wellstream.runs",
    "evaluate": "wellstream.results",
    "evaluate_features": "wellstream.results",
    "express": "wellstream.results",
    "report": "wellstream.results",
    "OBJECTIVES": "framework.objectives",
    "BACKBONES": "framework.models",
    "PLANS": "framework.data.plan",
    "PLATE_READERS": "data_tools.readers.plates:READERS",
    "CELL_READERS": "data_tools.readers.cells",
    "CELL_TABLES": "data_tools.readers.tables",
    "WellstreamError": "framework.errors",
}
"""Name -> module that holds it, after a colon under which name."""

__all__ = [
    "BACKBONES",
    "CELL_READERS",
    "CELL_TABLES",
    "OBJECTIVES",
    "PLANS",
    "PLATE_READERS",
    "Dataset",
    "Run",
    "WellstreamError",
    "__version__",
    "evaluate",
    "evaluate_features",
    "express",
    "fit",
    "ingest",
    "open_run",
    "prepare",
    "report",
    "simulate_crops",
    "simulate_ifc",
    "simulate_plate",
]


def __getattr__(name: str) -> Any:
    """Load what a name stands for when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'wellstream' has no attribute '{name}'; it has {', '.join(__all__)}")
    module, _, theirs = _PLACES[name].partition(":")
    found = getattr(importlib.import_module(module), theirs or name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
