"""What is worth knowing of a target before anybody trains on it, though nothing is wrong enough to stop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.omics.config import OmicsConfig
from data_tools.omics.normalise import Normalised
from data_tools.omics.table import OmicsTable
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE

F64 = npt.NDArray[np.float64]
_SHOWN = 5
_NEGATIVE = "negcon"


def cautions(config: OmicsConfig, part: OmicsTable, normalised: Normalised, bags: pd.DataFrame) -> tuple[str, ...]:
    """Return sentences about values that are missing, genes without change, few samples, and plates without controls.

    Args:
        config: the table.
        part: samples of one stimulation.
        normalised: of these samples.
        bags: wells that may have labels of this stimulation.
    """
    measured = _measured(config, part)
    return (
        *_missing(part, measured),
        *_low(config, part, normalised, measured),
        *_constant(config, part, normalised, measured[:, normalised.kept]),
        *_few(config, part, set(bags[PERTURBATION])),
        *_without_controls(config, part, bags),
    )


def _measured(config: OmicsConfig, part: OmicsTable) -> F64:
    """Return the values as measured (S, G), NaN where nothing was: programs write an intensity of 0 for it."""
    return np.where(part.values > 0, part.values, np.nan) if config.kind == "intensities" else part.values


def _missing(part: OmicsTable, measured: F64) -> tuple[str, ...]:
    missing: npt.NDArray[np.bool_] = np.isnan(measured)
    if not missing.any():
        return ()
    said = (
        f"{int(missing.sum())} of {missing.size} values, of {int(missing.any(axis=0).sum())} genes, are not measured; "
        "they are left out of means",
    )
    never = [gene for gene, none in zip(part.genes, np.atleast_1d(missing.all(axis=0)), strict=True) if none]
    if not never:
        return said
    return (*said, f"{len(never)} genes are measured in no sample and are dropped: {_listed(never)}")


def _low(config: OmicsConfig, part: OmicsTable, normalised: Normalised, measured: F64) -> tuple[str, ...]:
    """Say how many genes the expression filter dropped, of those that were measured at all."""
    low = ~normalised.kept & ~np.isnan(measured).all(axis=0)
    if not low.any():
        return ()
    names = [gene for gene, dropped in zip(part.genes, low, strict=True) if dropped]
    return (
        f"{len(names)} of {len(part.genes)} genes are seen in less than {config.min_share:.0%} of the samples "
        f"('min_share', 'expressed_in: {config.expressed_in}') and are dropped: {_listed(names)}",
    )


def _constant(config: OmicsConfig, part: OmicsTable, normalised: Normalised, measured: F64) -> tuple[str, ...]:
    """Say which genes do not change: after normalisation, or before it, so that all of their change comes from it.

    Args:
        config, part, normalised: see ``cautions``.
        measured: (S, G'), genes that were kept.
    """
    genes = [gene for gene, kept in zip(part.genes, normalised.kept, strict=True) if kept]
    before, after = _one_value(measured), _one_value(normalised.values)
    said = []
    same = [gene for gene, constant in zip(genes, after, strict=True) if constant]
    if same:
        said.append(
            f"{len(same)} genes have one value in all samples, so nothing of them can be predicted: {_listed(same)}"
        )
    scaled = [gene for gene, constant in zip(genes, before & ~after, strict=True) if constant]
    if scaled:
        what, by = ("count", "size factors") if config.kind == "counts" else ("intensity", config.method)
        said.append(
            f"{len(scaled)} genes have one {what} in all samples, so their labels change with {by} alone: "
            f"{_listed(scaled)}"
        )
    return tuple(said)


def _one_value(values: F64) -> npt.NDArray[np.bool_]:
    """Return which genes of (S, G) have a single value; NaN is none."""
    known = np.isfinite(values)
    lowest = np.where(known, values, np.inf).min(axis=0)
    highest = np.where(known, values, -np.inf).max(axis=0)
    same: npt.NDArray[np.bool_] = lowest >= highest
    return same


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
