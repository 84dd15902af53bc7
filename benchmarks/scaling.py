"""Theme ``scaling``: what ranks say to each other in a step, and whether the projection to many GPUs holds here.

The projection (``benchmarks/projection.py``) says: a step of N ranks takes the computing of one over N, and the
exchange of gradients. Here ranks have one thread each and share the cores, so computing is divided by the cores that
are there.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from statistics import median

from benchmarks import tables
from benchmarks.gpu_check.scene import OBJECTIVES, Scene
from benchmarks.harness import Finding, Measured
from benchmarks.projection import page_tables
from benchmarks.ranks import RankFacts, launch, named, rank_costs
from benchmarks.results import put_between
from benchmarks.steps import Setting
from benchmarks.synthetic import draw_pixels, write_dataset
from benchmarks.traffic import count

FARTHEST = 0.25
"""Of measured over projected from 1."""
SUMS_BYTES = 32
"""Loss, count and two wishes to stop, float64, in every step."""
PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
MARKERS = ("<!-- projection -->", "<!-- /projection -->")


def run(*, quick: bool) -> list[Measured]:
    """Train on 1, 2 and 4 ranks, and count what the objectives say; quick: 1 and 2 ranks, a narrow network."""
    worlds, repetitions = ((1, 2), 1) if quick else ((1, 2, 4), 5)
    setting = Setting(bags=8, tiles=4, width=16 if quick else 64)
    steps = 2 if quick else 3
    with tempfile.TemporaryDirectory(prefix="wellstream-bench-") as name:
        dataset = write_dataset(Path(name) / "tar", draw_pixels(16 * 32), 32)
        tables.write(dataset)
        # In turn, so that what slows the machine for a while slows all.
        facts: dict[int, list[list[RankFacts]]] = {world: [] for world in worlds}
        for _ in range(1 if quick else 2):
            for world in worlds:
                facts[world].append(launch(dataset.root, setting, world, steps, repetitions, threads=1))
        findings = [*_against_projection(facts, steps, quick), *_spoken(Path(name), quick)]
    return [
        Measured(
            theme="scaling",
            case=f"ranks of one thread (gloo), ResNet-18 of width {setting.width}, {setting.batch} tiles per step",
            unit="tiles",
            items=setting.batch * steps,
            costs=rank_costs(facts),
            limit=named(1),
            findings=tuple(findings),
            notes=(f"all ranks share {_cores()} cores, each has one thread",),
        )
    ]


def projected_seconds(alone_s: float, exchange_s: float, world: int, cores: int) -> float:
    """Return the seconds of a step of ``world`` ranks of one thread on ``cores`` cores.

    Args:
        alone_s: of a step of one rank.
        exchange_s: of adding up the gradients.
        world: ranks.
        cores: that they share.
    """
    return alone_s / min(world, cores) + exchange_s


def _against_projection(facts: dict[int, list[list[RankFacts]]], steps: int, quick: bool) -> list[Finding]:
    alone = median(second for found in facts[1] for second in found[0].seconds) / steps
    findings = []
    for world, found in facts.items():
        if world == 1:
            continue
        exchange = median(second for ranks in found for second in ranks[0].exchange_s)
        measured = median(second for ranks in found for second in ranks[0].seconds) / steps
        ratio = measured / projected_seconds(alone, exchange, world, _cores())
        bounds = {} if quick else {"least": 1 - FARTHEST, "most": 1 + FARTHEST}
        findings += [
            Finding(name=f"step of {named(world)}, measured / projected", value=ratio, unit="x", **bounds),
            Finding(name=f"exchange of gradients, {named(world)}", value=exchange * 1e3, unit="ms per step"),
        ]
    return findings


def _spoken(folder: Path, quick: bool) -> list[Finding]:
    """Bytes that a rank hands to collectives in a step of two ranks, beside its gradient."""
    scene, findings = Scene(folder, "cpu"), []
    for name in tuple(OBJECTIVES)[:1] if quick else OBJECTIVES:
        found = count(scene.config(name), folder)
        beside = sum(found["said"].values()) - found["gradient_bytes"]
        findings.append(Finding(name=f"{name}: bytes per step beside the gradient", value=beside, unit="bytes"))
    return findings


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def update_projection(page: Path = PAGE) -> None:
    """Put the projected tables into the page, between its markers."""
    put_between(page, MARKERS, page_tables())
