"""A tiny dataset, batches cut from it, and ranks that are threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.batch import Batch
from framework.data.dataset import Dataset
from wellstream.testing import ranks

MakeBatch = Callable[..., Batch]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """12 bags of 3 perturbations x 2 stimulations, two markers, two targets; bag 1 has no targets."""
    folder = tmp_path_factory.mktemp("objectives") / "tiny"
    return make_dataset(folder, bags=12, markers=("FRA1", "MITF"), targets={"rna_M1": 4, "protein_M1": 3})


@pytest.fixture
def make_batch(dataset: Dataset) -> MakeBatch:
    """Function (objective, bags, tiles, weights=None, seed=0) -> Batch; 2 tiles where it needs pairs, else 3."""
    return partial(ranks.make_batch, dataset)


@pytest.fixture
def on_ranks() -> Callable[..., Any]:
    """Function that runs one callable per rank, each in a thread, with a gather that joins their rows and gradients."""
    return ranks.on_ranks
