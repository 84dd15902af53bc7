"""GCT tables (Broad Institute): genes in rows, samples in columns, facts of both beside the numbers.

The first line is ``#1.2`` or ``#1.3``, the second holds the sizes: genes, samples and, in 1.3, facts of genes and of
samples. Version 1.2 has two columns about genes (NAME, Description) and nothing about samples but their names.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.omics.raw import RawOmics
from framework.errors import InputError, did_you_mean
from framework.files.delimited import TextTable, read_text_table
from framework.files.text_file import open_text

_VERSION = re.compile(r"#1\.([23])\s*")
WHAT = "an omics table"


def is_gct(file: Path) -> bool:
    """Return whether a text file begins as GCT does. Raises as ``open_text``."""
    with open_text(file, what=WHAT).opened() as stream:
        return _VERSION.fullmatch(stream.readline(100)) is not None


def read_gct(file: Path, gene_names: str | None) -> RawOmics:
    """Read a GCT table.

    Args:
        file: the table.
        gene_names: fact of genes that holds their names; None for the first column.

    Raises:
        InputError: sizes that do not agree with the table, text among numbers, no such fact of genes.
    """
    n_genes, n_samples, about_genes, about_samples = _sizes(file)
    table = read_text_table(file, what=WHAT, skip=2, separator="\t", comment=False)
    first = 1 + about_genes
    expected = first + n_samples
    if len(table.names) != expected or len(table) != about_samples + n_genes:
        raise InputError(
            f"{file}: its second line declares {n_genes} genes, {n_samples} samples, {about_genes} facts of genes and "
            f"{about_samples} of samples, but {len(table)} rows and {len(table.names)} columns follow; expected "
            f"{about_samples + n_genes} and {expected}; the file may be cut off"
        )
    samples = list(table.names[first:])
    facts = table.text.iloc[:about_samples]
    about = pd.DataFrame(facts[samples].to_numpy(dtype=object).T, columns=pd.Index(facts[table.names[0]], dtype=object))
    twice = about.columns[about.columns.duplicated()]
    if len(twice):
        raise InputError(f"{file}: the fact '{twice[0]}' of samples appears twice; rename one")
    if "sample" not in about:
        about.insert(0, "sample", np.array(samples, dtype=object))
    names, values = _genes(table, about_samples, first, gene_names)
    return RawOmics(
        file=file,
        facts=about,
        genes=names,
        ids=tuple(table.text[table.names[0]].iloc[about_samples:]),
        values=np.ascontiguousarray(values.T),
        rows=[f"sample '{name}'" for name in samples],
        declared=True,
        of_genes=table.names[1:first],
        notes=table.notes,
        decimal=table.decimal,
    )


def _sizes(file: Path) -> tuple[int, int, int, int]:
    with open_text(file, what=WHAT).opened() as stream:
        version = _VERSION.fullmatch(stream.readline(100))
        sizes = stream.readline(200).split()
    wanted = 4 if version is not None and version[1] == "3" else 2
    if len(sizes) < wanted or not all(size.isdecimal() for size in sizes[:wanted]):
        raise InputError(
            f"{file}: line 2 reads '{' '.join(sizes)}'; expected {wanted} whole numbers, the sizes of the table"
        )
    numbers = [int(size) for size in sizes[:wanted]]
    return (*numbers, 1, 0) if wanted == 2 else (numbers[0], numbers[1], numbers[2], numbers[3])  # type: ignore[return-value]


def _genes(table: TextTable, skip: int, first: int, gene_names: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    known = table.names[:first]
    name = known[0] if gene_names is None else gene_names
    if name not in known:
        raise InputError(
            f"{table.file}: no fact '{name}' of genes for 'omics.gene_names'; it has {', '.join(known)}"
            + did_you_mean(name, known)
        )
    genes = TextTable(
        file=table.file,
        names=table.names,
        text=table.text.iloc[skip:].reset_index(drop=True),
        lines=table.lines[skip:],
        separator=table.separator,
        decimal=table.decimal,
        encoding=table.encoding,
        notes=(),
    )
    return tuple(genes.text[name]), genes.matrix(table.names[first:])
