"""Figure 6 of Image2Omics: selected genes, each with its wells, sample tiles, and where in them the model looks."""

from __future__ import annotations

from pydantic import Field

from framework.errors import InputError
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.images import channel_colours
from framework.report.omics.chosen import one_of
from framework.report.omics.gene_maps import read_gene_maps
from framework.report.omics.gene_panels import gene_rows, numbers, shown_genes


class ExamplesConfig(FigureConfig):
    """Options of ``omics_examples``."""

    genes: tuple[str, ...] = ()
    """``GENE`` (of the first target that has it) or ``TARGET/GENE``; none named: those of the saliency files."""
    tiles: int = Field(default=4, ge=1, le=25)
    """Tiles per gene."""


@FIGURES.register("omics_examples", ExamplesConfig)
class Examples(FigureKind[ExamplesConfig]):
    """Measured against predicted, tiles, attributions."""

    shows = "selected genes: measured against predicted abundance, sample tiles, and which pixels the model looks at"
    paper = "Figure 6"
    takes = ("scores", "saliency")
    order = 60

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw a row per gene."""
        shown = shown_genes(inputs, self._pairs(inputs))
        empty = [gene for gene in shown if not len(gene.wells)]
        if empty:
            raise InputError(
                f"figure 'omics_examples': no measured test well of {empty[0].target}/{empty[0].gene}; an evaluation "
                "keeps wells of the best and worst genes only, so give --predictions"
            )
        maps = next((gene.maps for gene in shown if gene.maps is not None), None)
        colours = (
            []
            if maps is None
            else [
                f"{name} {colour}"
                for name, (colour, _) in zip(maps.channels, channel_colours(maps.channels), strict=True)
            ]
        )
        return Drawn(
            canvas=gene_rows(shown, self.options.tiles),
            numbers=numbers(shown),
            title="Example gene products",
            caption="Left: measured and predicted abundance in the held-out wells of every split, one dot per well; "
            f"dashed: a perfect prediction. Middle: sample tiles ({', '.join(colours)}). Right: their attributions "
            "(SmoothGrad, the largest over channels), bright where pixels change the prediction. Those of a gene that "
            "is predicted badly say little.",
            alt="; ".join(gene.title for gene in shown),
            notes=tuple(f"no saliency file has maps of {gene.gene}" for gene in shown if gene.maps is None),
        )

    def _pairs(self, inputs: FigureInputs) -> list[tuple[str, str]]:
        known = list(zip(inputs.genes["target"].astype(str), inputs.genes["gene"].astype(str), strict=True))
        of_gene = {gene: (target, gene) for target, gene in reversed(known)}
        if not self.options.genes:
            found = [(each.target, each.gene) for each in read_gene_maps(inputs.saliency)]
            whole_names = set(known)
            pairs = [pair if pair in whole_names else of_gene.get(pair[1]) for pair in found]
            chosen = list(dict.fromkeys(pair for pair in pairs if pair is not None))
            if not chosen:
                genes = ", ".join(gene for _, gene in found[:3])
                raise InputError(f"figure 'omics_examples': the maps are of {genes}, which no prediction file has")
            return chosen
        whole = {f"{target}/{gene}": (target, gene) for target, gene in known}
        names = {**of_gene, **whole}
        return [names[one_of(name, list(names), "gene")] for name in self.options.genes]
