"""How an omics table is to be read, as far as its values and columns tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.omics import OmicsConfig, read_omics
from framework.errors import WellstreamError

_MOST_LOG2 = 40.0


@dataclass(frozen=True, kw_only=True)
class OmicsEntry:
    """An entry of ``omics``.

    Attributes:
        options: options of the entry.
        note: why this kind, or why the table cannot be read so far.
        usable: whether the table can be read with these options.
    """

    options: dict[str, Any]
    note: str
    usable: bool


def omics_entry(path: str) -> OmicsEntry:
    """Return the entry of a table; one that cannot be read is returned with the reason."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(path).name.split(".")[0]).strip("_-") or "omics"
    options: dict[str, Any] = {"name": name, "table": path, "kind": "prepared"}
    try:
        values = read_omics(OmicsConfig(**options)).values
    except WellstreamError as error:
        return OmicsEntry(options={**options, "kind": "counts"}, note=str(error), usable=False)
    known = values[np.isfinite(values)]
    whole = bool(len(known)) and bool((known == np.rint(known)).all()) and float(known.min()) >= 0
    if whole:
        kind, why = "counts", "whole numbers"
    elif float(known.min(initial=0)) < 0 or float(known.max(initial=0)) < _MOST_LOG2:
        kind, why = "log2", f"values from {known.min(initial=0):.3g} to {known.max(initial=0):.3g}"
    else:
        kind, why = "intensities", f"numbers up to {known.max(initial=0):.3g} that are not whole"
    return OmicsEntry(options={**options, "kind": kind}, note=f"{why}: taken for {kind}", usable=True)
