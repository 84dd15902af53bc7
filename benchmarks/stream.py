"""Theme ``stream``: random bags from warm files (20 wells x 12 random tiles of 3 x 128 x 128 uint16), one process.

Limit: ``memcpy`` of the same bytes from one contiguous array, by one thread, into a batch that stays in the processor's
cache. A loader that works ahead fills several batches in turn, which do not: a second limit copies as it must. Arms of
random access must return the same pixels. Readers that only go front to back, or in a shuffled order of their own,
return as many tiles, not the same ones: their rate is their best case.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks import stream_peers, stream_zarr
from benchmarks.harness import Arm, Costs, Finding, Measured, Target, digest, measure
from benchmarks.synthetic import RandomBags, draw_pixels, write_dataset
from framework.data.batch import Batch
from framework.data.dataset import Dataset
from framework.data.loading.loader import Loader
from framework.data.scales import ScaleProfile
from framework.data.store import TileStore

BAGS_PER_STEP, TILES_PER_BAG = 20, 12
GATHER, LOADED = "wellstream gather", "wellstream loader, stored integers"
IN_TURN, _BATCHES_AHEAD = "memcpy into the batches of a loader in turn", 4
_THREADS_NOTE = (
    "the gather and the loader copy on two threads, memcpy on one: their ratios need both cores, so other programs "
    "lower them; in CPU-seconds a tile of a mapped file costs 1.5 to 2 times what a tile of one array costs, whichever "
    "call copies it"
)
_OVER_LITDATA, _OVER_WEBDATASET = 4.0, 3.0
_OF_MEMCPY = {GATHER: 0.65, LOADED: 0.75}


@dataclass(kw_only=True)
class Job:
    """What every arm reads, and the buffer it fills last."""

    dataset: Dataset
    pixels: npt.NDArray[np.uint16]
    plan: RandomBags
    out: npt.NDArray[np.uint16]

    def result(self) -> str:
        """Digest of the tiles of the last step."""
        return digest(self.out)

    def keep(self, batches: Iterable[Batch]) -> None:
        """Consume batches, and keep the pixels of the last."""
        last = None
        for batch in batches:
            last = batch
        if last is not None:
            np.copyto(self.out, last.tiles.flatten(0, 1).numpy(), casting="unsafe")


def run(*, quick: bool) -> list[Measured]:
    """Write the same tiles in every layout and read random bags from each.

    Raises:
        WrongPixels: the arms disagree.
    """
    n_bags, per_bag, steps = (20, 64, 4) if quick else (40, 192, 64)
    repetitions = 3 if quick else 7
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        folder = Path(name)
        pixels = draw_pixels(n_bags * per_bag)
        plan = RandomBags.draw(n_bags, per_bag, steps, BAGS_PER_STEP, TILES_PER_BAG)
        out = np.empty((BAGS_PER_STEP * TILES_PER_BAG, *pixels.shape[1:]), dtype=np.uint16)
        job = Job(dataset=write_dataset(folder / "tar", pixels, per_bag), pixels=pixels, plan=plan, out=out)
        peers, absent = stream_peers.arms(folder, job.dataset, pixels, steps * len(out), per_bag)
        random = measure([*_limits(job), *_ours(job), *peers], repetitions)
        arrays = stream_zarr.write(folder, pixels, per_bag)
        compared, missing = stream_zarr.arms(arrays, plan, out)
        # All decode, which is most of the time: their ratios are near 1, and need more repetitions to tell.
        zarr = measure([*_limits(job)[:1], _gather(job), *compared], repetitions if quick else 2 * repetitions)
        slow = stream_zarr.slow_arms(arrays, plan, out)
        one = Job(dataset=job.dataset, pixels=pixels, plan=RandomBags(wanted=plan.wanted[:1], per_bag=per_bag), out=out)
        slowest = measure([*_limits(one)[:1], _gather(one), *slow], 3 if quick else 5)
    tiles, nbytes = len(out), pixels[0].nbytes
    return [
        _measured("tar and its peers", steps * tiles, nbytes, random, absent, _targets(random), _of_memcpy(random)),
        _measured(
            "sharded Zarr",
            steps * tiles,
            nbytes,
            zarr,
            missing,
            stream_zarr.targets(zarr.seconds),
            stream_zarr.of_decoding(zarr.seconds),
        ),
        _measured("zarr-python, one step", tiles, nbytes, slowest, {}, (), ()),
    ]


def _of_memcpy(costs: Costs) -> tuple[Finding, ...]:
    share = statistics.median(costs.seconds[IN_TURN]) / statistics.median(costs.seconds[LOADED])
    return (Finding(name=f"{LOADED}, of {IN_TURN}", value=share, unit="share"),)


def _measured(
    case: str,
    items: int,
    nbytes: int,
    costs: Costs,
    absent: dict[str, str],
    targets: tuple[Target, ...],
    findings: tuple[Finding, ...],
) -> Measured:
    return Measured(
        findings=findings,
        theme="stream",
        case=case,
        unit="tiles",
        items=items,
        item_bytes=nbytes,
        costs=costs,
        limit="memcpy",
        absent=absent,
        targets=targets,
        notes=(_THREADS_NOTE,) if targets else (),
    )


def _targets(costs: Costs) -> tuple[Target, ...]:
    best = [name for name in costs.seconds if name.startswith("webdataset")]
    found = []
    for arm in (GATHER, LOADED):
        over = {"memcpy": _OF_MEMCPY[arm], "litdata, shuffled iteration": _OVER_LITDATA} | dict.fromkeys(
            best, _OVER_WEBDATASET
        )
        for name, least in over.items():
            # Other programs on the machine take cores from threads; what a tile costs stays.
            found.append(Target(arm=arm, over=name, least=least, clock="cpu"))
    return tuple(found)


def _limits(job: Job) -> list[Arm]:
    def memcpy(batches: Sequence[npt.NDArray[np.uint16]]) -> None:
        pixels, n_tiles = job.pixels, len(job.out)
        for step in range(len(job.plan.wanted)):
            start = (step * n_tiles) % (len(pixels) - n_tiles)
            np.copyto(batches[step % len(batches)], pixels[start : start + n_tiles])

    def take() -> None:
        for ids in job.plan.wanted:
            np.take(job.pixels, ids.ravel(), axis=0, out=job.out, mode="clip")

    several = [np.zeros_like(job.out) for _ in range(_BATCHES_AHEAD)]

    return [
        Arm(name="memcpy", work=lambda: memcpy([job.out]), is_limit=True),
        Arm(name=IN_TURN, work=lambda: memcpy(several), is_limit=True),
        Arm(name="numpy take from memory", work=take, result=job.result),
    ]


def _gather(job: Job) -> Arm:
    store = TileStore(job.dataset)

    def gather() -> None:
        for ids in job.plan.wanted:
            store.gather(ids.ravel(), job.out)

    def first() -> None:
        TileStore(job.dataset).gather(job.plan.wanted[0].ravel(), job.out)

    return Arm(name=GATHER, work=gather, first=first, result=job.result)


def _ours(job: Job) -> list[Arm]:
    store = TileStore(job.dataset)
    profile = ScaleProfile.fit("plate_standardise", store, np.arange(len(store)))

    def loaded(name: str, scale: ScaleProfile | None = None, *, as_stored: bool = False) -> Arm:
        loader = Loader(store, job.plan, scale=scale, as_stored=as_stored)

        def consume(batches: Iterable[Batch]) -> None:
            if scale is None:
                job.keep(batches)
            else:
                for _ in batches:
                    pass

        def first() -> None:
            consume(Loader(TileStore(job.dataset), job.plan, scale=scale, as_stored=as_stored).batches(0, 1))

        return Arm(
            name=name,
            work=lambda: consume(loader.batches(0, len(job.plan.wanted))),
            first=first,
            result=None if scale else job.result,
        )

    return [
        _gather(job),
        loaded(LOADED, as_stored=True),
        loaded("wellstream loader, float32"),
        loaded("wellstream loader, float32 standardised", profile),
    ]
