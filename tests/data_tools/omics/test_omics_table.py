"""Omics tables in every form give the same matrix; bad ones name row, column and gene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from fixtures.omics_frame import FRAME, read_counts

from data_tools.omics import OmicsConfig
from framework.config import parse_config
from framework.errors import ConfigError, InputError


def _write(tmp_path: Path, form: str) -> tuple[Path, dict[str, Any]]:
    file = tmp_path / f"t.{form}"
    if form == "parquet":
        FRAME.to_parquet(file)
    elif form == "index.parquet":
        FRAME.set_index("sample").to_parquet(file)
    elif form == "gct":
        facts = ["Metadata_Plate", "Metadata_Perturbation", "Metadata_Stimulation"]
        rows = [["id", "symbol", *FRAME["sample"]], *([name, "-", *FRAME[name]] for name in facts)]
        rows += [[gene, f"S{gene}", *FRAME[gene]] for gene in ("g1", "g2")]
        lines = ["#1.3", "2\t3\t1\t3", *("\t".join(str(cell) for cell in row) for row in rows)]
        file.write_text("\n".join(lines) + "\n")
    elif form == "semicolon.csv":
        FRAME.to_csv(file, index=False, sep=";", encoding="utf-16")
    elif form == "h5ad":
        obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
        values = FRAME[["g1", "g2"]].to_numpy(np.float32)
        anndata.AnnData(X=values, obs=obs, var=pd.DataFrame(index=["g1", "g2"])).write_h5ad(file)
    elif form in ("h5mu", "of_modalities.h5ad"):
        obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
        _write_mudata(file, {"rna": FRAME, "prot": FRAME.assign(g1=[100, 200, 300])}, obs)
        return file, {"modality": "rna"}
    elif form == "long.csv":
        long = FRAME.melt(id_vars=[*FRAME.columns[:5]], var_name="gene", value_name="count")
        long.sample(frac=1, random_state=0).to_csv(file, index=False)
        return file, {"long": {"sample": "sample", "gene": "gene", "value": "count"}}
    else:
        FRAME.to_csv(file, index=False, sep="\t" if "tsv" in form else ",")
    return file, {}


def _write_mudata(file: Path, tables: dict[str, pd.DataFrame], obs: pd.DataFrame) -> None:
    """As mudata writes it: a group per modality, and facts of the samples in the ``obs`` of the file."""
    with h5py.File(file, "w") as store:
        anndata.io.write_elem(store, "obs", obs.iloc[::-1])
        for name, frame in tables.items():
            part = anndata.AnnData(
                X=frame[["g1", "g2"]].to_numpy(np.float32),
                obs=pd.DataFrame(index=pd.Index(frame["sample"])),
                var=pd.DataFrame(index=["g1", "g2"]),
            )
            anndata.io.write_elem(store, f"mod/{name}", part)


def test_one_modality_is_chosen_never_the_first(tmp_path: Path) -> None:
    file = tmp_path / "t.h5mu"
    obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
    _write_mudata(file, {"prot": FRAME, "rna": FRAME.assign(g1=[100, 200, 300])}, obs)
    with pytest.raises(InputError, match=r"has the modalities prot, rna; choose one with 'modality:'"):
        read_counts(file)
    with pytest.raises(InputError, match=r"no modality 'rma'; it has prot, rna; did you mean 'rna'\?"):
        read_counts(file, modality="rma")
    assert read_counts(file, modality="rna").values[:, 0].tolist() == [100, 200, 300]
    _write_mudata(file, {"prot": FRAME}, obs)
    assert read_counts(file).values.tolist() == [[1, 0], [2, 5], [3, 7]]
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"'modality: rna' is for MuData and 10x files"):
        read_counts(tmp_path / "t.csv", modality="rna")


def test_a_fact_that_modality_and_file_tell_differently_is_refused(tmp_path: Path) -> None:
    obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
    _write_mudata(tmp_path / "t.h5mu", {"rna": FRAME}, obs)
    changed = obs.assign(Metadata_Perturbation=["a", "a", "a"], Metadata_Plate=["R1", "", "R2"], other="x")
    with h5py.File(tmp_path / "t.h5mu", "a") as store:
        anndata.io.write_elem(store, "mod/rna/obs", changed)
    with pytest.raises(
        InputError, match=r"'Metadata_Perturbation' of 's1' is 'a' in obs of the modality 'rna' and 'b' in obs of the f"
    ):
        read_counts(tmp_path / "t.h5mu")


def test_raw_is_a_layer(tmp_path: Path) -> None:
    obs = FRAME.drop(columns=["g1", "g2"]).set_index("sample")
    data = _annotated(FRAME, obs)
    data.raw = data.copy()
    data.X = np.log1p(data.X.astype(float))
    data[:, ["g2"]].copy().write_h5ad(tmp_path / "t.h5ad")
    with pytest.raises(InputError, match="the file has the layers raw"):
        read_counts(tmp_path / "t.h5ad")
    table = read_counts(tmp_path / "t.h5ad", layer="raw")
    assert (table.genes, table.values.tolist()) == (("g1", "g2"), [[1, 0], [2, 5], [3, 7]])


@pytest.mark.parametrize(
    "form", ["csv", "csv.gz", "tsv", "semicolon.csv", "parquet", "index.parquet", "h5ad", "long.csv", "gct", "h5mu",
     "of_modalities.h5ad"],
)  # fmt: skip
def test_every_form_gives_the_same_matrix(tmp_path: Path, form: str) -> None:
    file, options = _write(tmp_path, form)
    table = read_counts(file, **options)
    order = np.argsort(table.sample)
    assert table.sample[order].tolist() == ["s1", "s2", "s3"]
    assert table.genes == ("g1", "g2")
    np.testing.assert_array_equal(table.values[order], [[2, 5], [1, 0], [3, 7]])
    assert table.perturbation[order].tolist() == ["b", "a", "a"]
    assert table.stimulation[order].tolist() == ["M1", "M1", "M2"]
    assert table.plate[order].tolist() == ["R1", "R1", "R2"]


def test_other_column_names_and_none(tmp_path: Path) -> None:
    FRAME.rename(columns={"Metadata_Perturbation": "drug"}).to_csv(tmp_path / "t.csv", index=False)
    table = read_counts(tmp_path / "t.csv", perturbation="drug", stimulation=None, plate=None)
    assert table.stimulation.tolist() == ["none"] * 3
    assert table.plate.tolist() == [""] * 3
    assert table.genes == ("g1", "g2"), "columns of pure text are facts, not genes"


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({}, {"perturbation": "Metadata_Perturbatio"}, "no column 'Metadata_Perturbatio' for 'omics.perturbation'"),
        ({"g1": ["1", "two", "3"]}, {}, "t.csv: line 3: column 'g1' reads 'two', expected a number"),
        ({"g1": [1, -2, 3]}, {}, "a value below zero in line 3, gene 'g1'"),
        ({"g2": [1, np.nan, 3]}, {}, "a missing or infinite count in line 3, gene 'g2'"),
        ({"Metadata_Perturbation": ["a", None, "a"]}, {}, "t.csv: line 3 has no 'Metadata_Perturbation'; fill it in"),
    ],
)
def test_bad_tables_are_explained(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    FRAME.assign(**change).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError) as caught:
        read_counts(tmp_path / "t.csv", **options)
    assert sentence in str(caught.value)


def test_intensities_may_be_missing(tmp_path: Path) -> None:
    FRAME.assign(g2=[1, np.nan, 3]).to_csv(tmp_path / "t.csv", index=False)
    assert np.isnan(read_counts(tmp_path / "t.csv", kind="intensities").values[1, 1])


def test_missing_files_and_doubles(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; expected an omics table"):
        read_counts(tmp_path / "no.csv")
    with pytest.raises(InputError, match="no such file; expected an omics table"):
        read_counts(tmp_path / "no.h5ad")
    (tmp_path / "bad.h5ad").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="not readable as an omics table"):
        read_counts(tmp_path / "bad.h5ad")
    head = "sample,Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,gene,count\n"
    (tmp_path / "l.csv").write_text(head + "s,R,a,M1,g,1\n" * 2)
    with pytest.raises(InputError, match=r"sample 's' has the gene 'g' twice \(lines 2 and 3\)"):
        read_counts(tmp_path / "l.csv", long={"sample": "sample", "gene": "gene", "value": "count"})


def _wide(tmp_path: Path, **more: Any) -> Path:
    counts = np.random.default_rng(0).integers(0, 90, (6, 5))
    frame = pd.DataFrame(counts, columns=[f"g{i}" for i in range(5)])
    facts = {"Metadata_Perturbation": list("ababab"), "Metadata_Stimulation": "M1", "Metadata_Plate": "R1"}
    for place, (name, column) in enumerate({**facts, **more}.items()):
        frame.insert(place, name, column)
    frame.to_csv(tmp_path / "wide.csv", index=False)
    return tmp_path / "wide.csv"


@pytest.mark.parametrize(
    ("name", "column", "why"),
    [
        ("", range(6), "no name, perhaps row numbers"),
        ("Unnamed: 0", range(6), "no name, perhaps row numbers"),
        ("RIN", [8.7, 9.1, 8, 7.5, 9, 10], "a fact of samples by its name"),
        ("nCount_RNA", range(100, 106), "a fact of samples by its name"),
        ("position", range(1, 7), "row numbers"),
        ("quality", [8.7, 9.1, 8, 7.5, 9, 10], "fractions, while all other columns hold counts"),
    ],
)
def test_columns_that_are_no_genes_are_refused_or_facts(tmp_path: Path, name: str, column: Any, why: str) -> None:
    file = _wide(tmp_path, **{name: column})
    with pytest.raises(InputError) as caught:
        read_counts(file)
    assert f"may not be genes: '{name}' ({why})" in str(caught.value)
    assert read_counts(file, facts=[name]).genes == ("g0", "g1", "g2", "g3", "g4")
    assert read_counts(file, genes=r"^g\d$").genes == ("g0", "g1", "g2", "g3", "g4")


def test_sums_over_genes_are_found_whatever_their_name(tmp_path: Path) -> None:
    genes = pd.read_csv(_wide(tmp_path)).filter(regex="^g")
    with pytest.raises(InputError, match=r"'everything' \(the sum of all other columns\)"):
        read_counts(_wide(tmp_path, everything=genes.sum(axis=1)))
    sparse = genes.mask(np.tri(6, 5, -1, dtype=bool), 0)
    sparse.assign(seen=(sparse > 0).sum(axis=1)).to_csv(tmp_path / "s.csv", index=False)
    whole = pd.concat([pd.read_csv(_wide(tmp_path)).filter(regex="^Meta"), pd.read_csv(tmp_path / "s.csv")], axis=1)
    whole.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(InputError, match=r"'seen' \(the number of other columns above zero\)"):
        read_counts(tmp_path / "s.csv")


def test_names_of_genes_that_match_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column matches 'genes: \^ENSG'"):
        read_counts(_wide(tmp_path), genes="^ENSG")
    for line, sentence in (("genes: '('", "not a regular expression"), ("genes: a\nfacts: [b]", "leave 'facts' out")):
        with pytest.raises(ConfigError, match=sentence):
            parse_config(f"name: a\ntable: t\nkind: counts\n{line}\n", OmicsConfig, "c.yaml")


@pytest.mark.parametrize("form", ["csv", "h5ad", "parquet"])
def test_counts_with_fractions_are_refused_with_the_way_out(tmp_path: Path, form: str) -> None:
    frame = FRAME.assign(g1=[1.5, 2.25, 3], g2=[0, 5.5, 7])
    file = tmp_path / f"t.{form}"
    if form == "h5ad":
        obs = frame.drop(columns=["g1", "g2"]).set_index("sample")
        data = anndata.AnnData(X=frame[["g1", "g2"]].to_numpy(), obs=obs, var=pd.DataFrame(index=["g1", "g2"]))
        data.layers["raw"] = FRAME[["g1", "g2"]].to_numpy(float)
        data.write_h5ad(file)
        np.testing.assert_array_equal(read_counts(file, layer="raw").values, [[1, 0], [2, 5], [3, 7]])
        with pytest.raises(InputError, match="no layer 'rwa'; it has raw; did you mean 'raw'"):
            read_counts(file, layer="rwa")
    else:
        frame.to_csv(file, index=False) if form == "csv" else frame.to_parquet(file)
    with pytest.raises(
        InputError, match=r"counts are whole numbers, but .* has 1\.5 of 'g1'.*'layer: counts'.*'kind: log2'"
    ):
        read_counts(file)
    np.testing.assert_array_equal(read_counts(file, kind="log2").values, [[1.5, 0], [2.25, 5.5], [3, 7]])


def _annotated(frame: pd.DataFrame, obs: pd.DataFrame) -> anndata.AnnData:
    return anndata.AnnData(X=frame[["g1", "g2"]].to_numpy(), obs=obs, var=pd.DataFrame(index=["g1", "g2"]))


@pytest.mark.parametrize("form", ["csv", "parquet", "h5ad"])
def test_identifiers_are_text_in_every_form(tmp_path: Path, form: str) -> None:
    names, doses = ["0042", "7", "NA"], ["0.5", "10", "None"]
    frame = FRAME.assign(Metadata_Perturbation=names, Metadata_Stimulation=doses, sample=["01", "1", "2"])
    file = tmp_path / f"t.{form}"
    if form == "h5ad":
        obs = frame.drop(columns=["g1", "g2"]).set_index("sample").astype("category")
        anndata.AnnData(X=frame[["g1", "g2"]].to_numpy(), obs=obs, var=pd.DataFrame(index=["g1", "g2"])).write_h5ad(
            file
        )
    else:
        frame.to_csv(file, index=False) if form == "csv" else frame.to_parquet(file)
    table = read_counts(file)
    assert table.perturbation.tolist() == names
    assert table.stimulation.tolist() == doses
    assert table.sample.tolist() == ["01", "1", "2"]


def test_numbers_stored_as_such_read_as_people_write_them_and_gaps_are_named(tmp_path: Path) -> None:
    frame = FRAME.assign(Metadata_Perturbation=[42, 7, 1], Metadata_Stimulation=[0.5, 10.0, np.nan])
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="row 3 has no 'Metadata_Stimulation'"):
        read_counts(tmp_path / "t.parquet")
    frame.assign(Metadata_Stimulation=[0.5, 10.0, 2.0]).to_parquet(tmp_path / "t.parquet")
    table = read_counts(tmp_path / "t.parquet")
    assert (table.perturbation.tolist(), table.stimulation.tolist()) == (["42", "7", "1"], ["0.5", "10", "2"])
    obs = (
        FRAME.drop(columns=["g1", "g2"])
        .set_index("sample")
        .assign(Metadata_Perturbation=pd.Categorical(["a", None, "b"]))
    )
    anndata.AnnData(X=FRAME[["g1", "g2"]].to_numpy(), obs=obs, var=pd.DataFrame(index=["g1", "g2"])).write_h5ad(
        tmp_path / "t.h5ad"
    )
    with pytest.raises(InputError, match="sample 's1' has no 'Metadata_Perturbation'"):
        read_counts(tmp_path / "t.h5ad")


def test_a_long_table_is_checked_sample_by_sample(tmp_path: Path) -> None:
    head = "sample,Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,gene,count\n"
    long = {"long": {"sample": "sample", "gene": "gene", "value": "count"}}
    (tmp_path / "l.csv").write_text(head + "01,R,0042,M1,g,1\n1,R,b,M1,g,2\n01,R,0042,M1,h,3\n1,R,b,M1,h,4\n")
    table = read_counts(tmp_path / "l.csv", **long)
    assert (table.sample.tolist(), table.perturbation.tolist()) == (["01", "1"], ["0042", "b"])
    np.testing.assert_array_equal(table.values, [[1, 3], [2, 4]])
    (tmp_path / "l.csv").write_text(head + "s,R,a,M1,g,1\ns,R,b,M1,h,2\n")
    with pytest.raises(InputError, match="lines 2 and 3 are of one sample, but 'Metadata_Perturbation' is 'a' and 'b'"):
        read_counts(tmp_path / "l.csv", **long)
    (tmp_path / "l.csv").write_text(head + "s,R,a,M1,g,1\nt,R,a,M1,h,2\n")
    with pytest.raises(InputError, match=r"a missing or infinite count in sample 's', gene 'h' \(nan\)"):
        read_counts(tmp_path / "l.csv", **long)
    assert (
        "2 of 4 pairs of sample and gene have no row"
        in read_counts(tmp_path / "l.csv", kind="intensities", **long).notes[0]
    )


def test_genes_in_rows_are_recognised(tmp_path: Path) -> None:
    text = "Protein\tS1\tS2\n" + "".join(f"P{i}\t{i}\t{i}\n" for i in range(9))
    (tmp_path / "p.tsv").write_text(text)
    with pytest.raises(InputError, match=r"with genes in rows, 2 samples \('S1', 'S2'\) of 9 genes .* 'rows: genes'"):
        read_counts(tmp_path / "p.tsv")


def test_a_gct_table_whose_sizes_differ_is_refused(tmp_path: Path) -> None:
    file, _ = _write(tmp_path, "gct")
    assert read_counts(file, gene_names="symbol").genes == ("Sg1", "Sg2")
    text = file.read_text()
    file.write_text(text[: text.rindex("\ng2")])
    with pytest.raises(InputError, match=r"declares 2 genes, 3 samples, .* the file may be cut off"):
        read_counts(file)


@pytest.mark.real_data
def test_the_l1000_plate(real_data: Path) -> None:
    table = read_counts(
        real_data / "l1000-a375-plate" / "test_l1000.gct",
        kind="log2",
        perturbation="pert_iname",
        stimulation=None,
        plate=None,
        sample="rna_well",
        gene_names="pr_gene_symbol",
    )
    assert table.values.shape == (377, 978)
    assert (table.values.min().round(2), table.values.max().round(2)) == (3.23, 15.0)
    assert len(set(table.perturbation)) == 60
    assert sum(table.perturbation == "DMSO") == 26


HEAD = "sample,Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,g1,g2,g3,g4,g5\n"


@pytest.mark.parametrize("cell", ["1,200", "1 200", "1'200", "<5", "> 7.5", "12 %"])
def test_numbers_in_other_notation_are_no_facts(tmp_path: Path, cell: str) -> None:
    """Else a gene would be lost without a word."""
    (tmp_path / "t.tsv").write_text(HEAD.replace(",", "\t") + f"s1\tR\ta\tM\t{cell}\t1\t2\t3\t4\n")
    with pytest.raises(InputError, match=r"line 2: column 'g1' reads '.*', expected a number; correct the value"):
        read_counts(tmp_path / "t.tsv")


def test_columns_of_text_are_facts_and_said(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD.replace("g1", "well") + "s1,R,a,M,A01,1,2,3,4\n")
    table = read_counts(tmp_path / "t.csv")
    assert table.genes == ("g2", "g3", "g4", "g5")
    assert table.notes == (f"{tmp_path / 't.csv'}: 1 columns of text are taken as facts of the samples: 'well'",)


def test_a_sample_twice_is_refused_and_copies_are_said(tmp_path: Path) -> None:
    rows = "s1,R,a,M,1,2,3,4,5\ns2,R,b,M,0,0,0,0,0\ns3,R,b,M,0,0,0,0,0\n"
    (tmp_path / "t.csv").write_text(HEAD + rows + "s1,R,a,M,1,2,3,4,5\n")
    with pytest.raises(InputError, match="line 2 and line 5 have equal values in all columns"):
        read_counts(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(HEAD + rows + "s4,R,c,M,1,2,3,4,5\n")
    (note,) = read_counts(tmp_path / "t.csv").notes
    assert "1 samples have all their numbers in common with another, the first are line 2 and line 5" in note


def test_names_that_a_spreadsheet_changed_are_said(tmp_path: Path) -> None:
    genes = HEAD.replace("g1,g2,g3,g4,g5", "2-Sep,1-Mar,2.31E+13,MARCH1,SEPT2")
    (tmp_path / "t.csv").write_text(genes + "s1,R,a,M,1,2,3,4,5\n")
    (note,) = read_counts(tmp_path / "t.csv").notes
    assert "3 genes are called as spreadsheets change them ('2-Sep', '1-Mar', '2.31E+13'" in note


def test_no_logarithm_is_so_large(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "s1,R,a,M,1000,2,3,4,5\n")
    with pytest.raises(InputError, match=r"beyond any logarithm in line 2, gene 'g1' \(1000\)"):
        read_counts(tmp_path / "t.csv", kind="log2")


@pytest.mark.parametrize("key", ["stimulation", "plate"])
def test_columns_that_may_lack_say_so(tmp_path: Path, key: str) -> None:
    (tmp_path / "t.csv").write_text(HEAD.replace(f"Metadata_{key.capitalize()}", "Metadata_X") + "s1,R,a,M,1,2,3,4,5\n")
    with pytest.raises(InputError, match=f"name its column, or write '{key}: null'"):
        read_counts(tmp_path / "t.csv")
    assert len(read_counts(tmp_path / "t.csv", **{key: None}).sample) == 1


def test_a_table_of_comments_and_genes_in_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEAD + "#1,R,a,M,1,2,3,4,5\n")
    with pytest.raises(InputError, match=r"holds a header but no rows; .*; line 2 begins with # and is left out"):
        read_counts(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("gene,s1,s2,s3\ng1,1,2,3\ng2,4,5,6\n")
    with pytest.raises(InputError, match=r"with samples in rows it has 2 samples \('g1', 'g2'\) of 3 genes"):
        read_counts(tmp_path / "t.csv")


def test_parquet_with_an_index_of_several_levels(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    FRAME.assign(passed=[True, False, True]).set_index(["sample", "Metadata_Plate"]).to_parquet(file)
    table = read_counts(file)
    assert (table.sample.tolist(), table.plate.tolist()) == (["s2", "s1", "s3"], ["R1", "R1", "R2"])
    assert table.values.tolist() == [[1, 0], [2, 5], [3, 7]]
    assert table.notes == (f"{file}: 2 columns of text are taken as facts of the samples: 'operator', 'passed'",)
    FRAME.set_index(pd.MultiIndex.from_arrays([[1, 2, 3], [4, 5, 6]])).to_parquet(file)
    with pytest.raises(InputError, match="its index of 2 levels has a level without a name"):
        read_counts(file)
