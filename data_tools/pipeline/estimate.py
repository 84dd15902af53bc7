"""How large a dataset would become, from a few sites: for ``--dry-run``, which writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.ingest_config import IngestConfig
from data_tools.nuclei import find_nuclei
from data_tools.pipeline.site import SiteError, load_site
from data_tools.pipeline.survey import Plate, Survey
from data_tools.readers import Problem
from data_tools.shards import random_order
from data_tools.tiles import tiles_inside

_SITES_A_PLATE = 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected numbers, rounded; exact only by chance.

    Attributes:
        nuclei, tiles: over all plates.
        bytes: of the shards, without compression.
        problems: sites of the sample that cannot be used.
    """

    nuclei: int
    tiles: int
    bytes: int
    problems: tuple[Problem, ...]


def estimate(config: IngestConfig, survey: Survey, base: Path, progress: Callable[[str, int, int], None]) -> Estimate:
    """Find nuclei in three sites of each plate (uncorrected, drawn by seed) and scale up."""
    nuclei, tiles, problems = 0.0, 0.0, []
    for done, plate in enumerate(survey.plates):
        progress("sample", done, len(survey.plates))
        found, inside, bad = _sample(plate, config, base)
        sites = len(plate.sites())
        nuclei += sites * found
        tiles += sites * inside
        problems += bad
    progress("sample", len(survey.plates), len(survey.plates))
    tile_bytes = len(config.channels) * config.tiles.size_px**2 * np.dtype(config.tiles.dtype).itemsize
    return Estimate(nuclei=round(nuclei), tiles=round(tiles), bytes=round(tiles) * tile_bytes, problems=tuple(problems))


def _sample(plate: Plate, config: IngestConfig, base: Path) -> tuple[float, float, list[Problem]]:
    """Return nuclei and tiles a site, and problems."""
    sites = plate.sites()
    counts: list[tuple[int, int]] = []
    problems = []
    for index in random_order(len(sites), config.seed, "estimate", plate.name)[:_SITES_A_PLATE]:
        try:
            images = load_site(sites[index][1], shape=None, dtype=config.tiles.dtype, checks=config.checks, base=base)
        except SiteError as error:
            problems.append(error.problem)
            continue
        image = images[config.read_channels.index(config.nuclei.channel)]
        found = find_nuclei(image, config.nuclei, plate.pixel_size_um)
        height, width = image.shape
        inside = tiles_inside(found.y_px, found.x_px, config.tiles.size_px, (height, width))
        counts.append((len(found), int(inside.sum())))
    if not counts:
        return 0.0, 0.0, problems
    nuclei, tiles = np.mean(counts, axis=0)
    return float(nuclei), float(tiles), problems
