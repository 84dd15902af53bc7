"""What is compared: the study itself, the sources of vectors, the labels, and images shuffled across wells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, rankdata

from data_tools.simulate import noise_ceiling
from experiments.image2omics.truth.arms import F64, IMAGENET_TILES, Experiment, evaluated
from framework.evaluate import OmicsEvaluation, read_evaluation

ALPHA = 0.05
SAMPLES = 2
"""Omics wells that a label averages, as ingest does."""
TILES = (1, IMAGENET_TILES, 8, 64, 512)
_TESTS = {"wilcoxon": "p_wilcoxon", "regression": "p_regression"}


def scores_of(genes: pd.DataFrame, experiment: Experiment, samples: int = SAMPLES) -> dict[str, dict[str, float]]:
    """Return modality -> how well an evaluation agrees with the truth.

    Args:
        genes: rows of ``OmicsEvaluation.genes``.
        experiment: knows the truth.
        samples: omics wells that a label averages.
    """
    known = experiment.truth.assign(ceiling=noise_ceiling(experiment.truth, samples))
    columns = ["target", "gene", "modality", "depends", "class", "ceiling"]
    joined = genes.merge(known[columns], on=["target", "gene"], validate="one_to_one")
    return {str(name): _scores(table) for name, table in joined.groupby("modality", sort=False)}


def _scores(table: pd.DataFrame) -> dict[str, float]:
    p, depends = table["p_wilcoxon"].to_numpy(), table["depends"].to_numpy(dtype=bool)
    strong = (table["class"] == "strong").to_numpy()
    reached = (table["r2"] / table["ceiling"])[strong]
    significant = p < ALPHA
    return {
        "auroc": auroc(-p, depends),
        "auroc_strong": auroc(-p[strong | ~depends], strong[strong | ~depends]),
        "significant_strong": float(significant[strong].mean()),
        "significant_independent": float(significant[~depends].mean()),
        "share": float(significant.mean()),
        "r2_strong": float(table["r2"][strong].median()),
        "ceiling_strong": float(table["ceiling"][strong].median()),
        "r2_over_ceiling": float(reached.median()),
        "r2_over_ceiling_low": float(reached.quantile(0.25)),
        "r2_over_ceiling_high": float(reached.quantile(0.75)),
        "r2_independent": float(table["r2"][~depends].median()),
    }


def auroc(score: F64, positive: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    """Return the probability that a positive scores higher than a negative, ties counted half; NaN is dropped."""
    known = ~np.isnan(score)
    score, positive = score[known], positive[known]
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    above = rankdata(score)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def study_of(experiment: Experiment) -> dict[str, Any]:
    """Return what the study's own evaluation found: over all splits, and on the split that its backbone held out."""
    evaluation = read_evaluation(experiment.out / "evaluation")
    genes, per_split = evaluation.tables["per_gene"], evaluation.tables["per_split"]
    unseen = per_split[per_split["seed"].astype(str) == str(experiment.seeds[0])]
    known = experiment.truth.assign(ceiling=noise_ceiling(experiment.truth, SAMPLES))
    joined = genes.merge(known[["target", "gene", "modality", "class", "ceiling"]], on=["target", "gene"])
    return {
        "over_splits": scores_of(genes, experiment),
        "unseen_split": scores_of(unseen, experiment),
        "genes": {
            "modality": joined["modality"].tolist(),
            "class": joined["class"].tolist(),
            "r2": joined["r2"].round(4).tolist(),
            "p": joined["p_wilcoxon"].round(6).tolist(),
            "ceiling": joined["ceiling"].round(4).tolist(),
        },
    }


def arms_of(experiment: Experiment, tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """Return one entry per comparison: what was varied, its value, and the scores of each modality."""
    labels, pretrained = experiment.targets(), experiment.embedded("tiles")
    per_well = experiment.sizes()["tiles_per_well"]
    arms: list[dict[str, Any]] = []

    def add(varied: str, value: str, vectors: F64, of: Any = None, samples: int = SAMPLES) -> None:
        tell(f"{varied}: {value}")
        arms.append(_arm(experiment, varied, value, vectors, labels if of is None else of, samples))

    def again(varied: str, value: str) -> None:
        """List the first arm, which all others are compared with, under another name."""
        arms.append({"varied": varied, "value": value, "scores": arms[0]["scores"]})

    add("vectors", "pretrained backbone", pretrained)
    add("vectors", "untrained backbone", experiment.embedded("untrained"))
    if (of_photographs := experiment.imagenet()) is not None:
        add("vectors", f"ImageNet backbone, {IMAGENET_TILES} tiles per well", of_photographs)
    count, intensities = experiment.counted(), experiment.intensities()
    add("vectors", "cell count and mean intensities", np.hstack([count, intensities]))
    add("vectors", "cell count", count)
    add("vectors", "true state of the well", experiment.states())
    arms += _by_tiles(experiment, labels, tell)
    again("tiles per well", f"all (median {per_well})")
    again("imaging batch", "as embedded")
    add("imaging batch", "centred per plate and stimulation", experiment.centred(pretrained))
    again("omics batch", "removed per plate")
    add("omics batch", "left in", pretrained, experiment.labels(plate=None))
    again("label draw", "seed 0")
    for seed in (1, 2):
        add("label draw", f"seed {seed}", pretrained, experiment.labels(seed=seed))
    for number in (1, 4):
        drawn = experiment.labels(wells_per_label=number)
        add("label draw", f"{number} sample(s) averaged", pretrained, drawn, number)
    return arms


def depths_of(experiment: Experiment, tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """Return one entry per number of tiles, on a plate whose wells have many."""
    labels, per_well = experiment.targets(), experiment.sizes()["tiles_per_well"]
    everything = _arm(experiment, "tiles per well", f"all (median {per_well})", experiment.embedded("tiles"), labels)
    return [*_by_tiles(experiment, labels, tell), everything]


def _by_tiles(experiment: Experiment, labels: Any, tell: Callable[[str], object]) -> list[dict[str, Any]]:
    """Return one entry per number of tiles that most wells have."""
    found = []
    for number in TILES:
        if number <= experiment.sizes()["tiles_per_well"]:
            tell(f"tiles per well: {number}")
            vectors = experiment.embedded("tiles", most=number)
            found.append(_arm(experiment, "tiles per well", str(number), vectors, labels))
    return found


def _arm(
    experiment: Experiment, varied: str, value: str, vectors: F64, labels: Any, samples: int = SAMPLES
) -> dict[str, Any]:
    found = evaluated(experiment, vectors, labels, experiment.seeds)
    return {"varied": varied, "value": value, "scores": scores_of(found.genes, experiment, samples)}


def null_of(experiment: Experiment, shuffles: int) -> list[dict[str, Any]]:
    """Return per test and unit what share of genes is significant once images are shuffled, on the first split.

    Wells: each well gets the images of another well of its stimulation. Conditions: all wells of a condition get those
    of the wells of one other condition, so that replicates stay alike, as they are in real data.

    Genes that depend on the state share it, so that their p are not independent of each other; binomial limits hold for
    the independent genes alone, whose values are drawn gene by gene.
    """
    labels, vectors = experiment.targets(), experiment.embedded("tiles")
    entries = []
    for across in ("wells", "conditions"):
        for unit in ("well", "condition"):
            found = []
            for seed in range(shuffles):
                moved = vectors[_order(experiment, across, seed)]
                found.append(evaluated(experiment, moved, labels, experiment.seeds[:1], unit))
            entries += [_null_entry(experiment, across, unit, test, found) for test in _TESTS]
    return entries


def _order(experiment: Experiment, across: str, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return for each well whose images it gets."""
    rng, bags = np.random.default_rng(seed), experiment.dataset.bags
    usable = (bags["n_tiles"] > 0).to_numpy()
    order = np.arange(len(bags))
    for stimulation in bags.loc[usable, "Metadata_Stimulation"].unique():
        mine = np.flatnonzero(usable & (bags["Metadata_Stimulation"] == stimulation).to_numpy())
        if across == "wells":
            order[mine] = rng.permutation(mine)
            continue
        names = bags["Metadata_Perturbation"].astype(str).to_numpy()[mine]
        known = np.unique(names)
        given = dict(zip(known, rng.permutation(known), strict=True))
        wells = {name: mine[names == name] for name in known}
        for name, other in given.items():
            order[wells[name]] = np.resize(wells[other], len(wells[name]))
    return order


def _null_entry(
    experiment: Experiment, across: str, unit: str, test: str, found: Sequence[OmicsEvaluation]
) -> dict[str, Any]:
    depends = experiment.truth.set_index(["target", "gene"])["depends"]
    shares, inside = [], 0
    for evaluation in found:
        keys = pd.MultiIndex.from_frame(evaluation.genes[["target", "gene"]])
        p = evaluation.genes[_TESTS[test]][~depends.loc[keys].to_numpy()].dropna()
        low, high = binom.interval(0.95, len(p), ALPHA)
        hits = int((p < ALPHA).sum())
        inside += int(low <= hits <= high)
        shares.append(hits / len(p))
    return {
        "across": across,
        "unit": unit,
        "test": test,
        "share": float(np.mean(shares)),
        "genes": len(p),
        "limits": [float(low / len(p)), float(high / len(p))],
        "inside": inside,
        "shuffles": len(found),
    }
