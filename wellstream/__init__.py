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
...                 "name": "library",
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

from framework.lazy import lazily

__getattr__, __dir__, __all__ = lazily(__name__, __file__)
