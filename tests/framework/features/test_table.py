"""Feature files of every kind, and what is said about bad ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from framework.errors import InputError
from framework.features.table import column, open_features, open_same_cells


def write(path: Path, values: np.ndarray, names: list[str] | None = None, **parts: Any) -> Path:
    index = names or [f"tile-{i}" for i in range(len(values))]
    obs = pd.DataFrame({"Metadata_Protein": ["A", "B"] * (len(values) // 2)}, index=index)
    anndata.AnnData(values.astype(np.float32), obs=obs, **parts).write_h5ad(path)
    return path


def test_an_h5ad_with_its_facts(tmp_path: Path) -> None:
    facts = {"kind": "features", "features": "classic", "dataset_digest": "abc"}
    path = write(tmp_path / "x.h5ad", np.arange(8.0).reshape(4, 2), uns={"wellstream": facts})
    (table,) = open_features(path)
    assert (table.name, table.kind, table.digest, table.columns) == ("x", "classic", "abc", ("0", "1"))
    np.testing.assert_array_equal(table.values, np.arange(8).reshape(4, 2))
    assert open_features(f"mine={path}")[0].name == "mine"


def test_matrices_beside_x(tmp_path: Path) -> None:
    layers = {"conv1": np.ones((4, 3)), "conv2": np.zeros((4, 5))}
    path = write(tmp_path / "x.h5ad", np.empty((4, 0)), obsm=layers)
    assert [(t.name, t.values.shape[1]) for t in open_features(f"net={path}")] == [("net conv1", 3), ("net conv2", 5)]
    assert open_features(f"{path}#conv2")[0].columns[0] == "conv2_0000"
    with pytest.raises(InputError, match=r"no matrix 'conv3'.*conv1, conv2.*did you mean"):
        open_features(f"{path}#conv3")


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    for name in ("conv2", "conv1"):
        write(tmp_path / f"{name}.h5ad", np.ones((4, 2)))
    assert [table.name for table in open_features(f"trained={tmp_path}")] == ["trained conv1", "trained conv2"]


HEADER = "Metadata_Cell,Metadata_Protein,area\n"


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ("x1,A,1\nx2,B,2\n", "2 are missing and 2 are extra, the first is '01'"),
        ("1,A,1\n2,B,2\n", "2 are missing and 2 are extra, the first is '01'"),
        ("01,A,1\n02,A,2\n", "cell '02' has 'A' in column 'Metadata_Protein', in "),
        ("01,A,1\n01,B,2\n", "2 are missing and 2 are extra"),
    ],
)
def test_tables_of_other_cells_or_labels_are_not_paired_by_their_place(
    tmp_path: Path, second: str, sentence: str
) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}01,A,1\n02,B,2\n")
    (tmp_path / "b.csv").write_text(HEADER + second)
    with pytest.raises(InputError) as caught:
        open_same_cells([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert sentence in str(caught.value)


def test_names_of_cells_bring_rows_into_one_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}01,A,1\n02,B,2\n")
    (tmp_path / "b.csv").write_text(f"{HEADER}02,B,20\n01,A,10\n")
    first, second = open_same_cells([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert (first.values.ravel().tolist(), second.values.ravel().tolist()) == ([1, 2], [10, 20])


def test_names_that_repeat_are_of_cells_in_their_wells(tmp_path: Path) -> None:
    """Rows are then paired by their place, if all that both tables say of them agrees."""
    rows = "Metadata_Well,Metadata_Cell,area\nA01,1,1\nA02,1,2\n"
    (tmp_path / "a.csv").write_text(rows)
    (tmp_path / "b.csv").write_text(rows)
    assert open_same_cells([tmp_path / "a.csv", tmp_path / "b.csv"])[1].values.ravel().tolist() == [1, 2]
    (tmp_path / "b.csv").write_text("Metadata_Well,Metadata_Cell,area\nA02,1,2\nA01,1,1\n")
    with pytest.raises(
        InputError, match=r"cell 'row-0' has 'A02' in column 'Metadata_Well', in .*; 2 of 2 cells differ"
    ):
        open_same_cells([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_a_csv_parts_what_describes_from_what_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("cell,Metadata_Protein,part,area,round\nc1,A,train,1.5,2\nc2,B,test,2.5,3\n")
    (table,) = open_features(path)
    assert table.columns == ("area", "round")
    assert list(table.cells.index) == ["c1", "c2"]
    assert list(column(table, "part")) == ["train", "test"]
    path.write_text("tile,area\n7,1\n9,2\n")
    assert list(open_features(path)[0].cells.index) == ["tile-7", "tile-9"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cell,name,area\nc1,x,1\n", "line 2: column 'name' reads 'x', expected a number.*begin with Metadata_"),
        ("cell,Metadata_A\nc1,x\n", "no features: every column describes"),
        ("cell,area\nc1,1\nc1,2\n", "cell 'c1' appears twice"),
        ("cell,area\nc1,1\nc2,\n", "1 values are NaN or infinite, in 1 cells and 1 features.*'area' of cell 'c2'"),
        ("cell,area\nc1,1\nc2,inf\n", "1 values are NaN or infinite"),
        (",area\n0,1\n1,2\n", "column 1 has no name; call it 'cell'"),
        ("cell,area,area\nc1,1,2\n", "the column 'area' appears twice"),
        ("cell,area\n", "a header but no rows"),
    ],
)
def test_bad_text_tables(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        open_features(tmp_path / "x.csv")


def test_other_bad_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; make features with"):
        open_features(tmp_path / "none.h5ad")
    (tmp_path / "x.h5ad").write_text("text")
    with pytest.raises(InputError, match=r"x\.h5ad: not readable as features"):
        open_features(tmp_path / "x.h5ad")
    (tmp_path / "x.npy").write_text("text")
    with pytest.raises(InputError, match=r"expected an \.h5ad, \.csv or \.parquet"):
        open_features(tmp_path / "x.npy")
    path = write(tmp_path / "y.h5ad", np.ones((2, 1)), names=["a", "a"])
    with pytest.raises(InputError, match="cell 'a' appears more than once"):
        open_features(path)


def test_a_frame_of_obsm_with_columns_of_several_types_and_one_with_text(tmp_path: Path) -> None:
    path = write(tmp_path / "z.h5ad", np.ones((2, 1)))
    data = anndata.read_h5ad(path)
    frame = pd.DataFrame({"n": [1, 2], "yes": [True, False], "x": [0.5, 1.5]}, index=data.obs_names)
    data.obsm["P"], data.obsm["T"] = frame, frame.assign(t=["u", "v"])
    data.write_h5ad(path)
    assert open_features(f"{path}#P")[0].values.tolist() == [[1, 1, 0.5], [2, 0, 1.5]]
    with pytest.raises(InputError, match=r"z\.h5ad: T holds object instead of numbers"):
        open_features(f"{path}#T")


def test_rows_are_brought_into_the_order_of_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5ad", np.array([[1.0], [2.0], [3.0], [4.0]]))
    names = ["tile-2", "tile-1", "tile-0", "tile-3"]  # each keeps its label, A or B in turn
    second = write(tmp_path / "b.h5ad", np.array([[30.0], [20.0], [10.0], [40.0]]), names)
    tables = open_same_cells([first, second])
    np.testing.assert_array_equal(tables[1].values[:, 0], [10, 20, 30, 40])


def test_other_cells_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.h5ad", np.ones((4, 1)))
    second = write(tmp_path / "b.h5ad", np.ones((2, 1)))
    with pytest.raises(InputError, match="2 are missing and 0 are extra, the first is 'tile-2'"):
        open_same_cells([first, second])
    with pytest.raises(InputError, match="called 'a'"):
        open_same_cells([first, first])
    with pytest.raises(InputError, match="expected at least one"):
        open_same_cells([])
    digests = [write(tmp_path / f"{d}.h5ad", np.ones((4, 1)), uns={"wellstream": {"dataset_digest": d}}) for d in "pq"]
    with pytest.raises(InputError, match="made from another dataset"):
        open_same_cells(digests)


def test_labels_of_a_csv_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("cell;Metadata_Sample;Metadata_Stim;area\n007;0012;None;1,5\n7;0107;10;2,5\n")
    (table,) = open_features(tmp_path / "x.csv")
    assert list(table.cells.index) == ["007", "7"]
    assert list(column(table, "Metadata_Sample")) == ["0012", "0107"]
    assert list(column(table, "Metadata_Stim")) == ["None", "10"]
    np.testing.assert_array_equal(table.values, [[1.5], [2.5]])


def test_columns_are_text_and_empty_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("cell,Metadata_Field,Metadata_Name,area\nc1,1,x,1\nc2,,,2\n")
    (table,) = open_features(path)
    assert column(table, "Metadata_Field").iloc[0] == "1"
    assert column(table, "Metadata_Field").isna().tolist() == [False, True]
    assert column(table, "Metadata_Name").isna().tolist() == [False, True]
    with pytest.raises(InputError, match=r"no column 'Metadata_Feild'.*did you mean 'Metadata_Field'"):
        column(table, "Metadata_Feild")


def test_files_are_known_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"cell,area\n007,1\nNA,2\n"))
    (table,) = open_features(tmp_path / "x.csv.gz")
    assert (list(table.cells.index), table.values.tolist()) == (["007", "NA"], [[1], [2]])
    path = write(tmp_path / "x.h5ad", np.arange(8.0).reshape(4, 2))
    path.rename(tmp_path / "y.h5")
    assert open_features(tmp_path / "y.h5")[0].values.tolist() == np.arange(8.0).reshape(4, 2).tolist()
    (tmp_path / "x.parquet").write_bytes(b"PAR1\x00\x01")
    with pytest.raises(InputError, match=r"x\.parquet: not readable as a table of features"):
        open_features(tmp_path / "x.parquet")
    (tmp_path / "x.feather").write_bytes(b"ARROW1\x00\x01")
    with pytest.raises(
        InputError, match=r"expected an \.h5ad, \.csv or \.parquet file of features, found an Arrow file"
    ):
        open_features(tmp_path / "x.feather")


def test_a_parquet_table_is_read_as_the_csv_of_it(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "cell": ["007", "7"],
            "Metadata_Dose": [10.0, 0.5],
            "Metadata_Stim": ["None", "LPS"],
            "area": [1.5, 2.5],
            "n": [3, 4],
        }
    )
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_parquet(tmp_path / "y.dat")
    (tmp_path / "x.csv").write_text("cell,Metadata_Dose,Metadata_Stim,area,n\n007,10,None,1.5,3\n7,0.5,LPS,2.5,4\n")
    expected = open_features(tmp_path / "x.csv")[0]
    for name in ("x.parquet", "y.dat"):
        (table,) = open_features(tmp_path / name)
        assert table.columns == expected.columns == ("area", "n")
        np.testing.assert_array_equal(table.values, expected.values)
        pd.testing.assert_frame_equal(table.cells, expected.cells)
    assert [table.name for table in open_same_cells([tmp_path / "x.csv", f"other={tmp_path / 'x.parquet'}"])] == [
        "x",
        "other",
    ]


def test_bad_parquet_tables(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    pd.DataFrame({"cell": ["a", "b"], "stim": ["x", "y"], "area": [1.0, 2.0]}).to_parquet(file)
    with pytest.raises(
        InputError, match=r"x\.parquet: the column 'stim' is of type .*columns that describe a cell begin"
    ):
        open_features(file)
    pd.DataFrame({"cell": ["a", "b"], "area": [1, None]}).astype({"area": "Int64"}).to_parquet(file)
    with pytest.raises(InputError, match="1 values are NaN or infinite"):
        open_features(file)
    pd.DataFrame({"cell": ["a", "a"], "area": [1.0, 2.0]}).to_parquet(file)
    with pytest.raises(InputError, match="cell 'a' appears twice"):
        open_features(file)
    with pytest.raises(InputError, match="this table holds one matrix; leave '#X' out"):
        open_features(f"{file}#X")
