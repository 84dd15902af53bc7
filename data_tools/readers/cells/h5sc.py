"""Single-cell images of scPortrait (``.h5sc``): an AnnData file with the pixels of each cell in ``obsm``.

``obsm/single_cell_images`` is (cells, channels, H, W); its attributes, or ``var``, name the channels and say which are
masks of a segmentation. A mask is a channel like any other, so it can be stored beside the images. Pixels are float16
between 0 and 1 and are given as float32. Cells are the rows of ``obs``, and ``cell_id`` is their name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import anndata
import h5py
import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    PLACE_COLUMNS,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    rows_of_file,
    text_column,
)
from framework.config import StrictModel, UniqueNames
from framework.errors import InputError, did_you_mean, some_of
from framework.files.hdf5 import open_hdf5
from framework.files.sparse import check_groups

IMAGES = "obsm/single_cell_images"
CELL_IDS = ("cell_id", "scportrait_cell_id")
_AGAIN = "correct 'path', or extract the cells again"
_WHAT = "single-cell images of scPortrait (.h5sc)"


class H5scConfig(StrictModel):
    """A file of single-cell images.

    Attributes:
        path: the ``.h5sc``.
        labels: ``Metadata_*`` column to make -> column of ``obs``. Columns that are called ``Metadata_*`` there are
            labels without being named.
        measurements: columns of ``obs`` with numbers, to keep for ``markers`` and ``keep``.
        channel_names: name in the file -> another one.
        pixel_size_um: edge of a pixel, which the file does not state.
    """

    name: Literal["h5sc"] = "h5sc"
    path: str = Field(description="the .h5sc file")
    labels: dict[str, str] = Field(default={})
    measurements: UniqueNames = ()
    channel_names: dict[str, str] = Field(default={})
    pixel_size_um: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check(self) -> H5scConfig:
        wrong = [name for name in self.labels if not name.startswith("Metadata_")]
        if wrong:
            raise ValueError(f"'labels' makes a column '{wrong[0]}'; names of labels begin with Metadata_")
        return self


@CELL_READERS.register("h5sc", H5scConfig)
class H5scReader(CellReader[H5scConfig]):
    """Reads cells of scPortrait."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the rows of ``obs``.

        Raises:
            InputError: no such file, no images in it, images that do not belong to ``obs``, a channel or column that it
                does not have, or a cell that appears twice.
        """
        path = self.config.path
        with open_hdf5(path, error=InputError, what=_WHAT, then=_AGAIN) as file:
            check_groups(file)
            names, masks = self._channels(file)
            check_channels(channels, names, path)
            obs = anndata.io.read_elem(file["obs"])
            n = _images(file, path).shape[0]
            if len(obs) != n:
                raise InputError(f"{path}: obs has {len(obs)} rows and '{IMAGES}' {n} images; {_AGAIN}")
            cells = self._cells(obs)
        return CellListing(
            cells=cells,
            places=rows_of_file({"row": np.arange(n)}, path, n),
            channels=names,
            notes=(f"{path}: of its channels {', '.join(masks)} are masks",) if masks else (),
            pixel_size_um=self.config.pixel_size_um,
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the images of some rows."""
        if not len(places):
            return
        # The survey of this ingest has visited the objects of the file.
        with open_hdf5(str(places["file"].iloc[0]), error=InputError, what=_WHAT, then=_AGAIN, checked=True) as file:
            names, _ = self._channels(file)
            chosen, images = [names.index(channel) for channel in channels], _images(file, self.config.path)
            for number, row in enumerate(places["row"].tolist()):
                stack = np.asarray(images[row])[chosen]
                yield CellImage(row=number, pixels=stack.astype(np.float32) if stack.dtype == np.float16 else stack)

    def _channels(self, file: h5py.File) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the channels, as the config has them, and which of them are masks."""
        path, images = self.config.path, _images(file, self.config.path)
        stated, kinds = (_stated(file, images, name) for name in ("channel_names", "channel_mapping"))
        if not stated:
            stated = tuple(f"c{number}" for number in range(images.shape[1]))
        if len(stated) != images.shape[1]:
            raise InputError(f"{path}: names {len(stated)} channels, but its images have {images.shape[1]}; {_AGAIN}")
        for name in self.config.channel_names:
            if name not in stated:
                raise InputError(
                    f"{path}: 'channel_names' names '{name}', and there is {some_of(stated)}"
                    + did_you_mean(name, stated)
                )
        names = tuple(self.config.channel_names.get(name, name) for name in stated)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InputError(
                f"{path}: several channels are called '{twice[0]}', and channels are chosen by name; {_AGAIN}"
            )
        masks = zip(names, kinds, strict=False)
        return names, tuple(name for name, kind in masks if kind == "mask")

    def _cells(self, obs: pd.DataFrame) -> pd.DataFrame:
        config = self.config
        ids = next((name for name in CELL_IDS if name in obs), None)
        names = obs.index if ids is None else obs[ids]
        cells = {CELL: text_column(str(name) for name in names)}
        own = {str(name): str(name) for name in obs if str(name).startswith("Metadata_") and name != CELL}
        for label, name in {**own, **config.labels}.items():
            cells[label] = text_column("" if pd.isna(value) else str(value) for value in self._column(obs, name))
        for name in config.measurements:
            cells[name] = self._numbers(obs, name)
        for name in PLACE_COLUMNS:
            if name in obs and name not in cells and obs[name].dtype.kind in "iuf":
                cells[name] = obs[name].reset_index(drop=True)
        table = pd.DataFrame(cells)
        labels = [name for name in table if str(name).startswith("Metadata_")]
        twice = table[labels].duplicated()
        if twice.any():
            raise InputError(
                f"{config.path}: cell '{table[CELL][twice.idxmax()]}' appears twice in obs; name a column in "
                "'labels' that tells the two apart, such as the slide"
            )
        return table

    def _column(self, obs: pd.DataFrame, name: str) -> pd.Series[Any]:
        if name not in obs:
            known = [str(column) for column in obs]
            raise InputError(
                f"{self.config.path}: obs has no column '{name}'; it has {some_of(known)}" + did_you_mean(name, known)
            )
        found: pd.Series[Any] = obs[name].reset_index(drop=True)
        return found

    def _numbers(self, obs: pd.DataFrame, name: str) -> pd.Series[Any]:
        found = self._column(obs, name)
        if found.dtype.kind not in "iufb":
            raise InputError(f"{self.config.path}: column '{name}' of obs does not hold numbers; name it in 'labels'")
        return found.astype(np.float64)


def _images(file: h5py.File, path: str) -> h5py.Dataset:
    images = file.get(IMAGES)
    if not isinstance(images, h5py.Dataset) or images.ndim != 4 or not images.shape[0]:
        found = "x".join(map(str, images.shape)) if isinstance(images, h5py.Dataset) else "no such array"
        raise InputError(f"{path}: expected '{IMAGES}' (cells, channels, rows, columns), found {found}; {_AGAIN}")
    return images


def _stated(file: h5py.File, images: h5py.Dataset, name: str) -> tuple[str, ...]:
    """Return what the attributes of the images say of the channels, or else ``var``; empty where neither does."""
    if name in images.attrs:
        return _texts(np.atleast_1d(images.attrs[name]).tolist())
    column = {"channel_names": "channels"}.get(name, name)
    var = anndata.io.read_elem(file["var"]) if "var" in file else pd.DataFrame()
    return _texts(var[column].tolist()) if column in var else ()


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)
