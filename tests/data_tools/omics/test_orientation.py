"""Genes in rows or in columns: said by a key, by a sheet or by where the perturbation stands; never guessed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable
from framework.config import parse_config
from framework.errors import ConfigError, InputError

Read = Callable[..., OmicsTable]
FACTS = ["sample", "Metadata_Plate", "Metadata_Perturbation", "Metadata_Stimulation"]


def _same(table: OmicsTable) -> None:
    order = table.sample.argsort()
    assert table.sample[order].tolist() == ["s1", "s2", "s3"]
    assert table.genes == ("g1", "g2")
    assert table.values[order].tolist() == [[2, 5], [1, 0], [3, 7]]
    assert table.perturbation[order].tolist() == ["b", "a", "a"]
    assert table.plate[order].tolist() == ["R1", "R1", "R2"]


@pytest.mark.parametrize("said", [None, "genes"])
@pytest.mark.parametrize("form", ["csv", "tsv", "parquet"])
def test_a_table_turned_over_whole(
    tmp_path: Path, frame: pd.DataFrame, read: Read, form: str, said: str | None
) -> None:
    turned = frame.set_index("sample").T.rename_axis("name")
    file = tmp_path / f"t.{form}"
    if form == "parquet":
        turned.astype(str).to_parquet(file)
    else:
        turned.to_csv(file, sep="\t" if form == "tsv" else ",")
    table = read(file, rows=said)
    _same(table)
    assert any("read with genes in rows, because a row is called" in note for note in table.notes) is (said is None)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("said", [None, "genes"])
def test_genes_in_rows_beside_a_sheet(
    tmp_path: Path, frame: pd.DataFrame, read: Read, form: str, said: str | None
) -> None:
    """As featureCounts writes it: facts of genes before the samples, one of them a number."""
    genes = frame.set_index("sample")[["g1", "g2"]].T.rename_axis("Geneid").reset_index()
    genes.insert(1, "Chr", ["chr1", "chr2"])
    genes.insert(2, "Length", [100, 200])
    genes.insert(3, "symbol", ["SEPT2", "0042"])
    frame[FACTS].to_csv(tmp_path / "sheet.tsv", sep="\t", index=False)
    file = tmp_path / f"t.{form}"
    genes.to_csv(file, index=False) if form == "csv" else genes.to_parquet(file)
    keys: dict[str, Any] = {"sheet": {"path": str(tmp_path / "sheet.tsv")}, "rows": said}
    table = read(file, **keys)
    _same(table)
    assert f"{file}: 3 columns are taken as facts of genes, not as samples: 'Chr', 'Length', 'symbol'" in table.notes
    assert read(file, **keys, gene_names="symbol").genes == ("SEPT2", "0042"), "symbols stay text"
    with pytest.raises(InputError, match=r"no column 'symbl' for 'omics\.gene_names'"):
        read(file, **keys, gene_names="symbl")


def test_without_a_sheet_facts_of_genes_are_named(tmp_path: Path, read: Read) -> None:
    (tmp_path / "t.csv").write_text("id,about,Length,a,b\ng1,text,100,1,2\ng2,more,200,3,4\n")
    keys: dict[str, Any] = {"rows": "genes", "perturbation": "sample", "stimulation": None, "plate": None}
    table = read(tmp_path / "t.csv", **keys, facts=["Length"])
    assert (table.perturbation.tolist(), table.values.tolist()) == (["a", "b"], [[1, 3], [2, 4]])


def test_what_may_be_read_in_two_ways_is_refused_with_both(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    (tmp_path / "both.csv").write_text("sample,s1,s2\ns1,1,2\ns2,3,4\n")
    (tmp_path / "neither.csv").write_text("sample,x1,x2\ny1,1,2\ny2,3,4\n")
    frame[FACTS].iloc[:2].to_csv(tmp_path / "sheet.csv", index=False)
    sheet = {"path": str(tmp_path / "sheet.csv")}
    with pytest.raises(InputError) as caught:
        read(tmp_path / "both.csv", sheet=sheet)
    assert "with samples in rows, it has the samples 's1', 's2' and the genes 's1', 's2'" in str(caught.value)
    assert "with genes in rows, the samples 's1', 's2' and the genes 's1', 's2'" in str(caught.value)
    assert "write 'rows: samples' or 'rows: genes'" in str(caught.value)
    with pytest.raises(InputError, match=r"the samples 'x1', 'x2' and the genes 'y1', 'y2'; the sheet knows neither"):
        read(tmp_path / "neither.csv", sheet=sheet)
    assert read(tmp_path / "both.csv", sheet=sheet, rows="samples").values.tolist() == [[1, 2], [3, 4]]
    assert read(tmp_path / "both.csv", sheet=sheet, rows="genes").values.tolist() == [[1, 3], [2, 4]]
    name = "Metadata_Perturbation"
    (tmp_path / "named.csv").write_text(f"sample,{name},g1\n{name},a,1\ns2,b,2\n")
    with pytest.raises(InputError, match=f"'{name}' names a column and a row"):
        read(tmp_path / "named.csv", stimulation=None, plate=None)


def test_keys_that_do_not_fit(tmp_path: Path, frame: pd.DataFrame, read: Read) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match=r"'gene_names: x' is for AnnData, GCT and 10x files and for tables"):
        read(tmp_path / "t.csv", gene_names="x")
    (tmp_path / "t.gct").write_text("#1.2\n1\t1\nNAME\tDescription\ts1\ng1\tx\t5\n")
    with pytest.raises(InputError, match="its format always has genes in rows, not samples; leave 'rows' out"):
        read(tmp_path / "t.gct", rows="samples")
    with pytest.raises(InputError, match=r"read with genes in rows, but none of its columns is a sample"):
        read(tmp_path / "t.csv", rows="genes", facts=["g1", "g2"])
    text = "name: a\ntable: t\nkind: counts\nrows: genes\nlong: {sample: s, gene: g, value: v}\n"
    with pytest.raises(ConfigError, match="'rows' is for wide tables"):
        parse_config(text, OmicsConfig, "c.yaml")


def test_a_gene_without_a_name_and_text_among_numbers(tmp_path: Path, read: Read) -> None:
    keys: dict[str, Any] = {"rows": "genes", "perturbation": "sample", "stimulation": None, "plate": None}
    (tmp_path / "t.csv").write_text("id,a,b\ng1,1,2\n,3,4\n")
    with pytest.raises(InputError, match="1 rows have no name of a gene"):
        read(tmp_path / "t.csv", **keys)
    (tmp_path / "t.csv").write_text("id,a,b\ng1,1,2\ng2,3,<4\n")
    with pytest.raises(InputError, match="line 3: column 'b' reads '<4', expected a number"):
        read(tmp_path / "t.csv", **keys)
