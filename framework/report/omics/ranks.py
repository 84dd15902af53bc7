"""Tables 1 to 4 of Image2Omics: the genes that are predicted best and worst, one table per target."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from pydantic import Field

from framework.errors import InputError
from framework.evaluate import rank_genes, rankable
from framework.format import count
from framework.report.canvas import INK, LINE, SOFT, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.chosen import OfTargets, chosen_targets
from framework.report.omics.panels import WIDTH, spoken

_LINE_INCHES = 0.185


class RanksConfig(OfTargets):
    """Options of ``omics_ranks``."""

    count: int = Field(default=10, ge=1, le=100)
    """Genes in each half."""


@FIGURES.register("omics_ranks", RanksConfig)
class Ranks(FigureKind[RanksConfig]):
    """Best and worst genes of each target."""

    shows = "the genes predicted best and worst of each target, with r² and SMAPE and their intervals over splits"
    paper = "Tables 1 to 4"
    takes = ("scores",)
    order = 140

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Write one table per target, as text."""
        ranked = inputs.scored.summary["options"]["ranked"]
        tables, notes = {}, []
        for target in chosen_targets(inputs, self.options.targets):
            genes = inputs.genes[inputs.genes["target"] == target]
            best, worst = rank_genes(genes, self.options.count, ranked)
            if len(best):
                tables[target] = [("Top", best), ("Bottom", worst)]
            else:
                notes.append(f"{target}: none of its {count(len(genes))} genes is significant in error and regression")
        if not tables:
            raise InputError(f"figure 'omics_ranks': no gene to rank ({'; '.join(notes)}); evaluate with ranked=all")
        lines = sum(3.4 + sum(len(part) + 2.2 for _, part in halves if len(part)) for halves in tables.values())
        made, axes = figure(WIDTH, _LINE_INCHES * lines + 0.1)
        axes[0, 0].set_ylim(lines, 0)
        _write(axes[0, 0], tables)
        among = "; ".join(
            f"{name} {count(len(rankable(inputs.genes[inputs.genes['target'] == name], ranked)))}" for name in tables
        )
        return Drawn(
            canvas=made,
            numbers=_numbers(tables),
            title="Gene products predicted best and worst",
            caption="Ranked by median r² "
            + ("among genes whose error and regression are both significant" if ranked == "significant" else "")
            + f" ({among}); {_intervals(inputs.genes)}. SMAPE runs from 0 (perfect) to 100 %.",
            alt="Tables of genes: "
            + "; ".join(f"{name} best {halves[0][1]['gene'].iloc[0]}" for name, halves in tables.items()),
            notes=tuple(notes),
        )


def _write(panel: Axes, tables: dict[str, list[tuple[str, pd.DataFrame]]]) -> None:
    panel.set_axis_off()
    panel.set_xlim(0, 1)
    line = 0.0
    for target, halves in tables.items():
        line += 1.2
        panel.text(0, line, spoken(target), fontsize=10, weight="bold", va="center", color=INK)
        line += 0.4
        for half, genes in halves:
            if not len(genes):
                continue
            line += 1.1
            interval = " (95 % CI)" if _several(genes) else ""
            headings = (f"{half} {len(genes)}", f"r²{interval}", f"SMAPE{interval}")
            for x, text in zip((0, 0.28, 0.62), headings, strict=True):
                panel.text(x, line, text, fontsize=8, weight="bold", va="center", color=SOFT)
            panel.axhline(line + 0.6, color=LINE, linewidth=1)
            line += 1.1
            for row in genes.to_dict(orient="records"):
                for x, text in zip((0, 0.28, 0.62), _cells(row, _several(genes)), strict=True):
                    panel.text(x, line, text, fontsize=8, va="center", color=INK)
                line += 1
        line += 0.8


def _several(genes: pd.DataFrame) -> bool:
    return bool(genes["n_splits"].max() > 1)


def _intervals(genes: pd.DataFrame) -> str:
    if _several(genes):
        return "medians and 2.5 to 97.5 % quantiles over splits"
    return "of one split, so without intervals"


def _cells(row: Mapping[Hashable, Any], several: bool) -> tuple[str, str, str]:
    values = {name: float(str(row[name])) for name in row if str(name).startswith(("r2", "smape"))}
    name = shortened(row["gene"], 20)
    if not several:
        return name, f"{values['r2']:.2f}", f"{values['smape']:.2f}%"
    return (
        name,
        f"{values['r2']:.2f} ({values['r2_low']:.2f}, {values['r2_high']:.2f})",
        f"{values['smape']:.2f}% ({values['smape_low']:.2f}%, {values['smape_high']:.2f}%)",
    )


def _numbers(tables: dict[str, list[tuple[str, pd.DataFrame]]]) -> pd.DataFrame:
    columns = ["gene", "r2", "r2_low", "r2_high", "smape", "smape_low", "smape_high", "p_wilcoxon", "p_regression"]
    parts = []
    for target, halves in tables.items():
        for half, genes in halves:
            part = genes[columns].reset_index(drop=True)
            part.insert(0, "rank", range(1, len(part) + 1))
            part.insert(0, "half", half.lower())
            part.insert(0, "target", target)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
