"""What a normalisation may be told: groups, controls, and the chain of methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import Field

from framework.config import UniqueNames, WithPlugins, choices
from framework.profiles.methods import METHODS, MethodOptions, ZOptions

if TYPE_CHECKING:
    Steps: TypeAlias = tuple[MethodOptions, ...]
else:
    Steps = choices(METHODS, short=True)
    """Methods, one after the other."""


class NormaliseConfig(WithPlugins):
    """Options of ``normalise``."""

    by: UniqueNames = Field(default=("Metadata_Plate",), min_length=1)
    """Columns that together name a group of rows that were made together, such as a plate."""
    to: str = "negcon"
    """Which rows are controls: ``negcon`` (or another type) in a column such as ``Metadata_Control_Type``,
    ``COLUMN=VALUE,VALUE``, or ``all``."""
    missing: Literal["refuse", "drop"] = "refuse"
    """What to do with features that have a NaN or infinite value: refuse with a sentence, or drop them."""
    steps: Steps = (ZOptions(),)
    """Methods in order; each is fitted on the controls as the ones before left them."""
