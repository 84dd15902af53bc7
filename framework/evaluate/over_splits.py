"""Files of several splits become files with intervals; see ``jackknife``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framework.data.format.schema import BAG, SOURCE
from framework.errors import InputError
from framework.evaluate.conformal import least_rows, need_level
from framework.evaluate.interval_layers import with_layers
from framework.evaluate.jackknife import Ends, HeldOut, Splits
from framework.evaluate.predictions import TEST, Predictions, files_of, open_predictions, read_predictions
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_folder
from framework.progress import OnProgress
from framework.result import Result

ENOUGH_SPLITS = 10
"""Splits from which a study takes its intervals from them; fewer hold out too few rows."""


@dataclass(frozen=True, kw_only=True, repr=False)
class IntervalsSummary(Result):
    """Predictions with intervals that were written.

    Attributes:
        folder: with a file for each that was given, in a folder of the same name.
        files: how many.
        level: share that the intervals shall hold.
        splits: splits that calibrate them.
    """

    folder: Path
    files: int
    level: float
    splits: int


def write_intervals(
    known: Sequence[Path | str],
    out: Path | str,
    level: float = 0.9,
    new: Sequence[Path | str] = (),
    progress: OnProgress | None = None,
) -> IntervalsSummary:
    """Write predictions with layers ``lower`` and ``upper``, calibrated by the test parts of several splits.

    Args:
        known: prediction files, one per target and split, or folders of them. Rows that a split learned from get no
            interval in its file (NaN).
        out: folder; the file ``split-0/rna.h5ad`` goes to ``split-0/rna.h5ad`` in it.
        level: share of measured values that intervals shall hold.
        new: predictions of the same runs on other data. With them, they are what is written, and each of their rows
            gets an interval.
        progress: called with (stage, done, total).

    Raises:
        ConfigError: a level out of range.
        InputError: files that do not go together, or too few rows.
    """
    need_level(level)
    check_output_folder(out)
    places = _places(new or known, Path(out))
    targets = _of_targets({file: _of_split(file, TEST) for file in files_of(known)})
    fresh = _of_targets({file: _of_split(file, None) for file in places}) if new else {}
    for done, (names, items) in enumerate(targets.items()):
        if progress:
            progress("intervals", done, len(targets))
        _need_rows(items, level, names)
        facts = _facts(items, level)
        splits = Splits([item.held for item in items.values()])
        if new:
            _write_new(fresh.get(names, {}), splits, list(items), level, names, places, facts)
        else:
            for item, ends in zip(items.values(), splits.ends(level), strict=True):
                _write(places[item.file], item, ends, facts)
    if progress:
        progress("intervals", len(targets), len(targets))
    splits_seen = len(next(iter(targets.values())))
    return IntervalsSummary(folder=Path(out), files=len(places), level=level, splits=splits_seen)


@dataclass(frozen=True, kw_only=True, eq=False)
class _OfSplit:
    """What is kept of a file: the rows that count. Those that a split learned from are most of it.

    Attributes:
        file: it comes from.
        targets: names, for messages and to know which files go together.
        split: key of the split.
        columns: names of genes or markers.
        rows: (n,) which rows of the file count.
        held: these rows.
        sources: plates or exports of these rows.
    """

    file: Path
    targets: str
    split: str
    columns: list[str]
    rows: npt.NDArray[np.bool_]
    held: HeldOut
    sources: frozenset[str]


def _of_split(file: Path, part: str | None) -> _OfSplit:
    """Return the rows of one part of a file, of all parts for None."""
    item = open_predictions(file)
    rows = np.ones(len(item.rows), dtype=np.bool_) if part is None else item.part(part)
    return _OfSplit(
        file=file,
        targets=", ".join(item.targets()),
        split=item.split_key,
        columns=item.genes(),
        rows=rows,
        held=_held_out(item, rows),
        sources=frozenset(item.rows[SOURCE][rows].astype(str)),
    )


def _places(sources: Sequence[Path | str], out: Path) -> dict[Path, Path]:
    """Return file -> where it is written to. Raises InputError: two would have one place."""
    found: dict[Path, Path] = {}
    for file in files_of(sources):
        place = out / file.parent.name / file.name
        taken = next((other for other, where in found.items() if where == place), None)
        if taken is not None:
            raise InputError(f"{file} and {taken} would both be written to {place}; rename one of their folders")
        if place.resolve() == file.resolve():
            raise InputError(f"{file}: would be replaced by its copy with intervals; name another folder with --out")
        found[file] = place
    return found


def _of_targets(opened: Mapping[Path, _OfSplit]) -> dict[str, dict[str, _OfSplit]]:
    """Return target -> split -> file.

    Raises:
        InputError: one split only, a split twice, or files of one target with other columns.
    """
    found: dict[str, dict[str, _OfSplit]] = {}
    for file, item in opened.items():
        mine = found.setdefault(item.targets, {})
        if item.split in mine:
            other = mine[item.split].file
            raise InputError(f"{file} and {other} are both of target '{item.targets}' and split {item.split}; give one")
        mine[item.split] = item
        first = next(iter(mine.values()))
        if item.columns != first.columns:
            raise InputError(f"{file}: has other columns than {first.file}; predict both again")
    for names, items in found.items():
        if len(items) < 2:
            raise InputError(
                f"{next(iter(items.values())).file}: is the only split of target '{names}'; give the "
                "predictions of several splits, or calibrate on the part val: wellstream predict RUN "
                "--interval 0.9"
            )
    return found


def _held_out(item: Predictions, rows: npt.NDArray[np.bool_]) -> HeldOut:
    names = ["tile"] if item.level == "tile" else [SOURCE, BAG]
    table = item.rows[rows]
    unit = item.split_column if item.split_column in table else names[-1]
    return HeldOut(
        key=table[names].astype(str).agg("|".join, axis=1).to_numpy(dtype=object),
        unit=table[unit].astype(str).to_numpy(dtype=object),
        predicted=item.predicted[rows],
        measured=item.measured[rows],
    )


def _need_rows(items: Mapping[str, _OfSplit], level: float, names: str) -> None:
    for key, item in items.items():
        found = int(np.isfinite(item.held.measured).any(axis=1).sum())
        if found < least_rows(level):
            raise InputError(
                f"target '{names}', split {key}: an interval of level {level:g} needs {least_rows(level)} measured "
                f"rows in the test part, found {found}; ask for a lower level"
            )


def _facts(items: Mapping[str, _OfSplit], level: float) -> dict[str, Any]:
    return {
        "level": level,
        "method": "jackknife+",
        "splits": sorted(items),
        "by": [],
        "rows": sum(int(item.rows.sum()) for item in items.values()),
        "sources": sorted(frozenset().union(*(item.sources for item in items.values()))),
        "pooled": [],
    }


def _write(place: Path, item: _OfSplit, ends: Ends, facts: Mapping[str, Any]) -> None:
    """Write a file with the ends of the rows that count; the others have none (NaN)."""
    data = read_predictions(item.file)
    lower, upper = (np.full(data.shape, np.nan) for _ in range(2))
    lower[item.rows], upper[item.rows] = ends.lower, ends.upper
    place.parent.mkdir(parents=True, exist_ok=True)
    write_h5ad(place, with_layers(data, lower, upper, facts))


def _write_new(
    fresh: Mapping[str, _OfSplit],
    splits: Splits,
    keys: Sequence[str],
    level: float,
    names: str,
    places: Mapping[Path, Path],
    facts: Mapping[str, Any],
) -> None:
    """Write files of other data, of which no split has learned."""
    if set(fresh) != set(keys):
        raise InputError(
            f"target '{names}': the new predictions are from the splits {', '.join(sorted(fresh)) or 'none'}, "
            f"but the calibrating ones are from {', '.join(sorted(keys))}; predict the new data with the run "
            "of each split"
        )
    first = next(iter(fresh.values()))
    other = next((item for item in fresh.values() if item.held.key.tolist() != first.held.key.tolist()), None)
    if other is not None:
        raise InputError(f"{other.file}: has other rows than {first.file}; predict both on one dataset")
    ends = splits.ends_of_new([fresh[key].held.predicted for key in keys], level)
    for item in fresh.values():
        _write(places[item.file], item, ends, facts)
