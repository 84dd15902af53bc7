"""Predictions made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.data.format.schema import BAG, PERTURBATION, SOURCE, STIMULATION


def well_predictions(seed: int = 0, genes: int = 20, wells: int = 40, target: str = "rna_M1") -> anndata.AnnData:
    """Half of the genes are predicted well, half not at all; perturbation p has two wells and one part."""
    rng = np.random.default_rng(seed)
    perturbation = np.arange(wells) // 2
    part = np.where(
        np.random.default_rng(100 + seed).permutation(wells // 2)[perturbation] < wells // 4, "test", "train"
    )
    truth = np.random.default_rng(7).normal(0, 3, (wells // 2, genes))[perturbation] + 50
    good = np.arange(genes) < genes // 2
    predicted = np.where(good, truth + rng.normal(0, 0.2, truth.shape), 50 + rng.normal(0, 3, truth.shape))
    obs = pd.DataFrame(
        {
            SOURCE: "P1",
            BAG: [f"{chr(65 + i // 12)}{i % 12 + 1:02d}" for i in range(wells)],
            PERTURBATION: [f"KO{p}" for p in perturbation],
            STIMULATION: "M1",
            "part": part,
        },
        index=[str(i) for i in range(wells)],
    )
    train = truth[part == "train"]
    var = pd.DataFrame(
        {
            "target": target,
            "gene": [f"G{g}" for g in range(genes)],
            "train_mean": train.mean(0),
            "train_sd": train.std(0),
        },
        index=[f"{target}/G{g}" for g in range(genes)],
    )
    return anndata.AnnData(
        X=predicted.astype(np.float32),
        obs=obs,
        var=var,
        layers={"measured": truth.astype(np.float32)},
        uns={
            "wellstream": {
                "kind": "predictions",
                "objective": "omics_heads",
                "split": {"by": PERTURBATION, "seed": seed},
            }
        },
    )


@pytest.fixture
def wells() -> Callable[..., Any]:
    return well_predictions
