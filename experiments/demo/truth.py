"""What a simulation knows and a real experiment does not: which genes could be predicted from images at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

STRONG_AT_LEAST = 0.80
INDEPENDENT_AT_MOST = 0.07


@dataclass(frozen=True, kw_only=True)
class TruthCheck:
    """Shares of genes called significant on held-out perturbations, by what the simulator knows of them.

    Attributes:
        strong: of the genes whose expression mostly follows the latent state (``class`` strong), 0..1.
        independent: of the genes that do not depend on it at all: false discoveries, 0..1.
        n_strong: how many strong genes were tested.
        n_independent: how many independent genes were tested.
    """

    strong: float
    independent: float
    n_strong: int
    n_independent: int

    @property
    def holds(self) -> bool:
        """Whether both shares are where a sound model and a sound test put them."""
        return self.strong >= STRONG_AT_LEAST and self.independent <= INDEPENDENT_AT_MOST

    def sentences(self) -> tuple[str, str]:
        """Say both shares and what was asked of them."""
        return (
            f"genes with strong true dependence that are significant on held-out perturbations: {self.strong:.1%} of "
            f"{self.n_strong} (asked for: at least {STRONG_AT_LEAST:.0%})",
            f"independent genes that are significant: {self.independent:.1%} of {self.n_independent} "
            f"(asked for: at most {INDEPENDENT_AT_MOST:.0%})",
        )


def check_against_truth(evaluation: Path, truth: Path) -> TruthCheck:
    """Join an evaluation's genes with the simulator's truth.

    Args:
        evaluation: folder written by ``wellstream evaluate``; targets are named ``<modality>_<stimulation>``.
        truth: ``truth.parquet`` of the simulation.
    """
    genes = pd.read_parquet(evaluation / "per_gene.parquet")
    known = pd.read_parquet(truth)
    known["target"] = known["modality"] + "_" + known["stimulation"]
    joined = genes.merge(known[["target", "gene", "class"]], on=["target", "gene"], validate="one_to_one")
    strong = joined.loc[joined["class"] == "strong", "significant"]
    independent = joined.loc[joined["class"] == "independent", "significant"]
    return TruthCheck(
        strong=float(strong.mean()),
        independent=float(independent.mean()),
        n_strong=len(strong),
        n_independent=len(independent),
    )
