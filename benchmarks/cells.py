"""Theme ``cells``: many small files of an imaging flow cytometer, one per cell and channel, from a folder to a dataset.

Limit: opening, reading and closing every file, once, in one process. The library arm decodes each with ``tifffile``;
the reader arm lists the folder, pairs its files into cells and decodes them. Both give the digest of the same pixels.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from benchmarks.harness import Arm, Finding, Measured, Target, measure
from data_tools.pipeline import CellsIngestConfig, ingest
from data_tools.readers.cells import CellImage
from data_tools.readers.cells.ideas import IdeasConfig, IdeasReader
from data_tools.simulate import IfcConfig, simulate_ifc
from framework.data.dataset import Dataset
from framework.data.store import dataset_digest

READ, LIBRARY, READER, HERE, TWO = (
    "read every file",
    "tifffile",
    "ideas reader",
    "ingest, this process",
    "ingest, 2 workers",
)
_CHANNELS = ("Ch1", "Ch2", "Ch3", "Ch6")
_OVER_LIBRARY, _MOST_OPEN = 2.0, 16


def run(*, quick: bool) -> list[Measured]:
    """Ingest a folder of small files; quick: 1,600 of them, else 100,000 (cells linked again under further numbers).

    Raises:
        WrongPixels: two arms decoded other pixels.
    """
    drawn, copies = (400, 1) if quick else (1250, 20)
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name)
        images = _many_files(folder, drawn, copies)
        # By object number, as the reader lists them; then by channel.
        files = [images / f"SIM_{cell}_{channel}.ome.tif" for cell in range(drawn * copies) for channel in _CHANNELS]
        pixels: dict[str, str] = {}
        config, out = _config(images), folder / "out"
        arms = [
            Arm(name=READ, work=lambda: _read(files), is_limit=True),
            Arm(name=LIBRARY, work=lambda: _keep(pixels, LIBRARY, _by_library(files)), result=lambda: pixels[LIBRARY]),
            Arm(name=READER, work=lambda: _keep(pixels, READER, _by_reader(images)), result=lambda: pixels[READER]),
            Arm(name=HERE, work=lambda: _ingest(config, out, 0)),
            Arm(name=TWO, work=lambda: _ingest(config, out, 2)),
        ]
        costs = measure(arms, 1 if quick else 3)
        open_files = _most_open_files(images)
    return [
        Measured(
            theme="cells",
            case=f"{len(files):,} files of one cell and channel",
            unit="files",
            items=len(files),
            costs=costs,
            limit=READ,
            targets=(Target(arm=READER, over=LIBRARY, least=_OVER_LIBRARY),),
            findings=(
                Finding(name="most files open at once while reading", value=open_files, unit="files", most=_MOST_OPEN),
            ),
        )
    ]


def _many_files(folder: Path, drawn: int, copies: int) -> Path:
    """Simulate ``drawn`` cells and link each of their files ``copies`` times under further object numbers."""
    simulate_ifc(IfcConfig(cells=drawn, sequenced_cells=1, genes=1, foreign_cells=0), folder / "raw")
    images = folder / "raw" / "images"
    for file in sorted(images.iterdir()):
        sample, number, rest = file.name.split("_", 2)
        for copy in range(1, copies):
            os.link(file, images / f"{sample}_{int(number) + copy * drawn}_{rest}")
    return images


def _config(images: Path) -> CellsIngestConfig:
    return CellsIngestConfig.from_plain(
        {
            "kind": "cells",
            "name": "bench",
            "sources": [{"name": "SIM", "reader": {"name": "ideas", "path": str(images)}}],
            "channels": list(_CHANNELS),
            "tiles": {"size_px": 32, "fit": "pad_or_crop", "fill": "border"},
            "bags": {"groups": 40},
        }
    )


def _read(files: Iterable[Path]) -> None:
    for file in files:
        file.read_bytes()


def _by_library(files: Iterable[Path]) -> Iterable[npt.NDArray[Any]]:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # one line per file about FillOrder would be the time
    return (tifffile.imread(file) for file in files)


def _by_reader(images: Path) -> Iterable[npt.NDArray[Any]]:
    reader = IdeasReader(IdeasConfig(path=str(images)))
    for cell in reader.read(reader.survey(_CHANNELS).places, _CHANNELS):
        if isinstance(cell, CellImage):
            yield from cell.pixels


def _keep(pixels: dict[str, str], arm: str, images: Iterable[npt.NDArray[Any]]) -> None:
    state = hashlib.blake2b()
    for image in images:
        state.update(np.ascontiguousarray(image).data)
    pixels[arm] = state.hexdigest()


def _ingest(config: CellsIngestConfig, out: Path, workers: int) -> str:
    shutil.rmtree(out, ignore_errors=True)
    ingest(config, out, workers=workers)
    return dataset_digest(Dataset.open(out))


def _most_open_files(images: Path) -> int:
    most = 0
    for number, _ in enumerate(_by_reader(images)):
        if number % 512 == 0 and Path("/proc/self/fd").is_dir():
            most = max(most, len(os.listdir("/proc/self/fd")))
    return most
