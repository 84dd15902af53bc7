"""Cells sorted into bags: by their labels, and where there is no other unit, dealt at random into groups."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.pipeline.cells.config import GROUP, BagsConfig, CellsIngestConfig
from data_tools.pipeline.cells.listed import ListedCells
from data_tools.readers.cells.base import TEXT
from data_tools.shards import random_order
from framework.data.format.schema import BAG, CONTROL_TYPE, CONTROL_TYPES, PERTURBATION, SOURCE, STIMULATION
from framework.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class BaggedCells:
    """The cells of one export, sorted by bag.

    Attributes:
        listed: the cells, with the column ``bag``, row of bags.parquet.
        bags: one row per bag: its number, names and the labels that all its cells share.
        varying: labels that differ within a bag.
        count: (n,), with how many cells each is counted for ``min_cells``.
    """

    listed: ListedCells
    bags: pd.DataFrame
    varying: frozenset[str]
    count: npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class _Codes:
    """Which bag each cell lies in: int64 (n,), places in ``names``."""

    code: npt.NDArray[np.int64]
    names: list[str]


def into_bags(listed: ListedCells, config: CellsIngestConfig, first: int) -> BaggedCells:
    """Sort the cells of an export into bags, which are numbered from ``first``.

    Raises:
        InputError: two bags of one name, a label that takes the name of a column of bags, or an unknown control type.
    """
    bags = _by_labels(listed, list(config.bags.by))
    count = _counts(listed, config.bags, bags.code)
    if config.bags.groups is not None:
        group, bags = _dealt(listed, config, bags, config.bags.groups)
        listed = replace(listed, cells=listed.cells.assign(**{GROUP: group}))
    order = np.argsort(bags.code, kind="stable")
    code = bags.code[order]
    listed = replace(listed, cells=listed.cells.iloc[order].reset_index(drop=True), row=listed.row[order])
    table, varying = _bag_table(listed, code, bags.names, first)
    cells = listed.cells.assign(bag=(first + code).astype(np.int32))
    return BaggedCells(listed=replace(listed, cells=cells), bags=table, varying=varying, count=count[order])


def _by_labels(listed: ListedCells, by: list[str]) -> _Codes:
    """Sort by labels, bags in natural order; with none, all cells are one bag."""
    if not by:
        return _Codes(code=np.zeros(len(listed.cells), dtype=np.int64), names=["all"])
    code = listed.cells.groupby(by, sort=False).ngroup().to_numpy()
    firsts = np.unique(code, return_index=True)[1]
    values = [tuple(map(str, row)) for row in listed.cells[by].iloc[firsts].itertuples(index=False)]
    order = sorted(range(len(values)), key=lambda bag: [_natural(value) for value in values[bag]])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    names = ["/".join(values[bag]) for bag in order]
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"{listed.where}: two bags are called '{twice[0]}'; rename their labels")
    return _Codes(code=rank[code], names=names)


def _counts(listed: ListedCells, bags: BagsConfig, code: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return for each cell how many cells it is counted with."""
    if listed.listing.several:
        if bags.count_by is not None:
            raise InputError(
                f"{listed.where}: its reader finds cells while it reads images, so cells can only be counted "
                "per bag; remove 'bags.count_by'"
            )
        return np.full(len(listed.cells), np.iinfo(np.int64).max)
    if bags.count_by:
        code = listed.cells.groupby(list(bags.count_by), sort=False).ngroup().to_numpy()
    elif bags.count_by is not None:
        code = np.zeros(len(listed.cells), dtype=np.int64)
    counts: npt.NDArray[Any] = np.bincount(code)[code]
    return counts


def _dealt(listed: ListedCells, config: CellsIngestConfig, bags: _Codes, groups: int) -> tuple[pd.Series[Any], _Codes]:
    """Deal the cells of each bag into groups of equal size, give or take one; those without a cell get no bag.

    Returns:
        The text of each cell's group, and the bags that groups make.
    """
    group = np.empty(len(bags.code), dtype=np.int64)
    together = list(config.bags.together)
    for bag, name in enumerate(bags.names):
        mine = np.flatnonzero(bags.code == bag)
        unit: npt.NDArray[np.integer[Any]] = np.arange(len(mine))
        if together:
            unit = listed.cells.iloc[mine].groupby(together, sort=False).ngroup().to_numpy()
        units = int(unit.max()) + 1
        dealt = np.empty(units, dtype=np.int64)
        order = random_order(units, config.seed, "groups", listed.source.name, name)
        dealt[order] = np.arange(units) % groups
        group[mine] = dealt[unit]
    width = len(str(groups - 1))
    used, fine = np.unique(bags.code * groups + group, return_inverse=True)
    names = [f"{bags.names[key // groups]}/{key % groups:0{width}d}" for key in used]
    text = pd.Series([f"{number:0{width}d}" for number in group], dtype=TEXT, index=listed.cells.index)
    return text, _Codes(code=fine.astype(np.int64), names=names)


def _bag_table(
    listed: ListedCells, code: npt.NDArray[np.int64], names: list[str], first: int
) -> tuple[pd.DataFrame, frozenset[str]]:
    """Return one row per bag of cells that are sorted by ``code``, and the labels that differ within a bag."""
    starts = np.searchsorted(code, np.arange(len(names)))
    columns: dict[str, Any] = {
        "bag": first + np.arange(len(names)),
        SOURCE: listed.source.name,
        BAG: names,
        PERTURBATION: "",
        STIMULATION: "",
        CONTROL_TYPE: "treatment",
    }
    varying: set[str] = set()
    for name in listed.metadata:
        number = pd.factorize(listed.cells[name])[0]
        if np.all(number == number[starts][code]):
            columns[name] = listed.cells[name].iloc[starts].to_numpy(dtype=object)
        elif name in columns:
            raise InputError(f"{listed.where}: {name} differs within a bag; add it to 'bags.by'")
        else:
            varying.add(name)
    table = pd.DataFrame(columns)
    _check_control_types(table, listed.where)
    return table, frozenset(varying)


def _check_control_types(bags: pd.DataFrame, where: str) -> None:
    for value in bags[CONTROL_TYPE].unique():
        if value not in CONTROL_TYPES:
            raise InputError(
                f"{where}: {CONTROL_TYPE} is '{value}'; expected one of {', '.join(CONTROL_TYPES)}"
                + did_you_mean(str(value), CONTROL_TYPES)
            )


def _natural(text: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which 2 comes before 10."""
    parts = re.split(r"([0-9]+)", text)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]
