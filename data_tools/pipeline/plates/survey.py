"""What there is to ingest: exports and plate maps joined into wells, their sites, and every problem met on the way.

Nothing is decoded here; the survey is what ``--dry-run`` prints and what the build works through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_tools.illumination import ExportIlluminationConfig, Profile
from data_tools.omics import OmicsTable, Target, build_targets, join_notes, read_omics
from data_tools.pipeline.build.kind import check_pixel_sizes
from data_tools.pipeline.plates.config import IngestConfig, PlateEntry
from data_tools.pipeline.plates.measured import check_cell_tables
from data_tools.pipeline.plates.plate import PLANE_LABEL, Bag, Plate, Site, check_size, with_files
from data_tools.platemap import join, join_note, read_platemap
from data_tools.readers.plates import READERS, Export, ImageRef
from data_tools.readers.problem import Problem, relative_text
from data_tools.single_cell import CellsConfig
from data_tools.wells import well_order
from framework.data.format.schema import BAG, CONTROL_TYPE, PERTURBATION, PLATE, SOURCE, STIMULATION, WELL
from framework.errors import InputError, did_you_mean, some_of
from framework.files.failures import Mistakes
from framework.files.names import safe_names

_SHOWN = 6
"""Wells that a sentence names."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """All plates in config order, and what cannot be used.

    Attributes:
        plates: with their wells and sites.
        problems: what cannot be used.
        targets: targets of the omics tables, made before an image is read, so that a table that does not fit is known
            at once.
        notes: what was joined, found out and left out.
    """

    plates: tuple[Plate, ...]
    problems: tuple[Problem, ...]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def pixel_size_um(self) -> float | None:
        """The pixel size of the dataset; None where a plate does not state it."""
        sizes = [plate.pixel_size_um for plate in self.plates]
        return None if None in sizes else sizes[0]

    @property
    def plane_labels(self) -> tuple[str, ...]:
        """Columns of tiles.parquet that say which plane of a channel was the sharpest one, and so was read."""
        return tuple(dict.fromkeys(PLANE_LABEL + channel for plate in self.plates for channel in plate.sharpest))

    @property
    def bag_counts(self) -> tuple[int, ...]:
        """Wells of each plate."""
        return tuple(len(plate.bags) for plate in self.plates)


def survey(config: IngestConfig, base: Path) -> Survey:
    """List what the config names.

    Args:
        config: config of the ingest.
        base: folder that messages leave out of file names.

    Raises:
        InputError: nothing can be made of it whatever ``on_error`` says: no export, an unknown channel, plates of one
            name or of different pixel sizes, a missing column.
    """
    exports, maps, tables = _inputs(config)
    keys = safe_names([export.plate for export in exports])
    if len(keys) < len(exports):
        names = [export.plate for export in exports]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two entries of 'plates' are called '{twice}'; name one of them with 'source.plate'")
    check_pixel_sizes("plate", {export.plate: export.pixel_size_um for export in exports})
    plates: list[Plate] = []
    problems: list[Problem] = []
    first, mistakes = 0, Mistakes(InputError)
    for entry, export, platemap in zip(config.plates, exports, maps, strict=True):
        with mistakes.kept():
            plate, found = _plate(entry, export, platemap, config, keys[export.plate], first)
            plates.append(plate)
            problems += [problem.relative_to(base) for problem in found]
            first += len(plate.bags)
    mistakes.say()
    plates, without_nuclei, joined = with_files(plates, config)
    problems += [problem.relative_to(base) for problem in without_nuclei]
    targets, said = targets_of(
        config, [{"bag": bag.bag, **bag.metadata} for plate in plates for bag in plate.bags], tables
    )
    notes = [
        relative_text(note, base) for note in (*(note for plate in plates for note in plate.notes), *joined, *said)
    ]
    return Survey(plates=tuple(plates), problems=tuple(problems), targets=targets, notes=tuple(dict.fromkeys(notes)))


def _inputs(config: IngestConfig) -> tuple[list[Export], list[pd.DataFrame], list[OmicsTable]]:
    """Read exports, plate maps and omics tables. Raises InputError: what is wrong with any of them, a line for each."""
    mistakes = Mistakes(InputError)
    exports, maps, tables = [], [], []
    for entry in config.plates:
        with mistakes.kept():
            exports.append(_read(entry, config))
        with mistakes.kept():
            maps.append(read_platemap(entry.platemap))
    for omics in config.omics:
        with mistakes.kept():
            tables.append(read_omics(omics))
    mistakes.say()
    return exports, maps, tables


def targets_of(
    config: IngestConfig, rows: Sequence[Mapping[str, Any]], tables: Sequence[OmicsTable]
) -> tuple[tuple[Target, ...], list[str]]:
    """Make the targets of omics tables; return them with what is to be said about them.

    Args:
        config: config of the ingest.
        rows: number and ``Metadata_*`` columns of each bag.
        tables: one per entry of ``omics``.
    """
    columns = ["bag", PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE]
    bags = pd.DataFrame(rows, columns=columns).astype({"bag": np.int32})
    targets: dict[str, Target] = {}
    notes: list[str] = []
    for omics, table in zip(config.omics, tables, strict=True):
        for target in build_targets(omics, bags, config.seed, table):
            if target.name in targets:
                raise InputError(f"two omics tables make a target '{target.name}'; rename one entry of 'omics'")
            targets[target.name] = target
            notes += target.notes
        notes += join_notes(omics, table, bags)
    return tuple(targets.values()), notes


def _read(entry: PlateEntry, config: IngestConfig) -> Export:
    export = READERS.get(entry.source.name).build(entry.source)
    missing = [name for name in config.read_channels if name not in export.channels]
    if missing:
        raise InputError(
            f"plate '{export.plate}': no channel {', '.join(map(repr, missing))}; the export has "
            f"{some_of(export.channels)}{did_you_mean(missing, export.channels)}"
        )
    check_size(config, export.pixel_size_um)
    return export


def _plate(
    entry: PlateEntry, export: Export, platemap: pd.DataFrame, config: IngestConfig, key: str, first: int
) -> tuple[Plate, list[Problem]]:
    table, joined = join(export.wells(), platemap, plate=export.plate, not_imaged=entry.platemap.not_imaged)
    joined, said = _without_images(entry, export, joined)
    join_said = join_note(export.wells(), platemap, plate=export.plate, not_imaged=entry.platemap.not_imaged)
    notes = (*export.notes, *platemap.attrs["notes"], join_said, *said, *_site_note(export, set(table[WELL])))
    empty = set(table.loc[table[CONTROL_TYPE] == "empty", WELL])
    sites, incomplete = _complete_sites(export, config, empty)
    cells, tables = cell_tables(entry.cells, export.plate, table)
    if entry.cells is not None:
        numbers = {well: [site.number for site in found] for well, found in sites.items()}
        notes = (*notes, *check_cell_tables(entry.cells, export.plate, cells, numbers))
    bags = []
    for number, row in enumerate(_rows(table)):
        well = row[WELL]
        mine = tuple(sites.get(well, ()))
        read = () if row[CONTROL_TYPE] == "empty" else mine
        bags.append(
            Bag(
                bag=first + number,
                well=well,
                metadata={SOURCE: export.plate, BAG: well, **row},
                sites=read,
                n_sites_imaged=len(mine),
                cells=cells.get(well) if read else None,
            )
        )
    # Wells without a plate map row are left out whole, and the images of empty wells are not read. A well of the map
    # that lost all its images has no bag, and what became of them must be said.
    mapped = platemap.loc[platemap[PLATE].isin(["", export.plate]) & (platemap[CONTROL_TYPE] != "empty"), WELL]
    read_wells = {None, *mapped} - empty
    problems = [problem for problem in (*export.problems, *incomplete) if problem.well in read_wells]
    plate = Plate(
        name=export.plate,
        key=key,
        pixel_size_um=export.pixel_size_um,
        bags=tuple(bags),
        cells=entry.cells,
        channels=export.channels,
        notes=notes,
        profiles=export_profiles(export, config),
    )
    return plate, _in_order([*problems, *joined, *tables])


def export_profiles(export: Export, config: IngestConfig) -> tuple[Profile, ...]:
    """Return the flat-fields that the export holds of each channel that is read, where the config takes them.

    Raises:
        InputError: one of them has none.
    """
    options = config.illumination
    if not isinstance(options, ExportIlluminationConfig):
        return ()
    found = []
    for channel in config.read_channels:
        parts = export.profiles.get(channel, {})
        profile = parts.get(options.profile) or parts.get("")
        if profile is None:
            there = ", ".join(f"'{name}' {'/'.join(sorted(filter(None, kinds)))}".strip()
                              for name, kinds in export.profiles.items())  # fmt: skip
            raise InputError(
                f"plate '{export.plate}': the export holds no {options.profile} flat-field of channel '{channel}' for "
                f"'illumination: {{method: export}}'; it holds {there or 'none'}; use another method"
            )
        found.append(profile)
    return tuple(found)


def _without_images(
    entry: PlateEntry, export: Export, joined: tuple[Problem, ...]
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Sort wells without images: those that lost the images their export lists are a problem in a partial map too."""
    lost = {problem.well for problem in export.problems if problem.well} - set(export.wells())
    kept: list[Problem] = []
    unseen: list[str] = []
    for problem in joined:
        if problem.reason != "well_without_images" or problem.well is None:
            kept.append(problem)
        elif problem.well in lost:
            text = f"plate {problem.plate} well {problem.well}: not one of the images that the export lists is usable"
            kept.append(replace(problem, detail=f"{text}; complete the export, or set 'on_error: skip'"))
        elif entry.platemap.partial:
            unseen.append(problem.well)
        else:
            kept.append(problem)
    note = (f"{len(unseen)} wells of the plate map have no images: {', '.join(unseen)}",) if unseen else ()
    return tuple(kept), note


def _site_note(export: Export, wells: set[str]) -> tuple[str, ...]:
    """Say which wells have another number of sites than most: file names alone do not tell what was lost."""
    counts = Counter(well for well, _ in export.sites() if well in wells)
    if len(set(counts.values())) < 2:
        return ()
    usual, n_wells = max(Counter(counts.values()).items(), key=lambda pair: (pair[1], pair[0]))
    others = [f"{well} has {count}" for well, count in counts.items() if count != usual]
    more = f" and {len(others) - _SHOWN} more wells" if len(others) > _SHOWN else ""
    return (f"plate {export.plate}: {n_wells} wells have {usual} sites each, but {', '.join(others[:_SHOWN])}{more}",)


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(name): str(value) for name, value in row.items()} for row in table.to_dict("records")]


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda p: (well_order(p.well) if p.well else (0, 0), -1 if p.site is None else p.site))


def _complete_sites(
    export: Export, config: IngestConfig, empty: set[str]
) -> tuple[dict[str, list[Site]], list[Problem]]:
    """Return the sites that have a file for every channel, and a problem for each image that is not there."""
    complete: dict[str, list[Site]] = {}
    problems = []
    for well, number in export.sites():
        images = export.images(well, number)
        lacking = [name for name in config.read_channels if name not in images]
        absent = [replace(images[name], file=file) for name in config.read_channels if name in images
                  for file in images[name].files if not file.exists()]  # fmt: skip
        if well not in empty:
            problems += [_no_image(export.plate, well, number, name, images) for name in lacking]
            problems += [_no_file(ref) for ref in absent]
        if not lacking and not absent:
            chosen = [images[name] for name in config.read_channels]
            absolute = (ref.with_files([file.absolute() for file in ref.files]) for ref in chosen)
            complete.setdefault(well, []).append(Site(number=number, images=tuple(absolute)))
    return complete, problems


def _no_image(plate: str, well: str, site: int, channel: str, images: dict[str, ImageRef]) -> Problem:
    beside = f" beside {next(iter(images.values())).file}" if images else ""
    return Problem(
        plate=plate,
        well=well,
        site=site,
        reason="missing_image",
        detail=f"plate {plate} well {well} site {site} has no image of channel '{channel}'{beside}; export it again, "
        "or set 'on_error: skip' to leave the site out",
    )


def _no_file(ref: ImageRef) -> Problem:
    return ref.problem(
        "missing_image",
        f"{ref.file}: no such file; plate {ref.plate} well {ref.well} site {ref.site} channel '{ref.channel}'; "
        "export the image again, or set 'on_error: skip' to leave the site out",
    )


def cell_tables(config: CellsConfig | None, plate: str, table: pd.DataFrame) -> tuple[dict[str, Path], list[Problem]]:
    """Return the table of cells of each well that has one, and what cannot be used."""
    if config is None:
        return {}, []
    wells = list(table.loc[table[CONTROL_TYPE] != "empty", WELL])
    files = config.files(plate, wells)
    problems = []
    for well, file in files.items():
        if well not in wells:
            problems.append(_cells_problem(plate, well, file, "cells_without_well", "is not an imaged, mapped well"))
        elif not file.is_file():
            problems.append(_cells_problem(plate, well, file, "missing_cell_table", "has no such table of cells"))
    good = {well: file.absolute() for well, file in files.items() if well in wells and file.is_file()}
    return good, problems


def _cells_problem(plate: str, well: str, file: Path, reason: str, what: str) -> Problem:
    return Problem(
        plate=plate,
        well=well,
        file=str(file),
        reason=reason,
        detail=f"{file}: plate {plate} well {well} {what}; correct 'cells', or set 'on_error: skip' to go without",
    )
