"""HDF5 files that are sound, and hold another type, shape, attribute or link than their reader expects."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
from fuzz.mutations import Generator, Mutation


def _any(choices: Any, rng: Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _listed(store: h5py.File) -> tuple[list[str], list[str]]:
    """Return the names of the datasets, and of the groups."""
    sets, groups = list[str](), list[str]()
    store.visititems(lambda name, item: (sets if isinstance(item, h5py.Dataset) else groups).append(name))
    return sets, groups


def hdf5_dataset(data: bytes, rng: Generator) -> bytes:
    """A dataset has another type or shape, holds odd numbers, is a group, or is not there."""
    sink = io.BytesIO(data)
    with h5py.File(sink, "r+") as store:
        name = str(_any(_listed(store)[0], rng))
        values, facts = store[name][()], dict(store[name].attrs)
        del store[name]
        new = _any(_others(np.asarray(values), rng), rng)
        if new is None:
            store.create_group(name)
        elif isinstance(new, str):
            pass
        else:
            store[name] = new
            for key, value in facts.items():
                store[name].attrs[key] = value
    return sink.getvalue()


def _others(values: Any, rng: Generator) -> list[Any]:
    """Return what may stand in the place of an array; None stands for a group, text for nothing."""
    fewer = values.ravel()[:-1] if values.ndim < 2 else values[:-1]
    text = np.array([str(item)[:20] for item in values.ravel()], dtype="S").reshape(values.shape)
    found: list[Any] = [None, "nothing", fewer, text, np.zeros(values.shape), np.full(values.shape, -1)]
    found += [np.zeros((0, *values.shape[1:])), np.float64(1), h5py.Empty("f4"), np.full(values.shape, 1 << 40)]
    found += [np.zeros(values.shape, dtype=[("a", "i4"), ("b", "f4")]), np.ones(values.shape, dtype=bool)]
    if values.dtype.kind in "iuf" and values.size:
        odd = values.astype(np.float32)
        odd.ravel()[int(rng.integers(values.size))] = _any((np.nan, np.inf, -np.inf, -3, 0.25, 1e30), rng)
        found += [odd, values.T, values.astype("f2"), values.astype(">i8"), np.repeat(values, 2, axis=-1)]
    if values.dtype.kind == "O" and values.ndim:
        found += [
            np.array([b"\xff\xfe"] * len(values)),
            np.array([b""] * len(values)),
            np.repeat(values[:1], len(values)),
        ]
    return found


def hdf5_attribute(data: bytes, rng: Generator) -> bytes:
    """An attribute says something else, or is not there."""
    sink = io.BytesIO(data)
    with h5py.File(sink, "r+") as store:
        sets, groups = _listed(store)
        owners = [name for name in ("/", *sets, *groups) if len(store[name].attrs)]
        if not owners:
            return data
        facts = store[str(_any(owners, rng))].attrs
        key = str(_any(sorted(facts), rng))
        others: tuple[Any, ...] = (
            "csr_matrix", "dataframe", "categorical", "dict", "", "0.0.0", 7, -1, [1 << 40, 1 << 40], [3], [-1, 5],
            np.nan, np.array(["a", "b"], dtype="S"), None, h5py.Empty("f4"),
        )  # fmt: skip
        new = _any(others, rng)
        del facts[key]
        if new is not None:
            facts[key] = new
    return sink.getvalue()


def hdf5_link(data: bytes, rng: Generator) -> bytes:
    """A name leads to itself, above itself, to nothing, to another file, or to data that were never written."""
    sink = io.BytesIO(data)
    with h5py.File(sink, "r+") as store:
        sets, groups = _listed(store)
        name = str(_any([*sets, *groups], rng))
        way = int(rng.integers(8))
        if way == 0 and groups:
            store[str(_any(groups, rng))]["round"] = store["/"]
            return _closed(store, sink)
        shape = store[name].shape if name in sets else (3,)
        del store[name]
        if way == 1:
            store[name] = h5py.SoftLink("/" + name)
        elif way == 2:
            store[name] = h5py.SoftLink("/nowhere")
        elif way == 3:
            store[name] = h5py.ExternalLink("/etc/hostname", "/x")
        elif way == 4:
            store.create_dataset(name, shape, "u1", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])
        elif way == 5:
            store.create_dataset(name, (1 << 40,), "f4", chunks=(1 << 20,))
        elif way == 6:
            store.create_dataset(name, shape, "f4")
        else:
            store[name] = store["/"]
    return sink.getvalue()


def _closed(store: h5py.File, sink: io.BytesIO) -> bytes:
    store.close()
    return sink.getvalue()


HDF5: dict[str, Mutation] = {one.__name__: one for one in (hdf5_dataset, hdf5_attribute, hdf5_link)}
