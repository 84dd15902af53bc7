"""A small raw experiment: plates of TIFFs with bright discs, a plate map, tables of cells, and the config for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from data_tools.pipeline import IngestConfig, ingest
from framework.durable import file_checksum

WELLS = ("A01", "A02", "A10", "B01", "B02")
SIZE, DISC = 96, 10


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Where the raw files lie; ``plain`` is the config as YAML-shaped data, free to be changed."""

    folder: Path
    plain: dict[str, Any]

    def image(self, plate: str, well: str, site: int, channel: str) -> Path:
        return self.folder / plate / f"{well}_s{site}_{channel}.tif"

    @property
    def platemap(self) -> Path:
        return self.folder / "platemap.csv"

    def config(self, **changes: Any) -> IngestConfig:
        return IngestConfig.from_plain({**self.plain, **changes})


def field(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two channels (2, SIZE, SIZE) with ``n`` discs at distinct cells of a grid, and their centres (n, 2)."""
    grid = np.array([(y, x) for y in range(12, SIZE - 8, 24) for x in range(12, SIZE - 8, 24)])
    centres = grid[rng.permutation(len(grid))[:n]] + rng.integers(-3, 4, (n, 2))
    image = rng.normal(200, 10, (2, SIZE, SIZE))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for y, x in centres:
        disc = (rows - y) ** 2 + (columns - x) ** 2 <= (DISC / 2) ** 2
        image[0, disc] += 3000
        image[1, disc] += rng.uniform(500, 2000)
    return np.clip(image, 0, 65535).astype(np.uint16), centres


def write_experiment(folder: Path, plates: tuple[str, ...] = ("P1", "P2"), sites: int = 2) -> Raw:
    """Write plates, plate map and cell tables; well A10 is marked empty, B02 shows no cell."""
    for number, plate in enumerate(plates):
        (folder / plate).mkdir(parents=True)
        for index, well in enumerate(WELLS):
            rng = np.random.default_rng([number, index])
            rows = []
            for site in range(1, sites + 1):
                images, centres = field(rng, 0 if well == "B02" else 7)
                for channel, image in zip(("DNA", "Actin"), images, strict=True):
                    tifffile.imwrite(folder / plate / f"{well}_s{site}_{channel}.tif", image)
                rows += [f"{site},{x - 2},{y - 1},{100 * site + k}" for k, (y, x) in enumerate(centres)]
            (folder / plate / f"cells_{well}.csv").write_text("\n".join(["site,x,y,intensity", *rows]) + "\n")
    lines = ["Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type,Metadata_Dose"]
    for index, well in enumerate(WELLS):
        kind = "empty" if well == "A10" else "negcon" if well == "A01" else "treatment"
        lines.append(f"{well},{'NT' if index == 0 else f'gene{index % 2}'},M{index % 2 + 1},{kind},{index}")
    (folder / "platemap.csv").write_text("\n".join(lines) + "\n")
    entry = [
        {
            "source": {
                "name": "filenames",
                "path": str(folder / plate),
                "plate": plate,
                "pattern": r"(?P<well>[A-Z]\d+)_s(?P<site>\d+)_(?P<channel>\w+)\.tif",
                "pixel_size_um": 0.5,
            },
            "platemap": {"path": str(folder / "platemap.csv")},
        }
        for plate in plates
    ]
    plain = {
        "name": "tiny",
        "plates": entry,
        "channels": ["Actin", "DNA"],
        "illumination": {"kernel_px": 20, "sigma_px": 5},
        "nuclei": {"channel": "DNA", "diameter_px": DISC},
        "tiles": {"size_px": 24},
        "shards": {"bags_per_shard": 2, "chunk_tiles": 4},
        "qc": {"sites_per_plate": 1, "max_px": 48},
    }
    return Raw(folder=folder, plain=plain)


class Stopped(Exception):
    """Stands for a build that ends between two steps."""


@pytest.fixture
def stop_before_tables(monkeypatch: pytest.MonkeyPatch) -> Callable[[IngestConfig, Path], None]:
    """Make all shards of a dataset and stop."""

    def stop(*args: Any) -> None:
        raise Stopped

    def build(config: IngestConfig, out: Path) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("data_tools.pipeline.build.attempt.finish", stop)
            with pytest.raises(Stopped):
                ingest(config, out, workers=0)

    return build


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    """One plate that a test may damage."""
    return write_experiment(tmp_path / "raw", ("P1",))


@pytest.fixture(scope="session")
def two_plates(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    """Two plates that no test changes."""
    return write_experiment(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """Relative name -> BLAKE3 of every file below a folder."""

    def hashes(folder: Path) -> dict[str, str]:
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return {str(file.relative_to(folder)): file_checksum(file) for file in files}

    return hashes
