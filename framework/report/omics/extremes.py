"""Figure 12 of Image2Omics: the gene that is predicted best and the one that is predicted worst, of each target."""

from __future__ import annotations

from pydantic import Field

from framework.errors import InputError
from framework.evaluate import rank_genes
from framework.report.canvas import figure
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.chosen import OfTargets, chosen_targets
from framework.report.omics.gene_panels import gene_rows, numbers, scatter, shown_genes
from framework.report.omics.panels import WIDTH


class ExtremesConfig(OfTargets):
    """Options of ``omics_extremes``."""

    tiles: int = Field(default=4, ge=1, le=25)
    """Tiles per gene, where saliency files are given."""


@FIGURES.register("omics_extremes", ExtremesConfig)
class Extremes(FigureKind[ExtremesConfig]):
    """Best and worst gene of each target."""

    shows = "measured against predicted abundance of the best and the worst gene of each target; with maps also tiles"
    paper = "Figure 12"
    takes = ("scores",)
    also = ("saliency",)
    order = 120

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw the best gene left and the worst right; with maps of any of them a row per gene."""
        ranked = inputs.scored.summary["options"]["ranked"]
        pairs, notes = [], []
        for target in chosen_targets(inputs, self.options.targets):
            best, worst = rank_genes(inputs.genes[inputs.genes["target"] == target], 1, ranked)
            if len(best) and len(worst):
                pairs += [(target, str(best["gene"].iloc[0])), (target, str(worst["gene"].iloc[0]))]
            else:
                notes.append(f"{target}: fewer than two genes can be ranked ({ranked})")
        if not pairs:
            raise InputError(f"figure 'omics_extremes': nothing to show: {'; '.join(notes)}; evaluate with ranked=all")
        shown = shown_genes(inputs, pairs)
        if any(gene.maps is not None for gene in shown):
            made = gene_rows(shown, self.options.tiles)
        else:
            made, axes = figure(WIDTH, 2.35 * len(shown) / 2, len(shown) // 2, 2)
            for panel, gene in zip(axes.ravel(), shown, strict=True):
                scatter(panel, gene)
                panel.set_title(gene.title, fontsize=7)
        return Drawn(
            canvas=made,
            numbers=numbers(shown),
            title="Most and least predictable gene products",
            caption="The gene with the highest (first) and the lowest (second) median r² of each target"
            + (", among genes whose error and regression are significant" if ranked == "significant" else "")
            + "; one dot per held-out well of every split, dashed: a perfect prediction.",
            alt="; ".join(gene.title for gene in shown),
            notes=tuple(notes),
        )
