"""Sections on single cells: what was done, how well each gene is predicted, the pattern over populations."""

from __future__ import annotations

from typing import Any

import pandas as pd

from framework.format import count_of, number
from framework.report.expression.figures import TITLES, gates, gene_violins, heat_maps, similarity, spread
from framework.report.expression.sections import EXPRESSION_SECTIONS, Expressed, ExpressionSection
from framework.report.page import Answer, Block, Facts, Grid, Note, Numbers, Section
from framework.report.sections import SectionConfig

_GENES_PER_POPULATION = 10
_ASKED = {"all": "all genes", "marker genes": "marker genes"}
_SCALES = {
    "modality": "of all cells, sequenced and imaged ones apart",
    "train": "of the training cells",
    "part": "of each part, training and held-out cells apart",
}


@EXPRESSION_SECTIONS.register("overview", SectionConfig)
class Overview(ExpressionSection):
    """What was done."""

    order = 0

    def build(self, of: Expressed) -> Section | None:
        """Return the section."""
        forest = of.tables["summary"].query("method == 'forest'").set_index("genes")
        numbers = [(f"{of.facts['single_cells']['train']:,}", "single cells learned from")]
        numbers += [(f"{of.facts['genes']:,}", "genes predicted")]
        if forest.loc["marker genes", "n"]:
            numbers.append((number(forest.loc["marker genes", "r"]), "median r, marker genes"))
        numbers.append((number(forest.loc["all", "r"]), "median r, all genes"))
        if of.facts["imaged_cells"]:
            numbers.append((f"{of.facts['imaged_cells']:,}", "imaged cells given expression"))
        forest_facts = of.config["forest"]
        grown = f"{forest_facts['trees']}, leaves of at least {count_of(forest_facts['min_leaf'], 'cell')}"
        shown = [("markers", ", ".join(of.config["markers"])), ("trees", grown)]
        shown += [
            ("held out", f"{of.facts['single_cells']['test']:,} single cells"),
            ("range of a marker", _SCALES[str(of.config["scale"])]),
        ]
        blocks: list[Block] = [_answer(of.tables["summary"]), Numbers(items=numbers)]
        blocks.append(Facts(items=shown, title="What was done"))
        blocks += [Note(text=note) for note in of.facts["notes"]]
        blocks.append(gates(of.tables["cells"], of.config["markers"], _populations(of.tables["cells"])))
        lead = "Can a cell's expression be told from its markers, better than the mean of the training cells tells?"
        return Section(anchor="overview", title="Question and answer", lead=lead, blocks=blocks)


def _answer(summary: pd.DataFrame) -> Answer:
    """Say for how many genes the forest is better than the mean of the training cells, on cells that were held out."""
    rows = {(str(row["method"]), str(row["genes"])): row for row in summary.to_dict("records") if row["n"]}
    shares = {genes: float(rows["forest", genes]["better_than_mean"]) for genes in _ASKED if ("forest", genes) in rows}
    told = [
        f"{share * 100:.0f} % of {_ASKED[genes]} (median r {number(rows['forest', genes]['r'])})"
        for genes, share in shares.items()
    ]
    holds = bool(shares) and all(share > 0.5 for share in shares.values())
    linear = [f"{float(rows['linear', genes]['better_than_mean']) * 100:.0f} %" for genes in shares
              if ("linear", genes) in rows]  # fmt: skip
    beside = f" A linear fit of the markers is below it for {' and '.join(linear)}." if linear else ""
    return Answer(
        text=f"The forest {'beats' if holds else 'does not beat'} the mean for most genes: on held-out single cells "
        f"its RMSE is below that of the mean for {' and '.join(told)}.{beside}",
        good=holds,
    )


def _populations(cells: pd.DataFrame) -> list[str]:
    """Populations by size of the gated ones, cells in no gate last."""
    names = list(dict.fromkeys(cells["population"].astype(str)))
    return sorted(names, key=lambda name: (name in ("other", "all"), name))


@EXPRESSION_SECTIONS.register("single_cells", SectionConfig)
class OnSingleCells(ExpressionSection):
    """How well the markers predict each gene where the truth is known."""

    order = 10

    def build(self, of: Expressed) -> Section | None:
        """Return the section."""
        table, summary = of.tables["per_gene"], of.tables["summary"]
        rows = [
            (
                str(row["genes"]),
                str(row["n"]),
                str(row["method"]),
                number(row["r"]),
                number(row["spearman"]),
                number(row["rmse"]),
                number(row["spread"]),
                str(row["above_0.3"]),
                f"{row['better_than_mean']:.0%}" if row["method"] != "mean" else "–",
            )
            for row in summary.to_dict("records")
            if row["n"]
        ]
        headers = (
            "genes",
            "n",
            "method",
            "Pearson r",
            "Spearman",
            "RMSE",
            "spread over trees",
            "r > 0.3",
            "RMSE below the mean's",
        )
        blocks: list[Block] = [
            Grid(
                headers=headers,
                rows=rows,
                numeric=frozenset({1, 3, 4, 5, 6, 7, 8}),
                caption="Medians over genes, on single cells that were held out (the paper's Tables 1 and 2); then how "
                "many genes have r above 0.3, and the share whose RMSE is below that of predicting the mean of the "
                "training cells for every cell. A gene can have r above 0 and still a larger RMSE than the mean: a "
                "full-grown forest repeats the noise of single cells. A larger forest.min_leaf takes it out.",
            ),
            gene_violins(table),
        ]
        drawn = spread(table)
        if drawn is not None:
            blocks.append(drawn)
        best = table.nlargest(_GENES_PER_POPULATION, "r_forest")
        blocks.append(
            Grid(
                headers=("gene", "marks", "r", "95 % bootstrap", "95 % Fisher", "RMSE", "RMSE of the mean"),
                rows=[_gene_row(row) for row in best.to_dict("records")],
                numeric=frozenset({2, 3, 4, 5, 6}),
                caption="The genes predicted best; intervals over held-out cells"
                + (", by bootstrap for genes that mark a population." if of.facts["marker_genes"] else "."),
            )
        )
        return Section(
            anchor="single-cells",
            title="On single cells",
            lead="Where the truth is known: how well the markers predict each gene.",
            blocks=blocks,
        )


def _gene_row(row: dict[Any, Any]) -> tuple[str, ...]:
    def pair(low: str, high: str) -> str:
        return "–" if pd.isna(row[low]) else f"{number(row[low])} to {number(row[high])}"

    return (
        str(row["gene"]),
        str(row["marker_of"]) or "–",
        number(row["r_forest"]),
        pair("r_low", "r_high"),
        pair("r_fisher_low", "r_fisher_high"),
        number(row["rmse_forest"]),
        number(row["rmse_mean"]),
    )


@EXPRESSION_SECTIONS.register("populations", SectionConfig)
class ByPopulation(ExpressionSection):
    """Means of populations, and how alike they are."""

    order = 40

    def build(self, of: Expressed) -> Section | None:
        """Return the section."""
        means = {
            str(source): part.drop(columns="source").set_index("population")
            for source, part in of.tables["populations"].groupby("source", sort=False)
        }
        pairs = {str(source): part for source, part in of.tables["similarity"].groupby("source", sort=False)}
        blocks: list[Block] = [heat_maps(means, _chosen_genes(of.tables["per_gene"], means["measured"]))]
        drawn = similarity(pairs)
        if drawn is not None:
            rows = [
                (
                    TITLES[str(row["source"])],
                    str(row["one"]),
                    str(row["other"]),
                    number(row["r"], ".3f"),
                    f"{number(row['low'], '.3f')} to {number(row['high'], '.3f')}",
                )
                for row in of.tables["similarity"].to_dict("records")
            ]
            headers = ("cells", "population", "population", "r", "95 % Fisher")
            caption = "Similarity of populations with Fisher's interval over genes."
            blocks += [drawn, Grid(headers=headers, rows=rows, numeric=frozenset({3, 4}), caption=caption)]
        alone = len(means["measured"]) == 1
        return Section(
            anchor="populations",
            title="By population",
            lead="No population was gated, so all cells are one: do the means of the genes predicted best come back?"
            if alone
            else "Does the pattern of expression over populations come back?",
            blocks=blocks,
        )


def _chosen_genes(table: pd.DataFrame, means: pd.DataFrame) -> list[str]:
    """Return the genes of each population that are predicted best, population by population."""
    known = table[table["gene"].isin(means.columns)].sort_values("r_forest", ascending=False, kind="stable")
    populations = sorted({name for names in known["marker_of"] for name in names.split("|")})
    chosen: dict[str, None] = {}
    for name in populations:
        of_name = known[[name in names.split("|") for names in known["marker_of"]]]
        chosen |= dict.fromkeys(str(gene) for gene in of_name["gene"].head(_GENES_PER_POPULATION))
    return list(chosen)
