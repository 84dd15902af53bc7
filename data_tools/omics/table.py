"""Reading an omics table, wide or long, into one form: a matrix of samples x genes and the facts of each sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from data_tools.gene_names import doubtful_genes
from data_tools.omics.chosen import only_genes
from data_tools.omics.config import OmicsConfig
from data_tools.omics.forms import read_raw
from data_tools.omics.genes import about_scale, check_genes, check_rows, check_values
from data_tools.omics.raw import F64, RawOmics
from data_tools.omics.sheet import read_sheet, sheet_names, with_sheet
from data_tools.omics.symbols import with_symbols
from framework.errors import InputError
from framework.files.names import doubtful_names

_PREFIX = "Metadata_"


@dataclass(frozen=True, kw_only=True)
class OmicsTable:
    """Raw measurements.

    Attributes:
        values: float64 (S, G), as measured; NaN where nothing was.
        genes: G distinct names.
        sample, perturbation, stimulation, plate: (S,) text of each sample; stimulation is ``none`` and plate empty
            where the config names no column.
        batches: name of each batch factor, the plate first -> (S,) levels.
        covariates: name -> float64 (S,).
        notes: what was found out about the file.
    """

    values: F64
    genes: tuple[str, ...]
    sample: npt.NDArray[np.object_]
    perturbation: npt.NDArray[np.object_]
    stimulation: npt.NDArray[np.object_]
    plate: npt.NDArray[np.object_]
    batches: dict[str, npt.NDArray[np.object_]] = field(default_factory=dict)
    covariates: dict[str, F64] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def rows(self, mask: npt.NDArray[np.bool_]) -> OmicsTable:
        """Return the samples where ``mask``, bool (n,), is true."""
        return OmicsTable(
            values=self.values[mask],
            genes=self.genes,
            sample=self.sample[mask],
            perturbation=self.perturbation[mask],
            stimulation=self.stimulation[mask],
            plate=self.plate[mask],
            batches={name: levels[mask] for name, levels in self.batches.items()},
            covariates={name: values[mask] for name, values in self.covariates.items()},
        )


def read_omics(config: OmicsConfig) -> OmicsTable:
    """Read the table a config names, and check what it holds.

    Raises:
        InputError: no readable table, a missing column, text among numbers, a gene named twice, columns that are
            perhaps no genes, or values that the kind does not allow; names the row.
    """
    sheet = read_sheet(config)
    raw = with_sheet(config, read_raw(config, sheet_names(config, sheet)), sheet)
    raw = with_symbols(config, only_genes(config, raw))
    perturbation = raw.fact(config.perturbation, "perturbation")
    stimulation = _fact(raw, config.stimulation, "stimulation", "none")
    plate = _fact(raw, config.plate, "plate", "")
    if not raw.genes:
        raise InputError(f"{raw.file}: no column of numbers besides the {_PREFIX} columns; expected one per gene")
    if not len(raw.values):
        raise InputError(f"{raw.file}: the table has no row; expected one per sample")
    check_genes(raw, config.kind)
    check_values(raw, config.kind)
    near = [
        note
        for name, values in ((config.perturbation, perturbation), (config.stimulation, stimulation))
        for note in doubtful_names(values, f"{raw.file}: {name}")
    ]
    samples = _samples(config, raw)
    told = check_rows(raw)
    _refuse_again(config, raw, samples, plate)
    scale = (*_zeros(raw, config.kind), *about_scale(raw, config.kind))
    notes = (*raw.notes, *told, *scale, *doubtful_genes(raw.genes, raw.file), *near)
    return OmicsTable(
        values=raw.values,
        genes=raw.genes,
        sample=samples,
        perturbation=perturbation,
        stimulation=stimulation,
        plate=plate,
        batches={
            **({} if config.plate is None else {config.plate: plate}),
            **{name: raw.fact(name, "batches") for name in config.batches},
        },
        covariates={name: raw.covariate(name) for name in config.covariates},
        notes=notes,
    )


def _refuse_again(config: OmicsConfig, raw: RawOmics, samples: Any, plate: Any) -> None:
    """Refuse a sample that a plate has twice: labels would be drawn from two that nobody can tell apart."""
    first: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(zip(samples, plate, strict=True)):
        other = first.setdefault(pair, row)
        if other != row:
            where = f" on plate '{pair[1]}'" if config.plate is not None else ""
            raise InputError(
                f"{raw.file}: the sample '{pair[0]}' appears twice{where} ({raw.rows[other]} and {raw.rows[row]}); "
                "remove one, or name columns that tell samples apart ('sample', 'plate')"
            )


def _zeros(raw: RawOmics, kind: str) -> tuple[str, ...]:
    """Say how many intensities are 0: programs write it for what was not measured."""
    zeros = int((raw.values == 0).sum()) if kind == "intensities" else 0
    return (f"{raw.file}: {zeros} of {raw.values.size} intensities are 0 and count as not measured",) if zeros else ()


def _fact(raw: RawOmics, name: str | None, key: str, default: str) -> Any:
    return np.full(len(raw.facts), default, dtype=object) if name is None else raw.fact(name, key)


def _samples(config: OmicsConfig, raw: RawOmics) -> Any:
    name = config.sample or (config.long.sample if config.long else "sample")
    if config.sample or name in raw.facts.columns:
        return raw.fact(name, "sample")
    return np.array([f"row {number + 1}" for number in range(len(raw.facts))], dtype=object)
