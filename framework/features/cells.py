"""Which cells are compared, under which labels, and which of them may see which: decided once for all feature sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, did_you_mean
from framework.features.config import FeatureEvaluateConfig
from framework.features.table import FeatureTable, column

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Protocol = Literal["leave_one_out", "leave_group_out", "train_test"]


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Cells with known classes.

    Attributes:
        rows: int64 (n,), rows of the feature tables that take part.
        classes: names, sorted.
        label: int64 (n,), class of each cell.
        group: int64 (n,), field of each cell; each cell its own where nothing names fields.
        group_columns: what names the fields.
        protocol: which cells may vote on which.
        test: (n,), cells that are scored; all but under ``train_test``.
        notes: what a reader must know.
        shown: int64 (n,), classes that classifiers are shown in place of ``label``; None: the true ones.
    """

    rows: Ints
    classes: tuple[str, ...]
    label: Ints
    group: Ints
    group_columns: tuple[str, ...]
    protocol: Protocol
    test: Bools
    notes: tuple[str, ...]
    shown: Ints | None = None

    @property
    def taught(self) -> Ints:
        """Class that each cell votes for and classifiers learn, (n,)."""
        return self.label if self.shown is None else self.shown

    @property
    def train(self) -> Bools:
        """Cells that vote, (n,)."""
        return ~self.test if self.protocol == "train_test" else np.ones(len(self.rows), dtype=np.bool_)


def choose_cells(table: FeatureTable, config: FeatureEvaluateConfig) -> Cells:
    """Decide which cells of a table take part, and how.

    Raises:
        InputError: cells without a label, a class with fewer than two cells, a protocol the cells have no parts for.
    """
    notes: list[str] = []
    labels = column(table, config.label)
    parts = _parts(table, config)
    protocol = _protocol(table, config, parts)
    kept = _labelled(table, labels, config, notes)
    if protocol == "train_test" and parts is not None:
        unused = kept & ~np.isin(parts, ("train", "test"))
        if unused.any():
            notes.append(f"{int(unused.sum())} cells are neither in part 'train' nor in 'test' and take no part")
        kept &= ~unused
    names, label = np.unique(labels[kept].to_numpy(dtype=str), return_inverse=True)
    label = label.astype(np.int64)
    group, group_columns = field_codes(table, config.group)
    test = np.ones(int(kept.sum()), dtype=np.bool_) if protocol != "train_test" or parts is None else (
        parts[kept] == "test"
    )  # fmt: skip
    cells = Cells(
        rows=np.flatnonzero(kept).astype(np.int64),
        classes=tuple(str(name) for name in names),
        label=label,
        group=group[kept],
        group_columns=group_columns,
        protocol=protocol,
        test=test,
        notes=(),
    )
    if len(cells.classes) < 2:
        raise InputError(
            f"{table.file}: column '{config.label}' holds one class only, '{cells.classes[0]}'; there is nothing to "
            "tell apart"
        )
    notes += _warnings(cells)
    return Cells(**{**cells.__dict__, "notes": tuple(notes)})


def field_codes(table: FeatureTable, group: tuple[str, ...]) -> tuple[Ints, tuple[str, ...]]:
    """Return the number of each cell's field, (n,), and the columns that name fields; without any, cells are alone."""
    chosen = group or tuple(name for name in ("bag", "site") if name in table.cells.columns)
    if not chosen:
        return np.arange(len(table.cells), dtype=np.int64), ()
    values = pd.DataFrame({name: column(table, name).fillna("").to_numpy() for name in chosen})
    codes = values.groupby(list(chosen), sort=True, observed=True).ngroup()
    return np.asarray(codes.to_numpy(), dtype=np.int64), chosen


def _parts(table: FeatureTable, config: FeatureEvaluateConfig) -> npt.NDArray[Any] | None:
    """Part of each cell, as text."""
    if not config.test_where:
        has = "part" in table.cells.columns
        return table.cells["part"].astype(str).to_numpy() if has else None
    test = np.ones(len(table.cells), dtype=np.bool_)
    for text in config.test_where:
        name, _, listed = text.partition("=")
        wanted = [value.strip() for value in listed.split(",") if value.strip()]
        values = column(table, name)
        known = sorted({str(value) for value in values.dropna()})
        for value in wanted:
            if value not in known:
                shown = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")
                raise InputError(
                    f"{table.file}: no cell has {name} = '{value}'; there are: {shown}{did_you_mean(value, known)}"
                )
        test &= values.isin(wanted).to_numpy()
    return np.where(test, "test", "train")


def _protocol(table: FeatureTable, config: FeatureEvaluateConfig, parts: npt.NDArray[Any] | None) -> Protocol:
    both = parts is not None and {"train", "test"} <= set(parts.tolist())
    if config.protocol == "auto":
        return "train_test" if both else "leave_one_out"
    if config.protocol == "train_test" and not both:
        found = "no column 'part'" if parts is None else "the parts " + ", ".join(sorted(set(parts.tolist())))
        raise InputError(
            f"{table.file}: protocol train_test needs cells of the parts 'train' and 'test', found {found}; name the "
            "test cells with --test-where COLUMN=VALUE, or use --protocol leave_one_out"
        )
    return config.protocol


def _labelled(table: FeatureTable, labels: pd.Series[Any], config: FeatureEvaluateConfig, notes: list[str]) -> Bools:
    kept: Bools = labels.notna().to_numpy(dtype=np.bool_)
    without = int((~kept).sum())
    advice = "leave them out with --drop-incomplete"
    if not kept.any():
        raise InputError(f"{table.file}: no cell has a label in column '{config.label}'")
    if without and not config.drop_incomplete:
        first = table.cells.index[~kept][0]
        raise InputError(
            f"{table.file}: {without} of {len(kept)} cells have no label in column '{config.label}', the first is "
            f"'{first}'; {advice}"
        )
    if without:
        notes.append(f"{without} cells without a label take no part")
    counts = labels[kept].value_counts()
    small = sorted(str(name) for name in counts.index[counts < 2])
    if small and not config.drop_incomplete:
        raise InputError(
            f"{table.file}: class '{small[0]}' has a single cell ({len(small)} such classes), so no other "
            f"cell of its class can vote for it; {advice}, or merge classes"
        )
    if small:
        notes.append(f"classes with a single cell take no part: {', '.join(small)}")
        kept &= ~labels.isin(small).to_numpy(dtype=np.bool_)
        if not kept.any():
            raise InputError(f"{table.file}: every class of column '{config.label}' has a single cell")
    return kept


def _warnings(cells: Cells) -> list[str]:
    """What a reader would not expect of the numbers: fields in both parts, classes nothing can be learned about."""
    notes = []
    if cells.protocol == "leave_one_out" and cells.group_columns and len(np.unique(cells.group)) < len(cells.group):
        notes.append(
            "leave-one-out: cells of a cell's own field vote on it, and they share its focus and light; the protocol "
            "leave_group_out leaves them out"
        )
    if cells.protocol == "train_test":
        both = np.intersect1d(cells.group[cells.test], cells.group[cells.train])
        if cells.group_columns and len(both):
            notes.append(
                f"WARNING: {len(both)} of {len(np.unique(cells.group))} fields ({' x '.join(cells.group_columns)}) "
                "have cells in the train and in the test part: what is told apart may be the field"
            )
        unlearned = set(cells.label[cells.test]) - set(cells.label[cells.train])
        if unlearned:
            names = ", ".join(cells.classes[one] for one in sorted(unlearned))
            notes.append(f"WARNING: without a train cell, and so never right: {names}")
        untested = set(cells.label[cells.train]) - set(cells.label[cells.test])
        if untested:
            names = ", ".join(cells.classes[one] for one in sorted(untested))
            notes.append(f"without a test cell, and so left out of the mean: {names}")
    if cells.protocol == "leave_group_out":
        pairs = np.unique(np.stack([cells.label, cells.group]), axis=1)[0]
        alone = [cells.classes[one] for one, fields in zip(*np.unique(pairs, return_counts=True), strict=True)
                 if fields < 2]  # fmt: skip
        if alone:
            notes.append(f"WARNING: with cells in one field only, and so never right: {', '.join(alone)}")
    return notes
