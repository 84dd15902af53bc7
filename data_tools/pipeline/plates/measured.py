"""Tables of single cells are read once before the first image: what does not fit is known at once, and is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_tools.single_cell import CellsConfig, CellTable, cells_of_well, read_cell_table, wells_of
from data_tools.wells import well_order
from framework.errors import InputError

_SHOWN = 5


@dataclass
class _Sum:
    """What the tables of a plate hold together."""

    rows: int = 0
    without_position: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    infinite: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    without_cells: list[str] = field(default_factory=list)
    of_no_site: int = 0
    notes: list[str] = field(default_factory=list)

    def take(self, config: CellsConfig, cells: CellTable, well: str, sites: Sequence[int]) -> None:
        """Count the cells of a well."""
        self.rows += len(cells.y_px) + cells.without_position
        self.without_position += cells.without_position
        self.infinite.update(cells.infinite)
        for name, place in cells.first_infinite.items():
            self.first.setdefault(name, place)
        gaps = np.isnan(cells.values).sum(axis=0)
        self.missing.update({name: int(n) for name, n in zip(config.markers, gaps, strict=True) if n})
        self.notes += cells.notes
        if not len(cells.y_px):
            self.without_cells.append(well)
        if cells.site is not None:
            self.of_no_site += int((~np.isin(cells.site, list(sites))).sum())


def check_cell_tables(
    config: CellsConfig, plate: str, files: Mapping[str, Path], sites: Mapping[str, Sequence[int]]
) -> tuple[str, ...]:
    """Read every table of cells, and return what is to be said about them.

    Args:
        config: how they are read.
        plate: for messages.
        files: well -> its table; wells may share one.
        sites: well -> its complete sites.

    Raises:
        InputError: a table that cannot be read, no cell of any well, or cells of sites that none of the images has.
    """
    found = _Sum()
    for file in dict.fromkeys(files.values()):
        table = read_cell_table(config, file)
        mine = [well for well, one in files.items() if one == file]
        named = wells_of(config, table)
        if named is not None:
            _check_wells(file, plate, set(named.tolist()), mine, found)
        for well in mine:
            cells = cells_of_well(config, table, well)
            _check_site_numbers(file, plate, well, cells, sites.get(well, ()))
            found.take(config, cells, well, sites.get(well, ()))
    if files and found.rows == found.without_position:
        raise InputError(
            f"plate {plate}: no cell with a position in {len(files)} tables, the first is "
            f"{next(iter(files.values()))}; correct 'cells' in the config"
        )
    return tuple(dict.fromkeys([*found.notes, *_notes(plate, len(files), found)]))


def _check_wells(file: Path, plate: str, named: set[str], mine: Sequence[str], found: _Sum) -> None:
    if not named & set(mine):
        raise InputError(
            f"{file}: no well in common with plate {plate}: the table has {_listed(named) or 'none'}, the "
            f"plate {_listed(mine)}; correct the column of 'cells.well', or the table"
        )
    other = named - set(mine)
    if other:
        found.notes.append(f"{file}: cells of {len(other)} wells that plate {plate} does not read: {_listed(other)}")


def _check_site_numbers(file: Path, plate: str, well: str, cells: CellTable, sites: Sequence[int]) -> None:
    if cells.site is None or not len(cells.site) or not sites or np.isin(cells.site, list(sites)).any():
        return
    raise InputError(
        f"{file}: plate {plate} well {well}: the table has cells in the sites {_numbers(cells.site)}, but the "
        f"images are of the sites {_numbers(sites)}; number the sites of the table as the images do"
    )


def _notes(plate: str, n_files: int, found: _Sum) -> list[str]:
    text = f"plate {plate}: {found.rows} cells in the tables of {n_files} wells"
    notes = [text]
    if found.without_position:
        notes.append(f"plate {plate}: {found.without_position} cells have no position and are left out")
    if found.without_cells:
        notes.append(f"plate {plate}: no cell in the tables of {len(found.without_cells)} wells: "
                     + _listed(found.without_cells))  # fmt: skip
    if found.of_no_site:
        notes.append(f"plate {plate}: {found.of_no_site} cells lie in sites that have no complete images")
    for name, count in found.infinite.items():
        notes.append(
            f"plate {plate}: marker '{name}': {count} of {found.rows} values are infinite, the first in "
            f"{found.first[name]}; they are kept as missing"
        )
    for name, count in found.missing.items():
        notes.append(f"plate {plate}: marker '{name}': {count} of {found.rows} cells have no value")
    return notes


def _listed(wells: Sequence[str] | set[str]) -> str:
    ordered = sorted(wells, key=well_order)
    return ", ".join(ordered[:_SHOWN]) + (f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else "")


def _numbers(sites: Sequence[int] | np.ndarray) -> str:
    ordered = sorted({int(site) for site in sites})
    return ", ".join(str(site) for site in ordered[:_SHOWN]) + (" ..." if len(ordered) > _SHOWN else "")
