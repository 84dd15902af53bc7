"""Files of several splits become files with intervals; see ``jackknife``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framework.data.format.schema import BAG, SOURCE
from framework.durable import check_can_be_folder
from framework.errors import InputError
from framework.evaluate.conformal import least_rows, need_level
from framework.evaluate.interval_layers import with_layers
from framework.evaluate.jackknife import Ends, HeldOut, Splits
from framework.evaluate.metrics import Floats
from framework.evaluate.predictions import TEST, Predictions, files_of, open_predictions, read_predictions
from framework.files.h5_writing import write_h5ad
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
        splits: that calibrate them.
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
    check_can_be_folder(out)
    places = _places(new or known, Path(out))
    files = files_of(known)
    targets = _of_targets({file: open_predictions(file) for file in files})
    fresh = _of_targets({file: open_predictions(file) for file in places}) if new else {}
    for done, (names, items) in enumerate(targets.items()):
        if progress:
            progress("intervals", done, len(targets))
        splits = {key: _held_out(item) for key, (_, item) in items.items()}
        _need_rows(splits, level, names)
        facts = _facts(items, level)
        if new:
            made = _of_new(fresh.get(names, {}), splits, level, names)
        else:
            ends = Splits(list(splits.values())).ends(level)
            made = {file: _whole(item, of) for (file, item), of in zip(items.values(), ends, strict=True)}
        for file, both in made.items():
            target = places[file]
            target.parent.mkdir(parents=True, exist_ok=True)
            write_h5ad(target, with_layers(read_predictions(file), both.lower, both.upper, facts))
    if progress:
        progress("intervals", len(targets), len(targets))
    splits_seen = len(next(iter(targets.values())))
    return IntervalsSummary(folder=Path(out), files=len(places), level=level, splits=splits_seen)


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


def _of_targets(opened: Mapping[Path, Predictions]) -> dict[str, dict[str, tuple[Path, Predictions]]]:
    """Return target -> split -> file.

    Raises:
        InputError: one split only, a split twice, or files of one target with other columns.
    """
    found: dict[str, dict[str, tuple[Path, Predictions]]] = {}
    for file, item in opened.items():
        names = ", ".join(item.targets())
        mine = found.setdefault(names, {})
        if item.split_key in mine:
            other = mine[item.split_key][0]
            raise InputError(f"{file} and {other} are both of target '{names}' and split {item.split_key}; give one")
        mine[item.split_key] = (file, item)
        first = next(iter(mine.values()))
        if item.genes() != first[1].genes():
            raise InputError(f"{file}: other columns than {first[0]}; predict both again")
    for names, items in found.items():
        if len(items) < 2:
            raise InputError(
                f"{next(iter(items.values()))[0]}: the only split of target '{names}'; give the predictions of several "
                "splits, or calibrate by the part val: wellstream predict RUN --interval 0.9"
            )
    return found


def _held_out(item: Predictions) -> HeldOut:
    rows = item.part(TEST)
    names = ["tile"] if item.level == "tile" else [SOURCE, BAG]
    table = item.rows[rows]
    unit = item.split_column if item.split_column in table else names[-1]
    return HeldOut(
        key=table[names].astype(str).agg("|".join, axis=1).to_numpy(dtype=object),
        unit=table[unit].astype(str).to_numpy(dtype=object),
        predicted=item.predicted[rows],
        measured=item.measured[rows],
    )


def _need_rows(splits: Mapping[str, HeldOut], level: float, names: str) -> None:
    for key, split in splits.items():
        found = int(np.isfinite(split.measured).any(axis=1).sum())
        if found < least_rows(level):
            raise InputError(
                f"target '{names}', split {key}: an interval of level {level:g} needs {least_rows(level)} measured "
                f"rows in the test part, found {found}; ask for a lower level"
            )


def _facts(items: Mapping[str, tuple[Path, Predictions]], level: float) -> dict[str, Any]:
    tested = [item.rows[item.part(TEST)] for _, item in items.values()]
    return {
        "level": level,
        "method": "jackknife+",
        "splits": sorted(items),
        "by": [],
        "rows": sum(map(len, tested)),
        "sources": sorted({str(name) for rows in tested for name in rows[SOURCE]}),
        "pooled": [],
    }


def _whole(item: Predictions, ends: Ends) -> Ends:
    """Return the ends for all rows of a file."""
    rows, lower, upper = item.part(TEST), *(np.full(item.predicted.shape, np.nan) for _ in range(2))
    lower[rows], upper[rows] = ends.lower, ends.upper
    return Ends(lower=lower, upper=upper)


def _of_new(
    fresh: Mapping[str, tuple[Path, Predictions]], splits: Mapping[str, HeldOut], level: float, names: str
) -> dict[Path, Ends]:
    """Return the ends for files of other data, of which no split has learned."""
    if set(fresh) != set(splits):
        raise InputError(
            f"target '{names}': the new predictions are of the splits {', '.join(sorted(fresh)) or 'none'}, those that "
            f"calibrate of {', '.join(sorted(splits))}; predict the new data with each of these runs"
        )
    rows: dict[str, list[str]] = {key: _names(item) for key, (_, item) in fresh.items()}
    first = next(iter(rows))
    other = next((key for key in rows if rows[key] != rows[first]), None)
    if other is not None:
        raise InputError(f"{fresh[other][0]}: other rows than {fresh[first][0]}; predict both on one dataset")
    predicted: list[Floats] = [fresh[key][1].predicted for key in splits]
    ends = Splits(list(splits.values())).ends_of_new(predicted, level)
    return {file: ends for file, _ in fresh.values()}


def _names(item: Predictions) -> list[str]:
    names = ["tile"] if item.level == "tile" else [SOURCE, BAG]
    return [str(name) for name in item.rows[names].astype(str).agg("|".join, axis=1)]
