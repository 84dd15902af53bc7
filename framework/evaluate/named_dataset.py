"""The dataset of files of results: the one that is given, or the one that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from framework.data.dataset import Dataset
from framework.data.remote.cache import CacheConfig
from framework.data.store import dataset_digest
from framework.errors import InputError, WellstreamError
from framework.evaluate.made_from import MadeFrom


def dataset_of(opened: Sequence[MadeFrom], given: Path | str | None) -> tuple[Dataset | None, tuple[str, ...]]:
    """Return the dataset that predictions were made on, and what a reader must know where it cannot be used.

    Raises:
        InputError: the dataset that is given is another one than theirs.
        DatasetError: it cannot be opened.
    """
    if given is not None:
        dataset = Dataset.open(given)
        for item in opened:
            if not _made_on(item, dataset):
                raise InputError(
                    f"{item.name} was made on dataset '{item.facts.get('dataset', '')}', which is not "
                    f"{dataset.where} or has changed since; predict again on this dataset"
                )
        return dataset, ()
    places = list(dict.fromkeys(place for item in opened if (place := item.dataset_path)))
    if len(places) != 1:
        several = f"the predictions name several datasets ({', '.join(places)}); add --data DATASET"
        return None, (several,) if places else ()
    try:
        dataset = Dataset.open(places[0], _cache(opened))
    except (WellstreamError, OSError) as error:
        return None, (f"the dataset that the predictions name cannot be used: {error}; add --data DATASET",)
    if not all(_made_on(item, dataset) for item in opened):
        return None, (f"{dataset.where} is not in the state the predictions were made on; add --data DATASET",)
    return dataset, ()


def _made_on(item: MadeFrom, dataset: Dataset) -> bool:
    """Whether ids of the predictions point at the wells and tiles of the dataset, as far as the file says."""
    told = str(item.facts.get("dataset_digest", ""))
    return not told or told == dataset_digest(dataset)


def _cache(opened: Sequence[MadeFrom]) -> CacheConfig | None:
    section = opened[0].data.get("cache")
    try:
        return CacheConfig.from_plain(dict(section)) if isinstance(section, Mapping) else None
    except ValidationError:
        return None
