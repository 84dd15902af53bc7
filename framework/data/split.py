"""Which bags train, validate and test: whole values of one column, so that no perturbation is on both sides.

The assignment is a pure function of the sorted distinct values, the fractions and the seed; the run folder keeps it
as a file, so that predictions made months later use the same parts.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from framework.config import StrictModel, UniqueNames
from framework.data.format.schema import BAG, PERTURBATION, PLATE, SOURCE, WELL, names_of_bags
from framework.data.permutation import hash_u64, permute
from framework.durable import write_text
from framework.errors import RunError, did_you_mean, some_of
from framework.files.delimited import read_text_table

PARTS = ("train", "val", "test")
UNUSED = "unused"
PART_OF_BACKBONE = "part_of_backbone"
"""Column of predictions: the part of a bag in the run that gave the backbone, which may have split otherwise."""
Parts = npt.NDArray[np.str_]


class SplitConfig(StrictModel):
    """Parts by fractions of the values of a column, or by naming the values.

    Attributes:
        by: column of bags.parquet; all bags of a value go to the same part.
        fractions: fractions of the values, for train, val and test; 0 leaves a part empty.
        seed: seed of the assignment by fractions.
        train: values of the training part, instead of fractions. Left out: all values that no other list names.
        val: values.
        test: values.
        unused: values whose bags belong to no part.
        apart: other columns whose values may not lie in two parts. For example, if proteins are to be held out, a split
            by fields that divides a protein is then an error.
    """

    by: str = PERTURBATION
    fractions: tuple[float, float, float] | None = None
    seed: int = Field(default=0, ge=0)
    train: tuple[str, ...] | None = None
    val: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    unused: tuple[str, ...] = ()
    apart: UniqueNames = ()

    @property
    def named(self) -> dict[str, tuple[str, ...] | None]:
        """The explicit lists by part."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def facts(self) -> dict[str, Any]:
        """Return the section without empty keys; the seed only where it decides something."""
        facts = {key: value for key, value in self.plain().items() if value is not None and value != []}
        if self.fractions is None:
            facts.pop("seed", None)
        return facts

    @model_validator(mode="after")
    def _one_way(self) -> SplitConfig:
        lists = [name for name, values in self.named.items() if values is not None]
        if self.fractions is None and not lists:
            raise ValueError("expected fractions: [train, val, test], or lists of values under train, val, test")
        if self.fractions is not None:
            if lists:
                raise ValueError(
                    f"expected either fractions or lists of values, found fractions and {', '.join(lists)}"
                )
            if min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
                raise ValueError(f"expected three fractions >= 0 that sum to 1, found a sum of {sum(self.fractions):g}")
            if self.fractions[0] == 0:
                raise ValueError("expected a train fraction > 0, found 0")
        elif self.train is not None and not self.train:
            raise ValueError("expected at least one value under train; leave the key out to take all other values")
        every = [value for values in (*self.named.values(), self.unused) for value in values or ()]
        twice = [value for value, times in Counter(every).items() if times > 1]
        if twice:
            raise ValueError(f"expected each value once, found '{twice[0]}' named {Counter(every)[twice[0]]} times")
        return self


def assign(bags: pd.DataFrame, config: SplitConfig) -> Parts:
    """Return the part of each bag.

    With fractions, the distinct values are permuted by the seed and dealt by largest remainder; a part with a fraction
    above 0 gets at least one value. A bag without a value in the column belongs to no part.

    Args:
        bags: bags.parquet.
        config: how.

    Returns:
        str (B,): ``train``, ``val``, ``test`` or ``unused``.

    Raises:
        RunError: no such column, a named value that no bag has, values that nobody names, fewer values than parts, or
            a value of ``apart`` in two parts.
    """
    need_columns(bags, "split.by", [config.by])
    need_columns(bags, "split.apart", config.apart)
    column = bags[config.by]
    texts = [_text(value) if known else None for value, known in zip(column, column.notna(), strict=True)]
    kept = sorted({text for text in texts if text is not None and text not in config.unused})
    _check_known(config.unused, {text for text in texts if text is not None}, config.by, UNUSED)
    part_of = _by_fractions(kept, config) if config.fractions is not None else _by_name(kept, config)
    parts = np.asarray([UNUSED if text is None else part_of.get(text, UNUSED) for text in texts], dtype=np.str_)
    for name in config.apart:
        _check_apart(bags[name], parts, config.by)
    return parts


def need_columns(bags: pd.DataFrame, key: str, names: Sequence[str]) -> None:
    """Refuse columns that the table of bags lacks, all at once.

    Args:
        bags: bags.parquet.
        key: key of the config, that names them.
        names: the columns.

    Raises:
        RunError: there is no such column.
    """
    known = [str(column) for column in bags.columns]
    lacking = [name for name in names if name not in known]
    if lacking:
        raise RunError(
            f"{key}: no bag column {', '.join(map(repr, lacking))}; expected one of: {', '.join(known)}"
            + did_you_mean(lacking, known)
        )


def bags_in(parts: Parts, part: str) -> npt.NDArray[np.int64]:
    """Return the bags of a part, int64 (n,), increasing; ``all`` gives every bag."""
    return np.flatnonzero(np.ones(len(parts), bool) if part == "all" else parts == part).astype(np.int64)


def write(path: Path | str, bags: pd.DataFrame, parts: Parts, by: str = PERTURBATION) -> None:
    """Write ``split.csv``: source and name of each bag, the column that was split by, part."""
    names = list(dict.fromkeys([SOURCE, BAG, by]))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "part"])
    for values, part in zip(bags[names].itertuples(index=False), parts, strict=True):
        writer.writerow(["" if pd.isna(value) else _text(value) for value in values] + [part])
    write_text(Path(path), text.getvalue())


def read(path: Path | str, bags: pd.DataFrame) -> Parts:
    """Return the part of each bag of ``bags`` from a ``split.csv``, matched by source and name.

    A file made by hand may name plates and wells instead.

    Raises:
        RunError: not a split file, an unknown part, a bag listed twice or not at all.
    """
    part_of: dict[tuple[str, str], str] = {}
    table = read_text_table(Path(path), what="a split file", separator=",", comment=False, error=RunError)
    named = names_of_bags(table.names)
    if named is None or "part" not in table.names:
        raise RunError(
            f"{path}: not a split file with the columns {SOURCE}, {BAG}, part (or {PLATE}, {WELL}, part); it has "
            f"{some_of(table.names)}"
        )
    columns = zip(table.text[named[0]], table.text[named[1]], table.text["part"], table.lines, strict=True)
    for source, bag, part, line in columns:
        where = f"{path}:{line}"
        if part not in (*PARTS, UNUSED):
            raise RunError(f"{where}: expected one of {', '.join((*PARTS, UNUSED))}, found '{part}'")
        if (source, bag) in part_of:
            raise RunError(f"{where}: bag '{bag}' of '{source}' is listed twice")
        part_of[source, bag] = part
    keys = [(_text(source), _text(bag)) for source, bag in zip(bags[SOURCE], bags[BAG], strict=True)]
    missing = [key for key in keys if key not in part_of]
    if missing:
        raise RunError(
            f"{path}: {len(missing)} of {len(keys)} bags are not listed, the first is '{missing[0][1]}' of "
            f"'{missing[0][0]}'; this split belongs to another dataset"
        )
    return np.asarray([part_of[key] for key in keys], dtype=np.str_)


def _text(value: object) -> str:
    """A cell as a config names it: whole numbers without the decimal point a table with gaps gives them."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_apart(column: pd.Series[str], parts: Parts, by: str) -> None:
    """Refuse a value in two parts; bags without a value, or of no part, are of no concern."""
    kept = (parts != UNUSED) & column.notna().to_numpy()
    for value, places in pd.Series(parts[kept]).groupby(column[kept].astype(str).to_numpy(), sort=True):
        found = [part for part in PARTS if part in set(places)]
        if len(found) > 1:
            raise RunError(
                f"split.apart: {column.name} '{value}' lies in {' and '.join(found)}, because bags are split by {by}; "
                f"split by {column.name}, or leave it out of split.apart if its bags may be on both sides"
            )


def _by_fractions(values: list[str], config: SplitConfig) -> dict[str, str]:
    fractions = np.asarray(config.fractions, dtype=np.float64)
    wanted = int((fractions > 0).sum())
    if len(values) < wanted:
        raise RunError(
            f"split: {len(values)} distinct value(s) of {config.by} cannot fill {wanted} parts; name values under "
            "train, val and test, set a fraction to 0, or split by another column"
        )
    ideal = fractions * len(values)
    counts = np.floor(ideal + 1e-9).astype(np.int64)
    order = np.argsort(-(ideal - counts), kind="stable")
    counts[order[: len(values) - counts.sum()]] += 1
    for part in np.flatnonzero((fractions > 0) & (counts == 0)):
        counts[np.argmax(counts)] -= 1
        counts[part] = 1
    shuffled = permute(np.arange(len(values)), len(values), hash_u64(config.seed)) if values else np.empty(0, np.int64)
    labels = np.repeat(np.asarray(PARTS), counts)
    return {values[place]: str(label) for place, label in zip(shuffled, labels, strict=True)}


def _by_name(values: list[str], config: SplitConfig) -> dict[str, str]:
    part_of: dict[str, str] = {}
    for part, named in config.named.items():
        _check_known(named or (), set(values), config.by, part)
        part_of |= dict.fromkeys(named or (), part)
    rest = [value for value in values if value not in part_of]
    if config.train is None:
        if not rest:
            raise RunError(f"split: val and test name every value of {config.by}; none is left for train")
        part_of |= dict.fromkeys(rest, "train")
    elif rest:
        raise RunError(
            f"split: {len(rest)} value(s) of {config.by} are in no list, such as '{rest[0]}'; leave out "
            "split.train to train on all others, or name them under split.unused"
        )
    return part_of


def _check_known(named: tuple[str, ...], values: set[str], by: str, part: str) -> None:
    for value in named:
        if value not in values:
            raise RunError(
                f"split.{part}: no bag has {by} '{value}'; there is {some_of(sorted(values), 8)}"
                + did_you_mean(value, sorted(values))
            )
