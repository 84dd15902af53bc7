"""Expression of single cells from DAPI: three strips of a field held out in turn, three seeds, beside every baseline.

    python -m experiments.xenium_breast.strips --field FOLDER --out xenium

``FOLDER`` holds ``morphology_mip.tif`` and ``transcripts.csv.gz``. Ingest -> train and predict for each strip and seed
-> the same network that sees only the nucleus, or only what surrounds it -> ridge regression (alpha 100) on what knows
less. Run again, it continues. Score: Pearson r per gene within the held-out strip, mean over the strips; genes are
those seen in at least 50 cells of the field. Intervals resample cells within strips, the same ones for all rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from scipy.spatial import cKDTree
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from torch import nn

from experiments.demo.steps import Protocol, overrides, table_made
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.evaluate.intervals import quantile_interval
from framework.evaluate.metrics import pearson
from framework.files.h5ad import read_h5ad
from framework.models.filter_bank import FilterBank, FilterBankConfig
from framework.objectives.cell_expression import log_share
from framework.terminal import Terminal

CONFIGS = Path(__file__).parent
TOTAL, BLOCK = "transcripts", "Metadata_Block"
MIN_CELLS = 50
ALPHA = 100.0
_NUCLEUS_PX = 22
"""Rings to here are the nucleus; nuclei of this field are about 9 um, or 42 px, wide."""
_CHUNK = 64
_INNER_RINGS = 7
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


@dataclass(frozen=True, kw_only=True)
class Field:
    """The cells of the dataset.

    Attributes:
        dataset: as it was ingested.
        strip: (T,) text, the block of each cell.
        place: (T, 2), y and x in pixels.
        total: (T,), all its transcripts.
        genes: those seen in ``MIN_CELLS`` cells and more.
        measured: (T, G), log(1 + 100 share).
        neighbours: (n, 2), y and x of every cell that was listed.
    """

    dataset: Dataset
    strip: npt.NDArray[np.object_]
    place: Floats
    total: Floats
    genes: list[str]
    measured: Floats
    neighbours: Floats

    @classmethod
    def read(cls, data: Path) -> Field:
        """Read the dataset of ``ingest.yaml``."""
        dataset = Dataset.open(data)
        tiles = dataset.tile_table()
        names = [name for name in dataset.manifest.markers if name != TOTAL]
        counts = dataset.markers(tuple(names)).astype(np.float64)
        kept = (counts > 0).sum(axis=0) >= MIN_CELLS
        total = dataset.markers((TOTAL,))[:, 0].astype(np.float64)
        blocks = dataset.bags.set_index("bag")[BLOCK].astype(str)
        cells = pd.read_parquet(data / "cells.parquet", columns=["y_px", "x_px"])
        return cls(
            dataset=dataset,
            strip=blocks.loc[tiles["bag"]].to_numpy(dtype=object),
            place=tiles[["y_px", "x_px"]].to_numpy(np.float64),
            total=total,
            genes=[name for name, keep in zip(names, kept, strict=True) if keep],
            measured=log_share(counts[:, kept], total),
            neighbours=cells.to_numpy(np.float64),
        )

    @property
    def strips(self) -> list[str]:
        """The names of the strips."""
        return sorted(set(self.strip.tolist()))


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
        and by how much the network is above it; ``genes``: r of each gene; ``cells``: per strip.

    Raises:
        WellstreamError: predictions that cannot be read.
    """
    field = Field.read(out / "data")
    predicted: dict[str, list[Floats]] = {
        network: [_predictions(field, out, network, seed) for seed in _seeds(network, seeds)] for network in NETWORKS
    }
    predicted |= {name: [_ridge(field, features, shuffled)] for name, (features, shuffled) in _baselines(field).items()}
    draws = _draws(field, resamples)
    medians = {
        name: np.mean([_medians(field, one, draws) for one in several], axis=0) for name, several in predicted.items()
    }
    first, rows, genes = next(iter(predicted)), [], {}
    of_genes = {name: np.array([_scores(field, one) for one in several]) for name, several in predicted.items()}
    for name, scores in of_genes.items():
        mean = scores.mean(axis=0)
        genes[name] = dict(zip(field.genes, np.round(mean, 4).tolist(), strict=True))
        low, high = quantile_interval(medians[name])
        above = quantile_interval(medians[first] - medians[name])
        middle = float(np.median(scores, axis=1).mean())
        rows.append(
            {
                "row": name,
                "median_r": middle,
                "low": low,
                "high": high,
                "of_seeds": [float(np.median(each)) for each in scores],
                "above_0.3_of_seeds": [int((each > 0.3).sum()) for each in scores],
                **{f"above_{limit}": int((mean > limit).sum()) for limit in (0.2, 0.3, 0.4)},
                "network_is_above_by": [float(np.median(of_genes[first], axis=1).mean()) - middle, *above],
            }
        )
    cells = {strip: int((field.strip == strip).sum()) for strip in field.strips}
    return {"cells": cells, "genes_scored": len(field.genes), "rows": rows, "genes": genes}


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
        tiles = np.flatnonzero(field.strip == strip)
        found[tiles] = values.reindex(index=tiles, columns=field.genes).fillna(0.0).to_numpy(np.float64)
    return found


def _baselines(field: Field) -> dict[str, tuple[Floats, bool]]:
    """Return name -> features (T, F) for a ridge regression, and whether its cells are shuffled within strips."""
    filters = _filters(field)
    y, x = field.place.T
    tree = cKDTree(field.neighbours)
    density = [tree.query_ball_point(field.place, radius, return_length=True) - 1.0 for radius in (60, 120, 240)]
    return {
        "the filters, ridge": (filters, False),
        "brightness of rings": (filters[:, : 2 * _INNER_RINGS], False),
        "log of all transcripts (no image)": (np.log(field.total)[:, None], False),
        "density of cells within 60, 120, 240 px": (np.stack(density, axis=1), False),
        "position x, y, xy, xx, yy": (np.stack([x, y, x * y, x * x, y * y], axis=1), False),
        "the filters, cells shuffled within strips": (filters, True),
    }


def _filters(field: Field) -> Floats:
    """Return what the filter bank says of each tile, (T, F); the first numbers are brightness and spread of rings."""
    bank = FilterBank(1, FilterBankConfig())
    bank.standard = nn.Identity()
    store, found = TileStore(field.dataset), []
    for start in range(0, len(field.total), _CHUNK):
        ids = np.arange(start, min(start + _CHUNK, len(field.total)))
        tiles = np.empty((len(ids), *store.sample_shape), dtype=store.dtype)
        store.gather(ids, tiles)
        with torch.no_grad():
            found.append(bank(torch.from_numpy(np.log1p(tiles.astype(np.float32)))).numpy())
    return np.concatenate(found).astype(np.float64)


def _ridge(field: Field, features: Floats, shuffled: bool) -> Floats:
    """Return (T, G), each strip predicted by a ridge regression on the others."""
    found, order = np.zeros_like(field.measured), np.arange(len(features))
    if shuffled:
        random = np.random.default_rng(0)
        for strip in field.strips:
            rows = np.flatnonzero(field.strip == strip)
            order[rows] = random.permutation(rows)
    mixed = features[order]
    for strip in field.strips:
        test = field.strip == strip
        scale = StandardScaler().fit(mixed[~test])
        model = Ridge(alpha=ALPHA).fit(scale.transform(mixed[~test]), field.measured[~test])
        found[test] = model.predict(scale.transform(mixed[test]))
    return found


def _scores(field: Field, predicted: Floats, cells: Callable[[str], npt.NDArray[np.int64]] | None = None) -> Floats:
    """Return r of each gene, the mean over strips; it is 0 in one where predictions or counts are constant."""
    rows = cells or (lambda strip: np.flatnonzero(field.strip == strip))
    each = [pearson(predicted[rows(strip)], field.measured[rows(strip)]) for strip in field.strips]
    return np.asarray(np.nan_to_num(each).mean(axis=0))


def _draws(field: Field, count: int) -> list[dict[str, npt.NDArray[np.int64]]]:
    """Return resampled cells of each strip."""
    random = np.random.default_rng(0)
    rows = {strip: np.flatnonzero(field.strip == strip) for strip in field.strips}
    return [{strip: random.choice(of, len(of)) for strip, of in rows.items()} for _ in range(count)]


def _medians(field: Field, predicted: Floats, draws: Sequence[dict[str, npt.NDArray[np.int64]]]) -> Floats:
    return np.array([np.median(_scores(field, predicted, draw.__getitem__)) for draw in draws])


def show(console: Console, found: dict[str, Any]) -> None:
    """Print the rows."""
    table = Table("row", "median r [95 %]", "seeds", "> .2", "> .3", "> .4", "network is above by", box=None)
    for row in found["rows"]:
        table.add_row(
            row["row"],
            f"{row['median_r']:.3f} [{row['low']:.2f}, {row['high']:.2f}]",
            " ".join(f"{each:.3f}" for each in row["of_seeds"]),
            *(str(row[f"above_{limit}"]) for limit in (0.2, 0.3, 0.4)),
            "{:+.3f} [{:+.2f}, {:+.2f}]".format(*row["network_is_above_by"]),
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
