"""Targets: plate maps, omics tables, tables of cells, counts of single cells, features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
from fuzz.target import Target, of_files
from scipy import io, sparse

from data_tools.omics.config import LongForm, OmicsConfig
from data_tools.omics.table import read_omics
from data_tools.platemap import PlatemapConfig, read_platemap
from data_tools.readers import CELL_TABLES
from data_tools.readers.cells_base import NumberTable
from data_tools.single_cell.config import SingleCellConfig
from data_tools.single_cell.count_files import read_counts
from data_tools.single_cell.prepare import prepare_cells
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL
from framework.evaluate.predictions import open_predictions
from framework.features.table import open_features

_COMPOUNDS = ("drugA", "drugB", "drugC", "drugD")
_GENES = tuple(f"GENE{number:02d}" for number in range(6))


def _wells() -> pd.DataFrame:
    wells = [f"{row}{column:02d}" for row in "AB" for column in (1, 2, 3, 4)]
    return pd.DataFrame(
        {
            PLATE: "P1",
            WELL: wells,
            PERTURBATION: [*_COMPOUNDS, *_COMPOUNDS],
            STIMULATION: ["lps"] * 4 + ["ifn"] * 4,
            CONTROL_TYPE: "treatment",
        }
    )


def _platemap(folder: Path) -> None:
    _wells().to_csv(folder / "map.csv", index=False)


def _read_platemap(folder: Path) -> Any:
    return read_platemap(PlatemapConfig(path=str(folder / "map.csv")))


def _counts() -> pd.DataFrame:
    values = np.random.default_rng(1).poisson(50, (8, len(_GENES)))
    return pd.DataFrame(values, columns=list(_GENES))


def _wide() -> pd.DataFrame:
    return pd.concat([_wells()[[PLATE, WELL, PERTURBATION, STIMULATION]], _counts()], axis=1)


def _omics(folder: Path) -> None:
    wide = _wide()
    wide.to_csv(folder / "wide.csv", index=False)
    wide.to_parquet(folder / "wide.parquet", index=False)
    long = wide.assign(sample=[f"s{row}" for row in range(8)]).melt(
        id_vars=["sample", PLATE, WELL, PERTURBATION, STIMULATION], var_name="gene", value_name="count"
    )
    long.to_csv(folder / "long.tsv", index=False, sep="\t")
    obs = wide[[PLATE, WELL, PERTURBATION, STIMULATION]].set_axis([f"s{row}" for row in range(8)])
    counts = sparse.csr_matrix(_counts().to_numpy(dtype=np.float32))
    anndata.AnnData(X=counts, obs=obs, var=pd.DataFrame(index=list(_GENES))).write_h5ad(folder / "omics.h5ad")


def _read_omics(file: str, **options: Any) -> Any:
    def read(folder: Path) -> Any:
        table = read_omics(OmicsConfig(name="rna", table=str(folder / file), kind="counts", **options))
        facts = {name: getattr(table, name).tolist() for name in ("perturbation", "stimulation", "plate")}
        return {"genes": table.genes, "values": table.values, **facts}

    return read


def _cell_tables(folder: Path) -> None:
    cells = pd.DataFrame(
        {
            "Object Number": range(12),
            "Sample": ["drugA", "drugB"] * 6,
            "Intensity": np.arange(12) * 1.5,
        }
    )
    cells.to_csv(folder / "cells.csv", index=False)
    text = "Notes\nmore notes\n" + cells.to_csv(index=False, sep="\t")
    (folder / "features.txt").write_text(text)


def _read_cells(name: str, file: str) -> Any:
    def read(folder: Path) -> Any:
        entry = CELL_TABLES.get(name)
        table = entry.build(entry.config(name=name, path=str(folder / file)))
        return table.columns if isinstance(table, NumberTable) else table.text

    return read


def _fcs(folder: Path) -> None:
    import flowio

    events = np.stack([np.arange(20) * 10.0, np.arange(20) + 0.5], axis=1).ravel()
    with (folder / "a.fcs").open("wb") as stream:
        flowio.create_fcs(stream, events.tolist(), ["FL1-A", "FL2-A"], opt_channel_names=["CD34", "CD3"])


def _cite(folder: Path) -> None:
    rng = np.random.default_rng(2)
    cells = [f"AAAC{number:02d}-1" for number in range(30)]
    genes = [f"G{number:02d}" for number in range(12)]
    rna, adt = rng.poisson(2.0, (30, 12)), rng.poisson(20.0, (30, 2))
    pd.DataFrame(rna.T, index=genes, columns=cells).to_csv(folder / "rna.csv")
    pd.DataFrame(rna.T, index=genes, columns=cells).to_csv(folder / "rna.csv.gz")
    pd.DataFrame(adt.T, index=["CD3", "CD8"], columns=cells).to_csv(folder / "adt.csv")
    pd.DataFrame({"cell": cells, "donor": ["d1", "d2"] * 15}).to_csv(folder / "labels.csv", index=False)
    both = sparse.csc_matrix(np.concatenate([rna, adt], axis=1).T)
    kinds = ["Gene Expression"] * 12 + ["Antibody Capture"] * 2
    tenx = folder / "tenx"
    tenx.mkdir()
    io.mmwrite(str(tenx / "matrix.mtx"), both)
    (tenx / "barcodes.tsv").write_text("\n".join(cells) + "\n")
    names = [*genes, "CD3", "CD8"]
    rows = [f"E{at}\t{name}\t{kind}" for at, (name, kind) in enumerate(zip(names, kinds, strict=True))]
    (tenx / "features.tsv").write_text("\n".join(rows) + "\n")
    with h5py.File(folder / "tenx.h5", "w") as store:
        matrix = store.create_group("matrix")
        for name, values in (("data", both.data), ("indices", both.indices), ("indptr", both.indptr)):
            matrix[name] = values
        matrix["shape"] = both.shape
        matrix["barcodes"] = np.array(cells, dtype="S")
        features = matrix.create_group("features")
        features["name"], features["feature_type"] = np.array(names, dtype="S"), np.array(kinds, dtype="S")
        features["id"] = np.array([f"E{at}" for at in range(14)], dtype="S")
    var = pd.DataFrame({"feature_types": kinds}, index=names)
    data = anndata.AnnData(X=sparse.csr_matrix(both.T, dtype=np.float32), obs=pd.DataFrame(index=cells), var=var)
    data.write_h5ad(folder / "cite.h5ad")


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


def _prepare(folder: Path) -> Any:
    config = SingleCellConfig(
        name="x",
        genes=str(folder / "rna.csv"),
        proteins=str(folder / "adt.csv"),
        labels=str(folder / "labels.csv"),
        min_genes=1,
        min_cells=1,
        dispersion=None,
    )
    prepare_cells(config, folder / "out.h5ad")
    data = anndata.read_h5ad(folder / "out.h5ad")
    return {
        "x": data.X.toarray(),
        "cells": data.obs_names,
        "genes": data.var_names,
        "markers": data.obsm["markers"],
        "donor": data.obs["donor"].astype(str),
    }


def _features(folder: Path) -> None:
    table = pd.DataFrame({"Metadata_Cell": [f"c{row}" for row in range(10)], "Metadata_Drug": ["drugA", "drugB"] * 5})
    table["f1"], table["f2"] = np.arange(10) * 0.25, np.arange(10) * 2.0
    table.to_csv(folder / "features.csv", index=False)
    obs = table[["Metadata_Drug"]].set_axis(table["Metadata_Cell"])
    values = table[["f1", "f2"]].to_numpy(dtype=np.float32)
    anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=["f1", "f2"])).write_h5ad(folder / "features.h5ad")


def _read_features(file: str) -> Any:
    def read(folder: Path) -> Any:
        return [
            {"cells": one.cells, "names": one.columns, "values": one.values} for one in open_features(folder / file)
        ]

    return read


def _predictions(folder: Path) -> None:
    wells = _wells()
    obs = wells.assign(part="test", bag=range(8)).set_axis([f"w{row}" for row in range(8)])
    values = _counts().to_numpy(dtype=np.float32)
    data = anndata.AnnData(X=values + 1, obs=obs, var=pd.DataFrame({"train_mean": values.mean(0)}, index=list(_GENES)))
    data.layers["measured"] = values
    data.uns["wellstream"] = {"kind": "predictions", "level": "bag", "target": "rna"}
    data.write_h5ad(folder / "predictions.h5ad")


def _read_predictions(folder: Path) -> Any:
    read = open_predictions(folder / "predictions.h5ad")
    return {"predicted": read.predicted, "measured": read.measured, "rows": read.rows.astype(str)}


TARGETS: list[Target] = [
    *of_files("platemap", _platemap, ("map.csv",), _read_platemap, table=True, names=_COMPOUNDS),
    *of_files("omics", _omics, ("wide.csv",), _read_omics("wide.csv"), table=True, names=_COMPOUNDS),
    *of_files(
        "omics",
        _omics,
        ("long.tsv",),
        _read_omics("long.tsv", long=LongForm(sample="sample", gene="gene", value="count")),
        table=True,
        names=_COMPOUNDS,
    ),
    *of_files("omics", _omics, ("wide.parquet",), _read_omics("wide.parquet")),
    *of_files("omics", _omics, ("omics.h5ad",), _read_omics("omics.h5ad")),
    *of_files(
        "cell table", _cell_tables, ("cells.csv",), _read_cells("csv", "cells.csv"), table=True, names=_COMPOUNDS[:2]
    ),
    *of_files("cell table", _cell_tables, ("features.txt",), _read_cells("ideas_features", "features.txt")),
    *of_files("cell table", _fcs, ("a.fcs",), _read_cells("fcs", "a.fcs")),
    *of_files("counts", _cite, ("rna.csv",), _read_counts("rna.csv"), table=True),
    *of_files("counts", _cite, ("rna.csv.gz",), _read_counts("rna.csv.gz")),
    *of_files("counts", _cite, ("tenx.h5",), _read_counts("tenx.h5")),
    *of_files("counts", _cite, ("cite.h5ad",), _read_counts("cite.h5ad")),
    *of_files("counts", _cite, ("tenx/matrix.mtx", "tenx/features.tsv", "tenx/barcodes.tsv"), _read_counts("tenx")),
    *of_files("prepare", _cite, ("labels.csv",), _prepare, table=True, names=("d1", "d2")),
    *of_files(
        "features", _features, ("features.csv",), _read_features("features.csv"), table=True, names=_COMPOUNDS[:2]
    ),
    *of_files("features", _features, ("features.h5ad",), _read_features("features.h5ad")),
    *of_files(
        "predictions",
        _predictions,
        ("predictions.h5ad",),
        _read_predictions,
        command=("evaluate", "{folder}/predictions.h5ad", "--out", "{folder}/scores"),
    ),
]
