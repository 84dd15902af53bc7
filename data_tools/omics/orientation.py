"""Tables with genes in rows and samples in columns, and how it is found out that a table is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.omics.config import OmicsConfig
from data_tools.omics.raw import F64, RawOmics
from framework.errors import InputError
from framework.files.delimited import MISSING, TextTable
from framework.files.names import why_unmatched

_SHOWN = 5


def genes_stand_in_rows(
    config: OmicsConfig, file: Path, columns: Sequence[str], first: Sequence[str], sheet: frozenset[str] | None
) -> tuple[bool, tuple[str, ...]]:
    """Say whether a table has genes in its rows, and how that was found out.

    Args:
        config: ``rows`` says it; without it the sample sheet does, or else where the perturbation stands.
        file: for messages.
        columns: names of the columns.
        first: what the column holds that would name the rows.
        sheet: names of samples in the sheet; None without one.

    Raises:
        InputError: both readings are possible.
    """
    if config.rows is not None:
        return config.rows == "genes", ()
    wanted = frozenset([config.perturbation]) if sheet is None else sheet
    of_columns = [name for name in columns if name in wanted]
    of_rows = [name for name in first if name in wanted]
    if sheet is None:
        genes = bool(of_rows) and not of_columns
        what = f"a row is called '{config.perturbation}' and no column"
        ambiguous = bool(of_rows) and bool(of_columns)
    else:
        genes = bool(of_columns) and not of_rows
        what = f"{len(set(of_columns))} names of columns are samples of the sheet and no name of a row is"
        ambiguous = bool(of_rows) == bool(of_columns)
    if ambiguous:
        raise InputError(_both(config, file, columns, first, sheet))
    return genes, (f"{file}: read with genes in rows, because {what}",) if genes else ()


def _both(
    config: OmicsConfig, file: Path, columns: Sequence[str], first: Sequence[str], sheet: frozenset[str] | None
) -> str:
    rows, others = _listed(first), _listed(columns[1:])
    text = (
        f"{file}: may be read in two ways: with samples in rows, it has the samples {rows} and the genes {others}; "
        f"with genes in rows, the samples {others} and the genes {rows}"
    )
    if sheet is None:
        return f"{text}; '{config.perturbation}' names a column and a row: write 'rows: samples' or 'rows: genes'"
    if any(name in sheet for name in columns):
        return f"{text}; the sheet has samples of both: write 'rows: samples' or 'rows: genes'"
    why = why_unmatched(sorted(set(first)), sorted(sheet)) or why_unmatched(sorted(set(columns)), sorted(sheet))
    return (
        f"{text}; the sheet knows neither ({_listed(sorted(sheet))}){why}; make the names equal, or name the column "
        "with the samples by 'sample' (of the table) and 'sheet.sample'"
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"{shown} ... ({len(names)})" if len(names) > 3 else shown


def of_text(
    config: OmicsConfig, table: TextTable, sheet: frozenset[str] | None, is_fact: Callable[[str], bool]
) -> RawOmics:
    """Return a text table with genes in rows; rows that are called as facts hold facts of the samples.

    Raises:
        InputError: no column of samples, a gene without a name, or text among numbers.
    """
    naming = name_column(config, table.file, table.names)
    columns = [name for name in table.names if name != naming]
    samples = [name for name in columns if _is_sample(config, table, name, sheet)]
    if sheet is not None and not samples:
        raise InputError(
            f"{table.file}: read with genes in rows, but none of its columns ({_listed(columns)}) is a sample of the "
            f"sheet ({_listed(sorted(sheet))}){why_unmatched(sorted(columns), sorted(sheet))}; make the names equal, "
            "or correct 'sheet.sample'"
        )
    names = table.text[naming].to_numpy(dtype=object)
    facts = np.array([is_fact(str(name)) for name in names], dtype=bool)
    genes = _rows(table, np.flatnonzero(~facts))
    values = genes.matrix(samples) if samples else np.zeros((len(genes), 0))
    about = pd.DataFrame(
        table.text.loc[facts, samples].to_numpy(dtype=object).T, columns=pd.Index(names[facts], dtype=object)
    )
    ids = table.text[table.names[0]].to_numpy(dtype=object)[~facts]
    return transposed(
        file=table.file,
        samples=samples,
        columns=columns,
        names=names[~facts],
        ids=ids if naming != table.names[0] else names[~facts],
        values=values,
        about=about,
        notes=table.notes,
        decimal=table.decimal,
        declared=config.genes is not None,
    )


def name_column(config: OmicsConfig, file: Path, names: Sequence[str]) -> str:
    """Return the column with the names of the genes.

    Raises:
        InputError: no such column.
    """
    if config.gene_names is not None and config.gene_names not in names:
        raise InputError(f"{file}: no column '{config.gene_names}' for 'omics.gene_names'; it has {_listed(names)}")
    return config.gene_names or names[0]


def transposed(
    *,
    file: Path,
    samples: Sequence[str],
    columns: Sequence[str],
    names: np.ndarray,
    ids: np.ndarray,
    values: F64,
    about: pd.DataFrame,
    notes: tuple[str, ...],
    decimal: str,
    declared: bool,
) -> RawOmics:
    """Return a table of which (G, S) values and the columns of samples are known.

    Raises:
        InputError: no column of samples, or a gene with neither name nor id.
    """
    if not len(samples):
        raise InputError(f"{file}: read with genes in rows, but none of its columns is a sample: {_listed(columns)}")
    nameless = (names == "") & (ids == "")
    if nameless.any():
        raise InputError(f"{file}: {int(nameless.sum())} rows have no name of a gene; fill it in, or remove them")
    if "sample" not in about:
        about.insert(0, "sample", np.array(samples, dtype=object))
    known = set(samples)
    rest = [name for name in columns if name not in known]
    more = f" and {len(rest) - _SHOWN} more" if len(rest) > _SHOWN else ""
    shown = ", ".join(f"'{name}'" for name in rest[:_SHOWN])
    said = (f"{file}: {len(rest)} columns are taken as facts of genes, not as samples: {shown}{more}",) if rest else ()
    return RawOmics(
        file=file,
        facts=about,
        genes=tuple(str(name) for name in names),
        ids=tuple(str(name) for name in ids),
        values=np.ascontiguousarray(values.T),
        rows=[f"sample '{name}'" for name in samples],
        declared=declared,
        genes_in_rows=True,
        of_genes=tuple(rest),
        notes=(*notes, *said),
        decimal=decimal,
    )


def _is_sample(config: OmicsConfig, table: TextTable, name: str, sheet: frozenset[str] | None) -> bool:
    if sheet is not None:
        return name in sheet
    filled = np.array([cell not in MISSING for cell in table.column(name)], dtype=bool)
    return name not in config.facts and bool((table.is_number(name) & filled).any())


def _rows(table: TextTable, rows: np.ndarray) -> TextTable:
    return TextTable(
        file=table.file,
        names=table.names,
        text=table.text.iloc[rows].reset_index(drop=True),
        lines=table.lines[rows],
        separator=table.separator,
        decimal=table.decimal,
        encoding=table.encoding,
        notes=(),
        counted=table.counted,
    )
