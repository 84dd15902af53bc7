"""Bulk tables from STARsolo and Cell Ranger: barcodes are samples that a sheet names."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from data_tools.omics import OmicsTable
from framework.errors import InputError

Read = Callable[..., OmicsTable]
BARCODES = ["AAAC", "CCCA", "GGGT", "TTTT"]
VALUES = np.array([[1, 0, 4], [2, 5, 0], [3, 7, 1], [9, 9, 9]])
IDS, NAMES = ["ENSG01", "ENSG02", "ADT1"], ["SEPT2", "0042", "CD4"]
KINDS = ["Gene Expression", "Gene Expression", "Antibody Capture"]


def _folder(tmp_path: Path, *, kinds: bool = True) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    io.mmwrite(str(folder / "matrix.mtx"), sparse.coo_array(VALUES.T))
    rows = zip(IDS, NAMES, KINDS, strict=True)
    lines = ["\t".join(row if kinds else row[:2]) for row in rows]
    (folder / "features.tsv").write_text("\n".join(lines) + "\n")
    (folder / "barcodes.tsv").write_text("\n".join(BARCODES) + "\n")
    return folder


def _h5(tmp_path: Path) -> Path:
    matrix = sparse.csr_array(VALUES)
    with h5py.File(tmp_path / "m.h5", "w") as store:
        group = store.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(matrix, name)
        group["shape"] = np.array([3, 4])
        group["barcodes"] = np.array(BARCODES, dtype="S")
        features = group.create_group("features")
        for name, texts in (("id", IDS), ("name", NAMES), ("feature_type", KINDS)):
            features[name] = np.array(texts, dtype="S")
    return tmp_path / "m.h5"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    """A sheet of three of the four barcodes."""
    text = "well,barcode,Perturbation\nA01,GGGT,a\nA02,AAAC,b\nA03,CCCA,c\n"
    (tmp_path / "sheet.csv").write_text(text)
    sheet = {"path": str(tmp_path / "sheet.csv"), "sample": "barcode"}
    return {"sheet": sheet, "perturbation": "Perturbation", "stimulation": None, "plate": None}


def test_a_file_without_a_barcode_is_refused(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    file = _h5(tmp_path)
    with h5py.File(file, "a") as store:
        for name, values in (("data", []), ("indices", []), ("indptr", [0]), ("shape", [3, 0])):
            del store[f"matrix/{name}"]
            store[f"matrix/{name}"] = np.array(values, dtype=np.int64)
        del store["matrix/barcodes"]
        store["matrix/barcodes"] = np.array([], dtype="S4")
    with pytest.raises(InputError, match="holds no barcode; expected one per sample"):
        read(file, **keys, modality="Gene Expression")


@pytest.mark.parametrize("form", ["folder", "h5"])
def test_barcodes_of_the_sheet_are_samples(tmp_path: Path, read: Read, keys: dict[str, Any], form: str) -> None:
    file = _folder(tmp_path) if form == "folder" else _h5(tmp_path)
    table = read(file, **keys, modality="Gene Expression")
    assert table.sample.tolist() == ["AAAC", "CCCA", "GGGT"]
    assert table.perturbation.tolist() == ["b", "c", "a"]
    assert table.genes == ("ENSG01", "ENSG02")
    assert table.values.tolist() == [[1, 0], [2, 5], [3, 7]]
    assert f"{file}: 1 of 4 barcodes are not samples of the sheet and are left out" in table.notes
    assert read(file, **keys, modality="Antibody Capture", gene_names="name").genes == ("CD4",)
    assert read(file, **keys, modality="Gene Expression", gene_names="name").genes == ("SEPT2", "0042")


def test_what_is_said_of_a_matrix_that_does_not_fit(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    file = _folder(tmp_path)
    with pytest.raises(InputError, match="features of the kinds Gene Expression, Antibody Capture; choose one"):
        read(file, **keys)
    with pytest.raises(InputError, match="no feature of the kind 'Genes'; it has Gene Expression, Antibody Capture"):
        read(file, **keys, modality="Genes")
    with pytest.raises(InputError, match="'gene_names: symbol' is not known for a 10x matrix; write 'id'"):
        read(file, **keys, modality="Gene Expression", gene_names="symbol")
    with pytest.raises(InputError, match="'layer: raw' is for AnnData and MuData files"):
        read(file, **keys, layer="raw")
    with pytest.raises(InputError, match="a matrix without names of cells and genes; name the folder"):
        read(file / "matrix.mtx", **keys)
    (tmp_path / "sheet.csv").write_text("well,barcode,Perturbation\nA01,AAAC-1,a\n")
    with pytest.raises(InputError, match=r"none of its 4 samples \('AAAC' ...\) is in"):
        read(file, **keys, modality="Gene Expression")


def test_a_folder_of_one_kind_needs_no_choice(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    table = read(_folder(tmp_path, kinds=False), **keys)
    assert table.genes == ("ENSG01", "ENSG02", "ADT1")
    assert table.values[2].tolist() == [3, 7, 1]


def test_without_a_sheet_barcodes_may_be_the_perturbations(tmp_path: Path, read: Read) -> None:
    file = _h5(tmp_path)
    options: dict[str, Any] = {"perturbation": "sample", "stimulation": None, "plate": None, "modality": KINDS[0]}
    assert read(file, **options).perturbation.tolist() == BARCODES
    assert pd.isna(read(file, **options).values).sum() == 0


def test_a_feature_without_an_id_keeps_its_name_and_values_of_one_place_are_said(
    tmp_path: Path, read: Read, keys: dict[str, Any]
) -> None:
    folder = _folder(tmp_path, kinds=False)
    (folder / "features.tsv").write_text("\tSEPT2\nENSG02\t\nADT1\tCD4\n")
    lines = (folder / "matrix.mtx").read_text().splitlines()
    sizes = next(place for place, line in enumerate(lines) if not line.startswith("%"))
    lines[sizes] = f"3 4 {len(lines) - sizes}"
    (folder / "matrix.mtx").write_text("\n".join([*lines, "1 1 100"]) + "\n")
    table = read(folder, **keys, gene_names="name")
    assert table.genes == ("SEPT2", "ENSG02", "CD4")
    assert dict(zip(table.sample, table.values.tolist(), strict=True)) == {
        "AAAC": [101, 0, 4],
        "CCCA": [2, 5, 0],
        "GGGT": [3, 7, 1],
    }
    assert any("1 values stand at a place of another one" in note for note in table.notes)


def test_files_of_two_runs_in_one_folder_are_refused(tmp_path: Path, read: Read, keys: dict[str, Any]) -> None:
    """The matrix of one run would have been read with the features of the other."""
    folder = _folder(tmp_path, kinds=False)
    packed = folder / "features.tsv.gz"
    packed.write_bytes(gzip.compress((folder / "features.tsv").read_bytes()))
    assert read(folder, **keys).genes == tuple(IDS)  # the same text twice
    lines = (folder / "features.tsv").read_text().splitlines()
    packed.write_bytes(gzip.compress("\n".join(reversed(lines)).encode()))
    with pytest.raises(InputError) as caught:
        read(folder, **keys)
    assert str(caught.value) == (
        f"{folder}: features.tsv.gz and features.tsv differ, so nobody knows which belongs to the other files; keep "
        "the files of one run in the folder"
    )
