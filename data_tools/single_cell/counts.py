"""Counts of single cells, whatever the file: cells x features, sparse, with names and values that are checked.

What a feature is (a gene, a surface protein, anything else) is settled here, once: a protein that stayed among the
genes would be predicted from itself. Zeros that a file stores are not counts, and go here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from data_tools.gene_names import NO_GENES, doubtful_genes
from framework.errors import InputError
from framework.files.sparse import about_repeated

csr: Any = sparse.csr_array
"""Typed loosely: the published types of scipy reject its own slices."""
GENE, PROTEIN = "Gene Expression", "Antibody Capture"
_CALLED = {
    GENE: ("gene expression", "gene", "genes", "gex", "rna"),
    PROTEIN: ("antibody capture", "antibody", "protein", "proteins", "prot", "adt", "protein expression"),
}
_KINDS = {word: kind for kind, words in _CALLED.items() for word in words}
LANES = (
    "where lanes or samples were joined whose cells share barcodes, put the lane before each name, as L1_ACGT and "
    "L2_ACGT, in every table"
)
"""What to do about a cell that appears twice: by its name alone nobody knows which of the two is meant."""
_MOST_COUNTED = 1 << 24
"""The largest whole number below which float32 holds all; no cell has as many molecules of one gene."""
_LEAST_TOTALLED = 4
"""Rows of which one may be the sum of the others by more than chance, and values in it."""
_FEW_VALUES = 50
"""So few may all be 1 by chance."""
_BARCODE = r"[ACGTN]{12,}"
_NAMES_JUDGED = 1000


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A table of counts.

    Attributes:
        values: float32 CSR (cells, features), finite, above 0: no zero is stored.
        cells: names, distinct.
        features: names, distinct within their kind: a protein may be called as a gene is.
        kinds: ``Gene Expression``, ``Antibody Capture`` or what else the file says, of each feature.
        notes: sentences about how the file was read.
    """

    values: Any
    cells: pd.Index
    features: pd.Index
    kinds: npt.NDArray[np.object_]
    notes: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> Counts:
        """Return the features of one kind."""
        return self.columns(self.kinds == kind)

    def rows(self, chosen: npt.NDArray[Any]) -> Counts:
        """Return the cells of a mask, bool (n,), or of positions."""
        return replace(self, values=self.values[chosen], cells=self.cells[chosen])

    def columns(self, chosen: npt.NDArray[Any]) -> Counts:
        """Return the features of a mask, bool (d,), or of positions."""
        return replace(self, values=self.values[:, chosen], features=self.features[chosen], kinds=self.kinds[chosen])


def kind_of(name: str) -> str:
    """Return the kind that a file calls ``name``: ``rna`` is ``Gene Expression``; what is not known stays as it is."""
    return _KINDS.get(name.strip().casefold(), name.strip())


def counts_of(
    values: Any, cells: Iterable[Any], features: Iterable[Any], kinds: Iterable[str], notes: Iterable[str] = ()
) -> Counts:
    """Return counts as they were read, without stored zeros; names as text.

    Args:
        values: (cells, features), dense or sparse.
        cells: names.
        features: names.
        kinds: kinds of the features, as the file calls them.
        notes: about the file.
    """
    matrix = csr(values, dtype=np.float32)
    # A matrix of triples adds values of one place when it becomes one of rows.
    stored = int(getattr(values, "nnz", matrix.nnz))
    matrix.sum_duplicates()
    repeated = stored - matrix.nnz
    matrix.eliminate_zeros()
    return Counts(
        values=matrix,
        cells=pd.Index([str(name).strip() for name in cells], dtype=object),
        features=pd.Index([str(name).strip() for name in features], dtype=object),
        kinds=np.array([kind_of(str(name)) for name in kinds], dtype=object),
        notes=(*notes, *about_repeated(repeated)),
    )


def check_counts(counts: Counts, file: Path, *, fractional: bool, way_out: str) -> Counts:
    """Return counts that are counts.

    Args:
        counts: as read.
        file: for messages.
        fractional: whether values may be other than whole numbers.
        way_out: what to do where they are, as ``set 'layer: counts'``.

    Raises:
        InputError: no cell or feature, a name that is empty or appears twice, counts that are negative, not finite, not
            whole or more than a cell holds, or cells where features belong.
    """
    if not len(counts.cells) or not len(counts.features):
        raise InputError(f"{file}: holds {len(counts.cells)} cells and {len(counts.features)} features; expected both")
    for what, names in [("cell", counts.cells), *(("feature", part.features) for part in _by_kind(counts))]:
        twice = names[names.duplicated()]
        if len(twice):
            more = f", and so do {len(twice.unique()) - 1} more" if len(twice.unique()) > 1 else ""
            then = LANES if what == "cell" else "rename or remove one"
            raise InputError(f"{file}: the {what} '{twice[0]}' appears twice{more}; expected distinct names; {then}")
        bare = [name for name in ("", "nan", "None") if name in names]
        if bare:
            really = f"; write the id of a {what} that is really called so" if bare[0] else ""
            raise InputError(f"{file}: a {what} is called '{bare[0]}'; expected a name for each {what}{really}")
    _check_direction(counts, file)
    sums = [name for name in counts.features if name in NO_GENES]
    if sums:
        raise InputError(
            f"{file}: '{sums[0]}' counts reads that belong to no gene, so it is not a feature; remove the "
            f"{len(sums)} rows of this kind: {', '.join(sums)}"
        )
    genes = counts.of_kind(GENE)
    told = (*doubtful_genes(genes.features, file), *_detected_alone(genes, file))
    counts = replace(counts, notes=(*counts.notes, *told))
    data = counts.values.data
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(data) | (data < 0)
    if bad.any():
        raise InputError(f"{file}: {_place(counts, bad)}; expected finite counts of at least 0")
    beyond = data > _MOST_COUNTED
    if beyond.any():
        raise InputError(
            f"{file}: {_place(counts, beyond)}; expected counts of molecules, at most {_MOST_COUNTED:,}; correct the "
            "value, or name the table or layer that holds counts"
        )
    broken = data != np.floor(data)
    if broken.any() and not fractional:
        raise InputError(
            f"{file}: {_place(counts, broken)}; expected whole numbers of molecules: these values were scaled, logged "
            f"or corrected. {way_out}"
        )
    for part in _by_kind(counts):
        _refuse_totals(part, file)
    return counts


def distinct(names: Iterable[str], kinds: Iterable[str]) -> list[str]:
    """Return names of 10x features, distinct within their kind: the second of a symbol becomes ``name-1``."""
    listed = [(kind_of(kind), name) for name, kind in zip(names, kinds, strict=True)]
    known, seen = set(listed), dict[tuple[str, str], int]()
    result = []
    for kind, name in listed:
        number = seen.get((kind, name), 0)
        new = name
        while number and (kind, new := f"{name}-{number}") in known:
            number += 1
        seen[kind, name] = number + 1
        known.add((kind, new))
        result.append(new)
    return result


def _by_kind(counts: Counts) -> list[Counts]:
    return [counts.of_kind(kind) for kind in dict.fromkeys(counts.kinds)]


def _check_direction(counts: Counts, file: Path) -> None:
    """Refuse cells x genes read as genes x cells: no gene is called like a barcode."""
    features, cells = (names[:_NAMES_JUDGED] for names in (counts.features, counts.cells))
    like_cells = float(np.mean(features.str.contains(_BARCODE)))
    if like_cells > 0.5 > float(np.mean(cells.str.contains(_BARCODE))):
        raise InputError(
            f"{file}: found cells where features are expected: a feature is called '{features[0]}', a cell "
            f"'{cells[0]}'; expected genes x cells in a text table, cells x genes in an .h5ad: transpose it"
        )


def _refuse_totals(counts: Counts, file: Path) -> None:
    """Refuse a feature or a cell that is the sum of all others, as programs write it beside a table."""
    values = counts.values.astype(np.float64)
    for what, names, table in (("feature", counts.features, values.T), ("cell", counts.cells, values)):
        sums, whole = np.asarray(table.sum(axis=1)).ravel(), float(table.sum())
        for place in np.flatnonzero(2 * sums == whole).tolist() if whole and len(names) >= _LEAST_TOTALLED else ():
            own = csr(table)[[place]].toarray().ravel()
            if (own > 0).sum() >= _LEAST_TOTALLED and (2 * own == np.asarray(table.sum(axis=0)).ravel()).all():
                raise InputError(f"{file}: the {what} '{names[place]}' is the sum of all others; remove it")


def _detected_alone(genes: Counts, file: Path) -> tuple[str, ...]:
    """Return a note where no gene was counted more than once in any cell, as in a table of what was detected."""
    data = genes.values.data
    if len(data) < _FEW_VALUES or (data != 1).any():
        return ()
    return (f"{file}: all {len(data)} values above 0 are 1: is this a table of what was detected, and not of counts?",)


def _place(counts: Counts, which: npt.NDArray[np.bool_]) -> str:
    first = int(np.flatnonzero(which)[0])
    row = int(np.searchsorted(counts.values.indptr, first, side="right")) - 1
    column = int(counts.values.indices[first])
    return f"cell '{counts.cells[row]}' has {counts.values.data[first]:g} of '{counts.features[column]}'"
