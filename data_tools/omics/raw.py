"""An omics table before anything is judged: what each sample is called, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, did_you_mean
from framework.files.decimals import number

F64 = npt.NDArray[np.float64]
_SHOWN = 8
_ONLY_NAMES = (
    ": it says nothing of its samples but their names; name a second file that says what each is with 'sheet', or "
    "write 'perturbation: sample' where the names are those of conditions"
)
_MAY_LACK = {"stimulation": "where there is one alone", "plate": "for no batch correction"}
"""Columns that a table may do without, and when."""


@dataclass(frozen=True, kw_only=True)
class RawOmics:
    """One table, whatever its file.

    Attributes:
        file: the file.
        facts: text of each sample, ``""`` where blank; one row per sample.
        genes: names, in the order of the columns of ``values``.
        values: float64 (S, G), NaN where a cell is blank.
        rows: where each sample stands, as ``line 5`` or ``row 4``.
        declared: whether the file itself (as AnnData, GCT and the long form) or the key ``genes`` says what is a gene.
        genes_in_rows: whether this is a text or Parquet table with genes in rows.
        of_genes: names of the facts of genes that the file has.
        ids: ids of the genes, where the file has them beside their names; else empty.
        layers: other matrices of the file.
        notes: what was found out about the file.
        decimal: sign of decimals in ``facts``.
        decimals: the same for single columns that have another.
    """

    file: Path
    facts: pd.DataFrame
    genes: tuple[str, ...]
    values: F64
    rows: Sequence[str]
    declared: bool
    genes_in_rows: bool = False
    of_genes: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    decimal: str = "."
    decimals: Mapping[str, str] = field(default_factory=dict)

    def fact(self, name: str, key: str) -> npt.NDArray[np.object_]:
        """Return a column of facts that every sample must have, (n,).

        Raises:
            InputError: no such column, or a blank in it; names the row.
        """
        if name not in self.facts.columns:
            raise InputError(self._no_fact(name, key))
        values: npt.NDArray[np.object_] = self.facts[name].to_numpy(dtype=object)
        blank = np.flatnonzero(values == "")
        if len(blank):
            raise InputError(f"{self.file}: {self.rows[blank[0]]} has no '{name}'; fill it in, or remove the sample")
        return values

    def covariate(self, name: str) -> F64:
        """Return a column of facts as numbers.

        Raises:
            InputError: no such column, a blank in it, or text that is not a number; names the row.
        """
        cells = self.fact(name, "covariates")
        decimal = self.decimals.get(name, self.decimal)
        values = [number(cell, decimal) for cell in cells]
        for row, value in enumerate(values):
            if value is None or not np.isfinite(value):
                raise InputError(
                    f"{self.file}: {self.rows[row]} has '{cells[row]}' as '{name}', expected a number because "
                    f"'omics.covariates' names it; correct it, or name the column in 'batches' where it holds groups"
                )
        return np.array(values, dtype=np.float64)

    def _no_fact(self, name: str, key: str) -> str:
        facts = [str(column) for column in self.facts.columns]
        known = ", ".join(facts[:_SHOWN]) + (" ..." if len(facts) > _SHOWN else "")
        text = f"{self.file}: no column '{name}' for 'omics.{key}'; the table has {known or 'no facts of samples'}"
        if name in self.genes:
            return f"{text}; '{name}' holds numbers: name it with 'facts: [{name}]' too"
        near = did_you_mean(name, [*facts, *self.genes])
        n_samples, n_genes = self.values.shape
        if key in _MAY_LACK:
            return f"{text}; name its column, or write '{key}: null' {_MAY_LACK[key]}"
        if near or not facts:
            return text + near
        if self.declared or self.genes_in_rows:
            return text + (_ONLY_NAMES if facts == ["sample"] else "")
        return text + (self._readings(self.facts.iloc[:, 0].tolist()) if n_samples > n_genes or len(facts) == 1 else "")

    def _readings(self, first: Sequence[str]) -> str:
        """Show both readings of a table that names no condition."""
        rows, columns = (
            ", ".join(f"'{name}'" for name in names[:2]) + (" ..." if len(names) > 2 else "")
            for names in (first, self.genes)
        )
        return (
            f"; with samples in rows it has {len(first)} samples ({rows}) of {len(self.genes)} genes ({columns}); with "
            f"genes in rows, {len(self.genes)} samples ({columns}) of {len(first)} genes ({rows}): write 'rows: "
            "samples' or 'rows: genes', and say where the conditions of samples stand: in a column, or in a 'sheet'"
        )


def columns_of(raw: RawOmics, places: npt.NDArray[np.int64], *said: str) -> RawOmics:
    """Return the genes at some places, with further notes."""
    return replace(
        raw,
        genes=tuple(raw.genes[place] for place in places),
        ids=tuple(raw.ids[place] for place in places) if raw.ids else (),
        values=np.ascontiguousarray(raw.values[:, places]),
        notes=(*raw.notes, *said),
    )
