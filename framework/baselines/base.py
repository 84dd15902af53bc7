"""What a baseline is: features of a row that a person had without the model, and a regression on them.

A new baseline is one class in one file::

    class MineConfig(BaselineConfig):
        name: Literal["mine"] = "mine"

    @BASELINES.register("mine", MineConfig)
    class Mine(Baseline):
        says = "what it knows, in a few words"
        def features(self, rows): ...        # float64 (n, D)

The regression, its split and its test are those of every other baseline.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from framework.baselines.rows import Rows
from framework.config.model import ShortOptions
from framework.errors import InputError
from framework.registry import Registry

Floats = npt.NDArray[np.float64]


class BaselineMissing(InputError):
    """A baseline that these data cannot have; its sentence stands in the table in place of a score."""


class BaselineConfig(ShortOptions):
    """Options of a baseline."""


class Baseline(ABC):
    """Features of rows.

    Attributes:
        says: what it knows, in a few words, for tables.
        shuffles: whether labels of training rows are shuffled within their block before the regression.
    """

    says: ClassVar[str]
    shuffles: ClassVar[bool] = False

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def features(self, rows: Rows) -> Floats:
        """Return what is known of each row, float64 (n, D); D may be 0, which leaves the mean of training rows.

        NaN stands for what a row lacks.

        Raises:
            BaselineMissing: these data cannot have it.
        """


BASELINES: Registry[type[Baseline]] = Registry("baseline", options=BaselineConfig)
"""Baselines by the name that ``--baselines`` takes."""
