"""Which features of a table are genes, as far as the config says: ``genes`` describes them, ``facts`` names others.

A wide table is read with these keys. A file that says itself what its features are (AnnData, GCT, 10x, the long form)
may still hold spike-ins, sums or quality numbers among them.
"""

from __future__ import annotations

import re

import numpy as np

from data_tools.omics.config import OmicsConfig
from data_tools.omics.raw import RawOmics, columns_of
from framework.errors import InputError, did_you_mean, some_of
from framework.files.names import left_over


def only_genes(config: OmicsConfig, raw: RawOmics) -> RawOmics:
    """Return the features that ``genes`` and ``facts`` call genes, with a note on the others.

    Raises:
        InputError: no feature is called as ``genes`` says, or nothing in the table is called as one of ``facts``.
    """
    genes = set(raw.genes)
    for name in config.facts:
        if name and name not in genes and name not in raw.facts.columns and name not in raw.of_genes:
            known = [*(str(column) for column in raw.facts.columns), *raw.of_genes, *raw.genes]
            raise InputError(
                f"{raw.file}: nothing is called '{name}', which 'facts' names; it has {some_of(known)}"
                + did_you_mean(name, known)
            )
    pattern = None if config.genes is None else re.compile(config.genes)
    others = set(config.facts)
    kept = np.array(
        [name not in others and (pattern is None or pattern.search(name) is not None) for name in raw.genes], dtype=bool
    )
    if kept.all():
        return raw
    left = [name for name, is_gene in zip(raw.genes, kept, strict=True) if not is_gene]
    if not kept.any():
        raise InputError(
            f"{raw.file}: no gene is left: none is called as 'genes: {config.genes}' says, and no fact; it has "
            f"{some_of(list(raw.genes))}"
        )
    why = "are facts" if pattern is None else f"do not match 'genes: {config.genes}'"
    said = left_over(len(left), f"of {len(raw.genes)} features {why} and are left out", f"'{left[0]}'")
    return columns_of(raw, np.flatnonzero(kept), f"{raw.file}: {said.removeprefix('; ')}")
