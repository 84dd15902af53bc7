"""Feature-barcode matrices as Cell Ranger and STARsolo write them: a folder of three files, or one HDF5 file.

A barcode is a cell, or a well of a plate; a feature is a gene, a surface protein or anything else. This module knows
neither: it gives names as they are written, and the numbers as they are stored.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy import io, sparse

from framework.errors import InputError
from framework.files.failures import check_memory, check_regular, reading
from framework.files.hdf5 import MOST_EXPANSION, open_hdf5
from framework.files.sparse import checked_csr
from framework.files.text_file import check_tail, open_text

_MATRICES = ("matrix.mtx.gz", "matrix.mtx")
_FEATURES = ("features.tsv.gz", "genes.tsv", "features.tsv", "genes.tsv.gz")
_BARCODES = ("barcodes.tsv.gz", "barcodes.tsv")
_PARTS_2 = ("barcodes", "data", "gene_names", "genes", "indices", "indptr", "shape")
_LONGEST_LINE = 1 << 16
_PIECE = 1 << 20
_BYTES_OF_ENTRY = 4
"""A line of a matrix that holds a value is at least ``1 1 `` long."""


@dataclass(frozen=True, kw_only=True)
class FeatureBarcodes:
    """A matrix.

    Attributes:
        values: sparse (barcodes, features), as stored.
        barcodes: names.
        ids: ids of the features, as ``ENSG00000000003``; the names where the file has no ids.
        names: names of the features, as ``TSPAN6``; several may be equal.
        kinds: what features are, as ``Gene Expression``; None where the file does not say.
    """

    values: Any
    barcodes: list[str]
    ids: list[str]
    names: list[str]
    kinds: list[str] | None


def read_folder(folder: Path) -> FeatureBarcodes:
    """Read the matrix, features and barcodes of a folder; a text before their names, as GEO adds, is the same in all.

    Raises:
        InputError: a file is not there, damaged, or does not fit the others.
    """
    matrix, prefix = _matrix_of(folder)
    features = _lines(_only(folder, _FEATURES, prefix), "the features of a 10x folder")
    cells = [line[0] for line in _lines(_only(folder, _BARCODES, prefix), "the barcodes of a 10x folder")]
    values = _matrix(matrix)
    if values.shape == (len(cells), len(features)) and len(cells) != len(features):
        raise InputError(
            f"{matrix}: {len(cells)} cells x {len(features)} features; expected features x cells, as 10x writes it: "
            "transpose it"
        )
    if values.shape != (len(features), len(cells)):
        over = {"features": len(features) - values.shape[0], "barcodes": len(cells) - values.shape[1]}
        headed = [what for what, surplus in over.items() if surplus == 1]
        raise InputError(
            f"{matrix}: {values.shape[0]} features x {values.shape[1]} cells, but {len(features)} features and "
            f"{len(cells)} barcodes beside it" + (f"; remove the header of its {headed[0]}" if headed else "")
        )
    typed = any(len(line) > 2 and line[2] for line in features)
    return FeatureBarcodes(
        values=values.T,
        barcodes=cells,
        ids=[line[0] for line in features],
        names=[line[1] if len(line) > 1 else line[0] for line in features],
        kinds=[line[2] if len(line) > 2 else "" for line in features] if typed else None,
    )


def read_h5(file: Path) -> FeatureBarcodes:
    """Read a feature-barcode matrix.

    Raises:
        InputError: no such matrix, or a damaged one.
    """
    with open_hdf5(file, error=InputError, what="a 10x feature-barcode matrix") as store:
        if "matrix" in store:
            return _checked(_version_3(store["matrix"]), file)
        genomes = [name for name in store if isinstance(store[name], h5py.Group)]
        genomes = [name for name in genomes if all(part in store[name] for part in _PARTS_2)]
        if not genomes:
            raise InputError(
                f"{file}: no group 'matrix'; expected a 10x feature-barcode matrix (Cell Ranger 2 or later); it holds "
                f"{', '.join(store) or 'nothing'}"
            )
        return _checked(_version_2(store, genomes, file), file)


def _checked(found: FeatureBarcodes, file: Path) -> FeatureBarcodes:
    """Refuse names that are more or fewer than the matrix has: each would be given to the numbers of another."""
    cells, features = found.values.shape
    named = (
        ("barcodes", found.barcodes, cells),
        ("ids of features", found.ids, features),
        ("names of features", found.names, features),
        ("types of features", found.kinds, features),
    )
    for what, names, size in named:
        if names is not None and len(names) != size:
            raise InputError(
                f"{file}: its matrix has {cells} barcodes x {features} features, beside it stand {len(names)} {what}; "
                "expected one for each; export it again"
            )
    return found


def _version_3(matrix: Any) -> FeatureBarcodes:
    features = matrix["features"]
    names = _texts(features["name"])
    return FeatureBarcodes(
        values=_cells_by_features(matrix),
        barcodes=_texts(matrix["barcodes"]),
        ids=_texts(features["id"]) if "id" in features else names,
        names=names,
        kinds=_texts(features["feature_type"]) if "feature_type" in features else None,
    )


def _version_2(store: Any, genomes: list[str], file: Path) -> FeatureBarcodes:
    """One group per genome; several are the species of one experiment where they have the same barcodes."""
    cells = _texts(store[genomes[0]]["barcodes"])
    parts, ids, names = [], list[str](), list[str]()
    for genome in genomes:
        if _texts(store[genome]["barcodes"]) != cells:
            raise InputError(
                f"{file}: the genomes {', '.join(genomes)} have different barcodes; write each genome into its own file"
            )
        parts.append(_cells_by_features(store[genome]))
        ids += _texts(store[genome]["genes"])
        names += _texts(store[genome]["gene_names"])
    return FeatureBarcodes(values=sparse.hstack(parts).tocsr(), barcodes=cells, ids=ids, names=names, kinds=None)


def _cells_by_features(matrix: Any) -> Any:
    """10x stores features x cells by column, which read by row is cells x features."""
    shape = tuple(int(size) for size in matrix["shape"][:])
    if len(shape) != 2:
        raise ValueError(f"a matrix of {len(shape)} sizes; expected two")
    return checked_csr(matrix["data"][:], matrix["indices"][:], matrix["indptr"][:], (shape[1], shape[0]))


def _matrix(file: Path) -> Any:
    """Return a Matrix Market file, after a look at how much it says it holds."""
    size = check_regular(file, InputError, "a 10x matrix")
    packed = file.suffix == ".gz"
    check_tail(file, "a 10x matrix", InputError)
    with reading(file, InputError, "a 10x matrix"), _unpacked(file) as stream:
        line = stream.readline(_LONGEST_LINE).decode("latin-1")
        while line.startswith("%") or (line and not line.strip()):
            line = stream.readline(_LONGEST_LINE).decode("latin-1")
    words = line.split()
    if len(words) != 3 or not all(word.isdecimal() for word in words):
        raise InputError(
            f"{file}: not a sparse Matrix Market file: its line of sizes is '{line.strip()[:60]}'; expected three "
            "numbers"
        )
    rows, columns, entries = map(int, words)
    if entries * _BYTES_OF_ENTRY > size * (MOST_EXPANSION if packed else 1):
        raise InputError(f"{file}: declares {entries} values, which {size} bytes cannot hold; copy it again")
    check_memory(file, entries * 16 + (rows + columns) * 8, InputError, "a 10x matrix")
    with reading(file, InputError, "a 10x matrix"):
        field = io.mminfo(str(file))[4]
        if field not in ("integer", "real", "double", "unsigned-integer"):
            raise InputError(f"{file}: a Matrix Market file of the kind '{field}'; expected counts (integer or real)")
        return io.mmread(str(file))


def _matrix_of(folder: Path) -> tuple[Path, str]:
    """Return the matrix and what stands before its name."""
    found = sorted(
        (name, path) for path in folder.iterdir() for name in _MATRICES if path.name.endswith(name) and path.is_file()
    )
    prefixes = list(dict.fromkeys(path.name.removesuffix(name) for name, path in found))
    if "" in prefixes or len(prefixes) == 1:
        prefix = "" if "" in prefixes else prefixes[0]
        return _only(folder, _MATRICES, prefix), prefix
    if found:
        raise InputError(
            f"{folder}: holds {len(found)} matrices ({found[0][1].name}, {found[1][1].name} ...); expected "
            "one per folder: put each matrix into its own folder, with its features and barcodes"
        )
    inside = sorted({path.parent.name for name in _MATRICES for path in folder.glob(f"*/*{name}")})
    then = f"; name the folder in it: {', '.join(inside[:5])}" if inside else ""
    raise InputError(
        f"{folder}: holds no {_MATRICES[0]}; expected a 10x folder with matrix, features and barcodes{then}"
    )


def _only(folder: Path, names: tuple[str, ...], prefix: str) -> Path:
    """Return the file that has one of these names; of several, as packed and plain, which say the same, the first.

    Raises:
        InputError: there is none, or two differ: those of another run would be given to the numbers of this one.
    """
    found = [folder / f"{prefix}{name}" for name in names if (folder / f"{prefix}{name}").is_file()]
    if not found:
        raise InputError(
            f"{folder}: holds no {prefix}{names[0]}; expected a 10x folder with matrix, features and barcodes"
        )
    for other in found[1:]:
        if not _same_text(found[0], other):
            raise InputError(
                f"{folder}: {found[0].name} and {other.name} differ, so nobody knows which belongs to the other files; "
                "keep the files of one run in the folder"
            )
    return found[0]


def _same_text(one: Path, other: Path) -> bool:
    """Return whether two files, each perhaps packed, hold the same text."""
    with reading(one, InputError, "a part of a 10x folder"), _unpacked(one) as left, _unpacked(other) as right:
        while piece := left.read(_PIECE):
            if piece != right.read(_PIECE):
                return False
        return not right.read(1)


def _unpacked(file: Path) -> BufferedIOBase:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")


def _lines(file: Path, what: str) -> list[list[str]]:
    with open_text(file, what=what).opened() as stream:
        lines = [line.rstrip("\r\n") for line in stream if line.strip()]
    if lines and all(" " in line.strip() and "\t" not in line for line in lines):
        raise InputError(f"{file}: no tab in a line such as '{lines[0][:60]}'; expected {what}")
    return [[_unquoted(part.strip()) for part in line.split("\t")] for line in lines]


def _unquoted(part: str) -> str:
    """R writes names within quotation marks."""
    return part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part


def _texts(values: Any) -> list[str]:
    """Return a dataset of text (or of whole numbers, as some converters write barcodes)."""
    found: np.ndarray[Any, Any] = values[:]
    return [item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item) for item in found.tolist()]
