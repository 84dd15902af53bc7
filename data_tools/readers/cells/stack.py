"""Cells as one array: a member of an .npz file or a dataset of an HDF5 file, with arrays of labels beside it.

Pixels are read row by row, never the whole array: an HDF5 dataset by its own index, an .npz member as a stream. A
compressed .npz of more than 256 MiB is unpacked once for each bag; save such a one without compression.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, model_validator

from data_tools.readers.cells.base import (
    CELL,
    CELL_READERS,
    TEXT,
    CellImage,
    CellListing,
    CellProblem,
    CellReader,
    check_channels,
    rows_of_file,
)
from data_tools.readers.recognition import Claim, KnowsExports, Sight
from framework.config import StrictModel, UniqueNames
from framework.errors import InputError, did_you_mean, some_of
from framework.files.hdf5 import datasets, open_hdf5
from framework.files.json_file import parse_json
from framework.files.npz import Header, NpzFile, open_npz

Array = npt.NDArray[Any]
_AGAIN = "correct 'path', or export it again"
_AXIS_WORDS = {
    "c": ("c", "channel", "channels"),
    "h": ("y", "h", "height", "row", "rows"),
    "w": ("x", "w", "width", "column", "columns"),
    "z": ("z", "depth", "slice", "slices"),
    "t": ("t", "time", "frame", "frames"),
}
"""Letter of an axis -> labels that say so."""
_UNPACKED_AT_ONCE = 1 << 28
"""Bytes of a compressed member that is unpacked whole; in a larger one every step back unpacks from its beginning."""


class StackConfig(StrictModel, KnowsExports):
    """A file with an array of images, and arrays with one value per cell.

    Attributes:
        path: .npz, .h5 or .hdf5.
        images: name of the array with the images; in HDF5 with its groups, as ``cells/images``.
        layout: order of its axes: cells ``n``, channels ``c``, rows ``h``, columns ``w``. If an HDF5 file labels its
            axes differently, it is refused.
        channels: names of the channels, in the order of the array.
        labels: ``Metadata_*`` column to make -> array of text (or whole numbers).
        measurements: arrays of numbers to keep for ``markers`` and ``keep``.
        copies: ``Metadata_*`` column to make: the row of the first image with the same pixels, by which
            ``bags.together`` keeps copies of a cell in one group. Reads every image once more.
    """

    name: Literal["stack"] = "stack"
    path: str = Field(description="the .npz or HDF5 file")
    images: str = Field(default="images", min_length=1)
    layout: Literal["nchw", "nhwc", "nhw"] = "nchw"
    channels: UniqueNames = Field(min_length=1, description="the names of the channels, in the order of the array")
    labels: dict[str, str] = Field(default={})
    measurements: UniqueNames = ()
    copies: str | None = None
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Edge of a pixel in the plane of the sample."""

    @model_validator(mode="after")
    def _check(self) -> StackConfig:
        if self.layout == "nhw" and len(self.channels) > 1:
            raise ValueError(f"layout nhw has one channel, but 'channels' names {len(self.channels)}")
        for key, names in (("labels", tuple(self.labels)), ("copies", (self.copies,) if self.copies else ())):
            wrong = [name for name in names if not name.startswith("Metadata_")]
            if wrong:
                raise ValueError(f"'{key}' makes a column '{wrong[0]}'; names of labels begin with Metadata_")
        if self.copies in self.labels:
            raise ValueError(f"'labels' and 'copies' both make the column '{self.copies}'")
        return self

    @classmethod
    def recognise(cls, sight: Sight) -> Claim | str:
        """Look for one file with one array of images."""
        files = sight.ending(".npz", ".h5", ".hdf5")
        if len(files) != 1:
            return f"{len(files)} files of arrays, and this reader takes one: name one" if files else ""
        path = str(sight.root / files[0])
        try:
            with _opened(path) as arrays:
                shapes = {name: arrays.facts(name)[0] for name in arrays.names}
        except InputError as error:
            return str(error)
        images = {name: shape for name, shape in shapes.items() if len(shape) in (3, 4) and min(shape) > 0}
        if len(images) != 1:
            return f"{path} holds {len(images)} arrays of images, expected one; name it with 'images'"
        name, shape = next(iter(images.items()))
        layout = "nhw" if len(shape) == 3 else "nchw" if shape[1] <= shape[3] else "nhwc"
        count = 1 if layout == "nhw" else shape[layout.index("c")]
        channels = [f"c{number}" for number in range(count)]
        options = {"path": path, "images": name, "layout": layout, "channels": channels}
        return Claim(options=options, rank="own names", why=f"{files[0]} holds {shape[0]} images as '{name}'")


@CELL_READERS.register("stack", StackConfig)
class StackReader(CellReader[StackConfig]):
    """Reads cells from one array."""

    def survey(self, channels: tuple[str, ...]) -> CellListing:
        """List the rows of the array.

        Raises:
            InputError: no such file or array, another number of axes or channels than the config says, or labels and
                measurements of another length.
        """
        config = self.config
        check_channels(channels, config.channels, config.path)
        with _opened(config.path) as arrays:
            shape, _ = arrays.facts(config.images)
            self._check_shape(shape)
            self._check_labels(arrays.axes(config.images))
            n = shape[0]
            cells: dict[str, Any] = {CELL: pd.Series(np.arange(n).astype(str), dtype=TEXT)}
            for label, name in config.labels.items():
                cells[label] = pd.Series(self._texts(self._of_length(arrays, name, n), name), dtype=TEXT)
            for name in config.measurements:
                cells[name] = self._numbers(self._of_length(arrays, name, n), name)
            if config.copies:
                digests = [_digest(image) for image in arrays.rows(config.images, list(range(n)))]
                cells[config.copies] = pd.Series(_first_of_each(digests), dtype=TEXT)
        places = rows_of_file({"row": np.arange(n)}, config.path, n)
        return CellListing(
            cells=pd.DataFrame(cells), places=places, channels=config.channels, pixel_size_um=config.pixel_size_um
        )

    def read(self, places: pd.DataFrame, channels: tuple[str, ...]) -> Iterator[CellImage | CellProblem]:
        """Yield the images of some rows."""
        if not len(places):
            return
        chosen = [self.config.channels.index(channel) for channel in channels]
        rows = places["row"].tolist()
        # The survey of this ingest has visited the objects of the file.
        with _opened(str(places["file"].iloc[0]), checked=True) as arrays:
            for number, image in enumerate(arrays.rows(self.config.images, rows)):
                planes = {"nchw": image, "nhwc": np.moveaxis(image, -1, 0) if image.ndim == 3 else image}
                stack = image[None] if self.config.layout == "nhw" else planes[self.config.layout]
                yield CellImage(row=number, pixels=stack[chosen])

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        config = self.config
        found = " x ".join(map(str, shape)) or "of a single value"
        if len(shape) != len(config.layout):
            raise InputError(
                f"{config.path}: '{config.images}' has the shape {found}, but layout '{config.layout}' has "
                f"{len(config.layout)} axes; correct 'layout' or 'images'"
            )
        axis = config.layout.find("c")
        if axis >= 0 and shape[axis] != len(config.channels):
            raise InputError(
                f"{config.path}: '{config.images}' has the shape {found}, which is {shape[axis]} channels in "
                f"layout '{config.layout}', but 'channels' names {len(config.channels)}; correct one of them"
            )
        if not shape[0]:
            raise InputError(f"{config.path}: '{config.images}' holds no cell")

    def _check_labels(self, labels: Sequence[str]) -> None:
        """Refuse an array that labels an axis as something else than ``layout`` does; cells may be labelled anyhow."""
        config = self.config
        for letter, label in zip(config.layout, labels, strict=False):
            meant = next((key for key, words in _AXIS_WORDS.items() if label.strip().lower() in words), letter)
            if letter not in ("n", meant):
                raise InputError(
                    f"{config.path}: '{config.images}' labels its axes {', '.join(name or '-' for name in labels)}, "
                    f"and layout '{config.layout}' takes '{label}' for {_AXIS_WORDS[letter][-1]}; correct 'layout' or "
                    "'images', or save the array without labels of its axes"
                )

    def _of_length(self, arrays: _Arrays, name: str, n: int) -> Array:
        values = arrays.whole(name)
        if values.shape != (n,):
            shape = " x ".join(map(str, values.shape))
            raise InputError(f"{self.config.path}: '{name}' has the shape {shape}, expected one value for each of {n}")
        return values

    def _texts(self, values: Array, name: str) -> list[str]:
        missing = np.flatnonzero(values != values) if values.dtype.kind in "fcmM" else np.array([], dtype=np.int64)
        if len(missing):
            raise InputError(
                f"{self.config.path}: '{name}' has no value in row {missing[0]}, and so it is in {len(missing)} of "
                f"{len(values)} rows; a label stands in every row: write a word there, as 'none'"
            )
        return _texts(values)

    def _numbers(self, values: Array, name: str) -> Array:
        if values.dtype.kind not in "iufb":
            raise InputError(f"{self.config.path}: '{name}' does not hold numbers; name it in 'labels'")
        return values.astype(np.float64)


class _Arrays(ABC):
    """Named arrays of a file, by row or whole."""

    def __init__(self, path: str, names: list[str]) -> None:
        self._path, self._names = path, names

    @property
    def names(self) -> list[str]:
        """Of the arrays."""
        return list(self._names)

    @abstractmethod
    def facts(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and type."""

    def axes(self, name: str) -> tuple[str, ...]:
        """Return how the file labels the axes of an array; nothing where it has no labels."""
        return ()

    @abstractmethod
    def whole(self, name: str) -> Array:
        """Return all of a small array."""

    @abstractmethod
    def rows(self, name: str, rows: list[int]) -> Iterator[Array]:
        """Yield some rows of a large array."""

    def known(self, name: str) -> str:
        """Return ``name`` if there is such an array.

        Raises:
            InputError: there is none.
        """
        if name not in self._names:
            raise InputError(
                f"{self._path}: no array '{name}'; it has {some_of(self._names)}" + did_you_mean(name, self._names)
            )
        return name


class _Npz(_Arrays):
    def __init__(self, path: str, file: NpzFile) -> None:
        super().__init__(path, file.names)
        self._file = file

    def facts(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        header = self._header(name)
        return header.shape, header.dtype

    def whole(self, name: str) -> Array:
        return self._file.array(self.known(name))

    def rows(self, name: str, rows: list[int]) -> Iterator[Array]:
        header = self._header(name)
        if self._file.is_packed(name) and header.nbytes <= _UNPACKED_AT_ONCE:
            whole = self.whole(name)
            yield from (whole[row] for row in rows)
            return
        with self._file.stream(name) as stream:
            each = int(np.prod(header.shape[1:])) * header.dtype.itemsize
            for row in rows:
                stream.seek(header.start + row * each)
                data = stream.read(each)
                if len(data) < each:
                    raise ValueError(f"'{name}' ends within row {row}")
                image = np.frombuffer(data, header.dtype).reshape(header.shape[1:])
                yield image.astype(header.dtype.newbyteorder("="), copy=False)

    def _header(self, name: str) -> Header:
        header = self._file.header(self.known(name))
        if header.is_by_column and len(header.shape) > 1:
            raise InputError(f"{self._path}: '{name}' is stored column by column; save numpy.ascontiguousarray of it")
        return header


class _Hdf5(_Arrays):
    def __init__(self, path: str, file: h5py.File) -> None:
        super().__init__(path, [name for name, _ in datasets(file)])
        self._file = file

    def known(self, name: str) -> str:
        """Return ``name`` if it is an array or a soft link to one, which stays within this file.

        Raises:
            InputError: it is neither, or a link that leads to nothing.
        """
        if name in self._names or isinstance(self._file.get(name), h5py.Dataset):
            return name
        if isinstance(self._file.get(name, getlink=True), h5py.SoftLink):
            target = self._file.get(name, getlink=True).path
            raise InputError(f"{self._path}: '{name}' is a link to '{target}', which is not an array; {_AGAIN}")
        return super().known(name)

    def facts(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        found = self._file[self.known(name)]
        if found.shape is None:
            raise InputError(f"{self._path}: '{name}' holds no value; export it again")
        return tuple(int(edge) for edge in found.shape), found.dtype

    def axes(self, name: str) -> tuple[str, ...]:
        """Return the labels of HDF5's dimensions, or the axis tags that ilastik writes."""
        found = self._file[self.known(name)]
        if "axistags" in found.attrs:
            tags = parse_json(str(found.attrs["axistags"]), self._path, error=InputError, what="axis tags", then=_AGAIN)
            axes = tags.get("axes") if isinstance(tags, dict) else None
            return (
                tuple(str(axis.get("key", "")) for axis in axes if isinstance(axis, dict))
                if isinstance(axes, list)
                else ()
            )
        return tuple(str(dimension.label) for dimension in found.dims)

    def whole(self, name: str) -> Array:
        found = self._file[self.known(name)]
        is_text = h5py.check_string_dtype(found.dtype) is not None
        if found.dtype.kind in "OV" and not is_text:
            raise ValueError(f"'{name}' holds neither numbers nor text")
        named = h5py.check_enum_dtype(found.dtype)
        if named:
            words = {int(number): word for word, number in named.items()}
            numbers: Array = found[()]
            return np.array([words.get(int(number), str(number)) for number in numbers.flat]).reshape(numbers.shape)
        return np.asarray(found.asstr()[()] if is_text else found[()])

    def rows(self, name: str, rows: list[int]) -> Iterator[Array]:
        found = self._file[self.known(name)]
        for row in rows:
            image = np.asarray(found[row])
            yield image.astype(image.dtype.newbyteorder("="), copy=False)


@contextmanager
def _opened(path: str, *, checked: bool = False) -> Iterator[_Arrays]:
    """Open a file of arrays; whatever the libraries raise on a damaged one becomes a sentence."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".npz", ".h5", ".hdf5"):
        raise InputError(f"{path}: expected a file .npz, .h5 or .hdf5")
    if suffix == ".npz":
        with open_npz(path, error=InputError, what="cells in an .npz", then=_AGAIN) as archive:
            yield _Npz(path, archive)
    else:
        with open_hdf5(path, error=InputError, what="cells in an HDF5 file", then=_AGAIN, checked=checked) as file:
            yield _Hdf5(path, file)


def _texts(values: Array) -> list[str]:
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    return [str(value) for value in values.tolist()]


def _digest(image: Array) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()


def _first_of_each(digests: list[bytes]) -> list[str]:
    """Return for each digest the position of the first one that equals it, as text."""
    first: dict[bytes, int] = {}
    return [str(first.setdefault(digest, row)) for row, digest in enumerate(digests)]
