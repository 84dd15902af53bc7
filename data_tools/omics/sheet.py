"""The sample sheet: a second file that says what each sample of an omics table is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.omics.config import OmicsConfig
from data_tools.omics.raw import RawOmics
from framework.errors import InputError
from framework.files.delimited import TextTable
from framework.files.names import left_over, why_unmatched
from framework.files.typed_tables import read_as_text

WHAT = "a sample sheet"


def read_sheet(config: OmicsConfig) -> TextTable | None:
    """Read the sheet that a config names; None where it names none.

    Raises:
        InputError: no readable table, no such column, or a sample that is blank or appears twice.
    """
    if config.sheet is None:
        return None
    table = read_as_text(Path(config.sheet.path), WHAT)
    names = table.column(config.sheet.sample)
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if not name:
            raise InputError(f"{table.where(row)} has no '{config.sheet.sample}'; fill it in, or remove the row")
        if name in first:
            raise InputError(
                f"{table.file}: the sample '{name}' appears twice ({table.counted}s {table.lines[first[name]]} and "
                f"{table.lines[row]}); keep one row per sample"
            )
        first[name] = row
    return table


def sheet_names(config: OmicsConfig, sheet: TextTable | None) -> frozenset[str] | None:
    """Return the samples of a sheet."""
    return None if sheet is None or config.sheet is None else frozenset(sheet.column(config.sheet.sample))


def with_sheet(config: OmicsConfig, raw: RawOmics, sheet: TextTable | None) -> RawOmics:
    """Give the samples of a table the facts of the sheet; samples that it lacks are left out.

    Raises:
        InputError: not one sample in common, or a fact that table and sheet tell differently.
    """
    if sheet is None or config.sheet is None:
        return raw
    samples = raw.fact(config.sample or "sample", "sample")
    place = {name: row for row, name in enumerate(sheet.column(config.sheet.sample))}
    rows = np.array([place.get(name, -1) for name in samples], dtype=np.int64)
    kept = rows >= 0
    if not kept.any():
        raise InputError(
            f"{raw.file}: none of its {len(samples)} samples ('{samples[0]}' ...) is in {sheet.file} "
            f"('{next(iter(place))}' ...){why_unmatched(sorted(set(samples)), sorted(place))}; correct "
            f"'sheet.sample' ('{config.sheet.sample}' now), or make the names equal"
        )
    facts = raw.facts[kept].reset_index(drop=True)
    more = sheet.text.drop(columns=[config.sheet.sample]).iloc[rows[kept]].reset_index(drop=True)
    _check_same(raw, sheet, facts, more, samples[kept])
    added = [str(name) for name in more if name not in facts]
    mine = set(samples)
    alone = [name for name in place if name not in mine]
    said = (
        f"{raw.file}: {int(kept.sum())} of {len(samples)} samples and {sheet.file} match"
        + _left(samples[~kept].tolist(), "samples are not in the sheet and are left out")
        + _left(alone, "rows of the sheet have no sample")
        + why_unmatched(sorted({*samples[~kept].tolist(), *raw.of_genes}), sorted(alone))
    )
    return replace(
        raw,
        facts=pd.concat([facts, more[added]], axis=1),
        values=raw.values[kept],
        rows=[raw.rows[row] for row in np.flatnonzero(kept).tolist()],
        decimals=dict.fromkeys(added, sheet.decimal),
        notes=(*raw.notes, *sheet.notes, said),
    )


def _left(names: Sequence[str], what: str) -> str:
    return left_over(len(names), what, f"'{names[0]}'") if len(names) else ""


def _check_same(raw: RawOmics, sheet: TextTable, facts: pd.DataFrame, more: pd.DataFrame, samples: np.ndarray) -> None:
    for name in more:
        if name not in facts:
            continue
        mine, theirs = facts[name].to_numpy(dtype=object), more[name].to_numpy(dtype=object)
        other = np.flatnonzero(mine != theirs)
        if len(other):
            row = int(other[0])
            raise InputError(
                f"{raw.file}: '{name}' of sample '{samples[row]}' is '{mine[row]}' here and '{theirs[row]}' in "
                f"{sheet.file}; correct one, or remove the column from one"
            )
