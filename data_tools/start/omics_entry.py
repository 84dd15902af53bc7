"""How an omics table is to be read, as far as its values and columns tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_tools.omics import OmicsConfig, OmicsTable, nothing_in_common, read_omics, target_names
from data_tools.omics.forms import read_raw
from framework.data.format.schema import PERTURBATION, PLATE, STIMULATION
from framework.errors import InputError, WellstreamError

_MOST_LOG2 = 40.0
_NONE = "none"
_KEYS = {PERTURBATION: "perturbation", STIMULATION: "stimulation"}


@dataclass(frozen=True, kw_only=True)
class OmicsEntry:
    """An entry of ``omics``.

    Attributes:
        options: options of the entry.
        notes: which columns were taken for what, and why this kind; or why the table cannot be read so far.
        usable: whether the table can be read with these options.
        targets: names of the targets that it becomes for these plates.
    """

    options: dict[str, Any]
    notes: tuple[str, ...]
    usable: bool
    targets: tuple[str, ...] = ()


def omics_entry(path: str, conditions: Mapping[tuple[str, str], int]) -> OmicsEntry:
    """Return the entry of a table; one that cannot be read is returned with the reason.

    Args:
        path: path of the table.
        conditions: perturbation and stimulation -> wells that have images.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(path).name.split(".")[0]).strip("_-") or "omics"
    options: dict[str, Any] = {"name": name, "table": path, "kind": "prepared"}
    notes: list[str] = []
    try:
        columns, notes = _columns(read_raw(OmicsConfig(**options)).facts, conditions)
        options |= columns
        table = read_omics(OmicsConfig(**options))
        kind, why = _kind(table)
        targets = _targets(OmicsConfig(**{**options, "kind": kind}), table, conditions)
    except WellstreamError as error:
        return OmicsEntry(options={**options, "kind": "counts"}, notes=(*notes, str(error)), usable=False)
    notes.append(f"{why}: taken for {kind}")
    return OmicsEntry(options={**options, "kind": kind}, notes=tuple(notes), usable=True, targets=targets)


def _columns(facts: pd.DataFrame, conditions: Mapping[tuple[str, str], int]) -> tuple[dict[str, Any], list[str]]:
    """Return the columns of a table without ours, known by what they hold: names that the plate map has too."""
    options: dict[str, Any] = {}
    notes = []
    wanted = {
        PERTURBATION: {name for name, _ in conditions} - {_NONE},
        STIMULATION: {stimulation for _, stimulation in conditions} - {_NONE},
    }
    for ours, values in wanted.items():
        if ours in facts.columns:
            continue
        free = [name for name in facts.columns if name not in options.values()]
        like, best = _sharing(facts[free], values)
        if like and _same(facts[like], values):
            options[_KEYS[ours]] = str(like[0])
            notes.append(f"{ours} is the column '{like[0]}', which has {best} of {len(values)} values of the plate map")
        elif like and ours == PERTURBATION:
            raise InputError(
                f"the columns {', '.join(map(repr, like))} hold perturbations of the plate map equally well; name the "
                "right one with 'perturbation:'"
            )
    named = PERTURBATION in facts.columns or "perturbation" in options
    if named and STIMULATION not in facts.columns and "stimulation" not in options:
        options["stimulation"] = None
        notes.append("it has no column of stimulations, so its values hold for each")
    if named and PLATE not in facts.columns:
        options["plate"] = None
        notes.append(f"it has no column {PLATE}, so no effect of omics plates is taken out")
    return options, notes


def _sharing(facts: pd.DataFrame, values: set[str]) -> tuple[list[str], int]:
    """Return the columns with the most of these values, and how many those are; none where no column has one."""
    shared = {name: len(values & set(facts[name])) for name in facts.columns}
    best = max(shared.values(), default=0)
    return [name for name, count in shared.items() if count == best and best], best


def _same(facts: pd.DataFrame, values: set[str]) -> bool:
    """Return whether columns give every sample the same one of these values."""
    known = facts.where(facts.isin(values), "")
    return bool(known.eq(known.iloc[:, 0], axis=0).all(axis=None))


def _kind(table: OmicsTable) -> tuple[str, str]:
    """Return the kind that the values of a table look like, and what they look like."""
    known = table.values[np.isfinite(table.values)]
    if len(known) and bool((known == np.rint(known)).all()) and float(known.min()) >= 0:
        return "counts", "whole numbers"
    if float(known.min(initial=0)) < 0 or float(known.max(initial=0)) < _MOST_LOG2:
        return "log2", f"values from {known.min(initial=np.inf):.3g} to {known.max(initial=-np.inf):.3g}"
    return "intensities", f"numbers up to {known.max(initial=0):.3g} that are not whole"


def _targets(config: OmicsConfig, table: OmicsTable, conditions: Mapping[tuple[str, str], int]) -> tuple[str, ...]:
    """Return the names of the targets that a table becomes.

    Raises:
        InputError: it has no condition of these wells.
    """
    alike = config.stimulation is None
    imaged = {(name, _NONE if alike else stimulation) for name, stimulation in conditions}
    names = tuple(target_names(config, table, imaged).values())
    if not names:
        raise InputError(nothing_in_common(config, imaged, table))
    return names
