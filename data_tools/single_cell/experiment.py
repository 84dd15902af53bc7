"""Genes and surface proteins of one experiment, each kind apart, in the cells that have both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.single_cell.config import SingleCellConfig
from data_tools.single_cell.count_files import read_counts
from data_tools.single_cell.counts import GENE, LANES, PROTEIN, Counts
from data_tools.single_cell.counts_anndata import proteins_elsewhere
from framework.errors import InputError, did_you_mean, some_of
from framework.files.delimited import read_text_table
from framework.files.names import left_over, one_off, why_unmatched

_MOST_PROTEINS = 1000
"""Panels of antibodies have some hundreds; a table with more is one of genes."""
_LEAST_CELLS = 5
"""Counts that are the same in so many cells are not chance."""
_NUMBER_BEHIND = r"[._-][0-9]+$"
_OF_ANTIBODY = r"(?i)totalseq|^adt[_-]|[_-]adt$|^anti[-_](?:human|mouse|cd)"
"""How programs and makers call the counts of antibodies; no gene has such a name."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What was read.

    Attributes:
        genes: counts of genes alone.
        proteins: counts of the chosen proteins in the same cells.
        labels: facts of the cells as text, one row per cell of ``genes``; without columns where the config names none.
        notes: how files were read, what was left out, how many cells of each side matched.
    """

    genes: Counts
    proteins: Counts
    labels: pd.DataFrame
    notes: tuple[str, ...]


def read_experiment(config: SingleCellConfig) -> Experiment:
    """Read genes and proteins, in the order of the cells of the gene table.

    Raises:
        InputError: a file that cannot be read; genes where proteins belong, or proteins among the genes; no cell in
            both; no such marker; cells without labels.
    """
    read = read_counts(config.genes, layer=config.layer, obsm=config.obsm, fractional=config.fractional)
    other = None
    if _same_file(config, read):
        config = config.model_copy(update={"proteins": None, "protein_layer": None})
    if config.proteins is not None:
        other = read_counts(
            config.proteins, PROTEIN, layer=config.protein_layer, obsm=config.obsm, fractional=config.fractional
        )
    notes = [*read.notes, *(other.notes if other else ())]
    genes = _of_kind(read, GENE, config.genes, notes, also=PROTEIN)
    if other is not None and (read.kinds == PROTEIN).any():
        inside = read.of_kind(PROTEIN)
        notes.append(
            f"{config.genes}: its {len(inside.features)} surface proteins, as '{inside.features[0]}', are left out, as "
            "'proteins' names another file"
        )
    proteins = _proteins(config, read if other is None else other, notes)
    genes, proteins = _in_the_same_cells(config, genes, proteins, notes)
    for marker in config.markers or ():
        if marker not in proteins.features:
            hint = did_you_mean(marker, map(str, proteins.features))
            raise InputError(
                f"{config.proteins or config.genes}: no protein '{marker}'{hint}; found: {some_of(proteins.features)}"
            )
    if config.markers:
        proteins = proteins.columns(proteins.features.get_indexer(pd.Index(config.markers)))
    elif len(proteins.features) > _MOST_PROTEINS:
        raise InputError(
            f"{config.proteins or config.genes}: {len(proteins.features)} proteins, as '{proteins.features[0]}'; a "
            "panel of antibodies has some hundreds. If these are genes, name another file; else set 'markers'"
        )
    _check_copies(config, genes, proteins)
    _check_names(config, genes)
    _check_one_file(config, read)
    labels = _labels(config, genes.cells, notes)
    return Experiment(genes=genes, proteins=proteins, labels=labels, notes=tuple(notes))


def _same_file(config: SingleCellConfig, read: Counts) -> bool:
    """Return whether ``proteins`` names the file of ``genes`` again, which holds both, and the same layer of it."""
    layer = config.protein_layer == config.layer
    named = config.proteins is not None and Path(config.proteins).resolve() == Path(config.genes).resolve()
    return named and layer and bool((read.kinds == PROTEIN).any()) and bool((read.kinds == GENE).any())


def _of_kind(counts: Counts, kind: str, file: str, notes: list[str], also: str) -> Counts:
    """Return the features of one kind; name those that are neither of it nor of ``also``."""
    for name in dict.fromkeys(counts.kinds):
        if name not in (kind, also):
            left = counts.of_kind(name).features
            notes.append(f"{file}: {len(left)} features of type '{name}', as '{left[0]}', are left out")
    found = counts.of_kind(kind)
    if not len(found.features):
        kinds = ", ".join(f"'{name}'" for name in dict.fromkeys(counts.kinds))
        raise InputError(f"{file}: holds no feature of type '{kind}', only {kinds}")
    return found


def _proteins(config: SingleCellConfig, counts: Counts, notes: list[str]) -> Counts:
    if (counts.kinds == PROTEIN).any():
        if config.proteins is None:
            return counts.of_kind(PROTEIN)
        genes = counts.of_kind(GENE).features
        if len(genes):
            notes.append(f"{config.proteins}: its {len(genes)} genes, as '{genes[0]}', are left out")
        return _of_kind(counts, PROTEIN, config.proteins, notes, also=GENE)
    if config.proteins is not None:
        genes = counts.of_kind(GENE).features
        example = f"; it has {len(genes)} genes, as '{genes[0]}'" if len(genes) else ""
        raise InputError(
            f"{config.proteins}: holds no feature of type '{PROTEIN}'{example}; name the table of surface proteins"
            f"{proteins_elsewhere(Path(config.proteins))}"
        )
    raise InputError(
        f"{config.genes}: holds no feature of type '{PROTEIN}'; name the table of surface proteins: proteins: FILE"
        f"{proteins_elsewhere(Path(config.genes))}"
    )


def _in_the_same_cells(
    config: SingleCellConfig, genes: Counts, proteins: Counts, notes: list[str]
) -> tuple[Counts, Counts]:
    here, there = config.genes, config.proteins or config.genes
    if here != there:
        notes.extend(_made_distinct(genes.cells, here))
    if genes.cells.equals(proteins.cells):
        return genes, proteins
    _check_transposed(genes, proteins, here, there)
    has = genes.cells.isin(proteins.cells)
    shared = genes.cells[has]
    if not len(shared):
        raise InputError(
            f"{there}: no cell of {here} ('{genes.cells[0]}', ...) has proteins ('{proteins.cells[0]}', ...); expected "
            f"the same cell names in both{why_unmatched(list(genes.cells), list(proteins.cells))}"
        )
    _check_one_off(genes.cells, proteins.cells, here, there)
    mine, theirs = genes.cells[~has], proteins.cells[~proteins.cells.isin(genes.cells)]
    text = f"{here}: {len(shared)} of {len(genes.cells)} cells have proteins in {there}"
    text += left_over(len(mine), "have none and are left out", f"'{next(iter(mine), '')}'")
    notes.append(text + left_over(len(theirs), f"cells of {there} have no genes", f"'{next(iter(theirs), '')}'"))
    return genes.rows(genes.cells.get_indexer(shared)), proteins.rows(proteins.cells.get_indexer(shared))


def _check_one_off(cells: pd.Index, others: pd.Index, here: str, there: str) -> None:
    """Refuse numbered cells of which each would get the row of its neighbour."""
    told = one_off(list(cells), list(others))
    if told:
        raise InputError(
            f"{there}: the cells of {here} and its own are numbered, and the {told}; number them alike, or, where they "
            "are right, remove the cells that stand in one file alone"
        )


def _made_distinct(cells: pd.Index, file: str) -> tuple[str, ...]:
    """Return a note where names look as programs make repeated ones distinct: their number is the order of joining."""
    bare = cells.str.replace(_NUMBER_BEHIND, "", regex=True)
    again = np.flatnonzero((bare != cells) & bare.isin(cells))
    if not len(again):
        return ()
    first = int(again[0])
    return (
        f"{file}: {len(again)} of {len(cells)} cells are called as another with a number behind, as '{bare[first]}' "
        f"and '{cells[first]}': programs name repeated barcodes so. They match those of the proteins only if "
        f"both tables join their lanes in one order; {LANES}",
    )


def _check_transposed(genes: Counts, proteins: Counts, here: str, there: str) -> None:
    """Refuse a table whose cells are the features of the other, or two whose features are shared, not their cells."""
    shared = int(genes.cells.isin(proteins.cells).sum())
    for cells, features, file, other in (
        (genes.cells, proteins.features, there, here),
        (proteins.cells, genes.features, here, there),
    ):
        crossed = int(cells.isin(features).sum())
        if crossed > max(shared, len(cells) // 2):
            raise InputError(
                f"{file}: {crossed} of its features are cells of {other}, as '{cells[cells.isin(features)][0]}'; "
                "expected genes x cells in a text table, cells x genes in an .h5ad: transpose it"
            )
    alike = genes.features[genes.features.isin(proteins.features)]
    both = len(alike)
    least = min(len(genes.features), len(proteins.features))
    if both > max(shared, least // 2) and 2 * shared <= min(len(genes.cells), len(proteins.cells)):
        raise InputError(
            f"{here} and {there} share {both} features, as '{alike[0]}', and {shared} cells: found cells "
            "where features are expected; transpose both"
        )


def _check_copies(config: SingleCellConfig, genes: Counts, proteins: Counts) -> None:
    """Refuse a gene that is a protein: the same counts in every cell. It would be predicted from itself."""
    facts = [(matrix.sum(axis=0), np.bincount(matrix.indices, minlength=matrix.shape[1])) for matrix in
             (genes.values, proteins.values)]  # fmt: skip
    (gene_sums, gene_cells), (sums, n_cells) = facts
    by_column = genes.values.tocsc()
    for place, name in enumerate(proteins.features):
        if n_cells[place] < _LEAST_CELLS:
            continue
        column = proteins.values[:, [place]].toarray().ravel()
        for gene in np.flatnonzero((gene_cells == n_cells[place]) & (gene_sums == sums[place])):
            if np.array_equal(by_column[:, [int(gene)]].toarray().ravel(), column):
                raise InputError(
                    f"{config.genes}: the gene '{genes.features[int(gene)]}' has the counts of the protein "
                    f"'{name}' of {config.proteins or config.genes} in every cell, so a gene would be "
                    "predicted from itself; remove one of the two, or say which features are proteins "
                    "(feature_types)"
                )


def _check_names(config: SingleCellConfig, genes: Counts) -> None:
    """Refuse genes that are called as antibodies: a protein that stays among the genes is predicted from itself."""
    called = genes.features[genes.features.str.contains(_OF_ANTIBODY, regex=True)]
    if len(called):
        raise InputError(
            f"{config.genes}: {len(called)} genes have names like antibodies, such as '{called[0]}'; say "
            "which features are proteins (feature_types), or remove them from the genes"
        )


def _check_one_file(config: SingleCellConfig, read: Counts) -> None:
    """Refuse one file for both where nothing in it tells genes from proteins."""
    if config.proteins is None or (read.kinds == PROTEIN).any():
        return
    if Path(config.proteins).resolve() == Path(config.genes).resolve():
        raise InputError(
            f"{config.proteins}: 'genes' and 'proteins' name one file, which does not say which features are proteins; "
            "name the table of surface proteins"
        )


def _labels(config: SingleCellConfig, cells: pd.Index, notes: list[str]) -> pd.DataFrame:
    if config.labels is None:
        return pd.DataFrame(index=cells)
    table = read_text_table(Path(config.labels), what="a table of cells with a header; its first column is the cell")
    key = table.names[0]
    if key in cells:
        raise InputError(
            f"{config.labels}: its first line names the cell '{key}', so it has no header; write one above it, as "
            "cell,type"
        )
    names = pd.Index(table.column(key))
    if names.has_duplicates:
        raise InputError(f"{config.labels}: the cell '{names[names.duplicated()][0]}' appears twice; {LANES}")
    has = cells.isin(names)
    if not has.any():
        better = [name for name in table.names[1:] if table.column(name).isin(cells).any()]
        hint = f"; its column '{better[0]}' holds cells: make it the first" if better else ""
        raise InputError(
            f"{config.labels}: none of its {len(names)} rows ('{names[0]}', ...) is a cell of {config.genes} "
            f"('{cells[0]}', ...); expected the same cell names in both"
            + (hint or why_unmatched(list(cells), list(names)))
        )
    _check_one_off(cells, names, config.genes, config.labels)
    notes.extend(table.notes)
    unused = names[~names.isin(cells)]
    notes.append(
        f"{config.labels}: {int(has.sum())} of {len(cells)} cells have one of its {len(names)} rows"
        + left_over(int((~has).sum()), "cells have none", f"'{next(iter(cells[~has]), '')}'")
        + left_over(len(unused), "rows have no cell", f"'{next(iter(unused), '')}'")
    )
    facts = table.text.drop(columns=key)
    if "" in facts:
        notes.append(table.nameless_left_out())
        facts = facts.drop(columns="")
    return facts.set_axis(names).reindex(cells)
