"""Figure 5 of Image2Omics: what predictable genes have in common, by one linear model per target, as a forest plot."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from scipy.sparse import csc_array, hstack

from framework.errors import InputError
from framework.report.canvas import INK, LINE, PALETTE, SOFT, faint_grid, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.annotations import read_gene_sets, read_locations, symbols_of
from framework.report.omics.chosen import OfTargets, chosen_targets
from framework.report.omics.least_squares import Fit, least_squares
from framework.report.omics.panels import WIDTH, spoken

PATHWAY, LOCATION, ABUNDANCE = "pathway", "location", "abundance"
_ABUNDANCE_TERM = "mean abundance (0 to 1)"
_LINE_INCHES = 0.19
_SHORT, _LONG = 40, 48
"""Characters of a line of a term's name, at the size of names of one line and of two."""


class PredictorsConfig(OfTargets):
    """Options of ``omics_predictors``."""

    min_members: int = Field(default=11, ge=2)
    """A pathway or location is used if it has at least this many of the predicted genes (the paper: more than 10)."""
    shown: int = Field(default=5, ge=1, le=50)
    """How many pathways of lower and of higher predictability are drawn; all terms are in the CSV."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """A term is drawn as significant below this p."""
    reliability: tuple[str, ...] = ("Approved",)
    """Genes whose location was found with this reliability."""


@dataclass(frozen=True, kw_only=True)
class _Design:
    names: list[str]
    kinds: list[str]
    columns: list[csc_array]


@FIGURES.register("omics_predictors", PredictorsConfig)
class Predictors(FigureKind[PredictorsConfig]):
    """Forest plot of a linear model of r2."""

    shows = "which pathways, locations and abundance go with predictable genes: one linear model of r² per target"
    paper = "Figure 5"
    takes = ("scores", "locations", "pathways")
    order = 50

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw a forest plot per target: pathways, locations, abundance, from top to bottom."""
        places = read_locations(str(inputs.locations), self.options.reliability)
        sets = read_gene_sets(str(inputs.pathways))
        tables: dict[str, pd.DataFrame] = {}
        fits: dict[str, Fit] = {}
        notes: list[str] = []
        for target in chosen_targets(inputs, self.options.targets):
            genes = inputs.genes[(inputs.genes["target"] == target) & inputs.genes["r2"].notna()]
            design = self._design(genes, places, sets, notes, target)
            columns = csc_array(hstack(design.columns))
            fit = least_squares(columns, design.names, genes["r2"].to_numpy(dtype=np.float64))
            kind = dict(zip(design.names, design.kinds, strict=True))
            tables[target] = fit.terms.assign(kind=fit.terms["term"].map(kind))
            fits[target] = fit
            if fit.dropped:
                notes.append(f"{target}: {len(fit.dropped)} terms that the others explain are left out")
        shown = {name: self._shown(table) for name, table in tables.items()}
        return Drawn(
            canvas=_forest(shown, fits, self.options.alpha),
            numbers=pd.concat([table.assign(target=name) for name, table in tables.items()], ignore_index=True)[
                ["target", "kind", "term", "beta", "se", "t", "p", "low", "high"]
            ],
            title="Features associated with predictability",
            caption=f"Coefficients of a linear model of r² with their 95 % intervals: membership in pathways and "
            f"locations with at least {self.options.min_members} predicted genes, and the mean abundance in the "
            "training set from 0 (lowest gene) to 1. Of the pathways with p < "
            f"{self.options.alpha:g}, the {self.options.shown} lowest and highest. Filled: p < {self.options.alpha:g}, "
            "not adjusted for the number of terms.",
            alt="Forest plots: " + "; ".join(_told(name, table, self.options.alpha) for name, table in tables.items()),
            notes=tuple(notes),
        )

    def _design(
        self,
        genes: pd.DataFrame,
        places: pd.DataFrame,
        sets: Mapping[str, frozenset[str]],
        notes: list[str],
        target: str,
    ) -> _Design:
        """Return the columns of the model; sets with the same genes become one column that names them all."""
        symbols = symbols_of(genes["gene"].astype(str).tolist(), places)
        names = [symbols[gene] for gene in genes["gene"].astype(str)]
        located = {str(name): frozenset(part["gene"]) for name, part in places.groupby("location")}
        design = _Design(names=[], kinds=[], columns=[])
        for kind, members in ((PATHWAY, sets), (LOCATION, located)):
            self._add(design, kind, members, names)
        counts = {kind: design.kinds.count(kind) for kind in (PATHWAY, LOCATION)}
        known = set().union(*sets.values()), set(places["gene"])
        inside = [sum(name in those for name in names) for those in known]
        notes.append(
            f"{target}: of {len(names)} genes {inside[0]} are in a pathway and {inside[1]} have a location; "
            f"{counts[PATHWAY]} pathways and {counts[LOCATION]} locations have at least {self.options.min_members}"
        )
        if not design.names:
            raise InputError(
                f"figure 'omics_predictors', {target}: no pathway or location has {self.options.min_members} of its "
                f"{len(names)} genes ({', '.join(names[:3])} ...); expected symbols of human genes, or set min_members"
            )
        level = genes["train_mean"].to_numpy(dtype=np.float64)
        spread = np.ptp(level)
        design.names.append(_ABUNDANCE_TERM)
        design.kinds.append(ABUNDANCE)
        scaled = (level - level.min()) / spread if spread > 0 else np.zeros(len(level))
        design.columns.append(csc_array(scaled[:, None]))
        return design

    def _add(self, design: _Design, kind: str, sets: Mapping[str, frozenset[str]], genes: Sequence[str]) -> None:
        place: dict[str, list[int]] = {}
        for row, gene in enumerate(genes):
            place.setdefault(gene, []).append(row)
        equal: dict[tuple[int, ...], list[str]] = {}
        for name in sorted(sets):
            rows = tuple(sorted(row for gene in sets[name] for row in place.get(gene, ())))
            if len(rows) >= self.options.min_members:
                equal.setdefault(rows, []).append(name)
        for rows, names in equal.items():
            cells = (np.ones(len(rows)), (np.array(rows), np.zeros(len(rows), dtype=np.int64)))
            design.names.append(" = ".join(names))
            design.kinds.append(kind)
            design.columns.append(csc_array(cells, shape=(len(genes), 1)))

    def _shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a panel, from top to bottom."""
        pathways = table[(table["kind"] == PATHWAY) & (table["p"] < self.options.alpha)].sort_values("beta")
        lower = pathways[pathways["beta"] < 0].head(self.options.shown)
        higher = pathways[pathways["beta"] > 0].tail(self.options.shown)
        parts = [lower, higher, table[table["kind"] == LOCATION].sort_values("beta"), table[table["kind"] == ABUNDANCE]]
        return pd.concat(parts, ignore_index=True)


def _forest(shown: Mapping[str, pd.DataFrame], fits: Mapping[str, Fit], alpha: float) -> Figure:
    heights = [_LINE_INCHES * len(table) + 0.75 for table in shown.values()]
    made, axes = figure(WIDTH, sum(heights), rows=len(shown))
    axes[0, 0].get_gridspec().set_height_ratios(heights)
    for panel, (target, table) in zip(axes[:, 0], shown.items(), strict=True):
        _panel(panel, table, alpha)
        fit = fits[target]
        panel.set_title(f"{spoken(target)} ({fit.rows} genes, model r² {fit.r2:.2f})", fontsize=9)
    axes[-1, 0].set_xlabel("change of r² (coefficient, 95 % interval)")
    return made


def _panel(panel: Axes, table: pd.DataFrame, alpha: float) -> None:
    colours = {PATHWAY: PALETTE[0], LOCATION: PALETTE[1], ABUNDANCE: PALETTE[2]}
    for line, row in enumerate(table.to_dict(orient="records")):
        colour = colours[str(row["kind"])]
        panel.plot([row["low"], row["high"]], [line, line], color=colour, linewidth=1.4)
        filled = colour if row["p"] < alpha else "white"
        panel.plot(row["beta"], line, "o", markersize=5, markerfacecolor=filled, markeredgecolor=colour)
    panel.axvline(0, color=SOFT, linewidth=0.8, linestyle="--")
    kinds = table["kind"].tolist()
    for line in range(1, len(kinds)):
        if kinds[line] != kinds[line - 1]:
            panel.axhline(line - 0.5, color=LINE, linewidth=1.2)
    panel.set_yticks(range(len(table)), [_in_two_lines(name) for name in table["term"]], fontsize=7.5, color=INK)
    for label in panel.get_yticklabels():
        if "\n" in label.get_text():
            label.set(fontsize=6, linespacing=0.95)
    panel.set_ylim(len(table) - 0.5, -0.5)
    faint_grid(panel, "x")


def _in_two_lines(name: str) -> str:
    """Return a term's name, over two lines where it is long: names of pathways differ at their ends, too."""
    if len(name) <= _SHORT:
        return name
    first, *more = textwrap.wrap(name, _LONG)
    return first if not more else f"{first}\n{shortened(' '.join(more), _LONG)}"


def _told(name: str, table: pd.DataFrame, alpha: float) -> str:
    level = table[table["kind"] == ABUNDANCE]
    beta = f"abundance {level['beta'].iloc[0]:+.2f}" if len(level) else "abundance does not vary"
    return f"{name} {int((table['p'] < alpha).sum())} of {len(table)} terms significant, {beta}"
