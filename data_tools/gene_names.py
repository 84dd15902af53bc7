"""Names of genes that a spreadsheet changed: SEPT2 became a date (2-Sep), 2310009E13 a number (2.31E+13)."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MONTH = r"(jan|feb|mar|mrz|mär|apr|may|mai|jun|jul|aug|sep|sept|oct|okt|nov|dec|dez)"
_CHANGED = re.compile(
    rf"\d{{1,2}}[-. ]{{1,2}}{_MONTH}([-. ]\d{{2,4}})?|{_MONTH}-\d{{1,4}}|\d{{4}}-\d{{2}}-\d{{2}}( 00:00:00)?|"
    r"\d{1,2}/\d{1,2}/\d{2,4}|\d\.\d+E\+\d{2}",
    re.IGNORECASE,
)
_SHOWN = 5


def changed_names(genes: Iterable[str], file: object) -> tuple[str, ...]:
    """Return a note where names of genes look like dates or numbers that a spreadsheet made of them."""
    found = [gene for gene in genes if _CHANGED.fullmatch(gene)]
    if not found:
        return ()
    shown = ", ".join(f"'{gene}'" for gene in found[:_SHOWN]) + (" ..." if len(found) > _SHOWN else "")
    return (
        f"{file}: {len(found)} genes are called as spreadsheets change them ({shown}; SEPT2 becomes 2-Sep); "
        "take their names from the table as it was before",
    )
