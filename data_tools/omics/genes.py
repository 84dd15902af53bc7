"""What is a gene: columns of numbers that are none are refused by name, never trained on.

A wide table does not say which of its columns are genes. Row numbers, quality numbers (RIN) and sums over all genes
are numbers too; a model would be trained to predict them, and they would shift every size factor.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from data_tools.gene_names import NO_GENES
from data_tools.omics.raw import F64, RawOmics
from framework.errors import InputError

_KNOWN = (
    " rin rqn dv200 n_counts n_genes total_counts log1p_total_counts n_genes_by_counts pct_counts_mt "
    " pct_counts_mito percent_mito percent_mt percent.mt ncount_rna nfeature_rna library_size lib_size libsize "
    " lib.size size_factor size_factors sizefactor norm_factors norm.factors depth n_reads nreads reads "
    " total_reads mapped_reads unmapped_reads mapped unmapped n_umi n_umis numi umis total sum batch replicate rep "
    " plate row column col index level_0 id number nr dose concentration conc time time_h timepoint hours passage "
    " age weight lane run date n_cells cell_count cells viability n_unmapped n_multimapping n_nofeature "
    " n_ambiguous __no_feature __ambiguous __too_low_aqual __not_aligned __alignment_not_unique __index_level_0__ "
)
"""Lower case, with a blank on both sides of each."""
_UNNAMED = re.compile(r"(Unnamed: \d+)?|X(\.\d+)?")
_MOST_LOG2 = 64
"""2 to that power is more than anything that is counted or measured."""
_MOST_READS = 1 << 53
"""More than any sample has; above it, not even float64 holds every whole number."""
_LEAST_GENES = 5
"""Two samples may agree in fewer genes by chance."""
_LEAST_ROWS = 5
"""Fewer rows may agree with row numbers or with a sum by chance."""
_MOST_NAMED = 20
_FEW_COLUMNS, _LEAST_ROWS_OF_MANY = 100, 9
"""Of 20,000 genes with few counts, some have 0, 1, 2, 3, 4 in five samples by chance."""
_LEAST_VALUES = 50
"""So few values may be small or whole by chance."""
_LEAST_TOTALLED = 4
"""Rows with values of which one may be the sum of the others by more than chance."""
_MOST_SUSPECTS = 0.05
"""Share of columns with fractions up to which these, and not the counts, are what is wrong."""


def check_genes(raw: RawOmics, kind: str) -> None:
    """Refuse columns (rows, where genes stand in rows) that are perhaps no genes.

    Args:
        raw: the table. Where its file says itself what is a gene, only sums and the rows of counting programs are
            looked for.
        kind: kind of the values.

    Raises:
        InputError: names the columns, and why each of them.
    """
    suspects = _declared_suspects(raw, kind) if raw.declared else _suspects(raw, kind)
    if suspects:
        listed = ", ".join(f"'{name}' ({why})" for name, why in list(suspects.items())[:6])
        more = f" and {len(suspects) - 6} more" if len(suspects) > 6 else ""
        names = ", ".join(repr(name) if not name.isidentifier() else name for name in list(suspects)[:_MOST_NAMED])
        raise InputError(
            f"{raw.file}: these {'rows' if raw.genes_in_rows else 'columns'} hold numbers, but may not be genes: "
            f"{listed}{more}; if they are not, write 'facts: [{names}]' into this omics entry; if they are, write "
            "'genes: PATTERN' to say what names of genes look like"
        )


def check_values(raw: RawOmics, kind: str) -> None:
    """Refuse values that the kind does not allow.

    Raises:
        InputError: a count that is missing, infinite, below zero, no whole number or more than any sample has reads; an
            intensity that is infinite, negative or larger than any that is measured.
    """
    values = raw.values
    if kind == "counts":
        then = "write 0 where nothing was counted, and remove what was not measured"
        _refuse(raw, ~np.isfinite(values), "a missing or infinite count", then)
        _refuse(raw, values > _MOST_READS, f"a count above {_MOST_READS:,}", "expected counts of reads")
    else:
        then = "leave a value blank that was not measured, as the logarithm of 0"
        _refuse(raw, np.isinf(values), "an infinite value", then)
    if kind == "intensities":
        _refuse(raw, values > 2.0**_MOST_LOG2, "a value above all that is measured", "expected intensities")
    if kind in ("counts", "intensities"):
        then = f"expected {kind}; values on a log2 scale are 'kind: log2'"
        _refuse(raw, values < 0, "a value below zero", then)
    if kind == "log2":
        then = "expected logarithms; write 'kind: counts' or 'kind: intensities' for others"
        with np.errstate(invalid="ignore"):
            _refuse(raw, np.abs(values) > _MOST_LOG2, "a number beyond any logarithm", then)
    if kind == "counts":
        fractions = values != np.floor(values)
        if fractions.any():
            row, column = np.argwhere(fractions)[0]
            layers = f"; the file has the layers {', '.join(raw.layers)}" if raw.layers else ""
            raise InputError(
                f"{raw.file}: counts are whole numbers, but {raw.rows[row]} has {values[row, column]:g} of "
                f"'{raw.genes[column]}', and {int(fractions.sum())} of {fractions.size} values have fractions; name "
                f"the layer with counts ('layer: counts'){layers}; or say what the values are: 'kind: intensities' "
                "(also TPM), 'kind: log2' (on a log2 scale already); round estimated counts (RSEM, salmon)"
            )


def check_rows(raw: RawOmics) -> tuple[str, ...]:
    """Refuse a sample that appears twice, and a row of sums; return a note about samples that share all their numbers.

    Raises:
        InputError: two rows are the same in every cell, so the sample would count twice; names both. Or a row is the
            sum or the mean of all others, as programs write it below a table.
    """
    _refuse_totals(raw)
    first: dict[bytes, int] = {}
    same: list[tuple[int, int]] = []
    for row, values in enumerate(raw.values):
        other = first.setdefault(values.tobytes(), row)
        if other != row and np.nan_to_num(values).any():
            same.append((other, row))
    for one, two in same:
        if raw.facts.iloc[one].tolist() == raw.facts.iloc[two].tolist():
            raise InputError(
                f"{raw.file}: {raw.rows[one]} and {raw.rows[two]} have equal values in all columns, so one "
                "sample would count twice; remove one of them"
            )
    if not same or raw.values.shape[1] < _LEAST_GENES:
        return ()
    one, two = same[0]
    return (
        f"{raw.file}: {len(same)} samples have all their numbers in common with another, the first are {raw.rows[one]} "
        f"and {raw.rows[two]}; one may be a copy",
    )


def _refuse_totals(raw: RawOmics) -> None:
    values = raw.values
    if (values != 0).any(axis=1).sum() < _LEAST_TOTALLED or values.shape[1] < _LEAST_GENES:
        return
    others = values.sum(axis=0) - values
    for what, expected in (("sum", others), ("mean", others / (len(values) - 1))):
        with np.errstate(invalid="ignore"):
            same = np.isclose(values, expected, rtol=1e-9, atol=0).all(axis=1) & (values != 0).any(axis=1)
        if same.any():
            raise InputError(
                f"{raw.file}: {raw.rows[int(np.argmax(same))]} is the {what} of all other rows in every gene, "
                "so it is not a sample; remove it"
            )


def about_scale(raw: RawOmics, kind: str) -> tuple[str, ...]:
    """Return a note where values look like those of another kind, though this kind allows them."""
    known = raw.values[np.isfinite(raw.values)]
    if len(known) < _LEAST_VALUES:
        return ()
    most, whole = float(known.max()), bool((known == np.rint(known)).all())
    said = {
        "intensities": most <= _MOST_LOG2
        and not whole
        and f"no intensity is above {most:.4g}, as of logarithms; if the values are some, write 'kind: log2'",
        "log2": whole
        and float(known.min()) >= 0
        and "all values are whole numbers; if they are counts, write 'kind: counts'",
        "counts": most <= 1 and "no count is above 1: is this a table of what was detected, and not of counts?",
    }.get(kind)
    return (f"{raw.file}: {said}",) if said else ()


def _refuse(raw: RawOmics, bad: np.ndarray, what: str, then: str) -> None:
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{raw.file}: {what} in {raw.rows[row]}, gene '{raw.genes[column]}' "
            f"({raw.values[row, column]:g}); {int(bad.sum())} of {bad.size} values are like that; {then}"
        )


def _declared_suspects(raw: RawOmics, kind: str) -> dict[str, str]:
    found = {name: "reads that belong to no gene" for name in raw.genes if name in NO_GENES}
    for position in _sums(raw.values) if kind == "counts" else ():
        found.setdefault(raw.genes[position], "the sum of all others")
    return found


def _suspects(raw: RawOmics, kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in raw.genes:
        if _UNNAMED.fullmatch(name):
            found[name] = "no name, perhaps row numbers"
        elif f" {name.lower()} " in _KNOWN:
            found[name] = "a fact of samples by its name"
    for position, why in _by_values(raw.values, kind, numbered=not raw.genes_in_rows):
        found.setdefault(raw.genes[position], why)
    return found


def _sums(values: F64) -> Sequence[int]:
    """Return which columns hold the sum of all others."""
    n_rows, n_columns = values.shape
    if n_rows < 2 or n_columns < 4:
        return ()
    with np.errstate(invalid="ignore"):
        total = values.sum(axis=1, keepdims=True)
        found: list[int] = np.flatnonzero((values == total - values).all(axis=0) & (total > 0).all()).tolist()
    return found


def _by_values(values: F64, kind: str, *, numbered: bool) -> Sequence[tuple[int, str]]:
    n_rows, n_columns = values.shape
    found: list[tuple[int, str]] = []
    if numbered and n_rows >= (_LEAST_ROWS if n_columns <= _FEW_COLUMNS else _LEAST_ROWS_OF_MANY):
        for start in (0, 1):
            counted = (values == np.arange(start, start + n_rows)[:, None]).all(axis=0)
            found += [(int(place), "row numbers") for place in np.flatnonzero(counted)]
    if kind != "counts":
        return found
    with np.errstate(invalid="ignore"):
        found += [(place, "the sum of all other columns") for place in _sums(values)]
        if n_rows >= _LEAST_ROWS and n_columns >= 4:
            seen = (values > 0).sum(axis=1, keepdims=True)
            counted = (values == seen - (values > 0)).all(axis=0) & (np.ptp(seen) > 0)
            found += [(int(place), "the number of other columns above zero") for place in np.flatnonzero(counted)]
        broken = (values != np.floor(values)).any(axis=0) & np.isfinite(values).all(axis=0)
    if 0 < broken.sum() <= max(1, _MOST_SUSPECTS * n_columns) and n_columns > 3 * broken.sum():
        found += [(int(place), "fractions, while all other columns hold counts") for place in np.flatnonzero(broken)]
    return found
