"""A look at plates before anything is built: some fields of each plate, as they are in the export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.illumination import ILLUMINATIONS, StreamingMean
from data_tools.nuclei import SizedConfig
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.estimate import drawn
from data_tools.pipeline.plates.plate import Bag, Plate, Site, SiteError, field_of, find_centres, load_site
from data_tools.pipeline.plates.shading import mean_sites
from data_tools.pipeline.plates.survey import Survey
from data_tools.tiles import tiles_inside
from framework.errors import InputError
from framework.look.samples import focus_of, histograms_of, sizes_of
from framework.look.values import Floats, Look, Sample
from framework.progress import OnProgress

_WHOLE, _COUNTED = 12, 96
"""Fields of which all channels are read, and fields whose nuclei are counted, over all plates."""
_EVERY = 4
"""Pixels that histograms leave out, along each edge."""


@dataclass(kw_only=True)
class _Seen:
    """What was seen of the fields so far."""

    samples: list[Sample] = field(default_factory=list)
    pixels: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)
    focus: list[Sample] = field(default_factory=list)
    counts: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    flatfields: dict[str, Floats] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def look_at(config: IngestConfig, found: Survey, base: Path, facts: dict[str, str], report: OnProgress) -> Look:
    """Look at some fields of each plate, drawn by seed, one of each well before a second of any.

    Args:
        config: config of the ingest.
        found: what there is.
        base: folder that messages leave out of file names.
        facts: what is known already, by name.
        report: called with ("look", done, total).
    """
    seen, plates = _Seen(), [plate for plate in found.plates if plate.sites()]
    whole, counted = (max(1, most // max(len(plates), 1)) for most in (_WHOLE, _COUNTED))
    for done, plate in enumerate(plates):
        report("look", done, len(plates))
        _plate(plate, config, base, seen, whole, counted)
    report("look", len(plates), len(plates))
    nuclei = config.nuclei.channel
    options = config.nuclei
    expected = options.in_px(found.pixel_size_um) if isinstance(options, SizedConfig) else None
    fits = config.illumination.corrects and not config.illumination.of_export
    counts = {plate: {well: float(np.mean(n)) for well, n in wells.items()} for plate, wells in seen.counts.items()}
    return Look(
        name=config.name,
        facts=tuple(facts.items()),
        nuclei=nuclei,
        expected_px=expected,
        tile_px=config.tiles.size_px,
        pixel_size_um=found.pixel_size_um,
        samples=tuple(seen.samples),
        sizes=sizes_of(seen.samples, nuclei, config.tiles.size_px),
        histograms=histograms_of(seen.pixels),
        flatfields=seen.flatfields,
        fitted_to=min((len(mean_sites(plate, config)) for plate in plates), default=0) if fits else None,
        focus=focus_of(seen.focus, nuclei),
        counts={plate.name: _all_wells(plate, counts.get(plate.name, {})) for plate in plates},
        empty=tuple(f"{plate}/{well}" for plate, wells in counts.items() for well, n in wells.items() if n == 0),
        problems=tuple(dict.fromkeys([*(problem.detail for problem in found.problems), *seen.problems])),
        notes=found.notes,
    )


def _all_wells(plate: Plate, counts: dict[str, float]) -> dict[str, float]:
    return {bag.well: counts.get(bag.well, float("nan")) for bag in plate.bags}


def _plate(plate: Plate, config: IngestConfig, base: Path, seen: _Seen, whole: int, counted: int) -> None:
    means = [StreamingMean() for _ in config.read_channels]
    shape: tuple[int, int] | None = None
    place = config.read_channels.index(config.nuclei.channel)
    for number, (bag, site) in enumerate(drawn(plate, config.seed)):
        if number >= counted:
            break
        chosen = site if number < whole else Site(number=site.number, images=(site.images[place],),
                                                  nuclei_files=site.nuclei_files)  # fmt: skip
        try:
            images = load_site(chosen, shape=shape, dtype=config.tiles.dtype, checks=config.checks, base=base)
            image = images[place] if number < whole else images[0]
            sample = _sample(plate, bag, site, image, config, base)
        except SiteError as error:
            seen.problems.append(error.problem.detail)
            continue
        shape = (image.shape[0], image.shape[1])
        seen.focus.append(sample)
        seen.counts.setdefault(plate.name, {}).setdefault(bag.well, []).append(len(sample.y_px))
        if number < whole:
            seen.samples.append(sample)
            for channel, mean, one in zip(config.read_channels, means, images, strict=True):
                mean.add(one)
                seen.pixels.setdefault(channel, []).append(one[::_EVERY, ::_EVERY].copy())
    if shape is not None:
        _flatfields(plate, config, means, shape, seen)


def _sample(plate: Plate, bag: Bag, site: Site, image: npt.NDArray[Any], config: IngestConfig, base: Path) -> Sample:
    field_ = field_of(plate, bag, site, config)
    nuclei = find_centres(image, field_, config.nuclei, base)
    inside = tiles_inside(nuclei.y_px, nuclei.x_px, config.tiles.size_px, (image.shape[0], image.shape[1]))
    return Sample(
        plate=plate.name,
        well=bag.well,
        site=site.number,
        images={config.nuclei.channel: image},
        scale=1.0,
        y_px=nuclei.y_px.astype(np.float64),
        x_px=nuclei.x_px.astype(np.float64),
        has_tile=np.asarray(inside, dtype=np.bool_),
    )


def _flatfields(
    plate: Plate, config: IngestConfig, means: Sequence[StreamingMean], shape: tuple[int, int], seen: _Seen
) -> None:
    """Fit flat-fields to the few fields that were read, or take those of the export."""
    if not config.illumination.corrects:
        return
    fit = ILLUMINATIONS.get(config.illumination.method).build
    for place, (channel, mean) in enumerate(zip(config.read_channels, means, strict=True)):
        if mean.count == 0:
            continue
        try:
            image = plate.profiles[place].image(shape) if plate.profiles else mean.mean()
            field_ = fit(image, config.illumination, channel)
        except InputError as error:
            seen.problems.append(f"plate '{plate.name}': {error}")
            continue
        seen.flatfields[f"{channel} · {plate.name}"] = field_.astype(np.float64)
