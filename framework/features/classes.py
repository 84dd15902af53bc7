"""Balanced accuracy of predicted classes, and how sure it is: a bootstrap over fields of cells, not over cells.

Cells of one field share focus, illumination and density, so they are not independent observations. What is resampled
are groups (fields, images, bags): from each a table of correct and all cells per class suffices, so thousands of
resamples are one matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
T = TypeVar("T")

_FEW_GROUPS = 10
_DRAWS = 1 << 22
"""Group counts held at a time: 32 MB."""


def recalls(truth: Ints, predicted: Ints, classes: int) -> Floats:
    """Return the share of each class's cells that were recognised, (classes,); NaN for a class without cells."""
    total = np.bincount(truth, minlength=classes)
    correct = np.bincount(truth[truth == predicted], minlength=classes)
    share: Floats = np.divide(correct, total, out=np.full(classes, np.nan), where=total > 0)
    return share


def balanced_accuracy(truth: Ints, predicted: Ints, classes: int) -> float:
    """Return the mean recall of the classes that have cells, from classes (n,): 0..1; NaN without cells."""
    share = recalls(truth, predicted, classes)
    known = share[~np.isnan(share)]
    return float(known.mean()) if len(known) else float("nan")


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Return counts (classes, classes): rows the true class, columns the predicted one."""
    counts = np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    return counts.astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class Resamples:
    """Which groups each bootstrap resample takes how often; the same for all predictions that are compared.

    Attributes:
        group: int64 (n,), position of each cell's group.
        groups: number of groups.
        seed: seed of the draws.
        count: resamples.
        blocks: sets of groups that are resampled among themselves.
        unit: what a group is: a field, or a single cell.
        notes: what a reader must know about the intervals.
    """

    group: Ints
    groups: int
    seed: int
    count: int
    blocks: tuple[Ints, ...]
    unit: Literal["field", "cell"]
    notes: tuple[str, ...]

    @classmethod
    def plan(cls, truth: Ints, group: Ints, *, seed: int, count: int) -> Resamples:
        """Decide what is resampled.

        Groups of one class each (all cells of a field show one protein) are drawn within their class, so that no class
        vanishes; groups of several classes are drawn together. Where a class, or all cells, have a single group, it
        cannot say how much fields differ: cells are drawn within their class instead, and a note says that this is too
        narrow.

        Args:
            truth: (n,), class of each cell.
            group: (n,), any whole numbers that name groups.
            seed: seed of the draws.
            count: resamples.
        """
        notes: list[str] = []
        unit: Literal["field", "cell"] = "field" if len(np.unique(group)) < len(group) else "cell"
        _, group = np.unique(group, return_inverse=True)
        group = group.astype(np.int64)
        pairs = np.unique(np.stack([group, truth], axis=1), axis=0)
        nested = len(pairs) == int(group.max(initial=-1)) + 1
        of_class = pairs[:, 1]
        single = len(pairs) > 0 and int(group.max()) == 0
        if single or (nested and len(pairs) and np.bincount(of_class)[np.unique(of_class)].min() < 2):
            group = np.arange(len(truth), dtype=np.int64)
            of_class, unit, nested = truth, "cell", True
            notes.append(
                f"{'There are' if single else 'A class has'} cells of one field only, so the intervals resample single "
                "cells: they count cells of one field as independent and are too narrow"
            )
        elif (
            unit == "field" and len(pairs) and nested and np.bincount(of_class)[np.unique(of_class)].min() < _FEW_GROUPS
        ):
            least = int(np.bincount(of_class)[np.unique(of_class)].min())
            notes.append(f"intervals resample fields within each class, of which some class has only {least}: rough")
        groups = int(group.max(initial=-1)) + 1
        if nested:
            blocks = tuple(np.flatnonzero(of_class == one).astype(np.int64) for one in np.unique(of_class))
        else:
            blocks = (np.arange(groups, dtype=np.int64),)
            if groups < _FEW_GROUPS:
                notes.append(f"intervals resample {groups} fields: rough")
        return cls(group=group, groups=groups, seed=seed, count=count, blocks=blocks, unit=unit, notes=tuple(notes))

    def scores(self, truth: Ints, predictions: Mapping[T, Ints], classes: int) -> dict[T, Floats]:
        """Return name -> balanced accuracy of each resample, (count,); classes a resample lacks do not count."""
        step = max(1, _DRAWS // max(self.groups, 1))
        random = np.random.default_rng(self.seed)
        code = self.group * classes + truth
        size = self.groups * classes
        total = np.bincount(code, minlength=size).reshape(self.groups, classes).astype(np.float64)
        correct = {
            name: np.bincount(code, truth == predicted, minlength=size).reshape(self.groups, classes)
            for name, predicted in predictions.items()
        }
        scores: dict[T, Floats] = {name: np.empty(self.count) for name in predictions}
        for start in range(0, self.count, step):
            part = slice(start, min(start + step, self.count))
            drawn = np.zeros((part.stop - start, self.groups))
            for block in self.blocks:
                chances = np.full(len(block), 1 / len(block))
                drawn[:, block] = random.multinomial(len(block), chances, size=len(drawn))
            cells = drawn @ total
            for name, counts in correct.items():
                share = np.divide(drawn @ counts, cells, out=np.full(cells.shape, np.nan), where=cells > 0)
                scores[name][part] = np.nanmean(share, axis=1)
        return scores
