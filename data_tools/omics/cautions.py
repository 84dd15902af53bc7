"""What is worth knowing of a target before anybody trains on it, though nothing is wrong enough to stop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from data_tools.omics.config import OmicsConfig
from data_tools.omics.normalise import Normalised
from data_tools.omics.table import OmicsTable
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE

_SHOWN = 5
_NEGATIVE = "negcon"


def cautions(config: OmicsConfig, part: OmicsTable, normalised: Normalised, bags: pd.DataFrame) -> tuple[str, ...]:
    """Return sentences about genes without change, conditions of few samples, and plates without controls.

    Args:
        config: the table.
        part: samples of one stimulation.
        normalised: of these samples.
        bags: wells that may have labels of this stimulation.
    """
    genes = [gene for gene, kept in zip(part.genes, normalised.kept, strict=True) if kept]
    return (
        *_constant(genes, normalised.values),
        *_few(config, part, set(bags[PERTURBATION])),
        *_without_controls(config, part, bags),
    )


def _constant(genes: list[str], values: np.ndarray) -> tuple[str, ...]:
    known = np.isfinite(values)
    lowest = np.where(known, values, np.inf).min(axis=0)
    highest = np.where(known, values, -np.inf).max(axis=0)
    same = [gene for gene, low, high in zip(genes, lowest, highest, strict=True) if low >= high]
    if not same:
        return ()
    return (f"{len(same)} genes have one value in all samples, so nothing of them can be predicted: {_listed(same)}",)


def _few(config: OmicsConfig, part: OmicsTable, imaged: set[str]) -> tuple[str, ...]:
    counts = Counter(name for name in part.perturbation if name in imaged)
    few = sorted(name for name, count in counts.items() if count < config.wells_per_label)
    if not few:
        return ()
    return (
        f"{len(few)} conditions have fewer than {config.wells_per_label} omics samples, so their labels are of those "
        f"there are: {_listed(few)}",
    )


def _without_controls(config: OmicsConfig, part: OmicsTable, bags: pd.DataFrame) -> tuple[str, ...]:
    """Say which omics plates, and which imaging plates, have no negative control while others have."""
    negative = bags[bags[CONTROL_TYPE] == _NEGATIVE]
    if negative.empty:
        return ()
    controls = set(negative[PERTURBATION])
    of_samples = np.array([name in controls for name in part.perturbation], dtype=bool)
    sides = [("imaging plate", set(bags[PLATE]), set(negative[PLATE]))]
    if config.plate is not None:
        sides.append(("omics plate", set(part.plate), set(part.plate[of_samples])))
    return tuple(
        f"{what} {_listed(sorted(every - having))} has no negative control ({_listed(sorted(controls))})"
        for what, every, having in sides
        if every - having
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + more
