"""Reading an omics table from any file, known by its bytes: text (wide or long), GCT, Parquet, AnnData, MuData, 10x."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.omics.annotated import read_anndata
from data_tools.omics.config import LongForm, OmicsConfig
from data_tools.omics.gct import WHAT, is_gct, read_gct
from data_tools.omics.orientation import genes_stand_in_rows, of_text
from data_tools.omics.raw import F64, RawOmics
from data_tools.omics.ten_x import is_ten_x, read_ten_x
from framework.errors import InputError
from framework.files.delimited import MISSING, TextTable, read_text_table
from framework.files.failures import first_bytes
from framework.files.parquet import read_parquet
from framework.files.text_values import text_values
from framework.files.typed_tables import as_text, flat, is_parquet

_PREFIX = "Metadata_"
_SHOWN = 6
_OTHER_NUMBER = re.compile(r"[<>~\u2248\u2264\u2265]?\s*[+-]?\d[\d.,'\u2019\s]*%?")
"""What people write for a number and no program reads: ``1,200``, ``1 200``, ``<5``, ``3 %``."""
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_raw(config: OmicsConfig, sheet: frozenset[str] | None = None) -> RawOmics:
    """Read the table a config names, without judging what it holds.

    Args:
        config: the table.
        sheet: names of the samples in the sample sheet; None without one.

    Raises:
        InputError: no readable table, a column that is missing or appears twice, text among numbers, a table whose rows
            may be samples or genes.
    """
    file = Path(config.table)
    if is_ten_x(file):
        _only(config, file, rows="genes", keys=("modality", "gene_names"))
        return read_ten_x(config, file, sheet)
    if first_bytes(file, len(_HDF5)) == _HDF5 or file.suffix.lower() in (".h5ad", ".h5mu"):
        _only(config, file, rows="samples", keys=("layer", "modality", "gene_names"))
        return read_anndata(config, file)
    if is_parquet(file):
        _only(config, file, rows=config.rows, keys=("gene_names",))
        return _of_typed(config, flat(read_parquet(file, error=InputError, what=WHAT), file), file, sheet)
    if file.name.removesuffix(".gz").endswith(".mtx"):
        raise InputError(
            f"{file}: a matrix without names of cells and genes; name the folder that also holds its barcodes and "
            "features"
        )
    if is_gct(file):
        _only(config, file, rows="genes", keys=("gene_names",))
        return read_gct(file, config.gene_names)
    _only(config, file, rows=config.rows, keys=("gene_names",))
    table = read_text_table(file, what=WHAT, row_names=partial(_is_fact, config))
    if config.long is not None:
        return _from_long(config, config.long, table)
    naming = _naming(config, table.names)
    genes, said = genes_stand_in_rows(config, file, table.names, table.text[naming].tolist(), sheet)
    if genes:
        raw = of_text(config, table, sheet, partial(_is_fact, config))
        return replace(raw, notes=(*raw.notes, *said))
    _refuse_gene_names(config, file)
    return _from_wide(config, table)


def _only(config: OmicsConfig, file: Path, *, rows: str | None, keys: tuple[str, ...]) -> None:
    """Refuse keys that a file of this kind does not take."""
    for key, what in (("layer", "AnnData and MuData"), ("modality", "MuData and 10x"), ("gene_names", "other")):
        value = getattr(config, key)
        if value is not None and key not in keys:
            raise InputError(f"{file}: '{key}: {value}' is for {what} files; leave it out")
    if config.rows not in (None, rows):
        raise InputError(f"{file}: its format always has {rows} in rows, not {config.rows}; leave 'rows' out")
    if config.long is not None and rows is not None:
        raise InputError(f"{file}: 'long' is for text and Parquet tables; leave it out")


def _refuse_gene_names(config: OmicsConfig, file: Path) -> None:
    if config.gene_names is not None:
        raise InputError(
            f"{file}: 'gene_names: {config.gene_names}' is for AnnData, GCT and 10x files and for tables with genes in "
            "rows ('rows: genes'); leave it out"
        )


def _naming(config: OmicsConfig, names: Sequence[str]) -> str:
    """Return the column that would name the rows."""
    if config.sample is not None and config.sample in names:
        return config.sample
    return "sample" if "sample" in names else names[0]


def _of_typed(config: OmicsConfig, frame: pd.DataFrame, file: Path, sheet: frozenset[str] | None) -> RawOmics:
    """A table whose columns have types: what is not a number becomes the text a CSV file would hold."""
    if config.long is not None:
        _refuse_gene_names(config, file)
        return _from_long(config, config.long, as_text(frame, file))
    names = [str(name) for name in frame.columns]
    first = text_values(frame[_naming(config, names)]).tolist()
    genes, said = genes_stand_in_rows(config, file, names, first, sheet)
    if genes:
        raw = of_text(config, as_text(frame, file), sheet, partial(_is_fact, config))
        return replace(raw, notes=(*raw.notes, *said))
    _refuse_gene_names(config, file)
    return _wide_of_typed(config, frame, file)


def _wide_of_typed(config: OmicsConfig, frame: pd.DataFrame, file: Path) -> RawOmics:
    numbers = [name for name in frame.columns if frame[name].dtype.kind in "iuf" and not _is_fact(config, name)]
    rest = as_text(frame.drop(columns=numbers), file)
    raw = _from_wide(config, rest, more=len(numbers))
    values = [frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in numbers]
    return RawOmics(
        file=file,
        facts=raw.facts,
        genes=(*numbers, *raw.genes),
        values=np.stack([*values, *raw.values.T], axis=1) if numbers else raw.values,
        rows=raw.rows,
        declared=config.genes is not None,
        notes=raw.notes,
    )


def _from_long(config: OmicsConfig, form: LongForm, table: TextTable) -> RawOmics:
    sample, gene = (table.column(name).to_numpy(dtype=object) for name in (form.sample, form.gene))
    values = table.numbers(form.value).to_numpy()
    for name, cells in ((form.sample, sample), (form.gene, gene)):
        blank = np.flatnonzero(cells == "")
        if len(blank):
            raise InputError(f"{table.where(int(blank[0]))} has no '{name}'; fill it in")
    samples, of_sample = np.unique(sample.astype(str), return_inverse=True)
    genes, of_gene = np.unique(gene.astype(str), return_inverse=True)
    place = of_sample * len(genes) + of_gene
    _refuse_twice(table, place, sample, gene)
    gaps = _gaps(samples, genes, place)
    matrix = np.full(len(samples) * len(genes), np.nan)
    matrix[place] = values
    first = np.full(len(samples), -1)
    first[of_sample[::-1]] = np.arange(len(table))[::-1]
    facts = table.text.drop(columns=[form.gene, form.value])
    used = [name for name in facts.columns if _is_fact(config, name)]
    _check_facts_of_samples(table, facts[used], of_sample, first)
    return RawOmics(
        file=table.file,
        facts=facts.iloc[first].reset_index(drop=True),
        genes=tuple(str(name) for name in genes),
        values=matrix.reshape(len(samples), len(genes)),
        rows=[f"sample '{name}'" for name in samples],
        declared=True,
        notes=(*table.notes, *(f"{table.file}: {gap}" for gap in gaps)),
        decimal=table.decimal,
    )


def _gaps(samples: npt.NDArray[Any], genes: npt.NDArray[Any], place: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a note where a sample has no row for a gene."""
    pairs = len(samples) * len(genes)
    if len(place) == pairs:
        return ()
    row, column = divmod(int(np.setdiff1d(np.arange(pairs), place, assume_unique=True)[0]), len(genes))
    return (
        f"{pairs - len(place)} of {pairs} pairs of sample and gene have no row, the first is '{samples[row]}' with "
        f"'{genes[column]}'; they count as missing",
    )


def _refuse_twice(table: TextTable, place: npt.NDArray[Any], sample: Any, gene: Any) -> None:
    order = np.argsort(place, kind="stable")
    again = np.flatnonzero(np.diff(place[order]) == 0)
    if len(again):
        one, two = int(order[again[0]]), int(order[again[0] + 1])
        raise InputError(
            f"{table.file}: sample '{sample[one]}' has the gene '{gene[one]}' twice ({table.counted}s "
            f"{table.lines[one]} and {table.lines[two]}); keep one row"
        )


def _check_facts_of_samples(table: TextTable, facts: pd.DataFrame, of_sample: Any, first: Any) -> None:
    """Refuse a sample whose rows say different things about it: taking the first would be a guess."""
    for name in facts.columns:
        cells = facts[name].to_numpy(dtype=object)
        differs = np.flatnonzero(cells != cells[first[of_sample]])
        if len(differs):
            row = int(differs[0])
            other = int(first[of_sample[row]])
            raise InputError(
                f"{table.file}: {table.counted}s {table.lines[other]} and {table.lines[row]} are of one sample, but "
                f"'{name}' is '{cells[other]}' and '{cells[row]}'; make them equal, or name another 'long.sample'"
            )


def _is_fact(config: OmicsConfig, name: str) -> bool:
    if config.genes is not None:
        return re.search(config.genes, name) is None
    named = {config.sample, config.perturbation, config.stimulation, config.plate, "sample", *config.facts}
    named |= {*config.batches, *config.covariates}
    return name in named or name.startswith(_PREFIX)


def _from_wide(config: OmicsConfig, table: TextTable, more: int = 0) -> RawOmics:
    for name in config.facts:
        if more == 0:
            table.column(name)
    maybe = [name for name in table.names if not _is_fact(config, name)]
    if config.genes is not None and not maybe and not more:
        raise InputError(
            f"{table.file}: no column matches 'genes: {config.genes}'; it has {', '.join(table.names[:8])} ..."
        )
    genes, values = _numbers(config, table, maybe)
    known = set(genes)
    text = [name for name in maybe if name not in known]
    facts = table.text[[name for name in table.names if name not in known]].copy()
    first = "" in facts and table.names[0] == ""
    nameless = first and "sample" not in facts and config.sample is None
    if nameless:  # R writes the names of the rows so
        facts = facts.rename(columns={"": "sample"})
    other = "" in facts and not first
    if other:
        facts = facts.drop(columns="")
    return RawOmics(
        file=table.file,
        facts=facts.reset_index(drop=True),
        genes=tuple(genes),
        values=values,
        rows=[f"{table.counted} {line}" for line in table.lines],
        declared=config.genes is not None,
        notes=(
            *table.notes,
            *((f"{table.file}: the first column has no name; it is taken for the samples",) if nameless else ()),
            *((table.nameless_left_out(),) if other else ()),
            *_about_text(table, [name for name in text if name]),
        ),
        decimal=table.decimal,
    )


def _about_text(table: TextTable, names: list[str]) -> tuple[str, ...]:
    """Return a note about columns that nobody declared as facts, but that hold text alone."""
    if not names:
        return ()
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    return (f"{table.file}: {len(names)} columns of text are taken as facts of the samples: {shown}",)


def _numbers(config: OmicsConfig, table: TextTable, names: list[str]) -> tuple[list[str], F64]:
    """Return the columns of numbers; columns of text alone are facts, columns of both are refused."""
    try:
        return names, table.matrix(names)
    except InputError:
        if config.genes is not None:
            raise
    genes, mixed = [], []
    for name in names:
        numeric = table.is_number(name)
        cells = table.text[name].to_numpy(dtype=object)
        filled = np.array([cell not in MISSING for cell in cells], dtype=bool)
        if numeric.all():
            genes.append(name)
        elif (numeric & filled).any() or any(_OTHER_NUMBER.fullmatch(cell) for cell in cells[filled]):
            mixed.append((name, int(np.flatnonzero(~numeric)[0])))
    if mixed:
        (name, row), others = mixed[0], ", ".join(f"'{name}'" for name, _ in mixed[1:6])
        raise InputError(
            f"{table.where(row)}: column '{name}' reads '{table.text[name].iloc[row]}', expected a number"
            + (f"; {len(mixed) - 1} more columns are like that: {others}" if others else "")
            + f"; correct the value, or write 'facts: [{name}]' if the column is not a gene"
        )
    return genes, table.matrix(genes)
