"""Names that are not those of genes: what a spreadsheet made of them, and rows that counting programs add."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_MONTH = r"(jan|feb|mar|mrz|mär|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez)"
_CHANGED = re.compile(
    rf"\d{{1,2}}[-. ]{{1,2}}{_MONTH}([-. ]\d{{2,4}})?|{_MONTH}-\d{{1,4}}|\d{{4}}-\d{{2}}-\d{{2}}( 00:00:00)?|"
    r"\d{1,2}/\d{1,2}/\d{2,4}|\d\.\d+E\+\d{2}",
    re.IGNORECASE,
)
_SHOWN = 5
_NUMBERED = re.compile(r"(.+)\.\d{1,3}")
NO_GENES = frozenset(
    ("__no_feature", "__ambiguous", "__too_low_aQual", "__not_aligned", "__alignment_not_unique", "N_unmapped",
     "N_multimapping", "N_noFeature", "N_ambiguous")
)  # fmt: skip
"""Rows that HTSeq and STAR write beside the genes: reads that belong to none."""


def doubtful_genes(genes: Iterable[str], file: object) -> tuple[str, ...]:
    """Return notes on names that a program changed: those of a spreadsheet, and those that got a number behind."""
    known = list(genes)
    return (*_changed(known, file), *_numbered(known, file))


def _changed(genes: Sequence[str], file: object) -> tuple[str, ...]:
    """Return a note on names as a spreadsheet makes them: 2-Sep of SEPT2, the number 2.31E+13 of 2310009E13."""
    found = [gene for gene in genes if _CHANGED.fullmatch(gene)]
    if not found:
        return ()
    shown = ", ".join(f"'{gene}'" for gene in found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    return (
        f"{file}: {len(found)} genes are called as spreadsheets change them ({shown}; SEPT2 becomes 2-Sep); "
        "take their names from the table as it was before",
    )


def _numbered(genes: Sequence[str], file: object) -> tuple[str, ...]:
    """Return a note on genes that programs gave a number because another has their name: g1.1 beside g1."""
    plain = set(genes)
    found = [gene for gene in genes if (told := _NUMBERED.fullmatch(gene)) is not None and told[1] in plain]
    if not found:
        return ()
    first = found[0]
    return (
        f"{file}: {len(found)} genes are called as another with a number behind, as '{first.rpartition('.')[0]}' and "
        f"'{first}': programs name a column or row so that appears twice. Each counts as a gene of its own; if they "
        "are one, give them one name in the table as it was before",
    )
