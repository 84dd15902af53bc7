"""Figure 4 of Image2Omics: how well genes are predicted, by the place of their product in the cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from pydantic import Field

from framework.errors import InputError
from framework.report.canvas import INK, PALETTE, SOFT, faint_grid, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.annotations import read_locations, symbols_of
from framework.report.omics.chosen import OfTargets, chosen_targets
from framework.report.omics.panels import panels_of, spoken


class LocationsConfig(OfTargets):
    """Options of ``omics_locations``."""

    top: int = Field(default=8, ge=1, le=40)
    """Locations with the most genes."""
    reliability: tuple[str, ...] = ("Approved",)
    """Genes whose location was found with this reliability: Enhanced, Supported, Approved, Uncertain."""


@FIGURES.register("omics_locations", LocationsConfig)
class Locations(FigureKind[LocationsConfig]):
    """r2 by subcellular location."""

    shows = "r² of genes by the place of their product in the cell, the largest places, from least to best predicted"
    paper = "Figure 4"
    takes = ("scores", "locations")
    order = 40

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw one box per location, in a panel per target."""
        places = read_locations(str(inputs.locations), self.options.reliability)
        targets, tables, notes = chosen_targets(inputs, self.options.targets), {}, []
        for target in targets:
            genes = inputs.genes[(inputs.genes["target"] == target) & inputs.genes["r2"].notna()]
            rows = _of_target(genes, places)
            located = rows["gene"].nunique()
            notes.append(f"{target}: {located} of {len(genes)} genes have a location of this reliability")
            if len(rows):
                tables[target] = _largest(rows, self.options.top)
        if not tables:
            some = ", ".join(inputs.genes["gene"].astype(str).head(3))
            raise InputError(
                f"figure 'omics_locations': no predicted gene ({some} ...) has a location in {inputs.locations}; "
                "expected symbols or Ensembl names of human genes"
            )
        made, placed, _ = panels_of(list(tables), 3.1)
        for place, (target, rows) in enumerate(tables.items()):
            _boxes(placed[target], rows, PALETTE[place % len(PALETTE)])
            placed[target].set_title(spoken(target), fontsize=9)
        made.supylabel("r² of measured and predicted abundance", fontsize=9)
        means = {name: rows.groupby("location", sort=False)["r2"].mean() for name, rows in tables.items()}
        best = "; ".join(f"{name} {mean.index[-1]} {mean.iloc[-1]:.2f}" for name, mean in means.items())
        return Drawn(
            canvas=made,
            numbers=pd.concat([rows.assign(target=name) for name, rows in tables.items()], ignore_index=True)[
                ["target", "location", "gene", "r2"]
            ],
            title="Predictability by subcellular localisation",
            caption="r² on held-out wells by location (Human Protein Atlas, "
            f"{' and '.join(self.options.reliability)}), the {self.options.top} locations with the most genes, from "
            "the lowest mean r² (left) to the highest. Box: middle half, line: median, diamond: mean, whiskers: 5th to "
            "95th percentile, above: genes. A gene with several locations counts in each; others are not shown.",
            alt=f"Boxes of r² by location; best on average: {best}",
            notes=tuple(notes),
        )


def _of_target(genes: pd.DataFrame, places: pd.DataFrame) -> pd.DataFrame:
    """Return ``gene``, ``location``, ``r2``: one row for each location of a gene of one target."""
    names: Mapping[str, str] = symbols_of(genes["gene"].astype(str).tolist(), places)
    own = genes[["gene", "r2"]].assign(symbol=genes["gene"].astype(str).map(dict(names)))
    joined = own.merge(places, left_on="symbol", right_on="gene", suffixes=("", "_known"))
    return joined[["gene", "location", "r2"]].drop_duplicates(ignore_index=True)


def _largest(rows: pd.DataFrame, top: int) -> pd.DataFrame:
    """Return the rows of the locations with the most genes, by mean r2; equal ones by name."""
    sizes = rows.groupby("location", sort=True)["r2"].agg(["size", "mean"]).reset_index()
    kept = sizes.sort_values(["size", "location"], ascending=[False, True], kind="stable").head(top)
    order = kept.sort_values(["mean", "location"], kind="stable")["location"].tolist()
    chosen = rows[rows["location"].isin(order)]
    rank = {name: place for place, name in enumerate(order)}
    ranked = chosen.assign(rank=chosen["location"].map(rank)).sort_values(["rank", "gene"], kind="stable")
    return ranked[["gene", "location", "r2"]]


def _boxes(panel: Axes, rows: pd.DataFrame, colour: str) -> None:
    groups: dict[str, npt.NDArray[np.float64]] = {
        str(name): part["r2"].to_numpy(dtype=np.float64) for name, part in rows.groupby("location", sort=False)
    }
    panel.boxplot(
        list(groups.values()),
        positions=list(range(len(groups))),
        widths=0.62,
        whis=(5, 95),
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.55, "linewidth": 0.8},
        medianprops={"color": INK, "linewidth": 1.2},
        meanprops={"marker": "D", "markersize": 3.5, "markerfacecolor": "white", "markeredgecolor": INK},
        whiskerprops={"color": SOFT},
        capprops={"color": SOFT},
    )
    top = max(float(np.quantile(values, 0.95)) for values in groups.values())
    for place, values in enumerate(groups.values()):
        panel.annotate(str(len(values)), (place, top * 1.04 + 0.01), ha="center", fontsize=7, color=SOFT)
    names = [shortened(name, 22) for name in groups]
    panel.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=7.5)
    panel.set_ylim(0, min(1.15, top * 1.15 + 0.02))
    faint_grid(panel)
