"""The effects of batches and covariates, taken out of log values by one linear model, as limma does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from data_tools.omics.confounding import confounded_notes
from data_tools.omics.model_columns import free_columns, of_batches, of_covariates

F64 = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]
Effect = Literal["removed", "partly", "one_plate", "confounded"]


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Values without the effects of batches.

    Attributes:
        values: float64 (S, G), NaN where nothing was measured.
        effect: ``removed``; ``partly``, where some differences of batches cannot be told from what is protected or from
            each other; ``one_plate``, where no factor has two levels and there is no covariate; ``confounded``, where
            not one difference can be told.
        notes: which differences those are, and why.
    """

    values: F64
    effect: Effect
    notes: tuple[str, ...] = ()


def remove_batch(
    values: F64,
    batches: Mapping[str, Text],
    *,
    condition: Text | None = None,
    covariates: Mapping[str, F64] | None = None,
    design: F64 | None = None,
) -> Corrected:
    """Take batch effects out of log values, as limma's ``removeBatchEffect`` (Ritchie 2015).

    Fits values = condition + design + batches + covariates by least squares, gene by gene over the samples that have
    it, and subtracts the part of batches and covariates. Batches are coded to sum to zero; covariates are centred, so
    the level of a gene stays. A column that those before it explain cannot be estimated and is left alone.

    Args:
        values: (S, G), NaN where not measured.
        batches: name of a factor, as ``plate`` or ``multiplex`` -> (S,) its level for each sample; any number of them.
        condition: (S,), groups whose means the fit protects; None for one common mean.
        covariates: name -> (S,) numbers whose linear effect is taken out.
        design: (S, P), further columns that the fit protects.
    """
    columns = [*of_batches(batches), *of_covariates(covariates or {})]
    if not columns:
        return Corrected(values=values.copy(), effect="one_plate")
    groups = np.zeros(len(values), dtype=np.intp)
    if condition is not None:
        groups = np.unique(condition.astype(str), return_inverse=True)[1]
    protected = np.zeros((len(values), 0)) if design is None else design
    coded = np.stack([column.coded for column in columns], axis=1)
    whole = _free(protected, coded, groups)
    corrected, lost = _subtracted(values, protected, coded, groups, len(whole))
    notes = confounded_notes(columns, whole, groups, condition is not None or design is not None)
    if lost and len(whole):
        notes = (*notes, f"{lost} genes lack so many values that not all differences of batches can be told for them")
    effect: Effect = "confounded" if not whole else "removed" if len(whole) == len(columns) else "partly"
    return Corrected(values=corrected, effect=effect, notes=notes)


def _subtracted(values: F64, protected: F64, coded: F64, groups: npt.NDArray[np.intp], full: int) -> tuple[F64, int]:
    """Return corrected values, and for how many genes fewer than ``full`` columns could be estimated."""
    corrected, lost = values.copy(), 0
    both = np.concatenate([protected, coded], axis=1)
    patterns, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for index in range(patterns.shape[1]):
        rows, genes = patterns[:, index], np.flatnonzero(which.reshape(-1) == index)
        within = _without_group_means(both[rows], groups[rows])
        free = free_columns(within, both[rows])
        mine = [place for place, column in enumerate(free) if column >= protected.shape[1]]
        lost += len(genes) * (len(mine) < full)
        if not mine:
            continue
        measured = values[np.ix_(rows, genes)]
        fit = np.linalg.lstsq(within[:, free], _without_group_means(measured, groups[rows]), rcond=None)[0]
        corrected[np.ix_(rows, genes)] -= both[rows][:, [free[place] for place in mine]] @ fit[mine]
    return corrected, lost


def _free(protected: F64, coded: F64, groups: npt.NDArray[np.intp]) -> list[int]:
    """Return which columns of batches can be estimated where every sample is measured."""
    both = np.concatenate([protected, coded], axis=1)
    free = free_columns(_without_group_means(both, groups), both)
    return [column - protected.shape[1] for column in free if column >= protected.shape[1]]


def _without_group_means(columns: F64, groups: npt.NDArray[np.intp]) -> F64:
    """Subtract from each row the mean of its group: what is left is what a design of group means cannot explain.

    Coefficients fitted to the rests are those of the whole model (Frisch & Waugh 1933). Conditions need no columns.
    """
    _, mine, counts = np.unique(groups, return_inverse=True, return_counts=True)
    place = mine.reshape(-1)
    member = sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))), shape=(len(counts), len(place)))
    means = np.asarray(member @ columns) / counts[:, None]
    rest: F64 = columns - means[place]
    return rest
