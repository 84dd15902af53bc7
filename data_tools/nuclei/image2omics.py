"""Tiles where the authors of Image2Omics cut them: ``TILES.X3.Y7.P1.0.BARCODE.h5`` beside the images of a well.

``fov_<n>`` holds a row per tile: its top row and its left column, of 128 px. The centre is half a tile further, so that
ingest with ``tiles.size_px: 128`` cuts the very pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
from pydantic import Field

from data_tools.nuclei.base import (
    NUCLEI,
    FieldKey,
    FieldOfView,
    FieldSurvey,
    Nuclei,
    NucleiConfig,
    NucleusMethod,
    nuclei_at,
)
from data_tools.nuclei.centre_table import missing_centres
from data_tools.readers.problem import Problem
from framework.errors import InputError
from framework.files.hdf5 import open_hdf5

_IMAGES, _TILES = "ICF.", "TILES."


class Image2OmicsTilesConfig(NucleiConfig):
    """Where the files of coordinates lie, and the edge of the tiles that they speak of."""

    method: Literal["image2omics"] = "image2omics"
    path: str = Field(min_length=1, description="the folder TILES")
    size_px: int = Field(default=128, ge=2)
    """Edge of the published tiles."""


@NUCLEI.register("image2omics", Image2OmicsTilesConfig)
class Image2OmicsTiles(NucleusMethod):
    """See the module."""

    options: Image2OmicsTilesConfig
    from_pixels = False

    def survey(self, fields: Sequence[FieldOfView]) -> FieldSurvey:
        """See ``NucleusMethod``."""
        files: dict[FieldKey, tuple[Path, ...]] = {}
        problems: list[Problem] = []
        for field in fields:
            file = self._file_of(field)
            if file.is_file():
                files[field.key] = (file.absolute(),)
            else:
                problems.append(missing_centres(file, field, "has no coordinates of tiles; copy it"))
        if fields and not files:
            raise InputError(
                f"{self.options.path}: no coordinates of any site, the first would be {self._file_of(fields[0])}; "
                "correct 'nuclei.path'"
            )
        note = f"{self.options.path}: {len(files)} of {len(fields)} sites have coordinates of tiles"
        return FieldSurvey(files=files, problems=tuple(problems), notes=(note,))

    def find(self, image: npt.NDArray[Any], field: FieldOfView) -> Nuclei:
        """See ``NucleusMethod``."""
        file = field.files[0]
        name = f"fov_{field.site}"
        with open_hdf5(file, error=InputError, what="a file of coordinates of tiles", then="copy it again") as opened:
            found = opened.get(name)
            if found is None:
                return nuclei_at(np.zeros((0, 2)), None, image.shape, f"no coordinates '{name}'")
            if (
                not isinstance(found, h5py.Dataset)
                or found.ndim != 2
                or found.shape[1] < 2
                or found.dtype.kind not in "iuf"
            ):
                raise InputError(f"{file}: '{name}' is not a table of top row and left column, one row per tile")
            corners = np.asarray(found[:, :2], dtype=np.float64)
        last = np.array(image.shape) - 1
        if not np.isfinite(corners).all() or (corners < -self.options.size_px).any() or (corners > last).any():
            raise InputError(
                f"{file}: '{name}' has tiles outside of the image of {image.shape[0]} x {image.shape[1]} px"
            )
        return nuclei_at(corners + self.options.size_px // 2, None, image.shape)

    def _file_of(self, field: FieldOfView) -> Path:
        return Path(self.options.path) / (_TILES + field.image.removeprefix(_IMAGES))
