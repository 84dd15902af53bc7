"""How large a dataset would become, from a few sites: for ``--dry-run``, which writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import Bag, Plate, Site, SiteError, field_of, find_centres, load_site
from data_tools.pipeline.plates.survey import Survey
from data_tools.readers.problem import Problem
from data_tools.shards import random_order
from data_tools.tiles import tiles_inside
from framework.progress import OnProgress

_LEAST_SITES, _MOST_SITES = 8, 32
_ENOUGH = 0.1
"""Relative standard error of the tiles per site at which no further site is sampled."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected numbers, rounded; exact only by chance.

    Attributes:
        nuclei, tiles: over all plates.
        bytes: bytes of the shards, without compression.
        tiles_error: standard error of ``tiles``, from how the sampled sites differ.
        problems: sites of the sample that cannot be used.
    """

    nuclei: int
    tiles: int
    bytes: int
    tiles_error: int
    problems: tuple[Problem, ...]


def estimate(config: IngestConfig, survey: Survey, base: Path, progress: OnProgress) -> Estimate:
    """Find nuclei in some sites of each plate (uncorrected, drawn by seed from different wells) and scale up.

    Eight sites are read, and up to 32 where they differ much.
    """
    nuclei, tiles, variance, problems = 0.0, 0.0, 0.0, []
    for done, plate in enumerate(survey.plates):
        progress("sample", done, len(survey.plates))
        found, inside, error, bad = _sample(plate, config, base)
        sites = len(plate.sites())
        nuclei += sites * found
        tiles += sites * inside
        variance += (sites * error) ** 2
        problems += bad
    progress("sample", len(survey.plates), len(survey.plates))
    tile_bytes = len(config.channels) * config.tiles.size_px**2 * np.dtype(config.tiles.dtype).itemsize
    return Estimate(
        nuclei=round(nuclei),
        tiles=round(tiles),
        bytes=round(tiles) * tile_bytes,
        tiles_error=round(variance**0.5),
        problems=tuple(problems),
    )


def _sample(plate: Plate, config: IngestConfig, base: Path) -> tuple[float, float, float, list[Problem]]:
    """Return nuclei and tiles per site, the standard error of the tiles, and problems."""
    counts: list[tuple[int, int]] = []
    problems = []
    for bag, site in drawn(plate, config.seed):
        if len(counts) >= _MOST_SITES or (len(counts) >= _LEAST_SITES and _error(counts) <= _ENOUGH):
            break
        try:
            images = load_site(site, shape=None, dtype=config.tiles.dtype, checks=config.checks, base=base)
            image = images[config.read_channels.index(config.nuclei.channel)]
            found = find_centres(image, field_of(plate, bag, site, config), config.nuclei, base)
        except SiteError as error:
            problems.append(error.problem)
            continue
        height, width = image.shape
        inside = tiles_inside(found.y_px, found.x_px, config.tiles.size_px, (height, width))
        counts.append((len(found), int(inside.sum())))
    if not counts:
        return 0.0, 0.0, 0.0, problems
    nuclei, tiles = np.mean(counts, axis=0)
    return float(nuclei), float(tiles), float(tiles) * _error(counts), problems


def drawn(plate: Plate, seed: int) -> Iterator[tuple[Bag, Site]]:
    """Yield the sites in random order, one of each well before a second of any: wells differ more than their sites."""
    bags = [bag for bag in plate.bags if bag.sites]
    orders = [random_order(len(bag.sites), seed, "estimate", plate.name, bag.well) for bag in bags]
    for turn in range(max((len(bag.sites) for bag in bags), default=0)):
        for index in random_order(len(bags), seed, "estimate", plate.name, str(turn)):
            if turn < len(bags[index].sites):
                yield bags[index], bags[index].sites[orders[index][turn]]


def _error(counts: Sequence[tuple[int, int]]) -> float:
    """Return the standard error of the mean tiles per site, as a share of the mean."""
    tiles = np.array(counts, dtype=np.float64)[:, 1]
    if len(tiles) < 2 or not tiles.any():
        return 0.0
    return float(tiles.std(ddof=1) / np.sqrt(len(tiles)) / tiles.mean())
