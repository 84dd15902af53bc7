"""Profiles of wells: normalised, aggregated, scored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anndata

from framework import profiles
from framework.config import load_config
from framework.errors import ConfigError
from framework.evaluate import Evaluation
from framework.profiles import Aggregated, Normalised


def normalise(
    source: Path | str | anndata.AnnData,
    out: Path | str | None = None,
    *,
    config: Path | str | Mapping[str, Any] | None = None,
    apply_from: Path | str | anndata.AnnData | None = None,
    overrides: Sequence[str] = (),
    **options: Any,
) -> Normalised:
    """Normalise profiles by the controls of each plate, with one method or a chain of them.

    Args:
        source: ``.h5ad``, a CSV whose ``Metadata_*`` columns describe rows, or AnnData.
        out: ``.h5ad`` to write; default: nowhere.
        config: YAML of the chain, or a mapping with the same keys.
        apply_from: a file that ``normalise`` wrote. Its fit is applied; only what belongs to one plate is fitted again,
            for new plates.
        overrides: options as text, such as ``["steps.0.prior=5"]``.
        options: options of ``NormaliseConfig``, such as ``by=["Metadata_Plate"]``, ``to="negcon"``, ``steps=["z",
            "whiten"]``.

    Raises:
        WellstreamError: missing columns or controls, values that are not finite, or an unknown option.
    """
    if apply_from is not None:
        given = [*(["config"] if config is not None else []), *(name for name in options if name != "to"), *overrides]
        if given:
            raise ConfigError(f"{given[0]}: with apply_from, methods and groups come from the fit; leave this out")
        return profiles.apply_kept(source, apply_from, options.get("to"), out)
    changed = [f"{name}={json.dumps(value)}" for name, value in options.items() if value is not None]
    return profiles.normalise(source, load_config(config or {}, profiles.NormaliseConfig, [*changed, *overrides]), out)


def aggregate(
    source: Path | str | anndata.AnnData,
    out: Path | str | None = None,
    *,
    overrides: Sequence[str] = (),
    **options: Any,
) -> Aggregated:
    """Make one profile per group of rows, such as the cells of a well.

    Args:
        source: ``.h5ad``, a CSV whose ``Metadata_*`` columns describe rows, or AnnData.
        out: ``.h5ad`` to write; default: nowhere.
        overrides: options as text, such as ``["trim=0.2"]``.
        options: options of ``AggregateConfig``, such as ``by=["Metadata_Well"]``, ``how="median"``.

    Raises:
        WellstreamError: missing columns, values that are not finite, or an unknown option.
    """
    return profiles.aggregate(source, load_config(options, profiles.AggregateConfig, overrides), out)


def retrieve(
    source: Path | str | anndata.AnnData,
    out: Path | str | None = None,
    *,
    overrides: Sequence[str] = (),
    **options: Any,
) -> Evaluation:
    """Score profiles by what they retrieve: replicates, classes of other compounds and batches.

    Args:
        source: normalised profiles of wells.
        out: folder to write the evaluation to; default: nowhere.
        overrides: options as text, such as ``["permutations=1000"]``.
        options: options of ``RetrieveConfig``, such as ``treatment=["Metadata_Compound"]``, ``label="Metadata_MOA"``.

    Raises:
        WellstreamError: missing columns or controls, values that are not finite, or an unknown option.
    """
    return profiles.retrieve(source, load_config(options, profiles.RetrieveConfig, overrides), out)
