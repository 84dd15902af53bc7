"""Panels of single genes: measured against predicted abundance, tiles, and the attributions in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.report.canvas import ACCENT, INK, SOFT, bare, figure, shortened
from framework.report.figure_inputs import FigureInputs
from framework.report.figures.scale import draw_scale_bar
from framework.report.omics.gene_maps import GeneMaps, maps_of, read_gene_maps
from framework.report.omics.panels import WIDTH, spoken

_MANY = 3000


@dataclass(frozen=True, kw_only=True)
class ShownGene:
    """A gene to show.

    Attributes:
        target, gene: which.
        r2: its median over splits.
        wells: measured and predicted, one row per test well and split.
        maps: tiles and attributions, where a file has them.
    """

    target: str
    gene: str
    r2: float
    wells: pd.DataFrame
    maps: GeneMaps | None

    @property
    def title(self) -> str:
        """Gene, target and r2."""
        return f"{shortened(self.gene, 18)} ({spoken(self.target)}), r² {self.r2:.2f}"


def shown_genes(inputs: FigureInputs, pairs: Sequence[tuple[str, str]]) -> list[ShownGene]:
    """Return what is known of (target, gene) pairs."""
    maps = read_gene_maps(inputs.saliency)
    r2: Mapping[Any, Any] = inputs.genes.set_index(["target", "gene"])["r2"].to_dict()
    wells = {
        target: inputs.wells(target, [gene for name, gene in pairs if name == target])
        for target in dict.fromkeys(target for target, _ in pairs)
    }
    return [
        ShownGene(
            target=target,
            gene=gene,
            r2=float(r2.get((target, gene), float("nan"))),
            wells=wells[target][wells[target]["gene"] == gene].dropna(subset=["measured", "predicted"]),
            maps=maps_of(maps, target, gene),
        )
        for target, gene in pairs
    ]


def scatter(panel: Axes, shown: ShownGene, label: bool = True) -> None:
    """Draw a dot per well of every split, and the line of a perfect prediction."""
    measured, predicted = (shown.wells[name].to_numpy(dtype=np.float64) for name in ("measured", "predicted"))
    panel.scatter(measured, predicted, s=9, color=ACCENT, alpha=0.5, linewidths=0, rasterized=len(shown.wells) > _MANY)
    if len(measured):
        low, high = min(measured.min(), predicted.min()), max(measured.max(), predicted.max())
        panel.plot([low, high], [low, high], color=SOFT, linewidth=0.8, linestyle="--")
    panel.tick_params(labelsize=7)
    panel.locator_params(nbins=4)
    if label:
        panel.set_xlabel("measured abundance", fontsize=8)
        panel.set_ylabel("predicted abundance", fontsize=8)


def gene_rows(shown: Sequence[ShownGene], tiles: int) -> Figure:
    """Draw a row per gene: the wells, a mosaic of tiles, and the attributions in these tiles."""
    made, axes = figure(WIDTH, 1.95 * len(shown), len(shown), 3)
    for row, gene in zip(axes, shown, strict=True):
        scatter(row[0], gene)
        row[0].set_title(gene.title, fontsize=8.5)
        for panel in row[1:]:
            bare(panel)
        if gene.maps is None:
            row[1].text(0.5, 0.5, "no maps of\nthis gene", ha="center", va="center", color=SOFT, fontsize=8)
            row[2].set_visible(False)
            continue
        picture = gene.maps.tiles(tiles)
        row[1].imshow(picture, interpolation="nearest")
        draw_scale_bar(row[1], gene.maps.pixel_size_um, picture.shape[1], picture.shape[0])
        row[2].imshow(gene.maps.attributions(tiles), interpolation="nearest", cmap="inferno", vmin=0, vmax=1)
    if any(gene.maps is not None for gene in shown):
        axes[-1, 1].set_xlabel("tiles", fontsize=8, color=INK)
        axes[-1, 2].set_xlabel("attributions (SmoothGrad)", fontsize=8, color=INK)
    return made


def numbers(shown: Sequence[ShownGene]) -> pd.DataFrame:
    """Return the wells that are drawn, one row per dot."""
    parts = [gene.wells.assign(target=gene.target, r2=gene.r2) for gene in shown]
    table = pd.concat(parts, ignore_index=True)
    first = ["target", "gene", "r2", "seed"]
    return table[[*first, *(name for name in table.columns if name not in first)]]
