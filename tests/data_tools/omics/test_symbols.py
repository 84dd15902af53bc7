"""Ids of genes become symbols by a table; versions, several ids per symbol and ids without one are handled as said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from data_tools.omics import OmicsConfig, OmicsTable
from framework.config import parse_config
from framework.errors import ConfigError, InputError

Read = Callable[..., OmicsTable]
IDS = [f"ENSG0000000000{number}" for number in range(1, 6)]
TABLE = "Gene,Gene name\n" + "".join(
    f"{name},{symbol}\n" for name, symbol in zip(IDS, ["TSPAN6", "MATR3", "MATR3", "", "SEPT2"], strict=True)
)
VALUES = np.array([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "symbols.csv").write_text(TABLE)
    symbols = {"path": str(tmp_path / "symbols.csv"), "id": "Gene", "symbol": "Gene name"}
    return {"symbols": symbols, "stimulation": None, "plate": None}


def _counts(tmp_path: Path, names: list[str], values: np.ndarray = VALUES) -> Path:
    frame = pd.DataFrame(values, columns=names)
    frame.insert(0, "Metadata_Perturbation", ["a", "b"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


@pytest.mark.parametrize("version", ["", ".7"])
def test_counts_of_one_symbol_are_summed(tmp_path: Path, read: Read, keys: dict[str, Any], version: str) -> None:
    file = _counts(tmp_path, [name + version for name in IDS])
    table = read(file, **keys)
    assert table.genes == ("TSPAN6", "MATR3", IDS[3] + version, "SEPT2")
    assert table.values.tolist() == [[1, 5, 4, 5], [6, 15, 9, 10]]
    path = keys["symbols"]["path"]
    first = f"{file}: 4 of 5 genes have a symbol in {path}; 1 genes keep their ids, as '{IDS[3]}{version}'"
    assert first in table.notes
    example = f"'MATR3' ({IDS[1]}{version}, {IDS[2]}{version})"
    assert f"{file}: 1 names stand for 2 genes, whose values are summed, as {example}" in table.notes
    dropped = read(file, **{**keys, "symbols": {**keys["symbols"], "unmatched": "drop"}})
    assert dropped.genes == ("TSPAN6", "MATR3", "SEPT2")


def test_versions_may_count(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    file = _counts(tmp_path, [f"{name}.7" for name in IDS])
    with pytest.raises(InputError, match=r"none of its 5 genes .* they would match: write 'versions: drop'"):
        read(file, **{**keys, "symbols": {**keys["symbols"], "versions": "keep"}})
    (tmp_path / "symbols.csv").write_text(TABLE.replace("1,TSPAN6", "1.3_PAR_Y,TSPAN6"))
    assert read(file, **keys).genes[0] == "TSPAN6"
    # What looks like a version of another id is a part of its name.
    file = _counts(tmp_path, ["AC012345.1", *IDS[1:]])
    assert read(file, **keys).genes[0] == "AC012345.1"


def test_other_kinds_refuse_or_keep(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    file = _counts(tmp_path, IDS)
    for kind in ("intensities", "log2"):
        with pytest.raises(InputError) as caught:
            read(file, **keys, kind=kind)
        assert f"the gene 'MATR3' ({IDS[1]}, {IDS[2]}) appears 2 times; merge or rename its columns" in str(
            caught.value
        )
        assert ("'same_gene: sum'" in str(caught.value)) is (kind == "intensities")
        kept = read(file, **keys, kind=kind, same_gene="keep")
        assert kept.genes == ("TSPAN6", IDS[1], IDS[2], IDS[3], "SEPT2")
        assert any("1 symbols stand for 2 ids, which keep their ids" in note for note in kept.notes)
    with pytest.raises(InputError, match="appears 2 times"):
        read(file, **keys, same_gene="refuse")
    values = VALUES.astype(float)
    values[0, 1], values[1, 1:3] = np.nan, np.nan
    summed = read(_counts(tmp_path, IDS, values), **keys, kind="intensities", same_gene="sum").values[:, 1]
    assert (summed[0], np.isnan(summed[1])) == (3, True)
    with pytest.raises(ConfigError, match="a sum of logarithms has no meaning"):
        parse_config("name: a\ntable: t\nkind: log2\nsame_gene: sum\n", OmicsConfig, "c.yaml")


def test_tables_of_symbols_that_do_not_fit(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    file = _counts(tmp_path, IDS)
    (tmp_path / "symbols.csv").write_text(TABLE + f"{IDS[0]},OTHER\n")
    with pytest.raises(InputError, match=rf"'{IDS[0]}' has the symbols 'TSPAN6' and 'OTHER' \(lines 2 and 7\)"):
        read(file, **keys)
    (tmp_path / "symbols.csv").write_text(TABLE.lower())
    with pytest.raises(InputError, match=r"no column 'Gene'; it has 'gene', 'gene name'"):
        read(file, **keys)
    (tmp_path / "symbols.csv").write_text("Gene,Gene name\nensg00000000001,a\n")
    with pytest.raises(InputError, match=r"none of its 5 genes .*; name the columns by 'symbols.id'"):
        read(file, **keys)


def test_symbols_within_a_file_may_be_shared_too(tmp_path: Path, read: Read) -> None:
    obs = pd.DataFrame({"Metadata_Perturbation": ["a", "b"]}, index=["s1", "s2"])
    var = pd.DataFrame({"symbol": ["TSPAN6", "MATR3", "MATR3", "x", "y"]}, index=IDS)
    anndata.AnnData(X=VALUES.astype(np.float32), obs=obs, var=var).write_h5ad(tmp_path / "t.h5ad")
    options: dict[str, Any] = {"stimulation": None, "plate": None, "gene_names": "symbol"}
    table = read(tmp_path / "t.h5ad", **options)
    assert (table.genes, table.values[0].tolist()) == (("TSPAN6", "MATR3", "x", "y"), [1, 5, 4, 5])
    assert read(tmp_path / "t.h5ad", **options, same_gene="keep").genes == ("TSPAN6", IDS[1], IDS[2], "x", "y")


@pytest.mark.real_data
def test_the_table_of_the_human_protein_atlas(tmp_path: Path, real_data: Path, read: Read) -> None:
    symbols = {"path": str(real_data / "gene-annotations" / "subcellular_location.tsv"), "id": "Gene"}
    file = _counts(tmp_path, ["ENSG00000000003.15", "ENSG00000000457.14", "x1", "x2", "x3"])
    table = read(file, symbols={**symbols, "symbol": "Gene name"}, stimulation=None, plate=None)
    assert table.genes == ("TSPAN6", "SCYL3", "x1", "x2", "x3")


@pytest.mark.parametrize(
    ("symbols", "genes"),
    [
        (["A", "", None, "B", "C"], ("A", "e2", "e3", "B", "C")),
        (["A", "na", "na", "B", "C"], ("A", "e2", "e3", "B", "C")),
        (["A", "---", "---", "nan", "C"], ("A", "e2", "e3", "nan", "C")),
        (["A", "NA", "nan", "TRUE", "1e5"], ("A", "NA", "nan", "TRUE", "1e5")),
    ],
)
def test_genes_without_a_name_do_not_become_one_gene(
    tmp_path: Path, read: Read, symbols: list[str | None], genes: tuple[str, ...]
) -> None:
    """A word for what is missing is not a name where several genes share it; alone it may be one, as nan of the fly."""
    file = tmp_path / "t.h5ad"
    obs = pd.DataFrame({"Metadata_Perturbation": ["a", "b"]}, index=["s1", "s2"])
    var = pd.DataFrame({"symbol": symbols}, index=[f"e{number}" for number in range(1, 6)])
    anndata.AnnData(VALUES.astype(np.float32), obs=obs, var=var).write_h5ad(file)
    table = read(file, gene_names="symbol", stimulation=None, plate=None)
    assert (table.genes, table.values.tolist()) == (genes, VALUES.tolist())
    said = f"{file}: 2 of 5 genes have no name ('{symbols[1]}') and keep their ids, as 'e2'"
    assert (said in table.notes) is (genes[1] == "e2")


def test_a_table_of_symbols_with_words_for_what_is_missing(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    (tmp_path / "symbols.csv").write_text(TABLE.replace("MATR3", "NA"))
    file = _counts(tmp_path, IDS)
    table = read(file, **keys)
    assert (table.genes, table.values.tolist()) == (("TSPAN6", *IDS[1:4], "SEPT2"), VALUES.tolist())
    assert (
        f"{file}: 2 of 5 genes have a symbol in {tmp_path / 'symbols.csv'}; 3 genes keep their ids, as '{IDS[1]}'"
        in (table.notes)
    )


def test_rows_without_a_symbol_keep_their_ids(tmp_path: Path, read: Read) -> None:
    (tmp_path / "t.csv").write_text("id,symbol,a,b\ne1,SEPT2,1,2\ne2,,3,4\n")
    keys: dict[str, Any] = {"rows": "genes", "perturbation": "sample", "stimulation": None, "plate": None}
    assert read(tmp_path / "t.csv", **keys, gene_names="symbol").genes == ("SEPT2", "e2")
    (tmp_path / "t.csv").write_text("id,symbol,a,b\ne1,SEPT2,1,2\n,,3,4\n")
    with pytest.raises(InputError, match="1 rows have no name of a gene; fill it in, or remove them"):
        read(tmp_path / "t.csv", **keys, gene_names="symbol")
