"""Vectors of wells from different sources, one ridge head on them, and predictions for the product's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.omics import OmicsConfig, build_targets
from data_tools.simulate.biology import LATENTS
from framework.baselines import BASELINES, BaselineMissing, Rows
from framework.data.dataset import Dataset
from framework.data.format.schema import BAG, SOURCE
from framework.data.split import SplitConfig, assign
from framework.data.store import TileStore
from framework.durable import write_arrays
from framework.errors import InputError
from framework.evaluate import EvaluateConfig, OmicsEvaluation, evaluate_omics, tile_mean_intensities
from framework.files.npz import load_npz

F64 = npt.NDArray[np.float64]
FRACTIONS = (0.7, 0.1, 0.2)
IMAGENET_TILES = 2
"""Tiles per well that ``imagenet`` sees: at 35 ms per channel of a tile more would take most of the time."""
_PENALTIES = tuple(10.0 ** np.arange(-1, 6))
"""Of the ridge regression; the validation part chooses one for each target and split."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A finished study on a simulation.

    Attributes:
        out: its folder.
        dataset: of ingest.
        truth: what the simulator knows of genes.
        seeds: of the splits.
    """

    out: Path
    dataset: Dataset
    truth: pd.DataFrame
    seeds: Sequence[int]

    @classmethod
    def open(cls, out: Path, seeds: Sequence[int]) -> Experiment:
        """Open the folder of a study."""
        truth = pd.read_parquet(out / "raw" / "truth.parquet")
        truth["target"] = truth["modality"] + "_" + truth["stimulation"]
        return cls(out=out, dataset=Dataset.open(out / "dataset"), truth=truth, seeds=seeds)

    def sizes(self) -> dict[str, int]:
        """Return how large the experiment is."""
        counts = self.dataset.bags["n_tiles"]
        with_cells = counts[counts > 0]
        return {
            "conditions": len(self.truth_of_wells().dropna()[["perturbation", "stimulation"]].drop_duplicates()),
            "wells": len(with_cells),
            "imaging_plates": self.dataset.bags[SOURCE].nunique(),
            "tiles": int(counts.sum()),
            "tiles_per_well": int(with_cells.median()),
            "sites": int(self.dataset.bags["n_sites"].max()),
            "transcripts": int(self.truth.loc[self.truth["modality"] == "transcripts", "gene"].nunique()),
            "proteins": int(self.truth.loc[self.truth["modality"] == "proteins", "gene"].nunique()),
            "splits": len(self.seeds),
        }

    def truth_of_wells(self) -> pd.DataFrame:
        """Return what the simulator knows of wells, in the order of bags."""
        known = pd.read_parquet(self.out / "raw" / "truth_wells.parquet").set_index(["plate", "well"])
        keys = pd.MultiIndex.from_frame(self.dataset.bags[[SOURCE, BAG]].astype(str))
        return known.loc[keys].reset_index()

    def labels(self, **options: Any) -> dict[str, anndata.AnnData]:
        """Return target -> labels of wells, drawn and normalised with other options than ingest's.

        Args:
            options: of ``OmicsConfig``, and ``seed`` of the draws.
        """
        seed = int(options.pop("seed", 0))
        found = {}
        for name, kind in (("transcripts", "counts"), ("proteins", "intensities")):
            table = str(self.out / "raw" / "omics" / f"{name}.csv.gz")
            scale = {"normalise": "median"} if kind == "intensities" else {}
            config = OmicsConfig.from_plain({"name": name, "table": table, "kind": kind} | scale | options)
            found |= {target.name: target.data for target in build_targets(config, self.dataset.bags, seed)}
        return found

    def targets(self) -> dict[str, anndata.AnnData]:
        """Return target -> labels of wells as ingest made them."""
        return {name: self.dataset.target(name) for name in self.dataset.manifest.targets}

    def imagenet(self) -> F64 | None:
        """Return what a network of ImageNet says of ``IMAGENET_TILES`` tiles per well (B, D); None where it is missing.

        Every channel is shown to it alone. The numbers are kept beside the embeddings, because they take minutes.
        """
        file = self._file("imagenet").with_suffix(".npz")
        if not file.is_file():
            entry = BASELINES.get("imagenet")
            with_tiles = np.flatnonzero(np.diff(self.dataset.index.bag_start)).astype(np.int64)
            rows = Rows.of(self.dataset, "bag", with_tiles, tiles_per_bag=IMAGENET_TILES)
            try:
                values = entry.build(entry.config()).features(rows)
            except BaselineMissing:
                return None
            found = np.full((len(self.dataset.bags), values.shape[1]), np.nan)
            found[rows.ids] = values
            file.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(file, {"vectors": found})
        stored: F64 = load_npz(file, error=InputError, what="vectors of wells", then="remove it")["vectors"]
        return stored

    def _file(self, name: str) -> Path:
        return self.out / "embeddings" / f"{name}.h5ad"

    def embedded(self, name: str, most: int | None = None, seed: int = 0) -> F64:
        """Return the mean embedding of each well (B, D), NaN where there is no tile.

        Args:
            name: file in ``embeddings``.
            most: tiles drawn per well at most; None: all.
            seed: of the draw.
        """
        table = anndata.read_h5ad(self._file(name))
        vectors = np.asarray(table.X, dtype=np.float64)
        return self._means(vectors, most, seed)

    def counted(self) -> F64:
        """Return the number of cells of each well (B, 1)."""
        counts: F64 = self.dataset.bags[["n_cells"]].to_numpy(dtype=np.float64)
        return counts

    def intensities(self) -> F64:
        """Return the mean intensity of each channel over the tiles of a well (B, C)."""
        store = TileStore(self.dataset, self.dataset.manifest.tile.channels)
        return self._means(np.log(tile_mean_intensities(store, np.arange(len(self.dataset.index)))), None, 0)

    def states(self) -> F64:
        """Return the latent state that each well's cells were drawn from (B, 6): what no image can exceed."""
        columns = [f"latent_{name}" for name in LATENTS]
        values: F64 = self.truth_of_wells()[columns].to_numpy(dtype=np.float64)
        return values

    def centred(self, vectors: F64) -> F64:
        """Return vectors of wells minus the mean of their plate and stimulation: plates without their batch effect."""
        keys = [self.dataset.bags[name].astype(str).to_numpy() for name in (SOURCE, "Metadata_Stimulation")]
        table = pd.DataFrame(vectors)
        result: F64 = (table - table.groupby(keys).transform("mean")).to_numpy()
        return result

    def _means(self, vectors: F64, most: int | None, seed: int) -> F64:
        start = self.dataset.index.bag_start
        rng = np.random.default_rng(seed)
        means = np.full((len(start) - 1, vectors.shape[1]), np.nan)
        for bag, (first, last) in enumerate(pairwise(start)):
            tiles = np.arange(first, last)
            if most is not None and len(tiles) > most:
                tiles = rng.choice(tiles, most, replace=False)
            if len(tiles):
                means[bag] = vectors[tiles].mean(axis=0)
        return means


def evaluated(
    experiment: Experiment,
    vectors: F64,
    labels: Mapping[str, anndata.AnnData],
    seeds: Sequence[int],
    unit: str = "well",
) -> OmicsEvaluation:
    """Fit heads on vectors of wells for every target and split, and score the held-out wells.

    Args:
        experiment: the data.
        vectors: (B, D), one row per well; wells with NaN take no part.
        labels: target -> labels of wells.
        seeds: of the splits.
        unit: what the tests count, ``well`` or ``condition``.
    """
    files = [_predicted(experiment, vectors, name, table, seed) for seed in seeds for name, table in labels.items()]
    return evaluate_omics(files, EvaluateConfig.from_plain({"unit": unit}))


def _predicted(experiment: Experiment, vectors: F64, target: str, table: anndata.AnnData, seed: int) -> anndata.AnnData:
    split = SplitConfig(fractions=FRACTIONS, seed=seed)
    bags = table.obs["bag"].to_numpy(dtype=np.int64)
    known = np.isfinite(vectors[bags]).all(axis=1)
    bags, measured = bags[known], np.asarray(table.X, dtype=np.float64)[known]
    parts = assign(experiment.dataset.bags, split)[bags]
    train = parts == "train"
    mean = np.nanmean(measured[train], axis=0)
    sd = np.nanstd(measured[train], axis=0, ddof=1)
    sd = np.where(sd > 0, sd, 1.0)
    scores = ridge(vectors[bags], np.nan_to_num((measured - mean) / sd), train, parts == "val")
    rows = experiment.dataset.bags.iloc[bags].assign(part=parts)
    rows.index = pd.Index([f"bag-{bag}" for bag in bags])
    facts = {"kind": "predictions", "target": target, "split": split.facts()}
    return anndata.AnnData(
        X=scores * sd + mean,
        obs=rows,
        var=pd.DataFrame({"train_mean": mean, "train_sd": sd}, index=table.var_names),
        layers={"measured": measured},
        uns={"wellstream": facts},
    )


def ridge(vectors: F64, wanted: F64, train: npt.NDArray[np.bool_], val: npt.NDArray[np.bool_]) -> F64:
    """Return predictions (n, G) of a ridge regression whose penalty has the smallest error on the validation rows.

    Args:
        vectors: (n, D).
        wanted: (n, G), mean 0 over the training rows.
        train, val: which rows are of these parts.
    """
    centre, spread = vectors[train].mean(axis=0), vectors[train].std(axis=0)
    scaled = (vectors - centre) / np.where(spread > 0, spread, 1.0)
    left, singular, right = np.linalg.svd(scaled[train], full_matrices=False)
    projected, seen = left.T @ wanted[train], scaled @ right.T
    fits: list[F64] = [seen @ ((singular / (singular**2 + each))[:, None] * projected) for each in _PENALTIES]
    errors = [float(((fit - wanted)[val] ** 2).mean()) for fit in fits]
    return fits[int(np.argmin(errors))]
