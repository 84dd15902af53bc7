"""Figure 2 of Image2Omics: how well genes are predicted, one violin per target and one dot per gene."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from framework.errors import InputError
from framework.report.canvas import PALETTE, SOFT, faint_grid, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.panels import WIDTH, spoken

_MOST_VECTORS = 3000


@FIGURES.register("omics_r2", FigureConfig)
class R2Violins(FigureKind[FigureConfig]):
    """r2 of every gene, by target."""

    shows = "how well genes are predicted: r² of every gene, one violin per target"
    paper = "Figure 2"
    takes = ("scores",)
    order = 20

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw one violin per target, dots beside it, and the median with the middle half."""
        genes = inputs.genes[["target", "gene", "r2", "r2_low", "r2_high", "n_splits"]]
        known = genes[genes["r2"].notna()].reset_index(drop=True)
        if not len(known):
            raise InputError("figure 'omics_r2': no gene has an r², because predictions or measurements are constant")
        targets = [name for name in inputs.targets if (known["target"] == name).any()]
        made, axes = figure(max(2.4, min(WIDTH, 1.2 + 1.15 * len(targets))), 3.6)
        panel = axes[0, 0]
        for place, name in enumerate(targets):
            _violin(panel, place, known.loc[known["target"] == name, "r2"].to_numpy(), len(known) > _MOST_VECTORS)
        panel.set_xticks(range(len(targets)), [shortened(spoken(name), 22).replace(", ", "\n") for name in targets])
        panel.set_xlim(-0.6, len(targets) - 0.4)
        panel.set_ylim(0, 1.12)
        panel.set_yticks(np.linspace(0, 1, 6))
        panel.set_ylabel("r² of measured and predicted abundance")
        faint_grid(panel)
        medians = "; ".join(f"{name} {known.loc[known['target'] == name, 'r2'].median():.2f}" for name in targets)
        splits = int(known["n_splits"].max())
        return Drawn(
            canvas=made,
            numbers=known,
            title="Overall prediction performance",
            caption="Squared correlation of measured and predicted abundance on held-out wells; one dot per gene"
            f"{f', its median over {splits} splits' if splits > 1 else ''}. Bar: the middle half of the genes, white "
            "dot: the median. Look at the upper tail: most genes need not follow morphology.",
            alt=f"Violins of r² over genes, medians: {medians}",
            notes=_left_out(len(genes), len(known)),
        )


def _violin(panel: Axes, place: int, values: npt.NDArray[np.float64], many: bool) -> None:
    colour = PALETTE[place % len(PALETTE)]
    if len(values) > 1 and np.ptp(values) > 0:
        bodies: Any = panel.violinplot([values], positions=[place], widths=0.85, showextrema=False)["bodies"]
        body = bodies[0]
        body.set(facecolor=colour, alpha=0.3, edgecolor=colour)
    # A fixed draw: equal values give equal pictures.
    spread = np.random.default_rng(0).uniform(-0.16, 0.16, len(values))
    panel.scatter(place + spread, values, s=3, color=colour, alpha=0.35, linewidths=0, rasterized=many, zorder=2)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    panel.vlines(place, low, high, color=colour, linewidth=5, zorder=3)
    panel.plot(place, middle, "o", color="white", markersize=4, zorder=4)
    panel.annotate(f"median {middle:.2f}\n{len(values)} genes", (place, 1.01), ha="center", fontsize=7.5, color=SOFT)


def _left_out(genes: int, known: int) -> tuple[str, ...]:
    return () if genes == known else (f"{genes - known} of {genes} genes have no r², because they do not vary",)
