"""Phase of the cell cycle by nearest neighbours: learned features against 15 intensity statistics, on the same cells.

    python -m experiments.ifc_seq.phase data/jurkat-phase fold-0.h5ad fold-1.h5ad fold-2.h5ad

Each file is ``wellstream embed RUN --level tile`` of a run that held out another third; its test cells look for their
neighbours among all its other cells. Scores are over the held-out cells of all files together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anndata
import numpy as np
import numpy.typing as npt
from rich.table import Table
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.durable import write_json
from framework.errors import InputError, WellstreamError
from framework.terminal import Terminal

LABEL = "Metadata_Phase"
NEIGHBOURS = (1, 5, 15)
_RESAMPLES = 2000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well phases are recognised, over held-out cells.

    Attributes:
        accuracy: share of cells.
        balanced: mean over phases of the share of its cells.
        low, high: 95 % interval of ``balanced`` over resampled cells of each phase.
        recall: phase -> share of its cells.
    """

    accuracy: float
    balanced: float
    low: float
    high: float
    recall: dict[str, float]


def intensity_statistics(dataset: Dataset) -> Floats:
    """Return five statistics of each channel of each tile, (T, 5 C): mean, sd, smallest, median, largest pixel."""
    store = TileStore(dataset, None)
    tiles = np.empty((len(store), *store.sample_shape), dtype=store.dtype)
    store.gather(np.arange(len(store)), tiles)
    pixels = tiles.reshape(*tiles.shape[:2], -1).astype(np.float64)
    statistics = (pixels.mean(-1), pixels.std(-1), pixels.min(-1), np.median(pixels, axis=-1), pixels.max(-1))
    return np.concatenate(statistics, axis=1)


def neighbours_say(features: Floats, labels: npt.NDArray[np.str_], test: npt.NDArray[np.bool_], k: int) -> list[str]:
    """Return the label of most of the ``k`` nearest training cells of each test cell; features standardised on them."""
    scaler = StandardScaler().fit(features[~test])
    classifier = KNeighborsClassifier(k).fit(scaler.transform(features[~test]), labels[~test])
    return [str(label) for label in classifier.predict(scaler.transform(features[test]))]


def score(truth: Sequence[str], said: Sequence[str], seed: int = 0) -> Scores:
    """Return accuracy, balanced accuracy with its interval, and the recall of each phase."""
    right = np.array([one == other for one, other in zip(truth, said, strict=True)])
    phases = np.array(truth)
    random = np.random.default_rng(seed)
    recall, resampled = {}, []
    for phase in np.unique(phases):
        mine = right[phases == phase]
        recall[str(phase)] = float(mine.mean())
        resampled.append(random.binomial(len(mine), mine.mean(), _RESAMPLES) / len(mine))
    low, high = np.quantile(np.mean(resampled, axis=0), (0.025, 0.975))
    balanced = float(np.mean(list(recall.values())))
    return Scores(accuracy=float(right.mean()), balanced=balanced, low=float(low), high=float(high), recall=recall)


def compare(data: Path, files: Sequence[Path]) -> dict[tuple[str, int], Scores]:
    """Return (features, k) -> scores.

    Raises:
        InputError: embeddings of another dataset, or without held-out cells.
    """
    dataset = Dataset.open(data)
    statistics = intensity_statistics(dataset)
    truth: list[str] = []
    said: dict[tuple[str, int], list[str]] = {}
    for file in files:
        learned = anndata.read_h5ad(file)
        if learned.n_obs != len(statistics) or LABEL not in learned.obs:
            raise InputError(
                f"{file}: expected {len(statistics)} tiles of {data} with {LABEL}; make it with: wellstream embed RUN"
            )
        test = (learned.obs["part"] == "test").to_numpy()
        if not test.any() or test.all():
            raise InputError(f"{file}: expected some tiles in the test part and some in others")
        labels = learned.obs[LABEL].astype(str).to_numpy()
        truth += labels[test].tolist()
        for name, features in (("15 intensity statistics", statistics), ("learned", np.asarray(learned.X))):
            for k in NEIGHBOURS:
                said.setdefault((name, k), []).extend(neighbours_say(features, labels, test, k))
    return {key: score(truth, answers) for key, answers in said.items()}


def main() -> int:
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m experiments.ifc_seq.phase", description=__doc__)
    parser.add_argument("data", type=Path, help="dataset folder")
    parser.add_argument("embeddings", type=Path, nargs="+", help="tile embeddings, one file per fold")
    parser.add_argument("--out", type=Path, help="also write the scores as JSON")
    options = parser.parse_args()
    console = Terminal()
    try:
        found = compare(options.data, options.embeddings)
    except (WellstreamError, OSError) as error:
        console.print(f"phase: {error}", style="bold red")
        return 2
    if options.out:
        write_json(options.out, [{"features": name, "k": k} | asdict(scores) for (name, k), scores in found.items()])
    table = Table("features", "k", "accuracy", "balanced [95 %]", "recall of each phase", box=None)
    for (name, k), scores in found.items():
        recall = ", ".join(f"{phase} {share:.2f}" for phase, share in scores.recall.items())
        balanced = f"{scores.balanced:.3f} [{scores.low:.2f}, {scores.high:.2f}]"
        table.add_row(name, str(k), f"{scores.accuracy:.3f}", balanced, recall)
    console.print(table, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
