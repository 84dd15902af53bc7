"""Theme ``ingest``: a whole simulated plate from TIFFs to a dataset.

Limits: decoding the same TIFFs once with tifffile, in one process, and nothing else; and, because tiles overlap and
take more bytes than the images they are cut from, decoding with our decoder and writing as many bytes as the shards
have. How far a second worker can go on a machine is said by two halves of other work, in turn and side by side:
arithmetic that never leaves the processor's cache, decoding, decoding and writing, and two ingests of half the plate
that share nothing but the machine.

A flat-field from every field decodes every image twice; the arm that fits it to a seventh of the fields stands for
``max_images: 512`` on a plate of 384 wells x 9 fields. Workers are Dask processes that run already: their start is
stated apart.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile

from benchmarks.halves import Halves, arithmetic, two_processes
from benchmarks.harness import Arm, Costs, Finding, Measured, PeakMemory, Target, WrongPixels, measure
from data_tools.formats.tiff import decode_grey
from data_tools.nuclei.sized import SizedMethod
from data_tools.pipeline import ingest
from data_tools.pipeline.build import shard_file
from data_tools.pipeline.build.runner import local_cluster
from data_tools.pipeline.build.shard_file import DirectWriter
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.fields import cut_tiles
from data_tools.shards.base import SummedStream
from data_tools.simulate import PlateConfig, simulate_plate
from framework.data.dataset import Dataset
from framework.data.store import dataset_digest

_OF_DECODING, _TWO_WORKERS, _FLAT, _OF_LIBTIFF = 0.7, 1.7, 1.1, 1.5
_REPEATS, _REPEATS_OF_TWO = 5, 9
_SHARE, _ROUNDS_PER_IMAGE = 7, 2_000
_DRAWN_SITES = 2
_CHANNELS = ("Hoechst", "MitoTracker", "Phalloidin")
OURS, LIBTIFF = "our decoder", "libtiff"
DECODE, WRITE = "decode the TIFFs", "our decoder, then as many bytes written"
ARITHMETIC = "arithmetic within the processor's cache"
CACHED = "no flat-field, written through the page cache"
FLAT, SAMPLED, ALL = "no flat-field", "flat-field of a seventh of the fields", "flat-field of every field"
ONE, TWO = "flat-field of every field, 1 worker", "flat-field of every field, 2 workers"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The plate that every arm ingests.

    Attributes:
        folder: with the plate in ``raw``; arms ingest into ``out``.
        images: of the plate.
        written: bytes of its shards.
        size: edge of a field.
        quick: few repetitions, and no targets: what is done once a plate is most of the time of a small one.
        made: arm -> digest of its dataset, of arms that must make the same.
    """

    folder: Path
    images: list[Path]
    written: int
    size: int
    quick: bool
    made: dict[str, str] = field(default_factory=dict)

    def measured(self, case: str, costs: Costs, limit: str, targets: list[Target], findings: list[Finding]) -> Measured:
        """Return a table of rates in fields/s."""
        return Measured(
            theme="ingest",
            case=case,
            unit="fields",
            items=len(self.images) // len(_CHANNELS),
            item_bytes=len(_CHANNELS) * 2 * self.size**2,
            costs=costs,
            limit=limit,
            targets=() if self.quick else tuple(targets),
            findings=tuple(findings),
        )


def run(*, quick: bool) -> list[Measured]:
    """Ingest a plate; quick: 6 wells of 2 fields of 270 px, else 48 wells of 4 fields of 1,080 px.

    Raises:
        WrongPixels: another number of workers made another dataset, or our decoder other pixels.
    """
    wells, sites, size = (6, 2, 270) if quick else (48, 4, 1080)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
            folder = Path(name)
            images = _plate(folder / "raw", wells, sites, size)
            _check_decoders(images[: 2 * len(_CHANNELS)])
            job = Job(folder=folder, images=images, written=_bytes_of_shards(folder), size=size, quick=quick)
            case = f"{wells} wells x {sites} fields of {size} px x {len(_CHANNELS)} channels"
            tables = [_one_process(job, case), _second_worker(job, f"{case}, a second worker")]
            if len(set(job.made.values())) > 1:
                raise WrongPixels(f"the number of workers changed the dataset: {job.made}")
            return tables
    finally:
        cv2.setNumThreads(threads)


def _one_process(job: Job, case: str) -> Measured:
    costs = measure(_arms(job), 1 if job.quick else _REPEATS)
    targets = [
        Target(arm=OURS, over=LIBTIFF, least=_OF_LIBTIFF, gates=False),
        *(Target(arm=arm, over=DECODE, least=_OF_DECODING, gates=False) for arm in (FLAT, SAMPLED, ALL)),
    ]
    findings = [*_of_the_limit(costs), *_spent(job.folder / "raw", job.folder / "out")]
    if not job.quick:
        findings.append(_memory(job.folder))
    return job.measured(case, costs, DECODE, targets, findings)


def _second_worker(job: Job, case: str) -> Measured:
    corrected, halved = _config(job.folder / "raw", "percentile_gaussian"), _halved(job)
    with two_processes() as pool, _cluster(1, job.folder) as (one, _), _cluster(2, job.folder) as (two, started):
        workers = [_arm(ONE, corrected, job, one), _arm(TWO, corrected, job, two)]
        others = [arm for halves in halved for arm in halves.arms(pool)]
        costs = measure([*workers, *others], 1 if job.quick else _REPEATS_OF_TWO)
    targets = [Target(arm=TWO, over=ONE, least=_TWO_WORKERS, gates=False)]
    findings = [Finding(name="start of 2 workers", value=started, unit="s"), *(item.gain(costs) for item in halved)]
    return job.measured(case, costs.without(halved[0].in_turn, halved[0].beside), ONE, targets, findings)


def _arms(job: Job) -> list[Arm]:
    raw, images = job.folder / "raw", job.images
    few = max(1, len(images) // len(_CHANNELS) // _SHARE)
    return [
        Arm(name=DECODE, work=lambda: _decode(images), is_limit=True),
        Arm(name=OURS, work=lambda: _with_ours(images)),
        Arm(name=LIBTIFF, work=lambda: _with_libtiff(images)),
        Arm(
            name=WRITE,
            work=lambda: _decode_and_write(images, job.folder / "bytes-0", job.written),
            before=lambda: _remove_bytes(job.folder),
        ),
        # Pixels differ on purpose from those corrected with every field.
        _arm(FLAT, _config(raw, "none"), job, None, compared=False),
        _through_the_cache(_arm(CACHED, _config(raw, "none"), job, None, compared=False)),
        _arm(SAMPLED, _config(raw, "percentile_gaussian", max_images=few), job, None, compared=False),
        _arm(ALL, _config(raw, "percentile_gaussian"), job, None),
    ]


def _bytes_of_shards(folder: Path) -> int:
    """Ingest the plate once and return how many bytes its shards have."""
    ingest(_config(folder / "raw", "none"), folder / "out", workers=0)
    return sum(file.stat().st_size for file in (folder / "out" / "shards").glob("*.tar"))


def _halved(job: Job) -> list[Halves]:
    """Return work that is done in one process and in two, the arithmetic first."""
    plates = [(_half(job.folder / "raw", half), job.folder / f"half-{half}") for half in range(2)]

    def remove_plates() -> None:
        for _, out in plates:
            shutil.rmtree(out, ignore_errors=True)

    parts = [(job.images[half::2], job.folder / f"bytes-{half}", job.written // 2) for half in range(2)]
    rounds = len(job.images) * _ROUNDS_PER_IMAGE
    return [
        Halves(name=ARITHMETIC, function=arithmetic, jobs=((rounds,), (rounds,))),
        Halves(name=OURS, function=_with_ours, jobs=(parts[0][:1], parts[1][:1])),
        Halves(
            name=WRITE,
            function=_decode_and_write,
            jobs=(parts[0], parts[1]),
            before=lambda: _remove_bytes(job.folder),
        ),
        Halves(
            name="ingests that share only the machine",
            function=_ingest_half,
            jobs=(plates[0], plates[1]),
            before=remove_plates,
        ),
    ]


def _half(raw: Path, half: int) -> Path:
    """Link the images of every second well into a raw folder of their own and return it."""
    part = raw.with_name(f"{raw.name}-half-{half}")
    if not part.exists():
        (part / "images").mkdir(parents=True)
        header, *rows = (raw / "platemap.csv").read_text().splitlines()
        rows = rows[half::2]
        (part / "platemap.csv").write_text("\n".join([header, *rows]) + "\n")
        for well in [row.split(",")[1] for row in rows]:
            for image in (raw / "images").glob(f"{well}_*"):
                (part / "images" / image.name).hardlink_to(image)
    return part


def _ingest_half(raw: Path, out: Path) -> None:
    cv2.setNumThreads(1)
    ingest(_config(raw, "percentile_gaussian"), out, workers=0)


def _spent(raw: Path, out: Path) -> list[Finding]:
    """What part of an ingest without flat-field each stage takes: a profile of one run in this process."""
    profile = cProfile.Profile()
    config = _config(raw, "none")
    shutil.rmtree(out, ignore_errors=True)
    profile.runcall(ingest, config, out, workers=0)
    stats: Any = pstats.Stats(profile)
    put, write = _cumulative(stats, SummedStream.put), _cumulative(stats, DirectWriter.write)
    stages = {
        "decoding": _cumulative(stats, decode_grey),
        "finding nuclei": _cumulative(stats, SizedMethod.find),
        "cutting tiles and counting their pixels": _cumulative(stats, cut_tiles),
        "checksums": put - write,
        "handing over to the disk": write,
    }
    return [
        Finding(name=f"of an ingest without flat-field: {name}", value=spent / stats.total_tt, unit="share")
        for name, spent in stages.items()
    ]


def _cumulative(stats: Any, function: Callable[..., object]) -> float:
    """Return the seconds that a function took in a profile, with all it calls, found by its code."""
    code = function.__code__
    return float(stats.stats[code.co_filename, code.co_firstlineno, code.co_name][3])


def _with_libtiff(images: list[Path]) -> None:
    for image in images:
        imagecodecs.tiff_decode(image.read_bytes())


def _with_ours(images: list[Path]) -> None:
    for image in images:
        decode_grey(image)


def _check_decoders(images: list[Path]) -> None:
    for image in images:
        ours = decode_grey(image)
        if not (np.array_equal(ours, tifffile.imread(image)) and ours.dtype == np.uint16):
            raise WrongPixels(f"{image}: our decoder and tifffile differ")


def _arm(name: str, config: IngestConfig, job: Job, scheduler: str | None, *, compared: bool = True) -> Arm:
    out = job.folder / "out"

    def work() -> None:
        ingest(config, out, scheduler=scheduler, workers=0)
        if compared:
            job.made[name] = dataset_digest(Dataset.open(out))

    return Arm(name=name, work=work, before=lambda: shutil.rmtree(out, ignore_errors=True))


@contextmanager
def _cluster(workers: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Start workers; yield their address, and the seconds it took."""
    start = time.perf_counter()
    with local_cluster(workers, folder / f"dask-{workers}") as cluster:
        yield cluster.scheduler_address, time.perf_counter() - start


def _plate(folder: Path, wells: int, sites: int, size: int) -> list[Path]:
    """Make a plate of few simulated fields under many names, and return its images."""
    config = PlateConfig(
        plate="BENCH",
        perturbations=3,
        replicates=1,
        empty_wells=0,
        out_of_focus_wells=0,
        sites=_DRAWN_SITES,
        size_px=size,
        cells_per_site=200 * size**2 / 1080**2,
        transcripts=10,
        proteins=10,
    )
    simulate_plate(config, folder / "drawn")
    by_channel = [sorted((folder / "drawn" / "BENCH").rglob(f"*-ch{n}sk*.tif*")) for n in range(1, len(_CHANNELS) + 1)]
    (folder / "images").mkdir()
    names = [f"{chr(65 + well // 24)}{well % 24 + 1:02d}" for well in range(wells)]
    images = []
    for well, name in enumerate(names):
        for site in range(sites):
            for channel, drawn in zip(_CHANNELS, by_channel, strict=True):
                image = folder / "images" / f"{name}_{site + 1}_{channel}.tif"
                image.hardlink_to(drawn[(well * sites + site) % len(drawn)])
                images.append(image)
    rows = [f"BENCH,{name},p{number // 2},s{number % 2},treatment" for number, name in enumerate(names)]
    header = "Metadata_Plate,Metadata_Well,Metadata_Perturbation,Metadata_Stimulation,Metadata_Control_Type"
    (folder / "platemap.csv").write_text("\n".join([header, *rows]) + "\n")
    return images


def _config(raw: Path, method: str, **illumination: object) -> IngestConfig:
    return IngestConfig.from_plain(
        {
            "name": "bench",
            "plates": [
                {
                    "source": {
                        "name": "filenames",
                        "path": str(raw / "images"),
                        "plate": "BENCH",
                        "pattern": r"(?P<well>[A-P]\d\d)_(?P<site>\d+)_(?P<channel>\w+)\.tif",
                    },
                    "platemap": {"path": str(raw / "platemap.csv")},
                }
            ],
            "channels": list(_CHANNELS),
            "illumination": {"method": method, **illumination},
            "nuclei": {"channel": _CHANNELS[0], "diameter_px": 24.0},
            "shards": {"bags_per_shard": 2},
        }
    )


def _decode(images: list[Path]) -> None:
    for image in images:
        tifffile.imread(image)


def _decode_and_write(images: list[Path], out: Path, nbytes: int) -> None:
    """Decode all images, and after each copy its share of the bytes from pixels to a file."""
    share = nbytes // len(images)
    buffer = np.empty(share, np.uint8)  # one for all: fresh memory for each would cost more than the copy
    with out.open("wb") as stream:
        with DirectWriter(stream) as file:  # as shards are written
            for image in images:
                pixels = decode_grey(image).reshape(-1).view(np.uint8)
                for start in range(0, share, len(pixels)):
                    part = buffer[start : start + len(pixels)]
                    part[:] = pixels[: len(part)]
                file.write(buffer.data)
        os.fsync(stream.fileno())


def _remove_bytes(folder: Path) -> None:
    for file in folder.glob("bytes-*"):
        file.unlink()


def _through_the_cache(arm: Arm) -> Arm:
    """Return an arm whose shards go through the page cache, as on file systems without direct writes."""

    def work() -> None:
        found = shard_file._set_direct
        shard_file._set_direct = lambda *_: False
        try:
            arm.work()
        finally:
            shard_file._set_direct = found

    return replace(arm, work=work)


def _of_the_limit(costs: Costs) -> list[Finding]:
    """What part of the limit that writes too is reached."""
    seconds = {arm: statistics.median(values) for arm, values in costs.seconds.items()}
    return [
        Finding(name=f"{arm}, of decoding and writing", value=seconds[WRITE] / seconds[arm], unit="share")
        for arm in (FLAT, SAMPLED, ALL)
    ] + [Finding(name="gain of writing past the page cache", value=seconds[CACHED] / seconds[FLAT], unit="x")]


def _memory(folder: Path) -> Finding:
    """Peak memory of one worker over a plate of 384 wells, over that for 8 wells."""
    used = []
    for wells in (8, 384):
        raw = folder / f"raw-{wells}"
        _plate(raw, wells, 1, 270)
        shutil.rmtree(folder / "out", ignore_errors=True)
        with PeakMemory() as memory:
            ingest(_config(raw, "percentile_gaussian", kernel_px=60, sigma_px=12), folder / "out", workers=1)
        used.append(memory.child_mb)
    few, many = used
    return Finding(
        name=f"memory of a worker for 384 wells ({many:.0f} MB) over that for 8", value=many / few, unit="x", most=_FLAT
    )
