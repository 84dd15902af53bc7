"""What was done to each well: a plate map (CSV or TSV) becomes a table with the Metadata_ columns of the dataset.

``read_platemap`` checks and renames; ``join`` puts the wells that have images beside it, and says which wells lack
either side.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from data_tools.readers.base import Problem
from data_tools.wells import normalise_well, well_order
from framework.config import StrictModel
from framework.data.schema import CONTROL_TYPE, CONTROL_TYPES, PERTURBATION, PLATE, STIMULATION, WELL
from framework.errors import InputError, did_you_mean

_PREFIX = "Metadata_"
_DEFAULTS = {STIMULATION: "none", CONTROL_TYPE: "treatment", PLATE: ""}
_ORDER = (PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE)


class Constant(StrictModel):
    """The same value in every well."""

    value: str


class PlatemapConfig(StrictModel):
    """A plate map file and how its columns map to ours.

    ``columns`` names for each of our columns theirs, or ``{value: ...}`` for all wells. What it does not name is taken
    from a column with our own name; failing that, stimulation is ``none``, control type ``treatment`` and the plate
    that of the images. Further ``Metadata_`` columns, in the file or in ``columns``, are kept.
    """

    path: str = Field(description="the plate map, CSV or TSV")
    columns: dict[str, str | Constant] = Field(default={})
    plate: str | None = Field(default=None, min_length=1)
    """The plate all rows belong to, where the file has no column for it."""
    control_types: dict[str, Literal["negcon", "poscon", "treatment", "empty"]] = Field(default={})
    """Their control type -> ours, as ``{WT: negcon, Null: treatment}``."""
    partial: bool = False
    """The map describes more wells than the export holds: wells without images are a note, not a problem."""

    @model_validator(mode="after")
    def _check_columns(self) -> PlatemapConfig:
        for name in self.columns:
            if not name.startswith(_PREFIX):
                raise ValueError(
                    f"'columns' has the key '{name}'; expected one of {', '.join(_ORDER)} or another name that begins "
                    f"with {_PREFIX}" + did_you_mean(_PREFIX + name, _ORDER)
                )
        if self.plate is not None and PLATE in self.columns:
            raise ValueError(f"'plate' and 'columns: {{{PLATE}: ...}}' both name the plate; keep one")
        return self


def read_platemap(config: PlatemapConfig) -> pd.DataFrame:
    """Read a plate map.

    Returns:
        One row a well in plate order, text columns Metadata_Plate (empty: that of the images), Metadata_Well (``A01``),
        Metadata_Perturbation, Metadata_Stimulation, Metadata_Control_Type, then other Metadata_ columns.

    Raises:
        InputError: no file, a missing column, a well that is none or comes twice, an empty cell, or an unknown control
            type.
    """
    file = Path(config.path)
    raw = _read_table(file)
    table = pd.DataFrame({name: _column(config, raw, name, file) for name in _wanted(config, raw)})
    table[WELL] = [_well(text, row, file) for row, text in enumerate(table[WELL], start=2)]
    table[CONTROL_TYPE] = table[CONTROL_TYPE].map(lambda text: config.control_types.get(text, text))
    _check_rows(table, file)
    keys = [(plate, *well_order(well)) for plate, well in zip(table[PLATE], table[WELL], strict=True)]
    return table.iloc[sorted(range(len(table)), key=keys.__getitem__)].reset_index(drop=True)


def join(wells: Iterable[str], platemap: pd.DataFrame, *, plate: str) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Put the wells that have images beside the plate map.

    Args:
        wells: normalised wells with images.
        platemap: from ``read_platemap``; several plates are allowed.
        plate: the plate of the images.

    Returns:
        The rows of ``platemap`` whose wells have images, in plate order with the plate filled in; and a problem for
        each well with images that the map lacks, and for each well of the map without images (wells of control type
        ``empty`` may lack them).

    Raises:
        InputError: the map names plates, and this one is not among them.
    """
    mine = platemap[platemap[PLATE].isin(["", plate])].copy()
    if mine.empty and not platemap.empty:
        named = sorted(set(platemap[PLATE]))
        raise InputError(
            f"plate '{plate}' is not in the plate map, which holds {', '.join(named)}{did_you_mean(plate, named)}; "
            "correct 'plate:' of the reader or of the plate map"
        )
    mine[PLATE] = plate
    imaged = set(wells)
    mapped = set(mine[WELL])
    problems = [_not_mapped(plate, well) for well in sorted(imaged - mapped, key=well_order)]
    without = mine[~mine[WELL].isin(imaged) & (mine[CONTROL_TYPE] != "empty")]
    problems += [_not_imaged(plate, well) for well in without[WELL]]
    return mine[mine[WELL].isin(imaged)].reset_index(drop=True), tuple(problems)


def _not_mapped(plate: str, well: str) -> Problem:
    return Problem(
        plate=plate,
        well=well,
        reason="well_not_in_platemap",
        detail=f"plate {plate} well {well} has images, but the plate map has no row for it; add the row, or set "
        "'on_error: skip' to leave the well out",
    )


def _not_imaged(plate: str, well: str) -> Problem:
    return Problem(
        plate=plate,
        well=well,
        reason="well_without_images",
        detail=f"plate {plate} well {well} is in the plate map, but has no image; complete the export, mark the well "
        "'empty', or set 'on_error: skip'",
    )


def _read_table(file: Path) -> pd.DataFrame:
    separator = "," if file.suffix.lower() == ".csv" else "\t"
    try:
        raw = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{file}: no such plate map") from None
    except (OSError, ValueError) as error:  # pandas' parser errors and wrong encodings are ValueErrors
        found = " ".join(str(error).split())
        raise InputError(f"{file}: no readable table ({found}); expected UTF-8 CSV or TSV") from None
    if not isinstance(raw.index, pd.RangeIndex):  # pandas would take surplus cells for row names
        raise InputError(
            f"{file}: rows have more cells than the header; expected {len(raw.columns)}, as the header has"
        )
    if raw.empty:
        raise InputError(f"{file}: the plate map has no row")
    return pd.DataFrame({str(name).strip(): raw[name].str.strip() for name in raw.columns})


def _wanted(config: PlatemapConfig, raw: pd.DataFrame) -> list[str]:
    kept = [name for name in raw.columns if name.startswith(_PREFIX)]
    return list(dict.fromkeys([*_ORDER, *config.columns, *kept]))


def _column(config: PlatemapConfig, raw: pd.DataFrame, name: str, file: Path) -> pd.Series:
    source = config.columns.get(name, name)
    if name == PLATE and config.plate is not None:
        source = Constant(value=config.plate)
    if isinstance(source, str) and source in raw.columns:
        return raw[source]
    if isinstance(source, Constant) or (name not in config.columns and name in _DEFAULTS):
        value = source.value if isinstance(source, Constant) else _DEFAULTS[name]
        return pd.Series(value, index=raw.index, dtype=object)
    raise InputError(
        f"{file}: no column '{source}' for {name}; the file has {', '.join(raw.columns)}"
        f"{did_you_mean(source, raw.columns)}; name it with 'columns: {{{name}: ...}}'"
    )


def _well(text: str, row: int, file: Path) -> str:
    try:
        return normalise_well(text)
    except InputError as error:
        raise InputError(f"{file}: row {row}: {error}") from None


def _check_rows(table: pd.DataFrame, file: Path) -> None:
    twice = table[table.duplicated([PLATE, WELL])]
    if len(twice):
        first = twice.iloc[0]
        of = f" of plate {first[PLATE]}" if first[PLATE] else ""
        raise InputError(f"{file}: well {first[WELL]}{of} has two rows; a well is one condition, remove one of them")
    for name in (PERTURBATION, STIMULATION):
        blank = table[(table[name] == "") & (table[CONTROL_TYPE] != "empty")]
        if len(blank):
            well = blank.iloc[0][WELL]
            raise InputError(f"{file}: well {well} has no {name}; fill it in (write 'none' where none was given)")
    wrong = table[~table[CONTROL_TYPE].isin(CONTROL_TYPES)]
    if len(wrong):
        first = wrong.iloc[0]
        raise InputError(
            f"{file}: well {first[WELL]} has {CONTROL_TYPE} '{first[CONTROL_TYPE]}'; expected one of "
            f"{', '.join(CONTROL_TYPES)}{did_you_mean(first[CONTROL_TYPE], CONTROL_TYPES)}; translate it with "
            f"'control_types: {{{first[CONTROL_TYPE]}: ...}}'"
        )
