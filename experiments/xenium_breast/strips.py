"""Expression of single cells from DAPI: three strips of a field held out in turn, three seeds, beside every baseline.

    python -m experiments.xenium_breast.strips --field FOLDER --out xenium

``FOLDER`` holds ``morphology_mip.tif`` and ``transcripts.csv.gz``. Ingest -> train and predict for each strip and seed
-> the same network that sees only the nucleus, or only what surrounds it -> ridge regression on what knows less, its
strength chosen among the training strips. Run again, it continues. Score: Pearson r per gene within the held-out strip,
mean over the strips; genes are those seen in at least 50 cells of the field. Intervals resample cells within strips,
the same ones for all rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table
from sklearn.preprocessing import StandardScaler

from experiments.demo.steps import Protocol, overrides, table_made
from experiments.xenium_breast.features import (
    BLOCK,
    COUNTED,
    FILTERS,
    STATISTICS,
    Field,
    density,
    features,
    of_neighbours,
)
from framework.baselines import ridge
from framework.data.dataset import Dataset
from framework.evaluate.intervals import difference_interval, quantile_interval
from framework.evaluate.metrics import pearson
from framework.files.h5ad import read_h5ad
from framework.models.filter_bank import FilterBankConfig
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
ALPHAS = (10.0, 100.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0)
"""Strengths of the regression, of which each row has the best on its training strips."""
_NUCLEUS_PX = 22
"""Rings to here are the nucleus; nuclei of this field are about 9 um, or 42 px, wide."""
Floats = npt.NDArray[np.float64]


def _rings(nucleus: bool) -> str:
    edges = FilterBankConfig().rings_px
    kept = [edge for edge in edges if (edge <= _NUCLEUS_PX if nucleus else edge >= _NUCLEUS_PX)]
    return "[" + ", ".join(f"{edge:g}" for edge in kept) + "]"


NETWORKS: dict[str, tuple[str, ...]] = {
    "network": (),
    "nucleus alone": (f"objective.backbone.rings_px={_rings(nucleus=True)}",),
    "surroundings alone": (f"objective.backbone.rings_px={_rings(nucleus=False)}",),
}
"""Row of the table -> what its training changes."""


def make(field: Path, out: Path, seeds: Sequence[int], protocol: Protocol) -> None:
    """Run every command below ``out``; what is there already is continued or kept.

    Raises:
        StepFailed: a command failed.
    """
    data = out / "data"
    reader = "sources.0.reader."
    images, table = (
        f"{reader}images.DAPI={field / 'morphology_mip.tif'}",
        f"{reader}table={field / 'transcripts.csv.gz'}",
    )
    protocol.run("Ingest", "ingest", CONFIGS / "ingest.yaml", "--out", data, images, table)
    strips = sorted(str(name) for name in Dataset.open(data).bags[BLOCK])
    for network, changes in NETWORKS.items():
        for seed in _seeds(network, seeds):
            for strip in strips:
                run = _run(out, network, seed, strip)
                if (run / "predictions" / "expression.h5ad").is_file():
                    continue
                places = overrides(run_dir=run, data__path=data, train__seed=seed)
                what = f"{network}, seed {seed}, without strip {strip}"
                split = f'split.test=["{strip}"]'
                protocol.run(f"Train {what}", "train", CONFIGS / "train.yaml", *places, split, *changes)
                protocol.run(f"Predict {what}", "predict", run, "--out", run / "predictions")


def compare(out: Path, seeds: Sequence[int], resamples: int = 300) -> dict[str, Any]:
    """Score all rows on the same cells and genes.

    Returns:
        ``rows``: one per network and baseline: median r with interval, genes above 0.2, 0.3 and 0.4, r of each seed,
        by how much the network is above it, and the median of what ``_beyond_region`` leaves; ``genes``: r of each
        gene; ``genes_beyond_region``: likewise; ``cells``: per strip.

    Raises:
        WellstreamError: predictions that cannot be read.
    """
    field = Field.read(out / "data")
    predicted = _all_predicted(field, out, seeds)
    draws, region = _draws(field, resamples), _region(field)
    medians = {
        name: np.mean([_medians(field, one, draws) for one in several], axis=0) for name, several in predicted.items()
    }
    of_genes = {name: np.array([_scores(field, one) for one in several]) for name, several in predicted.items()}
    beyond = {
        name: np.mean([_beyond_region(field, one, region) for one in several], axis=0)
        for name, several in predicted.items()
    }
    first = next(iter(predicted))
    top = float(np.median(of_genes[first], axis=1).mean())
    rows = []
    for name, scores in of_genes.items():
        mean, middle = scores.mean(axis=0), float(np.median(scores, axis=1).mean())
        low, high = quantile_interval(medians[name])
        rows.append(
            {
                "row": name,
                "median_r": middle,
                "low": low,
                "high": high,
                "of_seeds": [float(np.median(each)) for each in scores],
                "above_0.3_of_seeds": [int((each > 0.3).sum()) for each in scores],
                **{f"above_{limit}": int((mean > limit).sum()) for limit in (0.2, 0.3, 0.4)},
                "network_is_above_by": [
                    top - middle,
                    *difference_interval(top - middle, medians[first] - medians[name]),
                ],
                "median_r_beyond_region": float(np.median(beyond[name])),
            }
        )
    return {
        "cells": {strip: len(field.rows(strip)) for strip in field.strips},
        "genes_scored": len(field.genes),
        "rows": rows,
        "genes": {name: _by_gene(field, scores.mean(axis=0)) for name, scores in of_genes.items()},
        "genes_beyond_region": {name: _by_gene(field, beyond[name]) for name in NETWORKS},
    }


def _all_predicted(field: Field, out: Path, seeds: Sequence[int]) -> dict[str, list[Floats]]:
    """Return row -> (T, G) of each of its seeds; the first row is the network."""
    found = {
        network: [_predictions(field, out, network, seed) for seed in _seeds(network, seeds)] for network in NETWORKS
    }
    networks = next(iter(found.values()))
    values = features(field)
    measured = {name: _ridge(field, each, shuffled=False) for name, each in values.items()}
    statistics, counted = measured[STATISTICS], measured[COUNTED]
    found["seeds averaged"] = [np.mean(networks, axis=0)]
    found["network and statistics, averaged"] = [_together(field, one, statistics) for one in networks]
    found["network and density, averaged"] = [_together(field, one, counted) for one in networks]
    found |= {name: [one] for name, one in measured.items()}
    found["the filters, cells shuffled within strips"] = [_ridge(field, values[FILTERS], shuffled=True)]
    found["its neighbours' transcripts (no prediction)"] = [of_neighbours(field)]
    return found


def _together(field: Field, *several: Floats) -> Floats:
    """Return the mean of predictions that are standardised per strip and gene."""
    found = np.zeros_like(several[0])
    for strip in field.strips:
        rows = field.rows(strip)
        for one in several:
            spread = one[rows].std(axis=0)
            found[rows] += (one[rows] - one[rows].mean(axis=0)) / np.where(spread > 0, spread, 1.0) / len(several)
    return found


def _region(field: Field) -> tuple[Floats, Floats]:
    """Return what says where a cell lies: (T, 8) density and place, and (T, G) what its neighbours express."""
    y, x = field.place.T
    where = np.column_stack([density(field), y, x, x * y, x * x, y * y])
    return where, of_neighbours(field)


def _beyond_region(field: Field, predicted: Floats, region: tuple[Floats, Floats]) -> Floats:
    """Return r (G,) between what predictions and measurements hold beyond the region of a cell, the mean over strips.

    Both are residuals of a linear regression, within the strip, on density, place and the mean of the same gene in the
    nearest cells.
    """
    where, around = region
    found = np.zeros(len(field.genes))
    for strip in field.strips:
        rows = field.rows(strip)
        known = StandardScaler().fit_transform(where[rows])
        for gene in range(len(field.genes)):
            design = np.column_stack([np.ones(len(rows)), known, around[rows, gene]])
            both = np.column_stack([predicted[rows, gene], field.measured[rows, gene]])
            left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
            # A prediction that the region explains to the last digit holds nothing beyond it.
            if left[:, 0].std() > 1e-6 * max(float(both[:, 0].std()), 1e-12):
                found[gene] += float(np.nan_to_num(pearson(left[:, :1], left[:, 1:])[0])) / len(field.strips)
    return found


def _by_gene(field: Field, values: Floats) -> dict[str, float]:
    return dict(zip(field.genes, np.round(values, 4).tolist(), strict=True))


def _seeds(network: str, seeds: Sequence[int]) -> Sequence[int]:
    """Return the seeds of a network: all of the first one, one of those that only say where its r comes from."""
    return seeds if network == next(iter(NETWORKS)) else seeds[:1]


def _run(out: Path, network: str, seed: int, strip: str) -> Path:
    return out / "runs" / f"{network.replace(' ', '-')}-{seed}-{strip}"


def _predictions(field: Field, out: Path, network: str, seed: int) -> Floats:
    """Return (T, G), each strip predicted by the network that did not see it; the mean of a gene it left out is 0."""
    found = np.zeros_like(field.measured)
    for strip in field.strips:
        data: anndata.AnnData = read_h5ad(_run(out, network, seed, strip) / "predictions" / "expression.h5ad")
        values = pd.DataFrame(np.asarray(data.X), index=data.obs["tile"].to_numpy(), columns=data.var_names)
        tiles = field.rows(strip)
        found[tiles] = values.reindex(index=tiles, columns=field.genes).fillna(0.0).to_numpy(np.float64)
    return found


def _ridge(field: Field, values: Floats, *, shuffled: bool) -> Floats:
    """Return (T, G), each strip predicted by a ridge regression on the others.

    Its strength is the one that predicts each of those from the rest of them best.
    """
    found, order = np.zeros_like(field.measured), np.arange(len(values))
    if shuffled:
        random = np.random.default_rng(0)
        for strip in field.strips:
            rows = field.rows(strip)
            order[rows] = random.permutation(rows)
    mixed, codes = values[order], np.unique(field.strip.astype(str), return_inverse=True)[1].astype(np.int64)
    for strip in field.strips:
        test = field.strip == strip
        of_training, folds = (mixed[~test], field.measured[~test]), len(field.strips) - 1
        fit = ridge(*of_training, mixed[test], codes[~test], folds, strengths=ALPHAS, by="r")
        found[test] = fit.predicted
    return found


def _scores(field: Field, predicted: Floats, cells: Callable[[str], npt.NDArray[np.int64]] | None = None) -> Floats:
    """Return r of each gene, the mean over strips; it is 0 in one where predictions or counts are constant."""
    rows = cells or field.rows
    each = [pearson(predicted[rows(strip)], field.measured[rows(strip)]) for strip in field.strips]
    return np.asarray(np.nan_to_num(each).mean(axis=0))


def _draws(field: Field, count: int) -> list[dict[str, npt.NDArray[np.int64]]]:
    """Return resampled cells of each strip."""
    random = np.random.default_rng(0)
    rows = {strip: field.rows(strip) for strip in field.strips}
    return [{strip: random.choice(of, len(of)) for strip, of in rows.items()} for _ in range(count)]


def _medians(field: Field, predicted: Floats, draws: Sequence[dict[str, npt.NDArray[np.int64]]]) -> Floats:
    return np.array([np.median(_scores(field, predicted, draw.__getitem__)) for draw in draws])


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the rows."""
    table = Table(
        "row", "median r [95 %]", "seeds", "> .2", "> .3", "> .4", "network is above by", "beyond region", box=None
    )
    for row in found["rows"]:
        table.add_row(
            row["row"],
            f"{row['median_r']:.3f} [{row['low']:.2f}, {row['high']:.2f}]",
            " ".join(f"{each:.3f}" for each in row["of_seeds"]),
            *(str(row[f"above_{limit}"]) for limit in (0.2, 0.3, 0.4)),
            "{:+.3f} [{:+.2f}, {:+.2f}]".format(*row["network_is_above_by"]),
            f"{row['median_r_beyond_region']:.3f}",
        )
    console.print(table, soft_wrap=True)


def main() -> int:
    """Make what is missing, compare, print and write ``OUT/strips.json``."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.xenium_breast.strips",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--field", type=Path, required=True, help="folder with morphology_mip.tif, transcripts.csv.gz")
    parser.add_argument("--out", type=Path, default=Path("xenium"), help="folder for everything that is made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one network per seed and strip")
    options = parser.parse_args()
    return table_made(
        Terminal(),
        options.out / "strips.json",
        lambda protocol: make(options.field, options.out, options.seeds, protocol),
        lambda: compare(options.out, options.seeds),
        show,
    )


if __name__ == "__main__":
    sys.exit(main())
