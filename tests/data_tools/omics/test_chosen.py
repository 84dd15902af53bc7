"""Features of a table that are not genes: named by the user, or rows that counting programs write beside the genes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from data_tools.omics import OmicsTable
from framework.errors import InputError

Read = Callable[..., OmicsTable]
NAMES = ["ENSG1", "ERCC-0001", "ENSG2", "n_reads"]
VALUES = np.array([[1, 90, 3, 4], [5, 60, 0, 8]])
ALONE: dict[str, Any] = {"stimulation": None, "plate": None}


def _of_form(tmp_path: Path, form: str, names: list[str] = NAMES, values: np.ndarray = VALUES) -> tuple[Path, Any]:
    """Two samples, `a` and `b`, of four features; and the keys that read them."""
    file = tmp_path / f"t.{form}"
    frame = pd.DataFrame(values, index=pd.Index(["s1", "s2"], name="sample"), columns=names)
    facts = pd.DataFrame({"Metadata_Perturbation": ["a", "b"]}, index=frame.index)
    if form == "h5ad":
        var = pd.DataFrame({"length": range(len(names))}, index=names)
        anndata.AnnData(frame.to_numpy(np.float32), obs=facts, var=var).write_h5ad(file)
    elif form == "gct":
        lines = ["#1.3", f"{len(names)}\t2\t1\t1", "id\tlength\ts1\ts2", "Metadata_Perturbation\t\ta\tb"]
        lines += [f"{name}\t7\t{one}\t{two}" for name, (one, two) in zip(names, values.T, strict=True)]
        file.write_text("\n".join(lines) + "\n")
    elif form == "long":
        long = facts.join(frame).reset_index().melt(["sample", "Metadata_Perturbation"], var_name="gene")
        long.to_csv(file, index=False)
        return file, {**ALONE, "long": {"sample": "sample", "gene": "gene", "value": "value"}}
    elif form == "rows":
        frame.T.rename_axis("gene").assign(length=7).to_csv(file)
        facts.to_csv(tmp_path / "sheet.csv")
        return file, {**ALONE, "rows": "genes", "sheet": {"path": str(tmp_path / "sheet.csv")}}
    else:
        facts.join(frame).reset_index().to_parquet(file, index=False)
    return file, ALONE


@pytest.mark.parametrize("form", ["h5ad", "gct", "long"])
def test_genes_and_facts_count_where_a_file_says_itself_what_its_features_are(
    tmp_path: Path, read: Read, form: str
) -> None:
    file, keys = _of_form(tmp_path, form)
    table = read(file, **keys, genes="^ENSG")
    assert (table.genes, table.values.tolist()) == (("ENSG1", "ENSG2"), [[1, 3], [5, 0]])
    first = "ERCC-0001"
    assert f"{file}: 2 of 4 features do not match 'genes: ^ENSG' and are left out, as '{first}'" in table.notes
    table = read(file, **keys, facts=["n_reads"])
    assert dict(zip(table.genes, table.values.T.tolist(), strict=True)) == {
        "ENSG1": [1, 5],
        "ERCC-0001": [90, 60],
        "ENSG2": [3, 0],
    }
    assert f"{file}: 1 of 4 features are facts and are left out, as 'n_reads'" in table.notes
    with pytest.raises(InputError, match="no gene is left: none is called as 'genes: FBgn' says, and no fact; it has "):
        read(file, **keys, genes="FBgn")


@pytest.mark.parametrize("form", ["h5ad", "gct", "long", "rows", "parquet"])
def test_a_fact_that_nothing_is_called_is_refused(tmp_path: Path, read: Read, form: str) -> None:
    file, keys = _of_form(tmp_path, form)
    with pytest.raises(InputError, match=r"nothing is called 'n_raeds', which 'facts' names; .* mean 'n_reads'\?"):
        read(file, **keys, facts=["n_raeds"])
    if form in ("h5ad", "gct", "rows"):
        assert len(read(file, **keys, facts=["length", "n_reads"]).genes) == 3, "a fact of genes may be named"


@pytest.mark.parametrize("form", ["h5ad", "gct", "long", "rows"])
@pytest.mark.parametrize("name", ["__no_feature", "N_unmapped"])
def test_reads_of_no_gene_are_refused_in_every_form(tmp_path: Path, read: Read, form: str, name: str) -> None:
    """As HTSeq and STAR write them below the genes: they would be predicted, and shift every size factor."""
    file, keys = _of_form(tmp_path, form, [*NAMES[:3], name])
    with pytest.raises(InputError, match=rf"may not be genes: '{name}' .*'facts: \[{name}\]'"):
        read(file, **keys)
    assert set(read(file, **keys, facts=[name]).genes) == set(NAMES[:3])


@pytest.mark.parametrize("form", ["h5ad", "gct", "long", "rows"])
def test_the_sum_of_all_genes_is_refused_in_every_form(tmp_path: Path, read: Read, form: str) -> None:
    values = VALUES.copy()
    values[:, 3] = values[:, :3].sum(axis=1)
    file, keys = _of_form(tmp_path, form, [*NAMES[:3], "everything"], values)
    with pytest.raises(InputError, match="may not be genes: 'everything' \\(the sum of all other"):
        read(file, **keys)


def test_few_counts_that_rise_by_chance_are_a_gene(tmp_path: Path, read: Read) -> None:
    """Of many genes, some have 0, 1, 2, 3, 4 in five samples; of few columns, that is a row number."""
    file = tmp_path / "t.csv"
    counts = np.random.default_rng(0).integers(5, 99, (5, 150))
    frame = pd.DataFrame(counts, columns=[f"g{number}" for number in range(150)]).assign(rising=range(5))
    frame.insert(0, "Metadata_Perturbation", list("abcde"))
    frame.to_csv(file, index=False)
    assert "rising" in read(file, **ALONE).genes
    frame[["Metadata_Perturbation", "g1", "g2", "rising"]].to_csv(file, index=False)
    with pytest.raises(InputError, match=r"may not be genes: 'rising' \(row numbers\)"):
        read(file, **ALONE)


def test_values_at_one_place_of_a_sparse_matrix_are_said(tmp_path: Path, read: Read) -> None:
    file = tmp_path / "t.h5ad"
    values = sparse.csr_matrix((np.float32([1, 2, 4]), [0, 0, 1], [0, 2, 3]), shape=(2, 2))
    anndata.AnnData(values, obs=pd.DataFrame({"Metadata_Perturbation": ["a", "b"]}, index=["s1", "s2"])).write_h5ad(
        file
    )
    table = read(file, **ALONE)
    assert table.values.tolist() == [[3, 0], [0, 4]]
    assert f"{file}: 1 values stand at a place of another one (same cell, same feature) and were added to it" in (
        table.notes
    )


def test_an_anndata_file_that_is_turned_or_detected_alone(tmp_path: Path, read: Read) -> None:
    file = tmp_path / "t.h5ad"
    facts = pd.DataFrame({"Metadata_Perturbation": ["a", "b"]}, index=pd.Index(["s1", "s2"], name="well"))
    anndata.AnnData(VALUES.T.astype(np.float32), obs=pd.DataFrame(index=NAMES), var=facts).write_h5ad(file)
    with pytest.raises(InputError, match=r"is a column of var, not of obs, so genes stand in rows; .* adata\.T"):
        read(file, **ALONE)
    anndata.AnnData(VALUES > 0, obs=facts, var=pd.DataFrame(index=NAMES)).write_h5ad(file)
    with pytest.raises(InputError, match="X holds true and false, not numbers"):
        read(file, **ALONE)
    anndata.AnnData(VALUES, obs=facts, var=pd.DataFrame(index=NAMES)).write_h5ad(file)
    assert read(file, **ALONE, sample="well").sample.tolist() == ["s1", "s2"], "the index has a name"
