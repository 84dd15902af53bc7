"""Theme ``ingest``: a whole simulated plate from TIFFs to a dataset.

Limit: decoding the same TIFFs, once, in one process, and nothing else. Flat-field correction reads every image twice
(first its mean, then the correction), so an ingest with it cannot exceed half of that; the arm without it shows the
rest. Workers are Dask processes; starting them is part of the time.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import tifffile

from benchmarks.harness import Arm, Finding, Measured, PeakMemory, Target, measure
from data_tools.ingest_config import IngestConfig
from data_tools.pipeline import ingest
from data_tools.simulate import PlateConfig, simulate_plate
from framework.data.dataset import Dataset
from framework.data.store import dataset_digest

_OF_DECODING, _TWO_WORKERS, _FLAT = 0.7, 1.7, 1.1
FLAT, HERE, ONE, TWO = "no flat-field, this process", "this process", "1 worker", "2 workers"


def run(*, quick: bool) -> list[Measured]:
    """Ingest a plate; quick: 7 wells of 2 fields of 270 px, else 23 of 540 px.

    Raises:
        WrongPixels: another number of workers made another dataset.
    """
    conditions, size = (3, 270) if quick else (11, 540)
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name)
        images, wells = _simulate(folder / "raw", conditions, size)
        configs = {FLAT: _config(folder / "raw", "none"), HERE: _config(folder / "raw", "percentile_gaussian")}
        arms = [Arm(name="decode the TIFFs", work=lambda: _decode(images), is_limit=True)]
        for arm, workers in ((FLAT, 0), (HERE, 0), (ONE, 1), (TWO, 2)):
            arms.append(_arm(arm, configs.get(arm, configs[HERE]), folder / "out", workers))
        costs = measure(arms, 1 if quick else 3)
        findings = () if quick else (_memory(folder, size),)
    return [
        Measured(
            theme="ingest",
            case=f"{wells} wells x 2 fields of {size} px x 3 channels",
            unit="fields",
            items=2 * wells,
            item_bytes=3 * 2 * size * size,
            costs=costs,
            limit="decode the TIFFs",
            # A quick plate is so small that starting workers is most of the time: it proves nothing about ratios.
            targets=()
            if quick
            else (
                Target(arm=FLAT, over="decode the TIFFs", least=_OF_DECODING, gates=False),
                Target(arm=HERE, over="decode the TIFFs", least=_OF_DECODING, gates=False),
                Target(arm=TWO, over=ONE, least=_TWO_WORKERS, gates=False),
            ),
            findings=findings,
        )
    ]


def _simulate(folder: Path, conditions: int, size: int) -> tuple[list[Path], int]:
    config = PlateConfig(
        plate="BENCH",
        rows=8,
        columns=12,
        perturbations=conditions,
        replicates=1,
        sites=2,
        size_px=size,
        cells_per_site=150 * size**2 / 1080**2,
        transcripts=10,
        proteins=10,
    )
    summary = simulate_plate(config, folder)
    return sorted((folder / "BENCH").rglob("*.tif*")), summary.n_wells


def _config(raw: Path, illumination: str) -> IngestConfig:
    return IngestConfig.from_plain(
        {
            "name": "bench",
            "plates": [
                {
                    "source": {"name": "harmony", "path": str(raw / "BENCH")},
                    "platemap": {"path": str(raw / "platemap.csv")},
                }
            ],
            "channels": ["Hoechst", "MitoTracker", "Phalloidin"],
            "illumination": {"method": illumination, "kernel_px": 125, "sigma_px": 25},
            "nuclei": {"channel": "Hoechst", "diameter_um": 14.4},
            "tiles": {"size_px": 64},
            "shards": {"bags_per_shard": 4},
        }
    )


def _decode(images: list[Path]) -> None:
    for image in images:
        tifffile.imread(image)


def _arm(name: str, config: IngestConfig, out: Path, workers: int) -> Arm:
    made: dict[str, str] = {}

    def work() -> None:
        shutil.rmtree(out, ignore_errors=True)
        ingest(config, out, workers=workers)
        made[name] = dataset_digest(Dataset.open(out))

    # Without correction the pixels differ on purpose.
    return Arm(name=name, work=work, result=None if name == FLAT else lambda: made[name])


def _memory(folder: Path, size: int) -> Finding:
    """Peak memory of one worker over the whole plate, over that for a plate of 7 wells."""
    _simulate(folder / "few", 3, size)
    used = []
    for raw in (folder / "few", folder / "raw"):
        shutil.rmtree(folder / "out", ignore_errors=True)
        with PeakMemory() as memory:
            ingest(_config(raw, "percentile_gaussian"), folder / "out", workers=1)
        used.append(memory.child_mb)
    few, many = used
    return Finding(
        name=f"memory of a worker ({many:.0f} MB) over that for 7 wells", value=many / few, unit="x", most=_FLAT
    )
