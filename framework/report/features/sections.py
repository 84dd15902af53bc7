"""Sections about compared feature sets: the table with intervals, classes, distances, maps, average proteins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from framework.evaluate import Evaluation, targets_beside_baselines
from framework.evaluate.kinds import Verdict
from framework.format import count, interval, number
from framework.report.beside import answers, baselines_shown
from framework.report.features.figures import (
    CLASSIFIERS,
    accuracy_bars,
    accuracy_by_k,
    compartment_violins,
    confusion_map,
    recall_map,
)
from framework.report.page import Block, Grid, Note, Section
from framework.report.sections import SCORES, SectionConfig

_PROTOCOLS = {
    "leave_one_out": "each cell by all others (leave-one-out)",
    "leave_group_out": "each cell by the cells of other fields",
    "train_test": "test cells by train cells",
}


def compared(evaluation: Evaluation) -> list[Section]:
    """Return the sections that need nothing but the evaluation."""
    first = scores(evaluation)
    verdicts: list[Verdict | None] = [*targets_beside_baselines(evaluation.summary)]
    verdicts = verdicts or [best_set(evaluation.summary)]
    first = replace(first, blocks=[*answers(*verdicts), *first.blocks])
    sections = [first, baselines_shown(evaluation.summary), classes(evaluation)]
    return [section for section in (*sections, distances(evaluation), between(evaluation)) if section is not None]


def best_set(summary: Mapping[str, Any]) -> Verdict | None:
    """Return which set recognises classes best, and whether the first one, which all are compared with, is below it."""
    rows = [row for row in summary["rows"] if "missing" not in row]
    if not rows:
        return None
    first, best = rows[0], max(rows, key=lambda row: row["knn"])
    chance = 1 / len(summary["classes"])
    reached = f"balanced accuracy {best['knn']:.3f}; chance is {chance:.3f}."
    if len(rows) == 1:
        return Verdict(text=f"Nearest neighbours by {best['set']}: {reached}", holds=best["knn_low"] > chance)
    text = f"{best['set']} tells classes apart best: {reached}"
    if best is first:
        return Verdict(text=text, holds=True)
    level = not best["knn_difference_low"] > 0
    by = interval(best, "knn_difference", "+.3f", "[]")
    text += f" {first['set']}, the first, is {'level with it' if level else 'below it'}: {by}."
    return Verdict(text=text, holds=level)


@SCORES.register("features", SectionConfig)
def scores(evaluation: Evaluation) -> Section:
    """Return the comparison: one row per feature set."""
    summary = evaluation.summary
    rows = [row for row in summary["rows"] if "missing" not in row]
    blocks: list[Block] = [Note(text=note, doubt=True) for note in summary["notes"]]
    blocks += [accuracy_bars(rows, len(summary["classes"])), _table(summary)]
    return Section(
        anchor="features",
        title="Feature sets",
        lead="Do cells of one class lie nearer to each other than to other cells?",
        blocks=blocks,
    )


def classes(evaluation: Evaluation) -> Section:
    """Return what differs between classes and between numbers of neighbours."""
    rows = [row for row in evaluation.summary["rows"] if "missing" not in row]
    best = max(rows, key=lambda row: row["knn"])["set"]
    table, counts = evaluation.tables["per_class"], evaluation.tables["confusion"]
    blocks: list[Block] = [
        recall_map(table[table["classifier"] == "knn"]),
        confusion_map(counts[(counts["classifier"] == "knn") & (counts["set"] == best)], best),
        accuracy_by_k(evaluation.tables["per_k"], int(evaluation.summary["options"]["k"])),
    ]
    return Section(
        anchor="classes", title="Classes", lead="Which classes are recognised, and which are confused?", blocks=blocks
    )


def distances(evaluation: Evaluation) -> Section | None:
    """Return normalised distances of images; None where no label has two images."""
    table = evaluation.tables["distances"]
    table = table[table["distance"].notna()]
    if table.empty:
        return None
    table = table.assign(column=[_column(row) for row in table.to_dict(orient="records")])
    wide = table.pivot_table(index="set", columns="column", values="distance", sort=False)
    options = evaluation.summary["options"]
    scale = "sd" if options["normalise"] == "sd" else "mean"
    grid = Grid(
        headers=("features", *(str(name) for name in wide.columns)),
        rows=[
            (str(name), *(number(value, "+.3f") for value in row))
            for name, row in zip(wide.index, wide.to_numpy(), strict=True)
        ],
        numeric=frozenset(range(1, wide.shape[1] + 1)),
        caption="Average distance of two images with the same label, less the mean and divided by the "
        f"{scale} of what pairs with different labels give (Lu 2019, Figure 2B and Table 2); the more negative, the "
        "nearer. Where the cell line is held, both kinds of pairs are of one line, or of two: a set that hardly "
        "changes sees the label and not the line.",
    )
    return Section(
        anchor="distances", title="Distances", lead="Are images with the same label near each other?", blocks=[grid]
    )


def between(evaluation: Evaluation) -> Section | None:
    """Return scores between two compartments; None where none were asked for."""
    cells, spread = evaluation.tables.get("compartments"), evaluation.tables.get("spread")
    if cells is None or spread is None:
        return None
    blocks: list[Block] = []
    for (name, pair), mine in cells.groupby(["set", "pair"], sort=False):
        images = spread[(spread["set"] == name) & (spread["pair"] == pair)]
        blocks.append(compartment_violins(mine, images, str(pair), str(name)))
    return Section(
        anchor="compartments",
        title="Between compartments",
        lead="Where do cells of proteins in two places lie, and how much do the cells of one image differ?",
        blocks=blocks,
    )


def _table(summary: Mapping[str, Any]) -> Grid:
    names = [name for name in CLASSIFIERS if any(name in row for row in summary["rows"])]
    rows: list[Sequence[str]] = []
    for place, row in enumerate(summary["rows"]):
        if "missing" in row:
            rows.append((str(row["set"]), "–", *("–" for _ in names), f"missing: {row['missing']}", "–"))
            continue
        rows.append(
            (
                str(row["set"]),
                count(row["width"]),
                *(interval(row, name, ".3f") for name in names),
                interval(row, "knn_difference", "+.3f") if place else "–",
                number(row["accuracy"], ".3f"),
            )
        )
    label, k = summary["options"]["label"], summary["options"]["k"]
    fields = f"fields ({' x '.join(summary['fields'])})" if summary["resampled"] == "field" else "single cells"
    return Grid(
        headers=("features", "number", *(CLASSIFIERS[name] for name in names), "less the first", "plain accuracy"),
        rows=rows,
        numeric=frozenset(range(1, 4 + len(names))),
        caption=f"Balanced accuracy of {label}, {len(summary['classes'])} classes, {count(summary['n_test'])} cells "
        f"scored: {_PROTOCOLS[summary['protocol']]}, k = {k}, features z-scored, Euclidean. Brackets: 95 % bootstrap "
        f"intervals over {fields}; less the first: difference of the nearest neighbours to the first row on "
        "the same resamples, clear where its interval leaves out 0.",
    )


def _column(row: Mapping[Any, Any]) -> str:
    if row["lines"] == "any":
        return "overall" if row["label"] == "all" else str(row["label"])
    return f"{row['lines']} line"
