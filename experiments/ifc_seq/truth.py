"""Where the label-free chain must land: better than knowing no marker, worse than measuring them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

PREFIX = "HUMAN_"


@dataclass(frozen=True, kw_only=True)
class ChainCheck:
    """Medians over the genes that truly follow the markers, on imaged cells the network never saw.

    Attributes:
        genes: how many.
        r_standard, r_label_free: Pearson r with the true expression, by measured and by predicted markers.
        rmse_standard, rmse_label_free, rmse_mean: of both chains and of the mean of the sequenced training cells.
        r_independent: of the label-free chain on the genes that follow nothing: should be about 0.
    """

    genes: int
    r_standard: float
    r_label_free: float
    rmse_standard: float
    rmse_label_free: float
    rmse_mean: float
    r_independent: float

    @property
    def holds(self) -> bool:
        """Whether label-free lies between the mean predictor (r 0) and measured markers, in r and in RMSE."""
        in_r = 0 < self.r_label_free < self.r_standard
        return in_r and self.rmse_standard < self.rmse_label_free < self.rmse_mean

    def sentence(self) -> str:
        """Say the five numbers."""
        return (
            f"{self.genes} genes that follow the markers, medians against the truth: Pearson r 0 (mean predictor) < "
            f"{self.r_label_free:.2f} (label-free) < {self.r_standard:.2f} (measured markers); RMSE "
            f"{self.rmse_mean:.3f} > {self.rmse_label_free:.3f} > {self.rmse_standard:.3f}: "
            f"{'as it must be' if self.holds else 'NOT in this order'}. Genes that follow nothing: label-free r "
            f"{self.r_independent:.2f}"
        )


def check_chain(truth: Path, genes: Path) -> ChainCheck:
    """Return the check.

    Args:
        truth: ``truth.csv`` of ``wellstream express``.
        genes: ``truth_genes.parquet`` of the simulation.
    """
    known = pd.read_parquet(genes)
    known["gene"] = known["gene"].str.removeprefix(PREFIX)
    written = pd.read_csv(truth, keep_default_na=False, na_values=[""], dtype={"gene": str})  # a gene may be called NA
    table = written.merge(known[["gene", "class"]], on="gene", validate="one_to_one")
    follow = table[table["class"] == "marker"]
    medians = follow.median(numeric_only=True)
    return ChainCheck(
        genes=len(follow),
        r_standard=float(medians["r_standard"]),
        r_label_free=float(medians["r_label_free"]),
        rmse_standard=float(medians["rmse_standard"]),
        rmse_label_free=float(medians["rmse_label_free"]),
        rmse_mean=float(medians["rmse_mean"]),
        r_independent=float(table.loc[table["class"] == "independent", "r_label_free"].median()),
    )
