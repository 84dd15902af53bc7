"""Targets: counts of single cells in every format, their labels, and the experiment that is made of them."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from fuzz.target import Target, of_files
from scipy import io, sparse

from data_tools.single_cell.config import SingleCellConfig
from data_tools.single_cell.count_files import read_counts
from data_tools.single_cell.prepare import prepare_cells

_GENES = [f"G{number:02d}" for number in range(12)]
_KINDS = ["Gene Expression"] * 12 + ["Antibody Capture"] * 2


def _names_of_cells() -> list[str]:
    rng = np.random.default_rng(8)
    return ["".join(rng.choice(list("ACGT"), 16)) + "-1" for _ in range(30)]


def _cite(folder: Path) -> None:
    rng, cells = np.random.default_rng(2), _names_of_cells()
    rna, adt = rng.poisson(2.0, (30, 12)), rng.poisson(20.0, (30, 2))
    pd.DataFrame(rna.T, index=_GENES, columns=cells).to_csv(folder / "rna.csv")
    pd.DataFrame(rna.T, index=_GENES, columns=cells).to_csv(folder / "rna.csv.gz")
    pd.DataFrame(adt.T, index=["CD3", "CD8"], columns=cells).to_csv(folder / "adt.csv")
    pd.DataFrame({"cell": cells, "donor": ["d1", "d2"] * 15}).to_csv(folder / "labels.csv", index=False)
    both = sparse.csc_matrix(np.concatenate([rna, adt], axis=1).T)
    _tenx(folder, both, cells)
    var = pd.DataFrame({"feature_types": _KINDS}, index=[*_GENES, "CD3", "CD8"])
    data = anndata.AnnData(X=sparse.csr_matrix(both.T, dtype=np.float32), obs=pd.DataFrame(index=cells), var=var)
    data.write_h5ad(folder / "cite.h5ad")
    with h5py.File(folder / "cite.h5mu", "w") as store:
        for name, part in (("rna", data[:, :12].copy()), ("prot", data[:, 12:].copy())):
            anndata.io.write_elem(store, f"mod/{name}", part)


def _tenx(folder: Path, both: Any, cells: list[str]) -> None:
    """Write the folder of three files, packed and not, and the HDF5 files of versions 3 and 2."""
    tenx, names = folder / "tenx", [*_GENES, "CD3", "CD8"]
    tenx.mkdir()
    io.mmwrite(str(tenx / "matrix.mtx"), both)
    (tenx / "barcodes.tsv").write_text("\n".join(cells) + "\n")
    rows = [f"E{at}\t{name}\t{kind}" for at, (name, kind) in enumerate(zip(names, _KINDS, strict=True))]
    (tenx / "features.tsv").write_text("\n".join(rows) + "\n")
    shutil.copytree(tenx, folder / "packed")
    for file in sorted((folder / "packed").iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
        file.unlink()
    parts = (("data", both.data), ("indices", both.indices), ("indptr", both.indptr))
    with h5py.File(folder / "tenx.h5", "w") as store, h5py.File(folder / "tenx2.h5", "w") as old:
        matrix, genome = store.create_group("matrix"), old.create_group("GRCh38")
        for group in (matrix, genome):
            for name, values in (*parts, ("shape", both.shape), ("barcodes", np.array(cells, dtype="S"))):
                group[name] = values
        features = matrix.create_group("features")
        features["name"], features["feature_type"] = np.array(names, dtype="S"), np.array(_KINDS, dtype="S")
        features["id"] = np.array([f"E{at}" for at in range(14)], dtype="S")
        genome["genes"], genome["gene_names"] = np.array([f"E{at}" for at in range(14)], "S"), np.array(names, "S")


def _read_counts(file: str) -> Any:
    def read(folder: Path) -> Any:
        counts = read_counts(folder / file)
        return {
            "cells": counts.cells,
            "features": counts.features,
            "kinds": counts.kinds.tolist(),
            "values": counts.values.toarray(),
        }

    return read


def _prepare(**options: Any) -> Any:
    def read(folder: Path) -> Any:
        given = {key: str(folder / value) for key, value in options.items()}
        config = SingleCellConfig(name="x", **given, min_genes=1, min_cells=1, dispersion=None)
        prepare_cells(config, folder / "out.h5ad")
        data = anndata.read_h5ad(folder / "out.h5ad")
        return {
            "x": data.X.toarray(),
            "cells": data.obs_names,
            "genes": data.var_names,
            "markers": data.obsm["markers"],
            "labels": {name: data.obs[name].astype(str) for name in data.obs if name == "donor"},
        }

    return read


_TEXT = {"genes": "rna.csv", "proteins": "adt.csv", "labels": "labels.csv"}
_BAD_NUMBERS = ("infinite", "word_among_numbers", "row_twice", "transposed", "nul_in_a_row")

TARGETS: list[Target] = [
    *of_files("counts", _cite, ("rna.csv",), _read_counts("rna.csv"), table=True, refuses=_BAD_NUMBERS),
    *of_files("counts", _cite, ("rna.csv.gz",), _read_counts("rna.csv.gz")),
    *of_files("counts", _cite, ("tenx.h5",), _read_counts("tenx.h5")),
    *of_files("counts", _cite, ("tenx2.h5",), _read_counts("tenx2.h5")),
    *of_files("counts", _cite, ("cite.h5ad",), _read_counts("cite.h5ad")),
    *of_files("counts", _cite, ("cite.h5mu",), _read_counts("cite.h5mu")),
    *of_files("counts", _cite, ("tenx/matrix.mtx", "tenx/features.tsv", "tenx/barcodes.tsv"), _read_counts("tenx")),
    *of_files("counts", _cite, ("packed/matrix.mtx.gz", "packed/features.tsv.gz"), _read_counts("packed")),
    *of_files(
        "prepare", _cite, ("labels.csv",), _prepare(**_TEXT), table=True, names=("d1", "d2"), refuses=("row_twice",)
    ),
    *of_files("prepare", _cite, ("adt.csv",), _prepare(**_TEXT), table=True, refuses=_BAD_NUMBERS),
    *of_files("prepare", _cite, ("cite.h5ad",), _prepare(genes="cite.h5ad")),
]
