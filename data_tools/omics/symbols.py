"""From ids to symbols of genes, by a table that the user names; several ids of one symbol are summed, refused or kept.

Without a rule a symbol that stands for two ids would be two genes of one name, or the second would replace the first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_tools.omics.config import OmicsConfig, SymbolTable
from data_tools.omics.raw import RawOmics, columns_of
from framework.errors import InputError
from framework.files.missing import MISSING
from framework.files.names import left_over, why_unmatched
from framework.files.typed_tables import read_as_text

_PLACEHOLDERS = MISSING | {"---", "-666"}
"""Also those of Affymetrix and of the Connectivity Map."""
_VERSION = re.compile(r"(ENS[A-Z]*\d{11})\.\d+(_PAR_Y)?")


def with_symbols(config: OmicsConfig, raw: RawOmics) -> RawOmics:
    """Give genes the symbols of ``symbols``, and settle names that several genes share.

    Raises:
        InputError: no readable table of symbols, an id with two symbols, not one id in common, or a name that several
            genes share where no rule says what to do.
    """
    named = raw if config.symbols is None else _renamed(config.symbols, raw)
    return _settled(config, _with_ids(named))


def _no_names(names: Iterable[str]) -> set[str]:
    """Return which of these names are none: blanks, and words for what is missing that several genes share."""
    counted = Counter(names)
    return {name for name, count in counted.items() if not name or (name in _PLACEHOLDERS and count > 1)}


def _with_ids(raw: RawOmics) -> RawOmics:
    """Give genes without a name their ids, so that they do not become one gene.

    Raises:
        InputError: a gene has neither.
    """
    none = _no_names(raw.genes)
    left = [place for place, name in enumerate(raw.genes) if name in none]
    if not left or not raw.ids:
        return raw
    ids = raw.ids
    blank = [place for place in left if not ids[place]]
    if blank:
        raise InputError(
            f"{raw.file}: {len(blank)} genes have no name, the first is number {blank[0] + 1}; fill it in, or remove "
            "them"
        )
    genes = tuple(ids[place] if name in none else name for place, name in enumerate(raw.genes))
    said = (
        f"{raw.file}: {len(left)} of {len(genes)} genes have no name ('{raw.genes[left[0]]}') and keep their ids, as "
    )
    return replace(raw, genes=genes, notes=(*raw.notes, f"{said}'{ids[left[0]]}'"))


def _renamed(options: SymbolTable, raw: RawOmics) -> RawOmics:
    symbols = _symbols(options)
    ids = raw.genes
    keys = [_key(options, name) for name in ids]
    found = np.array([key in symbols for key in keys], dtype=bool)
    if not found.any():
        bare = _version_hint(options, ids, symbols)
        raise InputError(
            f"{raw.file}: none of its {len(ids)} genes ('{ids[0]}' ...) is in column '{options.id}' of "
            f"{options.path} ('{next(iter(symbols), '')}' "
            f"...){bare or why_unmatched(sorted(set(keys)), sorted(symbols))}; name the columns by "
            "'symbols.id' and 'symbols.symbol'"
        )
    left = [name for name, known in zip(ids, found, strict=True) if not known]
    verb = "keep their ids" if options.unmatched == "keep" else "are left out"
    said = f"{raw.file}: {int(found.sum())} of {len(ids)} genes have a symbol in {options.path}"
    said += left_over(len(left), f"genes {verb}", f"'{left[0]}'") if left else ""
    named = replace(raw, genes=tuple(symbols.get(key, name) for key, name in zip(keys, ids, strict=True)), ids=ids)
    kept = found if options.unmatched == "drop" else np.ones(len(ids), dtype=bool)
    return replace(columns_of(named, np.flatnonzero(kept)), notes=(*raw.notes, said))


def _version_hint(options: SymbolTable, ids: Sequence[str], symbols: dict[str, str]) -> str:
    """Return a hint where ids would match without their versions."""
    if options.versions == "drop" or not any(_without_version(name) in symbols for name in ids):
        return ""
    return "; without versions, as ENSG00000000003 for ENSG00000000003.15, they would match: write 'versions: drop'"


def _symbols(options: SymbolTable) -> dict[str, str]:
    """Return id -> symbol; ids without one, or with a word for what is missing, are left out."""
    table = read_as_text(Path(options.path), "a table of gene symbols")
    found: dict[str, str] = {}
    first: dict[str, int] = {}
    for row, (name, symbol) in enumerate(zip(table.column(options.id), table.column(options.symbol), strict=True)):
        key = _key(options, name)
        if not key or not symbol:
            continue
        if found.setdefault(key, symbol) != symbol:
            raise InputError(
                f"{table.file}: '{key}' has the symbols '{found[key]}' and '{symbol}' ({table.counted}s "
                f"{table.lines[first[key]]} and {table.lines[row]}); keep one"
            )
        first.setdefault(key, row)
    none = _no_names(found.values())
    return {key: symbol for key, symbol in found.items() if symbol not in none}


def _key(options: SymbolTable, name: str) -> str:
    return _without_version(name) if options.versions == "drop" else name


def _without_version(name: str) -> str:
    versioned = _VERSION.fullmatch(name)
    return versioned[1] if versioned else name


def _settled(config: OmicsConfig, raw: RawOmics) -> RawOmics:
    """Sum, keep or refuse genes that share their name."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(raw.genes):
        places.setdefault(name, []).append(place)
    shared = {name: mine for name, mine in places.items() if len(mine) > 1}
    if not shared:
        return raw
    known = bool(raw.ids) and len(set(raw.ids)) == len(raw.ids)
    rule = config.same_gene or ("sum" if known and config.kind == "counts" else "refuse")
    name, mine = next(iter(shared.items()))
    example = f"'{name}' ({', '.join(raw.ids[place] for place in mine[:3])})" if known else f"'{name}'"
    count = sum(len(mine) for mine in shared.values())
    if rule == "refuse" or (rule == "keep" and not known):
        ways = "'same_gene: keep' (they keep their ids)" if known and rule == "refuse" else ""
        more = "'same_gene: sum'" if config.kind != "log2" else ""
        raise InputError(
            f"{raw.file}: the gene {example} appears {len(mine)} times"
            + (f", and so do {len(shared) - 1} more" if len(shared) > 1 else "")
            + "; merge or rename its columns"
            + "".join(f", or write {way}" for way in (ways, more) if way)
        )
    if rule == "keep":
        said = f"{len(shared)} symbols stand for {count} ids, which keep their ids, as {example}"
        genes = tuple(raw.ids[place] if name in shared else name for place, name in enumerate(raw.genes))
        return replace(raw, genes=genes, notes=(*raw.notes, f"{raw.file}: {said}"))
    said = f"{len(shared)} names stand for {count} genes, whose values are summed, as {example}"
    summed = raw.values.copy()
    for mine in shared.values():
        summed[:, mine[0]] = _sum(raw.values[:, mine])
    first = np.array(sorted(mine[0] for mine in places.values()))
    return replace(columns_of(replace(raw, values=summed), first), notes=(*raw.notes, f"{raw.file}: {said}"))


def _sum(values: np.ndarray) -> np.ndarray:
    """Sum what was measured; NaN where nothing was."""
    return np.where(np.isfinite(values).any(axis=1), np.nansum(values, axis=1), np.nan)
