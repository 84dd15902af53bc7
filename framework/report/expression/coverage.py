"""Section about the intervals of expression: how many values they hold, where that can be counted."""

from __future__ import annotations

import pandas as pd

from framework.format import number, percent
from framework.report.expression.figures import TITLES
from framework.report.expression.sections import EXPRESSION_SECTIONS, Expressed, ExpressionSection
from framework.report.page import Block, Grid, Numbers, Section
from framework.report.sections import SectionConfig

_COVERED = "covered"
"""Share of the values of a gene that are held: so called on single cells, with the kind of markers on imaged ones."""
_MOST_GENES = 30


@EXPRESSION_SECTIONS.register("coverage", SectionConfig)
class Coverage(ExpressionSection):
    """What intervals hold of single cells, and of imaged cells where their truth is known."""

    order = 15

    def build(self, of: Expressed) -> Section | None:
        """Return the section; None where the config asked for no intervals."""
        level, genes = of.config.get("interval"), of.tables["per_gene"]
        if level is None or _COVERED not in genes:
            return None
        counted = {"single cells": genes[_COVERED]}
        truth = of.tables.get("truth")
        for mode in ("standard", "label_free"):
            if truth is not None and f"{_COVERED}_{mode}" in truth:
                counted[f"imaged cells, {TITLES[mode]}"] = truth[f"{_COVERED}_{mode}"]
        nominal = f"intervals of nominal {percent(float(level))}"
        blocks: list[Block] = [
            Numbers(items=[(percent(float(held.mean())), f"of {name} in {nominal}") for name, held in counted.items()])
        ]
        blocks += [_over_genes(counted), _least_held(genes)]
        return Section(
            anchor="coverage",
            title="Intervals",
            lead="Do the intervals of expression hold as many values as they promise?",
            blocks=blocks,
        )


def _over_genes(counted: dict[str, pd.Series[float]]) -> Grid:
    rows = [
        (name, str(len(held)), *(percent(float(value)) for value in (held.mean(), *held.quantile([0.025, 0.5, 0.975]))))
        for name, held in counted.items()
    ]
    return Grid(
        headers=("cells", "genes", "held", "2.5 % of genes", "median gene", "97.5 % of genes"),
        rows=rows,
        numeric=frozenset(range(1, 6)),
        caption="The share of values that lie in their intervals: over all genes, and how it differs between genes. Of "
        "held-out single cells one half calibrates and the other is counted. Imaged cells are another kind of cells, "
        "so nothing is promised there; they are counted where a simulation knows the truth.",
    )


def _least_held(genes: pd.DataFrame) -> Grid:
    shown = genes.sort_values(_COVERED, kind="stable").head(_MOST_GENES)
    rows = [
        (str(row["gene"]), str(row["marker_of"]) or "–", percent(row[_COVERED]), number(row["r_forest"]))
        for row in shown.to_dict("records")
    ]
    more = f" The first {_MOST_GENES} of {len(genes):,}." if len(genes) > _MOST_GENES else ""
    return Grid(
        headers=("gene", "marks", "held", "r"),
        rows=rows,
        numeric=frozenset({2, 3}),
        caption=f"Genes on single cells, least held first.{more}",
    )
