"""What is known of genes beforehand: places in the cell (Human Protein Atlas) and sets of genes (Reactome)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.errors import InputError, did_you_mean
from framework.files.delimited import TextTable, read_text_table
from framework.files.text_file import open_text

_NAME, _ENSEMBL, _RELIABILITY = "Gene name", "Gene", "Reliability"
_MAIN = "Main location"
RELIABILITIES = ("Enhanced", "Supported", "Approved", "Uncertain")
_VERSION = re.compile(r"^(ENS[A-Z]*G\d+)\.\d+$")
_MOST_BYTES = 256 << 20
_MEMBERS_FROM = 2
"""Column of a gene-set file in which its members begin: name, source, members."""


def read_locations(file: Path | str, reliabilities: Sequence[str]) -> pd.DataFrame:
    """Read ``subcellular_location.tsv`` of the Human Protein Atlas.

    Args:
        file: the table; with a column "Main location" (version 19 on), or with a column per reliability (before).
        reliabilities: reliabilities of the genes that count, as ``Approved``.

    Returns:
        Columns ``gene`` (symbol), ``ensembl`` and ``location``, one row for each location of a gene.

    Raises:
        InputError: another table, or no gene of that reliability.
    """
    table = read_text_table(Path(file), what="locations of the Human Protein Atlas", separator="\t", comment=False)
    found = table.column(_RELIABILITY)
    wrong = [name for name in reliabilities if name not in RELIABILITIES]
    if wrong:
        known = ", ".join(RELIABILITIES)
        raise InputError(
            f"no reliability '{wrong[0]}'; expected some of: {known}" + did_you_mean(wrong[0], RELIABILITIES)
        )
    parts = [_located(table, (found == name).to_numpy(), name) for name in reliabilities]
    rows = pd.concat(parts, ignore_index=True).drop_duplicates(ignore_index=True)
    if not len(rows):
        raise InputError(f"{file}: no gene has a location of reliability {' or '.join(reliabilities)}")
    return rows


def _located(table: TextTable, chosen: npt.NDArray[np.bool_], reliability: str) -> pd.DataFrame:
    places = table.column(_MAIN if _MAIN in table.names else reliability)[chosen]
    rows = pd.DataFrame(
        {
            "gene": table.column(_NAME)[chosen],
            "ensembl": table.column(_ENSEMBL)[chosen],
            "location": [[place.strip() for place in text.split(";") if place.strip()] for text in places],
        }
    )
    return rows.explode("location").dropna(subset=["location"])


def read_gene_sets(file: Path | str) -> dict[str, frozenset[str]]:
    """Read gene sets (GMT): one line per set, its name, where it is from, and its genes, between tabs.

    Raises:
        InputError: no text, a line with fewer than three cells, a set that appears twice; names the line.
    """
    text = open_text(Path(file), what="gene sets (.gmt)", error=InputError, most_bytes=_MOST_BYTES)
    sets: dict[str, frozenset[str]] = {}
    with text.opened() as lines:
        for number, line in enumerate(lines, 1):
            cells = [cell.strip() for cell in line.rstrip("\r\n").split("\t")]
            if not any(cells):
                continue
            genes = frozenset(cell for cell in cells[_MEMBERS_FROM:] if cell)
            if not cells[0] or not genes:
                raise InputError(
                    f"{file}: line {number}: expected a name, a source and genes, with tabs between them, found "
                    f"'{line[:60].strip()}'; take a .gmt file of reactome.org or of MSigDB"
                )
            if cells[0] in sets:
                raise InputError(f"{file}: line {number}: the set '{cells[0]}' appears twice; remove or rename one")
            sets[cells[0]] = genes
    if not sets:
        raise InputError(f"{file}: no gene set in this file; expected one per line")
    return sets


def symbols_of(genes: Sequence[str], locations: pd.DataFrame | None) -> dict[str, str]:
    """Return gene, as it was predicted -> its symbol; Ensembl names become symbols as far as ``locations`` knows them.

    An Ensembl name may carry a version: ``ENSG00000000003.15``.
    """
    known: Mapping[str, str] = {}
    if locations is not None:
        known = dict(zip(locations["ensembl"], locations["gene"], strict=True))
    bare = {gene: _VERSION.sub(r"\1", gene) for gene in genes}
    return {gene: known.get(name, name) for gene, name in bare.items()}
