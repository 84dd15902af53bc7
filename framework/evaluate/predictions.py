"""Predictions as they come in: AnnData files of ``wellstream predict``, checked once before anything is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.data.format.schema import BAG, PERTURBATION, SOURCE, names_of_bags
from framework.errors import InputError
from framework.evaluate.conformal import LOWER, UPPER
from framework.evaluate.intervals import check_one_row_per_key
from framework.evaluate.made_from import MadeFrom
from framework.evaluate.metrics import Floats
from framework.files.h5ad import h5ad_files, numbers_of, read_h5ad
from framework.format import count_of

TEST, UNSEEN = "test", "unseen"
"""Parts that a run did not learn from; ``unseen``: rows of another dataset."""


@dataclass(frozen=True, kw_only=True)
class Predictions(MadeFrom):
    """One prediction file.

    Attributes:
        name: file name, or ``predictions[i]`` for an object in memory.
        facts: ``uns["wellstream"]``.
        rows: ``obs``, one row per bag or a tile, with the column ``part``.
        columns: ``var``: ``train_mean``, ``train_sd``, index = gene or marker.
        predicted: (rows, columns).
        measured: (rows, columns), NaN where unknown.
        lower, upper: (rows, columns), ends of intervals; None where the file has none.
    """

    name: str
    facts: Mapping[str, Any]
    rows: pd.DataFrame
    columns: pd.DataFrame
    predicted: Floats
    measured: Floats
    lower: Floats | None = None
    upper: Floats | None = None

    @property
    def level(self) -> Literal["bag", "tile"]:
        """Whether a row is a bag or a tile."""
        return "tile" if "tile" in self.rows.columns else "bag"

    @property
    def split(self) -> Mapping[str, Any]:
        """The split these predictions were made under: the run's config section, or what the file says beside it."""
        split = self.section("split") or self.facts.get("split", {})
        return split if isinstance(split, Mapping) else {}

    @property
    def split_key(self) -> str:
        """Name of the split over seeds: its seed, or ``given`` for a split by listed values."""
        seed = self.split.get("seed", self.facts.get("split_seed"))
        return "given" if seed is None else str(int(seed))

    @property
    def split_column(self) -> str:
        """Column of the bag table the split is made by."""
        return str(self.split.get("by", PERTURBATION))

    @property
    def objective(self) -> Mapping[str, Any]:
        """The objective's section of the run's config; empty when the file does not carry it."""
        return self.section("objective")

    def part(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which rows belong to ``name`` (train, val, test)."""
        chosen: npt.NDArray[np.bool_] = (self.rows["part"].astype(str) == name).to_numpy()
        return chosen

    def train_mean(self) -> Floats:
        """Return the mean of each column over the train rows, (columns,): the baseline predictor."""
        return self.columns["train_mean"].to_numpy(dtype=np.float64)

    def targets(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return target name -> its columns, int64 (n,); ``var["target"]`` names them when a file holds several."""
        if "target" not in self.columns.columns:
            name = self.facts.get("target") or self._only_target() or Path(self.name).stem
            return {str(name): np.arange(len(self.columns))}
        of_column = self.columns["target"].astype(str).to_numpy()
        return {str(name): np.flatnonzero(of_column == name) for name in dict.fromkeys(of_column)}

    def genes(self) -> list[str]:
        """Return the names of the columns without a target prefix."""
        named = self.columns["gene"] if "gene" in self.columns.columns else self.columns.index
        return [str(name) for name in named]

    def _only_target(self) -> str | None:
        targets = self.objective.get("targets")
        return str(targets[0]) if isinstance(targets, list) and len(targets) == 1 else None


def open_predictions(source: anndata.AnnData | Path | str, position: int = 0) -> Predictions:
    """Read and check one prediction file.

    Args:
        source: ``.h5ad`` written by ``wellstream predict``, or the AnnData itself.
        position: which of several, for messages about objects in memory.

    Raises:
        InputError: no such file, not predictions, nothing measured, no test rows, repeated rows or columns.
    """
    name = f"predictions[{position}]" if isinstance(source, anndata.AnnData) else str(source)
    data = source if isinstance(source, anndata.AnnData) else read_predictions(Path(source))
    facts = data.uns.get("wellstream")
    if not isinstance(facts, Mapping) or facts.get("kind") != "predictions":
        found = facts.get("kind", "nothing") if isinstance(facts, Mapping) else "nothing"
        raise InputError(
            f"{name}: expected uns['wellstream']['kind'] = 'predictions', found '{found}'; "
            "make predictions with: wellstream predict RUN --data DATASET --out FILE.h5ad"
        )
    _check_tables(name, data)
    predictions = Predictions(
        name=name,
        facts=dict(facts),
        rows=_held_out(_named_bags(data.obs.reset_index(drop=True))),
        columns=data.var,
        predicted=numbers_of(data, name),
        measured=numbers_of(data, name, "measured"),
        **{layer: numbers_of(data, name, layer) for layer in (LOWER, UPPER) if {LOWER, UPPER} <= set(data.layers)},
    )
    _check_values(predictions)
    return predictions


def open_all(sources: Sequence[Predictions | anndata.AnnData | Path | str]) -> list[Predictions]:
    """Read several prediction files of one kind; a folder stands for the ``.h5ad`` files in it, by name.

    Raises:
        InputError: none given, a bad one, or a mix of wells and tiles.
    """
    if not sources:
        raise InputError("expected at least one prediction file, found none; make one with: wellstream predict RUN")
    files = [file for source in sources for file in _files(source)]
    opened = [
        file if isinstance(file, Predictions) else open_predictions(file, position)
        for position, file in enumerate(files)
    ]
    levels = {item.level: item.name for item in opened}
    if len(levels) > 1:
        raise InputError(
            f"{levels['tile']} predicts tiles and {levels['bag']} predicts wells; evaluate them in two calls"
        )
    return opened


def _files(source: Predictions | anndata.AnnData | Path | str) -> list[Predictions | anndata.AnnData | Path]:
    if isinstance(source, Predictions | anndata.AnnData):
        return [source]
    path = Path(source)
    if not path.is_dir():
        return [path]
    return list(h5ad_files(path, f"make predictions with: wellstream predict RUN --out {path}"))


def files_of(sources: Sequence[Path | str]) -> list[Path]:
    """Return prediction files; a folder stands for those in it, by name. Raises InputError: it has none."""
    return [file for source in sources for file in _files(source) if isinstance(file, Path)]


def read_predictions(file: Path) -> anndata.AnnData:
    """Read a prediction file as it is. Raises InputError: there is none, or it is damaged."""
    if not file.is_file():
        raise InputError(f"{file}: no such prediction file; make one with: wellstream predict RUN --out {file.name}")
    return read_h5ad(file, error=InputError, what="predictions (.h5ad)", then="predict again")


def _named_bags(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with source and name of their bag; a file of other programs may say plate and well instead."""
    named = names_of_bags(rows.columns.tolist())
    return rows if named is None else rows.assign(**{SOURCE: rows[named[0]], BAG: rows[named[1]]})


def _held_out(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of which those of another dataset than the run's, which it never saw, are test rows."""
    part = rows["part"].astype(str)
    return rows.assign(part=part.where(part != UNSEEN, TEST)) if (part == UNSEEN).any() else rows


def _check_tables(name: str, data: anndata.AnnData) -> None:
    if "measured" not in data.layers:
        raise InputError(
            f"{name}: no layer 'measured', so there is nothing to compare with; predict on a dataset that holds the "
            "targets or markers the run was trained on"
        )
    wanted = [("obs", "part", data.obs.columns), ("var", "train_mean", data.var.columns)]
    if names_of_bags(data.obs.columns.tolist()) is None:
        wanted += [("obs", column, data.obs.columns) for column in (SOURCE, BAG)]
    for table, column, found in wanted:
        if column not in found:
            raise InputError(f"{name}: {table} has no column '{column}'; found: {', '.join(map(str, found))}")
    repeated = data.var_names[data.var_names.duplicated()]
    if len(repeated):
        raise InputError(f"{name}: column '{repeated[0]}' stands {len(repeated) + 1} times or more; expected once")


def _check_values(predictions: Predictions) -> None:
    test = predictions.part(TEST)
    if not test.any():
        parts = ", ".join(sorted(set(predictions.rows["part"].astype(str)))) or "none"
        raise InputError(
            f"{predictions.name}: no rows with part 'test' (parts found: {parts}); predict with --part test or all"
        )
    if np.isinf(predictions.measured).any():
        row, column = np.argwhere(np.isinf(predictions.measured))[0]
        raise InputError(
            f"{predictions.name}: measured value of '{predictions.columns.index[column]}' in row {row + 1} is "
            f"{predictions.measured[row, column]}; expected a finite number, or NaN where nothing was measured"
        )
    measured = ~np.isnan(predictions.measured)
    if not measured[test].any():
        raise InputError(
            f"{predictions.name}: layer 'measured' holds no value for any test row; predict on a dataset with targets"
        )
    bad = measured & ~np.isfinite(predictions.predicted) & test[:, None]
    if bad.any():
        row, column = np.argwhere(bad)[0]
        bag = predictions.rows.iloc[row]
        raise InputError(
            f"{predictions.name}: prediction of '{predictions.columns.index[column]}' for bag {bag[BAG]} of "
            f"{bag[SOURCE]} is {predictions.predicted[row, column]}; {count_of(int(bad.sum()), 'such value')}: "
            "the run diverged"
        )
    keys = ["tile"] if predictions.level == "tile" else [SOURCE, BAG]
    check_one_row_per_key(predictions.rows, keys, predictions.name)
