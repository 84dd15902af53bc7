"""Where nuclei come from: what the chosen method needs for each site, and what it says of sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from data_tools.nuclei import NUCLEI, FieldOfView
from data_tools.pipeline.build.facts import Remark
from data_tools.pipeline.plates.config import IngestConfig
from data_tools.pipeline.plates.plate import Bag, Plate, Site
from data_tools.readers.problem import Problem


def check_size(config: IngestConfig, pixel_size_um: float | None) -> None:
    """Check that the nucleus method suits an export. Raises InputError: it does not."""
    NUCLEI.get(config.nuclei.method).build(config.nuclei).check(pixel_size_um)


def with_files(plates: Sequence[Plate], config: IngestConfig) -> tuple[list[Plate], list[Problem], tuple[str, ...]]:
    """Give each site what its nucleus method reads beside the images.

    Returns:
        The plates, without sites that lack it; a problem for each of these; and what was joined and left out.

    Raises:
        InputError: nothing fits.
    """
    method = NUCLEI.get(config.nuclei.method).build(config.nuclei)
    fields = [field_of(plate, bag, site, config) for plate in plates for bag, site in plate.sites()]
    found = method.survey(fields)
    bad = {(problem.plate, problem.well, problem.site) for problem in found.problems}
    if not found.files and not bad:
        return list(plates), [], found.notes
    placed = []
    for plate in plates:
        bags = []
        for bag in plate.bags:
            sites = tuple(
                replace(site, nuclei_files=found.files.get((plate.name, bag.well, site.number), ()))
                for site in bag.sites
                if (plate.name, bag.well, site.number) not in bad
            )
            lost = len(bag.sites) - len(sites)
            bags.append(replace(bag, sites=sites, n_sites_imaged=bag.n_sites_imaged - lost))
        placed.append(replace(plate, bags=tuple(bags)))
    return placed, list(found.problems), found.notes


def field_of(plate: Plate, bag: Bag, site: Site, config: IngestConfig) -> FieldOfView:
    """Return a site as nucleus methods know it."""
    image = site.images[config.read_channels.index(config.nuclei.channel)]
    return FieldOfView(
        plate=plate.name,
        well=bag.well,
        site=site.number,
        image=image.file.name,
        pixel_size_um=plate.pixel_size_um,
        files=site.nuclei_files,
    )


def remark_notes(remarks: Iterable[Remark]) -> tuple[str, ...]:
    """Return a sentence for each kind of remark, with how many sites it is about."""
    remarks = list(remarks)
    first = {remark.what: remark.where for remark in reversed(remarks)}
    counts = Counter(remark.what for remark in remarks)
    return tuple(
        f"{count} {'site has' if count == 1 else 'sites have'} {what}, as {first[what]}"
        for what, count in counts.items()
    )
