"""Profiles in, normalised profiles out: the fit, or the application of one that a file keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt

from framework.errors import InputError, some_of
from framework.files.h5_writing import write_h5ad
from framework.files.outputs import check_output_file
from framework.profiles.chain import FittedChain, apply_chain, fit_chain, with_groups
from framework.profiles.config import NormaliseConfig
from framework.profiles.kept_fit import KEY, from_plain, to_plain
from framework.profiles.table import ProfileTable, as_anndata, control_rows, need_finite, open_profiles
from framework.result import Result

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Normalised(Result):
    """Normalised profiles.

    Attributes:
        data: rows as given; features are those of the fit; ``uns["wellstream"]["normalisation"]`` keeps it.
        rows, features: how many.
        groups: groups, as plates.
        controls: control rows.
        steps: the methods, in order.
        notes: what was chosen, dropped or set to 0.
        out: the file that was written.
    """

    data: anndata.AnnData = field(repr=False)
    rows: int
    features: int
    groups: int
    controls: int
    steps: tuple[str, ...]
    notes: tuple[str, ...]
    out: Path | None = None


def normalise(
    source: Path | str | anndata.AnnData, config: NormaliseConfig, out: Path | str | None = None
) -> Normalised:
    """Fit a chain on the controls and apply it to all rows.

    Args:
        source: profiles; see ``open_profiles``.
        config: methods, groups and controls.
        out: ``.h5ad`` to write; None: nowhere.

    Raises:
        ConfigError: ``out`` does not end in .h5ad, or is read.
        InputError: a file that cannot be read, columns or controls that are not there, values that are not finite, or
            too few controls.
    """
    if out is not None:
        check_output_file(out, ".h5ad", [source])
    table = open_profiles(source)
    kept, notes = _finite(table, config)
    features = tuple(name for name, here in zip(table.features, kept, strict=True) if here)
    values, groups, controls = table.values[:, kept], table.keys(config.by), control_rows(table, config.to)
    try:
        fit = fit_chain(config, features, values, groups, controls)
    except InputError as error:
        raise InputError(f"{table.name}: {error}") from None
    notes += _constant(values[controls], features)
    return _written(table, fit, apply_chain(fit, values, groups), int(controls.sum()), [*fit.told(), *notes], out)


def apply_kept(
    source: Path | str | anndata.AnnData,
    fitted: Path | str | anndata.AnnData,
    to: str | None = None,
    out: Path | str | None = None,
) -> Normalised:
    """Apply the chain that another file keeps; groups that it does not know are learned from their own controls.

    Args:
        source: profiles with the features of the fit.
        fitted: what ``normalise`` wrote.
        to: which rows are controls; None: as the fit says. Needed by new groups alone.
        out: ``.h5ad`` to write; None: nowhere.

    Raises:
        ConfigError: ``out`` does not end in .h5ad, or is read.
        InputError: a file that cannot be read, features that are missing, or a new group without controls.
    """
    if out is not None:
        check_output_file(out, ".h5ad", [source, fitted])
    table, other = open_profiles(source), open_profiles(fitted)
    fit = from_plain(other.uns, other.name)
    place = {name: column for column, name in enumerate(table.features)}
    missing = [name for name in fit.features if name not in place]
    if missing:
        raise InputError(
            f"{table.name}: does not have {len(missing)} of the {len(fit.features)} features of the fit in "
            f"{other.name}: {some_of(missing, 5)}"
        )
    values = table.values[:, [place[name] for name in fit.features]]
    need_finite(table, values, fit.features)
    groups = table.keys(fit.config.by)
    new = sorted(set(groups.tolist()) - set(fit.groups))
    controls = control_rows(table, to or fit.config.to) if new else np.zeros(len(values), dtype=np.bool_)
    try:
        known = with_groups(fit, values, groups, controls)
    except InputError as error:
        raise InputError(f"{table.name}: {error}") from None
    here = len(set(groups.tolist()))
    notes = [f"{here - len(new)} of {here} groups are known to the fit; {len(new)} are new and use their own controls"]
    extra = len(table.features) - len(fit.features)
    notes += [f"{extra} features are not in the fit and were left out"] if extra else []
    return _written(table, known, apply_chain(known, values, groups), int(controls.sum()), notes, out)


def _written(
    table: ProfileTable, fit: FittedChain, values: Floats, controls: int, notes: list[str], out: Path | str | None
) -> Normalised:
    told = table.uns.get("wellstream")
    facts = dict(told) if isinstance(told, Mapping) else {}
    uns: dict[str, Any] = {**table.uns, "wellstream": {**facts, KEY: to_plain(fit)}}
    data = as_anndata(table, values, fit.features, uns)
    if out is not None:
        write_h5ad(Path(out), data, compression="gzip")
    return Normalised(
        data=data,
        rows=data.n_obs,
        features=data.n_vars,
        groups=len(set(table.keys(fit.config.by).tolist())),
        controls=controls,
        steps=tuple(options.name for options in fit.config.steps),
        notes=tuple(notes),
        out=None if out is None else Path(out),
    )


def _finite(table: ProfileTable, config: NormaliseConfig) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Return which features to use, (d,), and what a reader must know."""
    good: npt.NDArray[np.bool_] = np.asarray(np.isfinite(table.values).all(axis=0))
    if config.missing == "refuse" or good.all():
        need_finite(table, table.values, table.features, "Write missing=drop to fit without those features. ")
        return good, []
    if not good.any():
        raise InputError(f"{table.name}: every feature has a value that is NaN or infinite; drop rows instead")
    names = [name for name, here in zip(table.features, good, strict=True) if not here]
    return good, [f"{len(names)} features with NaN or infinite values were dropped: {some_of(names, 5)}"]


def _constant(controls: Floats, features: tuple[str, ...]) -> list[str]:
    widths = np.ptp(controls, axis=0).tolist()
    names = [name for name, width in zip(features, widths, strict=True) if width == 0]
    return [f"{len(names)} features are equal on all controls: {some_of(names, 5)}"] if names else []
