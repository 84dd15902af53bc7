"""Omics tables in every form give the same matrix; bad ones name row, column and gene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable, read_omics
from framework.errors import InputError

FRAME = pd.DataFrame(
    {
        "sample": ["s2", "s1", "s3"],
        "Metadata_Plate": ["R1", "R1", "R2"],
        "Metadata_Perturbation": ["a", "b", "a"],
        "Metadata_Stimulation": ["M1", "M1", "M2"],
        "operator": ["x", "y", "x"],
        "g1": [1, 2, 3],
        "g2": [0, 5, 7],
    }
)


def _read(file: Path, **changes: Any) -> OmicsTable:
    return read_omics(OmicsConfig.from_plain({"name": "rna", "table": str(file), "kind": "counts", **changes}))


def _write(tmp_path: Path, form: str) -> tuple[Path, dict[str, Any]]:
    file = tmp_path / f"t.{form}"
    if form == "parquet":
        FRAME.to_parquet(file)
    elif form == "h5ad":
        obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
        values = FRAME[["g1", "g2"]].to_numpy(np.float32)
        anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=["g1", "g2"])).write_h5ad(file)
    elif form == "long.csv":
        long = FRAME.melt(id_vars=[*FRAME.columns[:5]], var_name="gene", value_name="count")
        long.sample(frac=1, random_state=0).to_csv(file, index=False)
        return file, {"long": {"sample": "sample", "gene": "gene", "value": "count"}}
    else:
        FRAME.to_csv(file, index=False, sep="\t" if "tsv" in form else ",")
    return file, {}


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet", "h5ad", "long.csv"])
def test_every_form_gives_the_same_matrix(tmp_path: Path, form: str) -> None:
    file, options = _write(tmp_path, form)
    table = _read(file, **options)
    order = np.argsort(table.sample)
    assert table.sample[order].tolist() == ["s1", "s2", "s3"]
    assert table.genes == ("g1", "g2")
    np.testing.assert_array_equal(table.values[order], [[2, 5], [1, 0], [3, 7]])
    assert table.perturbation[order].tolist() == ["b", "a", "a"]
    assert table.stimulation[order].tolist() == ["M1", "M1", "M2"]
    assert table.plate[order].tolist() == ["R1", "R1", "R2"]


def test_other_column_names_and_none(tmp_path: Path) -> None:
    FRAME.rename(columns={"Metadata_Perturbation": "drug"}).to_csv(tmp_path / "t.csv", index=False)
    table = _read(tmp_path / "t.csv", perturbation="drug", stimulation=None, plate=None)
    assert table.stimulation.tolist() == ["none"] * 3
    assert table.plate.tolist() == [""] * 3
    assert table.genes == ("g1", "g2"), "columns of pure text are facts, not genes"


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({}, {"perturbation": "Metadata_Perturbatio"}, "no column 'Metadata_Perturbatio' for 'omics.perturbation'"),
        ({"g1": ["1", "two", "3"]}, {}, "column 'g1' reads 'two' in row 2, expected a number"),
        ({"g1": [1, -2, 3]}, {}, "a value below zero in row 2, gene 'g1'"),
        ({"g2": [1, np.nan, 3]}, {}, "a missing or infinite count in row 2, gene 'g2'"),
        ({"Metadata_Perturbation": ["a", None, "a"]}, {}, "row 2 has no 'Metadata_Perturbation'; fill it in"),
    ],
)
def test_bad_tables_are_explained(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    FRAME.assign(**change).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError) as caught:
        _read(tmp_path / "t.csv", **options)
    assert sentence in str(caught.value)


def test_intensities_may_be_missing(tmp_path: Path) -> None:
    FRAME.assign(g2=[1, np.nan, 3]).to_csv(tmp_path / "t.csv", index=False)
    assert np.isnan(_read(tmp_path / "t.csv", kind="intensities").values[1, 1])


def test_missing_files_and_doubles(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such omics table"):
        _read(tmp_path / "no.csv")
    with pytest.raises(InputError, match="no such omics table"):
        _read(tmp_path / "no.h5ad")
    (tmp_path / "bad.h5ad").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="no readable AnnData file"):
        _read(tmp_path / "bad.h5ad")
    head = "sample,Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,gene,count\n"
    (tmp_path / "l.csv").write_text(head + "s,R,a,M1,g,1\n" * 2)
    with pytest.raises(InputError, match="sample 's' has the gene 'g' twice"):
        _read(tmp_path / "l.csv", long={"sample": "sample", "gene": "gene", "value": "count"})
