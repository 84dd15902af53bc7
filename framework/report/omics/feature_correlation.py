"""Figure 13 of Image2Omics: which interpretable features the learned ones resemble, by canonical correlation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from framework.evaluate.canonical import canonical
from framework.evaluate.embeddings import matched
from framework.evaluate.wells import well_means
from framework.features.profiles import ward_order
from framework.report.canvas import INK, figure, shortened
from framework.report.drawn import Drawn
from framework.report.figure import FIGURES, FigureConfig, FigureKind
from framework.report.figure_inputs import FigureInputs
from framework.report.omics.panels import WIDTH


class FeatureCorrelationConfig(FigureConfig):
    """Options of ``feature_correlation``."""

    top: int = Field(default=30, ge=2, le=200)
    """Interpretable features that are drawn: those with the highest similarity to any learned one."""
    components: int = Field(default=3, ge=1, le=50)
    """Pairs of canonical variates that the similarity is taken over."""


@FIGURES.register("feature_correlation", FeatureCorrelationConfig)
class FeatureCorrelation(FigureKind[FeatureCorrelationConfig]):
    """Heat map of canonical similarity."""

    shows = "how similar interpretable features (rows) are to learned ones (columns), by canonical correlation"
    paper = "Figure 13"
    takes = ("embeddings", "features")
    order = 130

    def draw(self, inputs: FigureInputs) -> Drawn:
        """Draw the heat map: learned features in columns, interpretable ones in rows, brighter is more similar."""
        learned, measured = well_means(inputs.embedded), well_means(inputs.measured_features)
        left, right = matched(learned, measured, (str(inputs.embeddings), str(inputs.features)))
        found = canonical(left.to_numpy(np.float64), right.to_numpy(np.float64), self.options.components)
        table = pd.DataFrame(found.similarity, index=measured.columns, columns=learned.columns)
        rows = table.abs().max(axis=1).sort_values(ascending=False, kind="stable").head(self.options.top).index
        shown = table.loc[rows]
        shown = shown.iloc[ward_order(shown.to_numpy()), ward_order(shown.to_numpy().T)]
        made, axes = figure(WIDTH, 1.1 + 0.155 * len(shown))
        image = axes[0, 0].imshow(shown.abs().to_numpy(), aspect="auto", cmap="magma", vmin=0, interpolation="nearest")
        axes[0, 0].set_yticks(range(len(shown)), [shortened(name, 38) for name in shown.index], fontsize=7, color=INK)
        axes[0, 0].set_xlabel(f"learned features ({shown.shape[1]})")
        axes[0, 0].set_xticks([])
        made.colorbar(image, ax=axes[0, 0], label="similarity (size)", shrink=0.6, pad=0.02)
        first = ", ".join(f"{value:.2f}" for value in found.correlations[: self.options.components])
        long = table.rename_axis("feature").reset_index().melt("feature", var_name="learned", value_name="similarity")
        return Drawn(
            canvas=made,
            numbers=long,
            title="Correlation with interpretable morphology features",
            caption=f"Canonical correlation of the means of {len(left)} wells (first correlations: {first}). Colour: "
            "size of the similarity of an interpretable and a learned feature in the space of the first "
            f"{min(self.options.components, len(found.correlations))} pairs of variates; the {len(shown)} most similar "
            f"of {len(table)} interpretable features. A learned feature that is dark throughout shows something that "
            "was not measured.",
            alt=f"Heat map of similarity; most similar: {rows[0]} ({table.loc[rows[0]].abs().max():.2f})",
            notes=_unmatched(len(learned), len(measured), len(left)),
        )


def _unmatched(learned: int, measured: int, both: int) -> tuple[str, ...]:
    if learned == measured == both:
        return ()
    return (f"{learned} wells have embeddings, {measured} have features, {both} have both and are used",)
