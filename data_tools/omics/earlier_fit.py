"""The vsn fit of an earlier dataset, onto which the samples of further plates are mapped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from data_tools.omics.vsn import F64, VsnProfile
from framework.errors import InputError, some_of
from framework.files.h5ad import read_h5ad

_THEN = "name a dataset, or one of its targets/*.h5ad, that was ingested with 'normalise: vsn'"


def earlier_fit(named: str, target: str, stimulation: str, genes: Sequence[str]) -> VsnProfile:
    """Read the fit that the target of a dataset keeps.

    Args:
        named: dataset folder with ``targets/<target>.h5ad``, or such a file.
        target: name of the target that is made now.
        stimulation: its stimulation.
        genes: (G,) of the samples that will be mapped.

    Returns:
        The fit, its ``mean`` (G,) in the order of ``genes``; NaN for those it does not have.

    Raises:
        InputError: no such file, a target without a fit or of another stimulation, or no gene in common.
    """
    place = Path(named)
    file = place / "targets" / f"{target}.h5ad" if place.is_dir() else place
    if not file.is_file():
        raise InputError(f"vsn_from: {file}: no such file; {_THEN}{_others(file.parent)}")
    data = read_h5ad(file, error=InputError, what="a target (.h5ad)", then=_THEN)
    facts = data.uns.get("wellstream")
    kept = facts.get("vsn") if isinstance(facts, Mapping) else None
    if not isinstance(facts, Mapping) or not isinstance(kept, Mapping):
        raise InputError(f"vsn_from: {file}: holds no vsn fit; {_THEN}")
    if str(facts.get("stimulation")) != stimulation:
        raise InputError(
            f"vsn_from: {file} was fitted to stimulation '{facts.get('stimulation')}', these samples are of "
            f"'{stimulation}'; stimulations are normalised apart: name the dataset folder instead of one target"
        )
    try:
        profile = VsnProfile.from_plain(kept)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"vsn_from: {file}: its vsn fit cannot be read; ingest that dataset again") from None
    if len(profile.mean) != data.n_vars or not (profile.sd > 0):
        raise InputError(
            f"vsn_from: {file}: its vsn fit is for other genes than its target has; ingest that dataset again"
        )
    known = pd.Series(profile.mean, index=data.var_names.astype(str))
    mean: F64 = np.asarray(known.reindex(list(genes)), dtype=np.float64)
    if not np.isfinite(mean).any():
        raise InputError(
            f"vsn_from: {file}: no gene in common; it has {some_of(data.var_names[:3])} ..., the table "
            f"{some_of(genes[:3])} ...; use the same names ('symbols', 'gene_names')"
        )
    return replace(profile, mean=mean)


def _others(folder: Path) -> str:
    there = sorted(file.name for file in folder.glob("*.h5ad")) if folder.is_dir() else []
    return f"; there are {some_of(there)}" if there else ""
