"""What a simulation knows and a real experiment does not: which genes could be predicted from images at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from framework.evaluate import read_truth

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

    def sentence(self) -> str:
        """Say both shares and what was asked of them."""
        return (
            f"{self.strong:.1%} of {self.n_strong} genes with strong true dependence are significant "
            f"(asked for: at least {STRONG_AT_LEAST:.0%}), "
            f"and {self.independent:.1%} of {self.n_independent} independent genes (at most {INDEPENDENT_AT_MOST:.0%})"
        )


def check_one_split(evaluation: Path, truth: Path, seed: int, alpha: float = 0.05) -> TruthCheck:
    """Check the genes of one split by their Wilcoxon p; see ``check_over_splits`` for the arguments."""
    genes = pd.read_parquet(evaluation / "per_split.parquet")
    of_split = genes[genes["seed"].astype(str) == str(seed)]
    return _check(of_split.assign(significant=of_split["p_wilcoxon"] < alpha), truth)


def check_over_splits(evaluation: Path, truth: Path) -> TruthCheck:
    """Check the genes by their median p over all splits, which is the paper's headline.

    Args:
        evaluation: folder written by ``wellstream evaluate``; targets are named ``<modality>_<stimulation>``.
        truth: ``truth.parquet`` of the simulation.
    """
    return _check(pd.read_parquet(evaluation / "per_gene.parquet"), truth)


def _check(genes: pd.DataFrame, truth: Path) -> TruthCheck:
    joined = genes.merge(read_truth(truth), on=["target", "gene"], validate="one_to_one")
    strong = joined.loc[joined["class"] == "strong", "significant"]
    independent = joined.loc[joined["class"] == "independent", "significant"]
    return TruthCheck(
        strong=float(strong.mean()),
        independent=float(independent.mean()),
        n_strong=len(strong),
        n_independent=len(independent),
    )
