"""Theme ``scores``: the evaluation of Image2Omics, every gene and every split, against scipy called gene by gene.

Predictions are made up: wells of which half of the genes are predicted. Both arms must find the same r2, SMAPE and p of
the signed-rank, the Mann-Whitney and the regression test, to 1e-9, or the comparison is void. scipy is measured on
some of the genes of one split.
"""

from __future__ import annotations

from statistics import median

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from benchmarks.harness import Arm, Finding, Measured, WrongPixels, measure
from framework.data.format.schema import BAG, PERTURBATION, SOURCE
from framework.evaluate import evaluate_omics

GENES, SPLITS, WELLS, SAMPLED = 26_317, 10, 124, 200
"""The paper's transcripts; a fifth of 152 knock-outs with four replicates are about 124 test wells."""
AGREEMENT = 1e-9
_MOST_S = 30.0
_COLUMNS = ("r2", "smape", "smape_baseline", "p_wilcoxon", "p_mannwhitney", "p_regression")


def run(*, quick: bool) -> list[Measured]:
    """Measure the paper's number of genes over ten splits; ``quick``: 500 genes over two."""
    genes, splits = (500, 2) if quick else (GENES, SPLITS)
    files = [predictions(genes, seed) for seed in range(splits)]
    some = np.linspace(0, genes - 1, SAMPLED).astype(np.int64)
    found: dict[str, pd.DataFrame] = {}

    def ours() -> None:
        found["ours"] = evaluate_omics(files).per_split

    def theirs() -> None:
        found["theirs"] = gene_by_gene(files[0], some)

    theirs_cost = measure([Arm(name="scipy", work=theirs, is_limit=True)], 1).cpu_seconds["scipy"]
    costs = measure([Arm(name="wellstream", work=ours, is_limit=True)], 1)
    need_equal(found["ours"], found["theirs"], some)
    spent = float(median(costs.cpu_seconds["wellstream"]))
    each, whole = median(theirs_cost) / SAMPLED, spent / (genes * splits)
    bound = {} if quick else {"most": _MOST_S}
    return [
        Measured(
            theme="scores",
            case=f"{genes:,} genes x {splits} splits of {WELLS} test wells, six statistics",
            unit="genes",
            items=genes * splits,
            costs=costs,
            limit="wellstream",
            findings=(
                Finding(
                    name="all genes and splits", value=float(median(costs.seconds["wellstream"])), unit="s", **bound
                ),
                Finding(name="the same in CPU-seconds", value=spent, unit="s"),
                Finding(name="CPU-seconds of a gene: scipy / wellstream", value=each / whole, unit="x", least=10.0),
            ),
            notes=(f"scipy is called gene by gene for {SAMPLED} genes of one split",),
        )
    ]


def predictions(genes: int, seed: int) -> anndata.AnnData:
    """Return predictions of one split: test wells alone, half of the genes predicted with r2 0.5."""
    random = np.random.default_rng(seed)
    signal, noise, other = random.normal(size=(3, WELLS, genes)).astype(np.float32)
    known = (np.arange(genes) % 2).astype(np.float32)
    obs = pd.DataFrame(
        {
            SOURCE: "P",
            BAG: [f"W{well:03d}" for well in range(WELLS)],
            PERTURBATION: [f"KO{well // 4}" for well in range(WELLS)],
            "part": "test",
        },
        index=[str(well) for well in range(WELLS)],
    )
    var = pd.DataFrame({"train_mean": 50.0, "train_sd": 4.0}, index=[f"G{gene}" for gene in range(genes)])
    facts = {"kind": "predictions", "target": "transcripts_M1", "split": {"by": PERTURBATION, "seed": seed}}
    return anndata.AnnData(
        X=50 + 4 * (known * signal + (1 - known) * 0.5 * other),
        obs=obs,
        var=var,
        layers={"measured": 50 + 4 * (signal + noise)},
        uns={"wellstream": facts},
    )


def gene_by_gene(data: anndata.AnnData, genes: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Return the six statistics of some genes, each from scipy's own call."""
    predicted, measured = (np.asarray(each, dtype=np.float64) for each in (data.X, data.layers["measured"]))
    rows = []
    for gene in genes:
        p, t = predicted[:, gene], measured[:, gene]
        mean = float(data.var["train_mean"].iloc[gene])
        ours, theirs = (100 * np.abs(each - t) / (np.abs(each) + np.abs(t)) for each in (p, np.full_like(t, mean)))
        line = stats.linregress(p, t)
        signed = stats.wilcoxon(ours, theirs, alternative="less", correction=False, method="approx")
        ranks = stats.mannwhitneyu(ours, theirs, alternative="less", method="asymptotic")
        rows.append(
            (line.rvalue**2, ours.mean(), theirs.mean(), signed.pvalue, ranks.pvalue, line.pvalue),
        )
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def need_equal(ours: pd.DataFrame, theirs: pd.DataFrame, genes: npt.NDArray[np.int64]) -> None:
    """Check that each statistic is scipy's. Raises WrongPixels: one is not."""
    mine = ours[ours["seed"].astype(str) == "0"].set_index("gene").loc[[f"G{gene}" for gene in genes]]
    for name in _COLUMNS:
        gap = np.abs(mine[name].to_numpy() - theirs[name].to_numpy())
        if not (gap <= AGREEMENT).all():
            raise WrongPixels(f"{name} differs from scipy's by {gap.max():.3g}")
