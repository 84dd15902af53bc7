"""Contract tests for your own entries: subclass one in a test file, and pytest runs what every entry must fulfil.

>>> from wellstream.testing import ScheduleContract
>>> class TestMine(ScheduleContract):
...     plain = {"name": "cosine"}

Our own entries pass the same classes. pytest is needed to use them, and nothing else imports them.
"""

from wellstream.testing.baselines import BaselineContract
from wellstream.testing.entry import EntryContract
from wellstream.testing.nuclei import IlluminationContract, NucleiContract
from wellstream.testing.objectives import ObjectiveContract
from wellstream.testing.pixels import AugmentationContract, ScaleContract
from wellstream.testing.plans import PlanContract
from wellstream.testing.profiles import NormalisationContract
from wellstream.testing.readers import CellReaderContract, ReaderContract
from wellstream.testing.reports import EvaluationContract, FigureContract, SectionContract
from wellstream.testing.training import BackboneContract, OptimiserContract, PoolContract, ScheduleContract

__all__ = [
    "AugmentationContract",
    "BackboneContract",
    "BaselineContract",
    "CellReaderContract",
    "EntryContract",
    "EvaluationContract",
    "FigureContract",
    "IlluminationContract",
    "NormalisationContract",
    "NucleiContract",
    "ObjectiveContract",
    "OptimiserContract",
    "PlanContract",
    "PoolContract",
    "ReaderContract",
    "ScaleContract",
    "ScheduleContract",
    "SectionContract",
]
