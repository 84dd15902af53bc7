"""Sections on imaged cells: by population, and against the truth where a simulation knows it."""

from __future__ import annotations

from framework.errors import InputError
from framework.evaluate.metrics import median_of_known
from framework.files.npz import load_npz
from framework.format import number
from framework.report.expression.figures import TITLES, saliency_maps, truth_violins
from framework.report.expression.sections import EXPRESSION_SECTIONS, Expressed, ExpressionSection
from framework.report.page import Block, Grid, Section
from framework.report.sections import SectionConfig


@EXPRESSION_SECTIONS.register("imaged", SectionConfig)
class OnImagedCells(ExpressionSection):
    """Populations of imaged cells beside those of single cells."""

    order = 20

    def build(self, of: Expressed) -> Section | None:
        """Return the section; None where no cell was imaged."""
        if "agreement" not in of.tables:
            return None
        maps = of.root / "saliency.npz"
        markers = [
            (str(row["marker"]), f"{number(row['r'])} ± {number(row['sd'], '.3f')}", f"{row['cells']:,}")
            for row in of.tables["markers"].to_dict("records")
        ]
        rows = [
            (
                TITLES[str(row["source"])],
                str(row["population"]),
                number(row["r"]),
                number(row["r_centred"]),
                str(row["genes"]),
            )
            for row in of.tables["agreement"].to_dict("records")
        ]
        blocks: list[Block] = [
            Grid(
                headers=("marker", "Pearson r ± bootstrap sd", "cells"),
                rows=markers,
                numeric=frozenset({1, 2}),
                caption="How well the network reads each marker from the image.",
                width="half",
            ),
            Grid(
                headers=("chain", "population", "r", "r centred", "genes"),
                rows=rows,
                numeric=frozenset({2, 3, 4}),
                caption="Population means of imaged cells against measured ones of single cells, over "
                f"{'marker genes' if of.facts['marker_genes'] else 'all genes'}. Centred: after taking off each gene's "
                "mean over populations, so genes high everywhere do not count.",
                width="half",
            ),
        ]
        if maps.is_file():
            blocks.append(saliency_maps(load_npz(maps, error=InputError, what="saliency maps (.npz)")))
        return Section(
            anchor="imaged",
            title="On imaged cells",
            lead="No cell has both an image and a transcriptome, so populations are compared.",
            blocks=blocks,
        )


@EXPRESSION_SECTIONS.register("truth", SectionConfig)
class AgainstTruth(ExpressionSection):
    """Expression beside what a simulation knows."""

    order = 30

    def build(self, of: Expressed) -> Section | None:
        """Return the section; None where no truth is known."""
        if "truth" not in of.tables:
            return None
        table = of.tables["truth"]
        marked = table[table["marker_of"] != ""]
        shown = {"all": table} | ({"marker genes": marked} if len(marked) else {})
        predictors = {
            **{mode: TITLES[mode] for mode in ("standard", "label_free")},
            "mean": "mean of the training cells",
        }
        rows = [
            (
                genes,
                f"{len(part):,}",
                title,
                number(median_of_known(part[f"r_{name}"])) if name != "mean" else "–",
                number(median_of_known(part[f"rmse_{name}"]), ".3f"),
                number((part[f"rmse_{name}"] < part["rmse_mean"]).mean() * 100, ".0f") if name != "mean" else "–",
            )
            for genes, part in shown.items()
            for name, title in predictors.items()
        ]
        blocks: list[Block] = [
            Grid(
                headers=("genes", "n", "predictor", "Pearson r", "RMSE", "% of genes better than the mean"),
                rows=rows,
                numeric=frozenset({1, 3, 4, 5}),
                caption="Medians over genes, against the true expression of the imaged cells.",
            ),
            truth_violins(marked if len(marked) else table),
        ]
        return Section(
            anchor="truth",
            title="Against the truth",
            lead="A simulation knows the expression of every imaged cell.",
            blocks=blocks,
        )
