"""Targets: plate maps and omics tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from fuzz.target import Target, of_files
from scipy import sparse

from data_tools.omics.config import LongForm, OmicsConfig
from data_tools.omics.table import read_omics
from data_tools.platemap import PlatemapConfig, read_platemap
from framework.data.format.schema import CONTROL_TYPE, PERTURBATION, PLATE, STIMULATION, WELL

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


_GCT_FACTS = ("Metadata_Perturbation", "Metadata_Stimulation", "Metadata_Plate")


def _gct(folder: Path) -> None:
    wide, counts = _wide(), _counts()
    lines = ["#1.3", f"{len(_GENES)}\t{len(wide)}\t1\t{len(_GCT_FACTS)}"]
    lines.append("\t".join(["id", "symbol", *(f"s{row}" for row in range(len(wide)))]))
    lines += ["\t".join([fact, "na", *wide[fact]]) for fact in _GCT_FACTS]
    lines += ["\t".join([f"E{at}", gene, *map(str, counts[gene])]) for at, gene in enumerate(_GENES)]
    (folder / "omics.gct").write_text("\n".join(lines) + "\n")


_LAYOUT = """<?xml version="1.0" encoding="utf-8"?>
<AssayLayout xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5"><PlateCols>24</PlateCols>
<Layer><Name>Compound</Name><ValueType>string</ValueType>
<Well><Row>2</Row><Col>3</Col><Value>0042</Value></Well><Well><Row>2</Row><Col>4</Col><Value>drugB</Value></Well></Layer>
<Layer><Name>Dose</Name><Well><Row>2</Row><Col>3</Col><Value>0.5</Value></Well></Layer></AssayLayout>
"""


def _layout(folder: Path) -> None:
    (folder / "map.xml").write_text(_LAYOUT, encoding="utf-8")


def _read_layout(folder: Path) -> Any:
    columns = {PERTURBATION: "Compound", "Metadata_Dose": "Dose"}
    return read_platemap(PlatemapConfig(path=str(folder / "map.xml"), columns=columns))


TARGETS: list[Target] = [
    *of_files(
        "platemap",
        _platemap,
        ("map.csv",),
        _read_platemap,
        table=True,
        names=_COMPOUNDS,
        refuses=("row_twice", "transposed"),
    ),
    *of_files("platemap", _layout, ("map.xml",), _read_layout),
    *of_files(
        "omics",
        _omics,
        ("wide.csv",),
        _read_omics("wide.csv"),
        table=True,
        names=_COMPOUNDS,
        refuses=("transposed", "infinite", "word_among_numbers"),
    ),
    *of_files(
        "omics",
        _omics,
        ("long.tsv",),
        _read_omics("long.tsv", long=LongForm(sample="sample", gene="gene", value="count")),
        table=True,
        names=_COMPOUNDS,
        refuses=("row_twice", "transposed", "infinite", "word_among_numbers"),
    ),
    *of_files("omics", _omics, ("wide.parquet",), _read_omics("wide.parquet")),
    *of_files("omics", _omics, ("omics.h5ad",), _read_omics("omics.h5ad")),
    *of_files("omics", _gct, ("omics.gct",), _read_omics("omics.gct", gene_names="symbol")),
]
