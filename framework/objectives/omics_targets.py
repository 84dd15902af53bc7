"""Omics targets of bags: what is measured of each gene on the training bags, and labels in the order of a profile."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from framework.config import StrictModel
from framework.data.dataset import Dataset
from framework.errors import RunError
from framework.files.h5ad import numbers_of
from framework.objectives.base import ProfileWithTables

Matrix: TypeAlias = npt.NDArray[np.float64]

GENES = "genes"
"""Name of the table of a profile: one row per gene of each target, in order."""
_COLUMNS = ("target", "gene", "train_mean", "train_sd", "excluded")


class TargetFacts(StrictModel):
    """One target: its genes in order, their mean and standard deviation (ddof 1; 0 becomes 1) over training bags."""

    target: str
    genes: tuple[str, ...]
    train_mean: tuple[float, ...]
    train_sd: tuple[float, ...]
    excluded: tuple[str, ...]
    """Genes of the dataset that are measured in no training bag. There is nothing to learn from, so they have no
    output."""


class ProfileOfTargets(ProfileWithTables):
    """A profile with the facts of omics targets; its genes are rows of a table, however many there are."""

    targets: tuple[TargetFacts, ...]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return ``genes``: target, gene, train_mean, train_sd (NaN for an excluded gene), excluded."""
        return {GENES: pd.concat([_rows(facts) for facts in self.targets], ignore_index=True)}

    def without_tables(self) -> dict[str, Any]:
        """Return the rest: the name of each target and its number of genes."""
        names = [name for name in type(self).model_fields if name != "targets"]
        plain: dict[str, Any] = self.model_dump(mode="json", include=set(names))
        counts = [
            {"target": facts.target, "genes": len(facts.genes), "excluded": len(facts.excluded)}
            for facts in self.targets
        ]
        return {**plain, "targets": counts}

    @classmethod
    def with_tables(cls, plain: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Self:
        """Return the profile that these were made from.

        Raises:
            ValueError: the table has other targets, or other numbers of genes, than ``plain`` says.
        """
        table = tables[GENES]
        missing = [name for name in _COLUMNS if name not in table.columns]
        if missing:
            raise ValueError(f"the table of genes has no column '{missing[0]}'")
        facts = tuple(_facts(counts, table[table["target"] == counts["target"]]) for counts in plain["targets"])
        rest = cls.from_plain({**plain, "targets": []})
        return rest.model_copy(update={"targets": facts})


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetTable:
    """A target as the dataset has it, read once.

    Attributes:
        name: name of the target.
        bags: int64 (n,), rows of bags.parquet.
        values: (n, genes), NaN (or another non-finite number) where not measured.
        genes: their names.
        where: the dataset, for messages.
    """

    name: str
    bags: npt.NDArray[np.int64]
    values: Matrix
    genes: pd.Index
    where: str

    @classmethod
    def read(cls, dataset: Dataset, name: str) -> TargetTable:
        """Read a target.

        Raises:
            DatasetError: the dataset does not have it.
            RunError: two genes have one name.
        """
        table = dataset.target(name)
        genes = pd.Index(table.var_names)
        if genes.has_duplicates:
            again = genes[genes.duplicated()][0]
            raise RunError(
                f"{dataset.where}: target '{name}' has several columns '{again}'; give each gene its own name"
            )
        return cls(
            name=name,
            bags=table.obs["bag"].to_numpy(dtype=np.int64),
            values=numbers_of(table, f"{dataset.where}: target '{name}'", error=RunError),
            genes=genes,
            where=dataset.where,
        )

    def measure(self, train_bags: npt.NDArray[np.int64]) -> TargetFacts:
        """Measure every gene on the training bags, (n,).

        Raises:
            RunError: no training bag has the target.
        """
        train = self.values[np.isin(self.bags, train_bags)]
        finite = np.isfinite(train)
        counts = finite.sum(axis=0)
        if not counts.any():
            raise RunError(
                f"{self.where}: no training bag has the target '{self.name}' ({len(self.bags)} bags have it); check "
                "the split, or remove it from objective.targets"
            )
        kept = counts > 0
        excluded = tuple(str(gene) for gene in self.genes[~kept])
        if excluded:
            warnings.warn(
                f"target '{self.name}': {len(excluded)} gene(s) are measured in no training bag and get no "
                f"prediction: {', '.join(excluded[:5])}{' ...' if len(excluded) > 5 else ''}",
                stacklevel=3,
            )
        train, finite, counts = train[:, kept], finite[:, kept], counts[kept]
        mean = np.where(finite, train, 0.0).sum(axis=0) / counts
        deviations = np.where(finite, train - mean, 0.0)
        sd = np.sqrt((deviations**2).sum(axis=0) / np.maximum(counts - 1, 1))
        return TargetFacts(
            target=self.name,
            genes=tuple(str(gene) for gene in self.genes[kept]),
            train_mean=tuple(mean.tolist()),
            train_sd=tuple(np.where(sd > 0, sd, 1.0).tolist()),
            excluded=excluded,
        )

    def aligned(self, bags: int, genes: Sequence[str]) -> Matrix:
        """Return (bags, genes) in the order of ``genes``; NaN where a bag or a gene is not measured."""
        values = np.full((bags, len(genes)), np.nan)
        columns = self.genes.get_indexer(pd.Index(genes))
        known = columns >= 0
        values[np.ix_(self.bags, known)] = self.values[:, columns[known]]
        values[~np.isfinite(values)] = np.nan
        return values


def aligned(dataset: Dataset, facts: TargetFacts) -> Matrix:
    """Return (B, genes) of one target in the order of the profile, NaN where not measured.

    A target or gene that the dataset does not have is all NaN.
    """
    if facts.target not in dataset.manifest.targets:
        return np.full((len(dataset.bags), len(facts.genes)), np.nan)
    return TargetTable.read(dataset, facts.target).aligned(len(dataset.bags), facts.genes)


def _rows(facts: TargetFacts) -> pd.DataFrame:
    nothing = (np.nan,) * len(facts.excluded)
    return pd.DataFrame(
        {
            "target": facts.target,
            "gene": np.asarray([*facts.genes, *facts.excluded], dtype=object),
            "train_mean": np.asarray([*facts.train_mean, *nothing], dtype=np.float64),
            "train_sd": np.asarray([*facts.train_sd, *nothing], dtype=np.float64),
            "excluded": np.repeat([False, True], [len(facts.genes), len(facts.excluded)]),
        }
    )


def _facts(counts: Mapping[str, Any], table: pd.DataFrame) -> TargetFacts:
    excluded = table["excluded"].to_numpy(dtype=np.bool_)
    kept = table[~excluded]
    facts = TargetFacts(
        target=str(counts["target"]),
        genes=tuple(kept["gene"].astype(str)),
        train_mean=tuple(kept["train_mean"].astype(np.float64).tolist()),
        train_sd=tuple(kept["train_sd"].astype(np.float64).tolist()),
        excluded=tuple(table.loc[excluded, "gene"].astype(str)),
    )
    if (len(facts.genes), len(facts.excluded)) != (counts["genes"], counts["excluded"]):
        raise ValueError(
            f"target '{facts.target}' has {len(facts.genes)} genes in the table of genes, expected {counts['genes']}"
        )
    return facts
