"""What was done to each well: a plate map (a text table, or Harmony's assay layout) becomes Metadata_ columns.

``read_platemap`` checks and renames; ``join`` puts the wells that have images beside it, and says which wells lack
either side.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from data_tools.platemap_forms import is_assay_layout, is_barcode_platemap, read_assay_layout, way_to_name, with_maps
from data_tools.readers.problem import Problem
from data_tools.wells import is_well, normalise_well, well_of, well_order
from framework.config import StrictModel, UniqueNames
from framework.data.format.schema import CONTROL_TYPE, CONTROL_TYPES, PERTURBATION, PLATE, STIMULATION, WELL
from framework.errors import InputError, did_you_mean, some_of
from framework.files.delimited import TextTable, read_text_table
from framework.files.names import doubtful_names
from framework.format import count_of

_PREFIX = "Metadata_"
_DEFAULTS = {STIMULATION: "none", CONTROL_TYPE: "treatment", PLATE: ""}
_ALSO_CALLED = {
    STIMULATION: ("stimulus",),
    CONTROL_TYPE: ("control", "controls"),
    PLATE: ("platebarcode", "plateid", "platename"),
}
"""Further names, in small letters without signs, of columns that seem to be one of ours."""
_ORDER = (PLATE, WELL, PERTURBATION, STIMULATION, CONTROL_TYPE)
_SHOWN = 5
ControlType = Literal["negcon", "poscon", "treatment", "empty"]


class Constant(StrictModel):
    """The same value in every well."""

    value: str
    """The value."""


class Blank(StrictModel):
    """What a well without perturbation holds: its control type, and the name that stands for the perturbation."""

    control_type: ControlType
    """What such wells are."""
    perturbation: str = Field(min_length=1)
    """The name that stands for their perturbation."""


class PlatemapConfig(StrictModel):
    """A plate map file and how its columns map to ours.

    ``columns`` names for each of our columns theirs, or ``{value: ...}`` for all wells. What it does not name is taken
    from a column with our own name; failing that, stimulation is ``none``, control type ``treatment`` and the plate
    that of the images. Further ``Metadata_`` columns, in the file or in ``columns``, are kept.
    """

    path: str = Field(
        description="the plate map: a text table (CSV, TSV ...), an assay layout of Harmony, or a barcode_platemap.csv"
    )
    columns: dict[str, str | Constant] = Field(default={})
    """Our column -> column of the file, or ``{value: ...}`` for all wells."""
    row: str | None = Field(default=None, min_length=1)
    """Column with the row of the well (letters or a number), if row and column are separate."""
    column: str | None = Field(default=None, min_length=1)
    """Column with the column of the well; with ``row``."""
    plate: str | None = Field(default=None, min_length=1)
    """The plate all rows belong to, where the file has no column for it."""
    control_types: dict[str, ControlType] = Field(default={})
    """Control type of the file -> ours, such as ``{WT: negcon, Null: treatment}``."""
    blank: ControlType | Blank | None = None
    """What a blank perturbation means: ``negcon``, or ``{control_type: negcon, perturbation: DMSO}``; null refuses."""
    not_imaged: UniqueNames = ()
    """Wells of the map that were not imaged on purpose."""
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
        if (self.row is None) != (self.column is None):
            raise ValueError("'row' and 'column' name the well together; give both")
        if self.row is not None and WELL in self.columns:
            raise ValueError(f"'row' and 'columns: {{{WELL}: ...}}' both name the well; keep one")
        for well in self.not_imaged:
            try:
                normalise_well(well)
            except InputError as error:
                raise ValueError(f"'not_imaged': {error}") from None
        return self


def read_platemap(config: PlatemapConfig) -> pd.DataFrame:
    """Read a plate map.

    Returns:
        One row per well in plate order, text columns Metadata_Plate (empty: that of the images), Metadata_Well
        (``A01``), Metadata_Perturbation, Metadata_Stimulation, Metadata_Control_Type, then other Metadata_ columns. The
        index is the line of the file; ``attrs["notes"]`` says what was found out about the file.

    Raises:
        InputError: no file, a missing column, a well that is not valid or is there twice, an empty cell, or an unknown
            control type; names the line.
    """
    file = Path(config.path)
    raw = read_assay_layout(file) if is_assay_layout(file) else read_text_table(file, what="a plate map")
    if is_barcode_platemap(raw):
        raw = with_maps(raw)
    if not len(raw):
        raise InputError(f"{file}: the plate map has no row; expected one per well")
    table = pd.DataFrame({name: _column(config, raw, name) for name in _wanted(config, raw)})
    table[WELL] = _wells(config, raw, table)
    _check_translated(config, raw)
    table[CONTROL_TYPE] = table[CONTROL_TYPE].map(lambda text: config.control_types.get(text, text))
    table.index = pd.Index(raw.lines, name="line")
    table, notes = _with_blanks(config, raw, table)
    _check_rows(table, raw)
    keys = [(plate, *well_order(well)) for plate, well in zip(table[PLATE], table[WELL], strict=True)]
    table = table.iloc[sorted(range(len(table)), key=keys.__getitem__)]
    near = [note for name in (PERTURBATION, STIMULATION) for note in doubtful_names(table[name], f"{file}: {name}")]
    said = (*_of_every_plate(table, file), *_unused(config, raw), *_overruled(raw, table))
    table.attrs["notes"] = (*raw.notes, *notes, *near, *said)
    return table


def join(
    wells: Iterable[str], platemap: pd.DataFrame, *, plate: str, not_imaged: Collection[str] = ()
) -> tuple[pd.DataFrame, tuple[Problem, ...]]:
    """Put the wells that have images beside the plate map.

    Args:
        wells: normalised wells with images.
        platemap: from ``read_platemap``; several plates are allowed.
        plate: the plate of the images.
        not_imaged: wells of the map that may lack images.

    Returns:
        The rows of ``platemap`` whose wells have images, in plate order with the plate filled in; and a problem for
        each well with images that the map lacks, and for each well of the map without images (wells of control type
        ``empty`` may lack them).

    Raises:
        InputError: the map names plates, and this one is not among them; a well has two rows once rows without a plate
            count for this one; not one well in common.
    """
    mine = platemap[platemap[PLATE].isin(["", plate])].copy()
    if mine.empty and not platemap.empty:
        named = sorted(set(platemap[PLATE]))
        raise InputError(
            f"plate '{plate}' is not in the plate map, which holds {', '.join(named)}{did_you_mean(plate, named)}; "
            "correct 'plate:' of the reader or of the plate map"
        )
    _refuse_two_rows(mine, plate)
    mine[PLATE] = plate
    imaged = set(wells)
    mapped = set(mine[WELL])
    if imaged and mapped and not imaged & mapped:
        raise InputError(
            f"plate '{plate}': no well in common: the images are of {_listed(imaged)}, the rows of the plate "
            f"map of {_listed(mapped)}; correct the wells of the map, or 'plate:' if it is the map of another "
            "plate"
        )
    allowed = {normalise_well(well) for well in not_imaged}
    problems = [_not_mapped(plate, well) for well in sorted(imaged - mapped, key=well_order)]
    without = mine[~mine[WELL].isin(imaged | allowed) & (mine[CONTROL_TYPE] != "empty")]
    problems += [_not_imaged(plate, well) for well in sorted(without[WELL], key=well_order)]
    return mine[mine[WELL].isin(imaged)].reset_index(drop=True), tuple(problems)


def join_note(wells: Collection[str], platemap: pd.DataFrame, *, plate: str, not_imaged: Collection[str] = ()) -> str:
    """Return how many wells of the images and of the map match, and which of ``not_imaged`` had no effect."""
    mapped = set(platemap.loc[platemap[PLATE].isin(["", plate]), WELL])
    both = len(mapped & set(wells))
    named = {normalise_well(well) for well in not_imaged}
    idle = [f"{_listed(named - mapped)} not in the map"] if named - mapped else []
    idle += [f"{_listed(named & set(wells))} with images, which are used"] if named & set(wells) else []
    return (
        f"plate {plate}: {both} of {len(set(wells))} wells with images are in the plate map, and {both} of "
        f"{len(mapped)} wells of the map have images" + (f"; 'not_imaged' names {', '.join(idle)}" if idle else "")
    )


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
        f"'empty', name it with 'not_imaged: [{well}]', or set 'on_error: skip'",
    )


def _refuse_two_rows(mine: pd.DataFrame, plate: str) -> None:
    """A row without a plate counts for every plate: it must not meet a row that names this one."""
    twice = mine[mine.duplicated(WELL, keep=False)]
    if len(twice):
        rows = twice[twice[WELL] == twice[WELL].iloc[0]]
        shown = " and ".join(f"line {line} ('{text}')" for line, text in rows[PERTURBATION].iloc[:2].items())
        raise InputError(
            f"plate {plate}: well {twice[WELL].iloc[0]} has two rows in the plate map, {shown}: a row without "
            f"{PLATE} counts for every plate; write the plate into each row"
        )


def _of_every_plate(table: pd.DataFrame, file: Path) -> tuple[str, ...]:
    """Return a note where some rows say their plate and others do not, as where cells of a workbook were merged."""
    blank = table.index[table[PLATE] == ""]
    if not 0 < len(blank) < len(table):
        return ()
    return (
        f"{file}: {len(blank)} of {len(table)} rows, as line {min(blank)}, name no plate and count for every plate; if "
        "cells were merged, write the plate into each row",
    )


def _overruled(raw: TextTable, table: pd.DataFrame) -> tuple[str, ...]:
    """Return a note on each column with a name of ours whose values are not those that the config chose."""
    said = []
    for name in table.columns.drop(CONTROL_TYPE):  # these may be translated
        if name not in raw.names:
            continue
        theirs = raw.column(name).set_axis(pd.Index(raw.lines)).reindex(table.index)
        differs = (theirs != "") & (theirs.map(_spelled) != table[name].map(_spelled))
        if differs.any():
            line = differs.idxmax()
            said.append(
                f"{raw.file}: {name} is '{table.loc[line, name]}' by the config, and the column {name} says "
                f"'{theirs[line]}' in {raw.counted} {line}; the config is taken in "
                f"{count_of(int(differs.sum()), 'row')}"
            )
    return tuple(said)


def _spelled(text: str) -> str:
    return normalise_well(text) if is_well(text) else text


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower().removeprefix(_PREFIX.lower()))


def _unused(config: PlatemapConfig, raw: TextTable) -> tuple[str, ...]:
    """Return notes on columns that are called nearly as one of ours that has its default in every well.

    Raises:
        InputError: such a column begins with ``Metadata_``, so it is meant, and would be kept beside ours.
    """
    said = []
    used = {source for source in config.columns.values() if isinstance(source, str)}
    for ours, default in _DEFAULTS.items():
        if ours in raw.names or ours in config.columns or (ours == PLATE and config.plate is not None):
            continue
        for name in raw.names:
            if name in used or _bare(name) not in (_bare(ours), *_ALSO_CALLED.get(ours, ())):
                continue
            meaning = f"'{default}'" if default else "that of the images"
            way = f"name it with 'columns: {{{ours}: {name}}}'"
            if name.lower().startswith(_PREFIX.lower()) and _bare(name) == _bare(ours):
                raise InputError(
                    f"{raw.file}: the column '{name}' is called nearly as {ours}, which would be {meaning} in all "
                    f"wells; rename it, or {way}"
                )
            said.append(f"{raw.file}: {ours} is {meaning} in all wells, and the column '{name}' is not used; {way}")
    return tuple(said)


def _listed(wells: Iterable[str]) -> str:
    ordered = sorted(wells, key=well_order)
    return ", ".join(ordered[:_SHOWN]) + (f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else "")


def _wanted(config: PlatemapConfig, raw: TextTable) -> list[str]:
    kept = [name for name in raw.names if name.startswith(_PREFIX)]
    return list(dict.fromkeys([*_ORDER, *config.columns, *kept]))


def _check_translated(config: PlatemapConfig, raw: TextTable) -> None:
    """Refuse words of control types where no column has them: all wells, controls too, would be treatments."""
    words = list(config.control_types)
    if not words or CONTROL_TYPE in raw.names or CONTROL_TYPE in config.columns:
        return
    used = [config.columns.get(name, name) for name in (PERTURBATION, STIMULATION)]
    having = [name for name in raw.names if name not in used and raw.column(name).isin(words).any()]
    way = f"name it with 'columns: {{{CONTROL_TYPE}: {having[0]}}}'" if having else "add one that says it of each well"
    raise InputError(
        f"{raw.file}: 'control_types' translates '{words[0]}', but no column is named for {CONTROL_TYPE}, so all wells "
        f"would be '{_DEFAULTS[CONTROL_TYPE]}'; {way}"
    )


def _column(config: PlatemapConfig, raw: TextTable, name: str) -> pd.Series:
    source = config.columns.get(name, name)
    if name == PLATE and config.plate is not None:
        source = Constant(value=config.plate)
    if name == WELL and config.row is not None:
        return raw.column(config.row)
    if isinstance(source, str) and source in raw.names:
        return raw.column(source)
    if isinstance(source, Constant) or (name not in config.columns and name in _DEFAULTS):
        value = source.value if isinstance(source, Constant) else _DEFAULTS[name]
        return pd.Series(value, index=raw.text.index, dtype=object)
    raise InputError(
        f"{raw.file}: no column '{source}' for {name}; the file has {some_of(raw.names)}"
        f"{did_you_mean(source, [each for each in raw.names if each not in _ORDER])}; {way_to_name(raw, name)}"
    )


def _wells(config: PlatemapConfig, raw: TextTable, table: pd.DataFrame) -> list[str]:
    found = []
    columns = raw.column(config.column) if config.column is not None else None
    for row, text in enumerate(table[WELL]):
        try:
            found.append(normalise_well(text) if columns is None else well_of(text, columns.iloc[row]))
        except InputError as error:
            raise InputError(f"{raw.where(row)}: {error}") from None
    return found


def _with_blanks(config: PlatemapConfig, raw: TextTable, table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give wells without perturbation the meaning the config states."""
    blank = (table[PERTURBATION] == "") & (table[CONTROL_TYPE] != "empty")
    if not blank.any():
        return table, ()
    if config.blank is None:
        if raw.counted == "line":
            return table, ()
        # A layout has a cell for every well of the plate; most are blank because nothing is in them.
        left = table[~blank]
        if left.empty:
            raise InputError(
                f"{raw.file}: the assay layout has no value in any well for {PERTURBATION}; fill it in, or say what a "
                "blank means with 'blank: negcon'"
            )
        return left, (f"{raw.file}: {int(blank.sum())} wells without a value are left out",)
    meaning = config.blank
    kind, name = (meaning, meaning) if isinstance(meaning, str) else (meaning.control_type, meaning.perturbation)
    told = table[blank & ~table[CONTROL_TYPE].isin(["", "treatment", kind])]
    if len(told):
        raise InputError(
            f"{raw.file}: {raw.counted} {told.index[0]}: well {told[WELL].iloc[0]} has no {PERTURBATION}, its "
            f"{CONTROL_TYPE} is '{told[CONTROL_TYPE].iloc[0]}', but 'blank' says '{kind}'; fill it in"
        )
    table.loc[blank, PERTURBATION] = "" if kind == "empty" else name
    table.loc[blank, CONTROL_TYPE] = kind
    return table, (f"{raw.file}: {int(blank.sum())} wells have no perturbation and count as {kind} ('{name}')",)


def _check_rows(table: pd.DataFrame, raw: TextTable) -> None:
    twice = table[table.duplicated([PLATE, WELL])]
    if len(twice):
        first = twice.iloc[0]
        lines = table.index[(table[PLATE] == first[PLATE]) & (table[WELL] == first[WELL])]
        of = f" of plate {first[PLATE]}" if first[PLATE] else ""
        raise InputError(
            f"{raw.file}: well {first[WELL]}{of} has two rows ({raw.counted}s {lines[0]} and {lines[1]}); a well is "
            "one condition, remove one of them"
        )
    for name in (PERTURBATION, STIMULATION):
        blank = table[(table[name] == "") & (table[CONTROL_TYPE] != "empty")]
        if len(blank):
            meaning = ", or say what a blank means with 'blank: negcon'" if name == PERTURBATION else ""
            raise InputError(
                f"{raw.file}: {raw.counted} {blank.index[0]}: well {blank[WELL].iloc[0]} has no {name}"
                + (f", and {len(blank) - 1} more have none either" if len(blank) > 1 else "")
                + f"; fill it in (write 'none' where none was given){meaning}"
            )
    wrong = table[~table[CONTROL_TYPE].isin(CONTROL_TYPES)]
    if len(wrong):
        well, kind = wrong[WELL].iloc[0], wrong[CONTROL_TYPE].iloc[0]
        has, key = (f"{CONTROL_TYPE} '{kind}'", kind) if kind else (f"no {CONTROL_TYPE}", '""')
        raise InputError(
            f"{raw.file}: well {well} has {has}; expected one of {', '.join(CONTROL_TYPES)}"
            f"{did_you_mean(kind, CONTROL_TYPES) if kind else ''}; translate it with 'control_types: {{{key}: ...}}'"
        )
