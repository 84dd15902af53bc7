"""Files that are sound as JSON, YAML, HDF5, Parquet, NumPy, XML, TIFF, FCS or tensors, and say something odd.

A flipped byte mostly meets a checksum or a parser. These write a whole file again with another value, type, shape,
name or link in it, so that what stands behind the parser is tried. ``of_file`` gives those that fit a file name.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from defusedxml.ElementTree import fromstring
from fuzz.mutations import Generator, Mutation
from fuzz.mutations_hdf5 import HDF5
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 70, 0.5, 1e308, float("nan"), float("inf"), "", "text", "0042", "../../../etc/passwd",
    "a\nb", "ä\u0001", [], {}, [[]], [None], {"": 1}, ["a", "a"], "x" * 5000,
)  # fmt: skip
_WORDS = ("", "-1", "0", "1e999", "NaN", "99999999999999999999", "text", "../../../etc/passwd", "0042", " ", "1:30")


def _any(choices: Any, rng: Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in ((*path, key), *_places(item, (*path, key)))]


def _with(value: Any, rng: Generator, change: Callable[[Any, Any], None]) -> Any:
    """Apply ``change(container, key)`` at a random place."""
    places = _places(value)
    if places:
        *above, key = _any(places, rng)
        inner = value
        for step in above:
            inner = inner[step]
        change(inner, key)
    return value


def _other(value: Any, rng: Generator) -> Any:
    def change(inner: Any, key: Any) -> None:
        inner[key] = _any(_VALUES, rng)

    return _with(value, rng, change)


def _lacking(value: Any, rng: Generator) -> Any:
    def change(inner: Any, key: Any) -> None:
        del inner[key]

    return _with(value, rng, change)


def _longer(value: Any, rng: Generator) -> Any:
    def change(inner: Any, key: Any) -> None:
        if isinstance(inner, list):
            inner.append(inner[key])
        else:
            inner[f"{key}_"] = inner[key]

    return _with(value, rng, change)


def json_value(data: bytes, rng: Generator) -> bytes:
    """Another value, a key less, or one more; a file of JSON lines is changed in one of them."""
    change = _any((_other, _other, _lacking, _longer), rng)
    try:
        return json.dumps(change(json.loads(data), rng)).encode()
    except ValueError:
        lines = data.splitlines()
        place = int(rng.integers(len(lines)))
        lines[place] = json.dumps(change(json.loads(lines[place]), rng)).encode()
        return b"\n".join((*lines, b""))


def json_key_twice(data: bytes, rng: Generator) -> bytes:
    """The first key appears twice, with another value."""
    return re.sub(rb'\{\s*("[^"]*":)', rb"{\1 1, \1", data, count=1)


def yaml_value(data: bytes, rng: Generator) -> bytes:
    """Another value, a key less, or one more."""
    change = _any((_other, _other, _lacking, _longer), rng)
    return yaml.safe_dump(change(yaml.safe_load(data), rng), sort_keys=False, allow_unicode=True).encode()


def yaml_syntax(data: bytes, rng: Generator) -> bytes:
    """What YAML can do that a config must not: tags, aliases in rounds or that grow, several documents, tabs."""
    bombs = "".join(f"b{level}: &b{level} [{', '.join([f'*b{level - 1}'] * 9)}]\n" for level in range(1, 9))
    extra = (
        "x: &x [*x]\n", "x: &x {a: *x}\n", f"b0: &b0 [1]\n{bombs}", "x: !!python/object/apply:os.system [ls]\n",
        "x: !!binary aGk=\n", "---\na: 1\n", "x: 2024-01-02\n", "? [a, b]\n: 1\n", "x: !!set {a, b}\n", "<<: {a: 1}\n",
        "x: |\n\ttext\n", "x: " + "[" * 200 + "]" * 200 + "\n", "x: &a 1\ny: *b\n", "%YAML 9.9\n---\n",
        "x: \"\\ud800\"\n", "{: }\n", "null: 1\n", "1: 2\n",
    )  # fmt: skip
    chosen = _any(extra, rng).encode()
    return chosen + data if rng.integers(2) else data.rstrip(b"\n") + b"\n" + chosen


def parquet_column(data: bytes, rng: Generator) -> bytes:
    """A column is missing, of another type, holds nulls or odd numbers, or the rows are fewer, more or none."""
    table = pq.read_table(io.BytesIO(data))
    place = int(rng.integers(table.num_columns))
    name, column, rows = table.column_names[place], table.column(place), table.num_rows
    text = pa.array([str(item) for item in column.to_pylist()])
    number = [float(row) for row in range(rows)]
    replaced = (
        text, pa.array([None] * rows, type=column.type), pa.array(number), pa.array([float("nan"), *number[1:]][:rows]),
        pa.array([float("inf"), *number[1:]][:rows]), pa.array([-1] * rows, pa.int64()), pa.array([1 << 40] * rows),
        pa.array([[1]] * rows), text.dictionary_encode(), pa.array([b"\xff"] * rows), pa.array([True] * rows),
        pa.array([0] * rows, pa.timestamp("ms")), pa.nulls(rows),
        pa.array(column.to_pylist()[::-1], type=column.type),
    )  # fmt: skip
    tables = [table.set_column(place, name, one) for one in replaced]
    tables += [table.remove_column(place), table.slice(0, 0), table.slice(0, max(rows - 1, 0))]
    tables.append(pa.concat_tables([table, table.slice(0, 1)]))
    tables += [table.append_column(name, column), table.rename_columns([f"{old} " for old in table.column_names])]
    sink = io.BytesIO()
    pq.write_table(_any(tables, rng), sink)
    return sink.getvalue()


def _arrays(array: Any, rng: Generator) -> list[Any]:
    fewer = array[:-1] if array.ndim else np.zeros(0)
    found = [fewer, array.T.copy(), array.ravel(), np.zeros((0, *array.shape[1:])), np.array("text"), array[None]]
    found += [array.astype(str), array.astype(object), np.full(array.shape, -1), np.asarray(array, order="F")]
    if array.dtype.kind in "iufb":
        found += [array.astype(kind) for kind in ("f2", "f8", "i8", "c16", ">u2", "?")]
        odd = array.astype(np.float32)
        odd.ravel()[:1] = _any((np.nan, np.inf, -np.inf, 1e30), rng)
        found.append(odd)
    return found


def npz_member(data: bytes, rng: Generator) -> bytes:
    """An array of another type or shape, one less, one twice, one outside the archive, one that claims to be huge."""
    with np.load(io.BytesIO(data)) as read:
        arrays = dict(read.items())
    name = _any(list(arrays), rng)
    way, sink = int(rng.integers(8)), io.BytesIO()
    if way < 5:
        arrays[name] = _any(_arrays(arrays[name], rng), rng)
    elif way == 5:
        del arrays[name]
    np.savez(sink, **arrays)
    if way < 6:
        return sink.getvalue()
    with zipfile.ZipFile(sink, "a") as archive:
        if way == 6:
            archive.writestr(_any((f"{name}.npy", "../../outside.npy", "/abs.npy", "note.txt"), rng), b"\x93NUMPY")
        else:
            archive.comment = b"x" * 1000
    return sink.getvalue() if way == 6 else sink.getvalue().replace(b"'shape': (", b"'shape': (9", 1)


def npy_array(data: bytes, rng: Generator) -> bytes:
    """An array of another type or shape."""
    sink = io.BytesIO()
    np.save(sink, _any(_arrays(np.load(io.BytesIO(data)), rng), rng))
    return sink.getvalue()


def tensors(data: bytes, rng: Generator) -> bytes:
    """A tensor of another shape or type, not finite, missing, or one more."""
    found = load_tensors(data)
    name = _any(sorted(found), rng)
    one = found[name]
    way = int(rng.integers(7))
    others = (one.double(), one.half(), one.reshape(-1), one[None], torch.zeros(0), torch.full_like(one, -1), one)
    found[name] = others[way].contiguous().clone()
    if way == 5 and one.dtype.is_floating_point:
        found[name] = torch.full_like(one, float("nan"))
    if way == 6:
        found["surplus"] = found.pop(name)
    return save_tensors(found)


def xml_element(data: bytes, rng: Generator) -> bytes:
    """An element is missing, appears twice, or says something else."""
    root = fromstring(data)
    parents = [(parent, child) for parent in root.iter() for child in parent]
    parent, child = _any(parents, rng)
    way = int(rng.integers(6))
    if way == 0:
        parent.remove(child)
    elif way == 1:
        parent.append(child)
    elif way == 2 and child.attrib:
        child.attrib[_any(sorted(child.attrib), rng)] = _any(_WORDS, rng)
    elif way == 3:
        child.tag = _any(("Other", "{urn:other}Image"), rng)
    else:
        child.text = _any(_WORDS, rng)
    return ElementTree.tostring(root)


def xml_syntax(data: bytes, rng: Generator) -> bytes:
    """Entities that grow or read files, another encoding than declared, very deep elements, no root."""
    body = re.sub(rb"^\s*(\xef\xbb\xbf)?<\?xml[^>]*\?>", b"", data)
    lol = b"".join(b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 9))
    ways = (
        b'<!DOCTYPE x [<!ENTITY l0 "l">' + lol + b"]>" + body.replace(b">", b">&l8;", 1),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + body.replace(b">", b">&e;", 1),
        b'<?xml version="1.0" encoding="utf-16"?>' + body,
        b'<?xml version="1.0" encoding="nowhere"?>' + body,
        body.decode("utf-8", "replace").encode("utf-16"),
        b"<a>" * 20_000 + body + b"</a>" * 20_000,
        b"<!-- nothing -->",
        body + body,
    )
    return _any(ways, rng)


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8}


def tiff_entry(data: bytes, rng: Generator) -> bytes:
    """An entry of a directory has another tag, type, count or value, or the list of directories leads in rounds."""
    if data[:4] != b"II*\0":
        return data
    spoiled = bytearray(data)
    places, entries = [4], list[int]()
    at = struct.unpack_from("<I", data, 4)[0]
    while 0 < at < len(data) - 2 and len(places) < 50:
        count = struct.unpack_from("<H", data, at)[0]
        entries += [at + 2 + 12 * number for number in range(count)]
        places.append(at + 2 + 12 * count)
        at = struct.unpack_from("<I", data, places[-1])[0]
    entry = int(_any(entries, rng))
    way = int(rng.integers(6))
    numbers = (0, 1, 2, 7, 16, 65535, 0x7FFFFFFF, 0xFFFFFFFF, len(data), len(data) - 1, 8)
    if way == 0:
        struct.pack_into("<I", spoiled, int(_any(places, rng)), _any((8, at or 8, entry, len(data), 0xFFFFFFFE), rng))
    elif way == 1:
        struct.pack_into("<H", spoiled, entry, _any((254, 258, 259, 262, 273, 277, 284, 317, 330, 339), rng))
    elif way == 2:
        struct.pack_into("<H", spoiled, entry + 2, int(rng.integers(0, 20)))
    elif way == 3:
        struct.pack_into("<I", spoiled, entry + 4, _any(numbers, rng))
    else:
        struct.pack_into("<I", spoiled, entry + 8, _any(numbers, rng))
    return bytes(spoiled)


def fcs_keyword(data: bytes, rng: Generator) -> bytes:
    """A keyword has another value of the same length."""
    found = list(re.finditer(rb"\$[A-Z0-9]+(.)([^$]*?)\1", data[58:4096], re.DOTALL))
    if not found:
        return data
    begin, end = (58 + place for place in _any(found, rng).span(2))
    new = _any((b"0", b"-1", b"9" * 30, b"x", b"", b"I", b"nan", b"1e9", b"4,0", b"inf"), rng)[: end - begin]
    return data[:begin] + new.ljust(end - begin) + data[end:]


_OF: dict[str, tuple[Mutation, ...]] = {
    ".json": (json_value, json_value, json_key_twice),
    ".jsonl": (json_value,),
    ".yaml": (yaml_value, yaml_value, yaml_syntax),
    ".parquet": (parquet_column,),
    ".npz": (npz_member,),
    ".npy": (npy_array,),
    ".safetensors": (tensors,),
    ".xml": (xml_element, xml_element, xml_syntax),
    ".tif": (tiff_entry,),
    ".cif": (tiff_entry,),
    ".fcs": (fcs_keyword,),
    **{suffix: tuple(HDF5.values()) for suffix in (".h5ad", ".h5mu", ".h5", ".hdf5")},
}
FORMATS: dict[str, Mutation] = {one.__name__: one for each in _OF.values() for one in each}


def of_file(name: str) -> list[str]:
    """Return the names of the mutations that fit a file, those that matter most several times."""
    return [one.__name__ for one in _OF.get("." + name.rpartition(".")[2], ())]
