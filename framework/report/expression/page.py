"""The page about expression per cell: reads the folder of ``wellstream express`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from framework.config.source import parse_yaml
from framework.durable import write_text
from framework.errors import InputError
from framework.evaluate.metrics import median_of_known
from framework.files.delimited import TextTable, read_text_table
from framework.files.failures import reading
from framework.files.json_file import read_mapping, read_text
from framework.files.npz import load_npz
from framework.format import number
from framework.report.expression.figures import (
    TITLES,
    gates,
    gene_violins,
    heat_maps,
    saliency_maps,
    similarity,
    spread,
    truth_violins,
)
from framework.report.page import Block, Facts, Grid, Listing, Note, Numbers, Section, render_page

EXPRESSION_REPORT_NAME = "report.html"
_GENES_PER_POPULATION = 10
_TABLES = ("per_gene", "summary", "populations", "similarity", "cells")
_NAMES = frozenset({"gene", "marker_of", "genes", "method", "source", "population", "one", "other", "marker"})
"""Columns of text."""


def write_expression_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write one self-contained HTML page: IFC-seq's Figures 3 to 6 and Tables 1 and 2 for this experiment.

    Args:
        folder: written by ``wellstream express``.
        out: the file to write; default ``report.html`` in the folder.

    Raises:
        InputError: the folder is not one of ``wellstream express``.
    """
    root = Path(folder)
    tables = _read(root)
    again = f"make it again: wellstream express CONFIG --out {root}"
    facts = read_mapping(root / "expression.json", error=InputError, what="a summary of expression", then=again)
    config_text = read_text(root / "config.yaml", error=InputError, what="a config", then=again)
    config = parse_yaml(config_text, str(root / "config.yaml")).data
    with reading(root, InputError, "a folder of wellstream express", again):
        page = _page(root, tables, facts, config, config_text)
    file = Path(out) if out is not None else root / EXPRESSION_REPORT_NAME
    write_text(file, page)
    return file


def _page(
    root: Path, tables: dict[str, pd.DataFrame], facts: dict[str, Any], config: dict[str, Any], config_text: str
) -> str:
    sections = [_overview(facts, tables, config), _single_cells(tables), _by_population(tables)]
    if "agreement" in tables:
        sections.insert(2, _imaged(tables, root / "saliency.npz"))
    if "truth" in tables:
        sections.insert(3, _truth(tables["truth"]))
    sections.append(
        Section(
            anchor="reproduce",
            title="Reproduce",
            lead="The resolved config: wellstream express config.yaml --out FOLDER",
            blocks=[Listing(title="config.yaml", text=config_text)],
        )
    )
    return render_page("Expression per cell", str(config["single_cell"]), sections)


def _read(root: Path) -> dict[str, pd.DataFrame]:
    for name in ("expression.json", "config.yaml", *(f"{table}.csv" for table in _TABLES)):
        if not (root / name).is_file():
            raise InputError(f"{root}: no {name}; expected a folder written by: wellstream express CONFIG --out {root}")
    names = [*_TABLES, *(name for name in ("agreement", "markers", "truth") if (root / f"{name}.csv").is_file())]
    tables = {}
    for name in names:
        tables[name] = _table(root / f"{name}.csv", of_agreement=name == "agreement")
    return tables


def _table(file: Path, *, of_agreement: bool) -> pd.DataFrame:
    """Read a table: a gene may be called NA, a population 007, so what has a name is text and all else numbers."""
    what = "a table of wellstream express"
    table = read_text_table(file, what=what, separator=",", decimal=".", comment=False, may_be_empty=True)
    named = _NAMES - {"genes"} if of_agreement else _NAMES  # there it is their number
    return pd.DataFrame({name: table.text[name] if name in named else _numbers(table, name) for name in table.names})


def _numbers(table: TextTable, name: str) -> pd.Series[Any]:
    counts = table.text[name].str.fullmatch(r"-?[0-9]{1,18}").all()
    return table.text[name].astype("int64") if counts and len(table) else table.numbers(name)


def _overview(facts: dict[str, Any], tables: dict[str, pd.DataFrame], config: dict[str, Any]) -> Section:
    forest = tables["summary"].query("method == 'forest'").set_index("genes")
    numbers = [(f"{facts['single_cells']['train']:,}", "single cells learned from")]
    numbers += [(f"{facts['genes']:,}", "genes predicted")]
    if forest.loc["marker genes", "n"]:
        numbers.append((number(forest.loc["marker genes", "r"]), "median r, marker genes"))
    numbers.append((number(forest.loc["all", "r"]), "median r, all genes"))
    if facts["imaged_cells"]:
        numbers.append((f"{facts['imaged_cells']:,}", "imaged cells given expression"))
    forest_facts = config["forest"]
    grown = f"{forest_facts['trees']}, leaves of at least {forest_facts['min_leaf']} cell(s)"
    shown = [("markers", ", ".join(config["markers"])), ("trees", grown)]
    shown += [("held out", f"{facts['single_cells']['test']:,} single cells"), ("scale", str(config["scale"]))]
    blocks: list[Block] = [Numbers(items=numbers), Facts(items=shown, title="What was done")]
    blocks += [Note(text=note) for note in facts["notes"]]
    blocks.append(gates(tables["cells"], config["markers"], _populations(tables["cells"])))
    return Section(anchor="overview", title="Overview", lead="Markers in, expression out.", blocks=blocks)


def _populations(cells: pd.DataFrame) -> list[str]:
    """Populations by size of the gated ones, cells in no gate last."""
    names = list(dict.fromkeys(cells["population"].astype(str)))
    return sorted(names, key=lambda name: (name in ("other", "all"), name))


def _single_cells(tables: dict[str, pd.DataFrame]) -> Section:
    table, summary = tables["per_gene"], tables["summary"]
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
            caption="The genes predicted best; intervals over held-out cells, by bootstrap for genes that mark a "
            "population.",
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


def _imaged(tables: dict[str, pd.DataFrame], maps: Path) -> Section:
    markers = [
        (str(row["marker"]), f"{number(row['r'])} ± {number(row['sd'], '.3f')}", f"{row['cells']:,}")
        for row in tables["markers"].to_dict("records")
    ]
    rows = [
        (
            TITLES[str(row["source"])],
            str(row["population"]),
            number(row["r"]),
            number(row["r_centred"]),
            str(row["genes"]),
        )
        for row in tables["agreement"].to_dict("records")
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
            caption="Population means of imaged cells against measured ones of single cells, over marker genes. "
            "Centred: after taking off each gene's mean over populations, so genes high everywhere do not count.",
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


def _truth(table: pd.DataFrame) -> Section:
    marked = table[table["marker_of"] != ""]
    shown = {"all": table} | ({"marker genes": marked} if len(marked) else {})
    predictors = {**{mode: TITLES[mode] for mode in ("standard", "label_free")}, "mean": "mean of the training cells"}
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


def _by_population(tables: dict[str, pd.DataFrame]) -> Section:
    means = {
        str(source): part.drop(columns="source").set_index("population")
        for source, part in tables["populations"].groupby("source", sort=False)
    }
    pairs = {str(source): part for source, part in tables["similarity"].groupby("source", sort=False)}
    blocks: list[Block] = [heat_maps(means, _chosen_genes(tables["per_gene"], means["measured"]))]
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
            for row in tables["similarity"].to_dict("records")
        ]
        headers = ("cells", "population", "population", "r", "95 % Fisher")
        caption = "Similarity of populations with Fisher's interval over genes."
        blocks += [drawn, Grid(headers=headers, rows=rows, numeric=frozenset({3, 4}), caption=caption)]
    return Section(
        anchor="populations",
        title="By population",
        lead="Does the pattern of expression over populations come back?",
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
