"""Simulated experiments with known truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from data_tools import simulate
from data_tools.simulate import CropsConfig, CropsSummary, IfcConfig, IfcSummary, PlateConfig, PlateSummary
from framework.config import StrictModel, load_config
from framework.durable import naming
from framework.errors import ConfigError
from framework.progress import OnCount, OnProgress

M = TypeVar("M", bound=StrictModel)


def simulate_plate(
    out: Path | str,
    config: Path | str | Mapping[str, Any] | PlateConfig | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **options: Any,
) -> PlateSummary:
    """Write a simulated plate: a Harmony export, omics tables and the truth behind both.

    Args:
        out: folder to write.
        config: a YAML file, a mapping with the same keys, or a config object; default: all defaults.
        overrides: keys with dots and their values, such as ``["size_px=540"]``; not with a config object.
        progress: called with (stage, done, total) while the work goes on.
        options: options of ``data_tools.simulate.PlateConfig``, instead of ``config``: ``perturbations=12,
            size_px=540``.

    Raises:
        WellstreamError: an unknown option, or a folder that holds other files.
    """
    settings = _settings(config, PlateConfig, overrides, options)
    with naming(out):
        return simulate.simulate_plate(settings, Path(out), progress=_counted(progress))


def simulate_crops(
    out: Path | str,
    config: Path | str | Mapping[str, Any] | CropsConfig | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **options: Any,
) -> CropsSummary:
    """Write crops of a simulated library of tagged proteins; options of ``CropsConfig``. All other arguments as in
    ``simulate_plate``."""
    settings = _settings(config, CropsConfig, overrides, options)
    with naming(out):
        return simulate.simulate_crops(settings, Path(out), progress=_counted(progress))


def simulate_ifc(
    out: Path | str,
    config: Path | str | Mapping[str, Any] | IfcConfig | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: OnProgress | None = None,
    **options: Any,
) -> IfcSummary:
    """Write a simulated imaging flow cytometry export and sequenced cells of the same populations.

    Options of ``IfcConfig``. All other arguments as in ``simulate_plate``.
    """
    settings = _settings(config, IfcConfig, overrides, options)
    with naming(out):
        return simulate.simulate_ifc(settings, Path(out), progress=_counted(progress))


def _settings(config: Any, model: type[M], overrides: Sequence[str], options: Mapping[str, Any]) -> M:
    if config is not None and options:
        raise ConfigError(f"expected a config or single options, found both: {', '.join(options)}")
    if isinstance(config, model):
        return config
    return load_config(options if config is None else config, model, overrides)


def _counted(progress: OnProgress | None) -> OnCount | None:
    if progress is None:
        return None
    return lambda done, total: progress("simulate", done, total)
