"""Reading an omics table, wide or long, into one form: a matrix of samples x genes and the facts of each sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pandas as pd

from data_tools.omics.config import LongForm, OmicsConfig
from framework.errors import InputError, did_you_mean

F64 = npt.NDArray[np.float64]
_PREFIX = "Metadata_"


@dataclass(frozen=True, kw_only=True)
class OmicsTable:
    """Raw measurements.

    Attributes:
        values: float64 (S, G), as measured; NaN where nothing was.
        genes: G distinct names.
        sample, perturbation, stimulation, plate: (S,) text of each sample; stimulation is ``none`` and plate empty
            where the config names no column.
    """

    values: F64
    genes: tuple[str, ...]
    sample: npt.NDArray[np.object_]
    perturbation: npt.NDArray[np.object_]
    stimulation: npt.NDArray[np.object_]
    plate: npt.NDArray[np.object_]

    def rows(self, mask: npt.NDArray[np.bool_]) -> OmicsTable:
        """Return the samples where ``mask`` is true."""
        return OmicsTable(
            values=self.values[mask],
            genes=self.genes,
            sample=self.sample[mask],
            perturbation=self.perturbation[mask],
            stimulation=self.stimulation[mask],
            plate=self.plate[mask],
        )


def read_omics(config: OmicsConfig) -> OmicsTable:
    """Read the table a config names.

    Raises:
        InputError: no readable table, a missing column, text among numbers, a gene named twice, counts below zero.
    """
    file = Path(config.table)
    facts, values = _read_h5ad(file) if file.suffix == ".h5ad" else _read_table(config, file)
    genes = [str(name) for name in values.columns]
    twice = pd.Index(genes)[pd.Index(genes).duplicated()]
    if len(twice):
        raise InputError(f"{file}: the gene '{twice[0]}' comes twice; merge or rename its columns")
    if not genes:
        raise InputError(f"{file}: no column of numbers besides the {_PREFIX} columns; expected one a gene")
    matrix = np.ascontiguousarray(values.to_numpy(dtype=np.float64))
    _check_values(config, matrix, genes, file)
    return OmicsTable(
        values=matrix,
        genes=tuple(genes),
        sample=_samples(config, facts, file),
        perturbation=_fact(facts, config.perturbation, "perturbation", file),
        stimulation=_fact(facts, config.stimulation, "stimulation", file, "none"),
        plate=_fact(facts, config.plate, "plate", file, ""),
    )


def _read_h5ad(file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    try:
        data = anndata.read_h5ad(file)
    except FileNotFoundError:
        raise InputError(f"{file}: no such omics table") from None
    except Exception as error:  # h5py and anndata raise many kinds on damaged files
        raise InputError(f"{file}: no readable AnnData file ({' '.join(str(error).split())})") from None
    facts = data.obs.reset_index(names="sample" if "sample" not in data.obs else None)
    return facts.astype(str), data.to_df().reset_index(drop=True)


def _read_table(config: OmicsConfig, file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    try:
        if file.suffix == ".parquet":
            raw = pd.read_parquet(file)
        else:
            separator = "\t" if ".tsv" in file.suffixes or ".txt" in file.suffixes else ","
            raw = pd.read_csv(file, sep=separator, encoding="utf-8-sig", low_memory=False)
    except FileNotFoundError:
        raise InputError(f"{file}: no such omics table") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no readable table ({' '.join(str(error).split())})") from None
    return _from_long(config.long, raw, file) if config.long else _from_wide(config, raw, file)


def _from_long(form: LongForm, raw: pd.DataFrame, file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    sample, gene, value = form.sample, form.gene, form.value
    for name in (sample, gene, value):
        _need(raw, name, "long", file)
    twice = raw[raw.duplicated([sample, gene])]
    if len(twice):
        raise InputError(
            f"{file}: sample '{twice.iloc[0][sample]}' has the gene '{twice.iloc[0][gene]}' twice; keep one row"
        )
    facts = raw.drop(columns=[gene, value]).drop_duplicates(sample).sort_values(sample, kind="stable")
    values = raw.assign(**{value: _numbers(raw[value], value, file)}).pivot(index=sample, columns=gene, values=value)
    return facts.reset_index(drop=True), values.loc[facts[sample]].reset_index(drop=True)


def _from_wide(config: OmicsConfig, raw: pd.DataFrame, file: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    named = {config.sample, config.perturbation, config.stimulation, config.plate, "sample"}
    facts = [name for name in raw.columns if name in named or str(name).startswith(_PREFIX) or _is_text(raw[name])]
    genes = [name for name in raw.columns if name not in facts]
    values = {name: _numbers(raw[name], str(name), file) for name in genes}
    return raw[facts].copy(), pd.DataFrame(values, index=raw.index)


def _is_text(column: pd.Series[Any]) -> bool:
    return column.dtype == object and bool(pd.to_numeric(column, errors="coerce").isna().all() and column.notna().any())


def _numbers(column: pd.Series[Any], name: str, file: Path) -> pd.Series[Any]:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = column[numbers.isna() & column.notna()]
    if len(bad):
        row = int(bad.index[0]) + 1
        raise InputError(f"{file}: column '{name}' reads '{bad.iloc[0]}' in row {row}, expected a number")
    return numbers


def _need(table: pd.DataFrame, name: str, key: str, file: Path) -> None:
    if name not in table.columns:
        options = [str(column) for column in table.columns]
        known = ", ".join(options[:8]) + (" ..." if len(options) > 8 else "")
        raise InputError(
            f"{file}: no column '{name}' for 'omics.{key}'; the table has {known}{did_you_mean(name, options)}"
        )


def _fact(facts: pd.DataFrame, name: str | None, key: str, file: Path, default: str | None = None) -> Any:
    if name is None:
        return np.full(len(facts), default, dtype=object)
    _need(facts, name, key, file)
    blank = facts[facts[name].isna()]
    if len(blank):
        raise InputError(f"{file}: row {int(blank.index[0]) + 1} has no '{name}'; fill it in")
    return facts[name].astype(str).str.strip().to_numpy(dtype=object)


def _samples(config: OmicsConfig, facts: pd.DataFrame, file: Path) -> Any:
    name = config.sample or (config.long.sample if config.long else "sample")
    if config.sample or name in facts.columns:
        return _fact(facts, name, "sample", file)
    return np.array([f"row {number + 1}" for number in range(len(facts))], dtype=object)


def _check_values(config: OmicsConfig, matrix: F64, genes: list[str], file: Path) -> None:
    bad = ~np.isfinite(matrix) if config.kind == "counts" else np.isinf(matrix)
    word = "a missing or infinite count" if config.kind == "counts" else "an infinite intensity"
    for mask, what in ((bad, word), (matrix < 0, "a value below zero")):
        if mask.any():
            row, column = np.argwhere(mask)[0]
            raise InputError(f"{file}: {what} in row {row + 1}, gene '{genes[column]}'; expected {config.kind}")
