"""Section about the truth of a simulated plate: which genes follow the cells, and which of them were found."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from framework.evaluate import CLASSES, found_of_truth
from framework.format import count, percent
from framework.report.canvas import SIGNIFICANT, SOFT, faint_grid, figure, shortened, styled, uri
from framework.report.page import Block, Grid, Note, Picture, Section
from framework.report.page_inputs import Inputs
from framework.report.sections import SECTIONS, ReportSection, SectionConfig

_MISSED = 12


@SECTIONS.register("truth", SectionConfig)
class TruthSection(ReportSection):
    """What the simulator knows of the genes, beside what was found."""

    order = 11

    def build(self, inputs: Inputs) -> Section | Note | None:
        """Return the section where a truth was given; None on every page of real cells."""
        if inputs.truth is None:
            return None
        if inputs.evaluation is None or inputs.evaluation.kind != "omics":
            return Note(text="Truth of the simulation: it is compared with an evaluation of genes, and none was given.")
        found = found_of_truth(inputs.evaluation, inputs.truth)
        seeds = inputs.evaluation.tables["per_split"]["seed"].astype(str).unique()
        own = str(inputs.run.section("split").get("seed", 0))
        tested = {"median p over splits" if len(seeds) > 1 else "this split": found}
        if len(seeds) > 1 and own in seeds:
            tested[f"split {own}"] = found_of_truth(inputs.evaluation, inputs.truth, own)
        blocks: list[Block] = [_by_class(tested), _shares(found), _by_target(found), *_missed(found)]
        return Section(
            anchor="truth",
            title="What is true, and what was found",
            lead="It is known which genes of this simulated plate follow the cells. Were they found, and no others?",
            blocks=blocks,
        )


def _by_class(tested: Mapping[str, pd.DataFrame]) -> Grid:
    first = next(iter(tested.values()))
    rows = []
    for name, meaning in CLASSES.items():
        of_class = [table.loc[table["class"] == name, "significant"] for table in tested.values()]
        if len(of_class[0]):
            shares = [f"{percent(float(found.mean()))} ({count(int(found.sum()))})" for found in of_class]
            rows.append((name, meaning, count(int((first["class"] == name).sum())), *shares))
    own = [name for name in tested if name.startswith("split ")]
    told = f" This run was trained on {own[0]}: there, neither it nor the heads saw the tested wells." if own else ""
    return Grid(
        headers=("class", "genes that", "tested", *(f"significant, {name}" for name in tested)),
        rows=rows,
        numeric=frozenset(range(2, 3 + len(tested))),
        caption=f"Genes called significant, by what the simulator knows of them.{told} Many strong genes and hardly an "
        "independent one: the model reads the cells, and the test is honest.",
    )


@styled
def _shares(found: pd.DataFrame) -> Picture:
    """Draw a bar per class: the share that was found."""
    names = [name for name in CLASSES if (found["class"] == name).any()]
    shares = [100 * float(found.loc[found["class"] == name, "significant"].mean()) for name in names]
    drawn, axes = figure(5.2, 0.9 + 0.45 * len(names))
    panel = axes[0, 0]
    panel.barh(
        range(len(names)), shares, height=0.6, color=[SOFT if n == "independent" else SIGNIFICANT for n in names]
    )
    for place, share in enumerate(shares):
        panel.text(share + 1, place, f"{share:.1f} %", va="center", fontsize=9)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, 112)
    panel.set_xlabel("genes called significant (%)")
    faint_grid(panel, "x")
    told = "; ".join(f"{name} {share:.1f} %" for name, share in zip(names, shares, strict=True))
    return Picture(
        source=uri(drawn, "svg"),
        alt=f"Share of genes called significant, by true class: {told}",
        caption="The same shares as bars: strong genes should reach far to the right, independent genes stay near 0.",
        width="half",
    )


def _by_target(found: pd.DataFrame) -> Grid:
    rows = []
    for target, genes in found.groupby("target", sort=True):
        cells = [genes.loc[genes["class"] == name, "significant"] for name in CLASSES]
        rows.append((str(target), *(f"{count(int(each.sum()))} of {count(len(each))}" for each in cells)))
    return Grid(
        headers=("target", *CLASSES),
        rows=rows,
        numeric=frozenset(range(1, 1 + len(CLASSES))),
        caption="Genes found of those there are, by target and true class.",
        width="half",
    )


def _missed(found: pd.DataFrame) -> list[Block]:
    """Name strong genes that were not found, and independent ones that were."""
    strong = found[(found["class"] == "strong") & ~found["significant"]]
    false = found[(found["class"] == "independent") & found["significant"]]
    told = [
        f"{what} ({count(len(rows))}): {_names(rows)}"
        for what, rows in (("Strong genes that were missed", strong), ("Independent genes that were called", false))
        if len(rows)
    ]
    return [Note(text=each) for each in told]


def _names(rows: pd.DataFrame) -> str:
    shown = [shortened(f"{row.gene} ({row.target})", 40) for row in rows.head(_MISSED).itertuples()]
    return ", ".join(shown) + (" ..." if len(rows) > _MISSED else "")
