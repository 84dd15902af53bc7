"""``labels``: nuclei that another program found (Cellpose, StarDist, CellProfiler, Harmony), as images or a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy.typing as npt
from pydantic import model_validator

from data_tools.nuclei.base import NUCLEI, FieldOfView, FieldSurvey, Nuclei, NucleiConfig, NucleusMethod
from data_tools.nuclei.centre_table import CentreTableConfig, nuclei_of_table, survey_centre_table
from data_tools.nuclei.label_images import LabelImagesConfig, nuclei_of_labels, survey_label_images
from framework.errors import InputError


class LabelsConfig(NucleiConfig):
    """``nuclei: {method: labels}``; every nucleus has the score 1. ``channel`` is what the report shows them in."""

    method: Literal["labels"] = "labels"
    images: LabelImagesConfig | None = None
    """Label images; or ``table``."""
    table: CentreTableConfig | None = None
    """A table of centres; or ``images``."""

    @model_validator(mode="after")
    def _check(self) -> LabelsConfig:
        if (self.images is None) == (self.table is None):
            raise ValueError("expected exactly one of 'images' (label images) and 'table' (a table of centres)")
        return self


@NUCLEI.register("labels", LabelsConfig)
class Labels(NucleusMethod):
    """See the module."""

    options: LabelsConfig
    from_pixels = False

    def check(self, pixel_size_um: float | None) -> None:
        """See ``NucleusMethod``."""
        if self.options.table is not None and self.options.table.unit == "um" and pixel_size_um is None:
            raise InputError("'nuclei.table.unit: um' needs a pixel size, which the export does not state; write px")

    def survey(self, fields: Sequence[FieldOfView]) -> FieldSurvey:
        """See ``NucleusMethod``."""
        images, table = self.options.images, self.options.table
        if images is not None and fields:
            return survey_label_images(images, fields)
        return survey_centre_table(table, fields) if table is not None and fields else FieldSurvey()

    def find(self, image: npt.NDArray[Any], field: FieldOfView) -> Nuclei:
        """See ``NucleusMethod``."""
        if not field.files:
            raise InputError(f"nuclei.method 'labels': no labels were found for {field}")
        table = self.options.table
        if table is not None:
            return nuclei_of_table(table, field.files[0], image.shape, field)
        return nuclei_of_labels(field.files[0], image.shape, field)
