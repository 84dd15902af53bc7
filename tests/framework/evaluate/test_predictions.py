from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from framework.errors import InputError
from framework.evaluate.predictions import open_all, open_predictions


def test_reads_files_and_folders_alike(wells, tmp_path: Path) -> None:
    for seed in (1, 0):
        wells(seed).write_h5ad(tmp_path / f"p{seed}.h5ad")
    opened = open_all([tmp_path])
    assert [Path(item.name).name for item in opened] == ["p0.h5ad", "p1.h5ad"]
    assert [item.split_key for item in opened] == ["0", "1"]
    assert opened[0].level == "bag"
    assert list(opened[0].targets()) == ["rna_M1"]
    assert opened[0].genes()[:2] == ["G0", "G1"]


def test_the_run_config_names_the_split(wells) -> None:
    data = wells()
    data.uns["wellstream"]["config"] = "split: {by: Metadata_Plate, fractions: [0.8, 0.1, 0.1], seed: 9}\n"
    opened = open_predictions(data)
    assert (opened.split_key, opened.split_column) == ("9", "Metadata_Plate")
    del data.uns["wellstream"]["config"], data.uns["wellstream"]["split"]
    assert open_predictions(data).split_key == "given"


def _no_kind(data: anndata.AnnData) -> None:
    data.uns["wellstream"]["kind"] = "embeddings"


def _no_measured(data: anndata.AnnData) -> None:
    del data.layers["measured"]


def _no_part(data: anndata.AnnData) -> None:
    del data.obs["part"]


def _no_mean(data: anndata.AnnData) -> None:
    del data.var["train_mean"]


def _no_test(data: anndata.AnnData) -> None:
    data.obs["part"] = "train"


def _all_unknown(data: anndata.AnnData) -> None:
    data.layers["measured"][:] = np.nan


def _infinite(data: anndata.AnnData) -> None:
    data.layers["measured"][2, 1] = np.inf


def _diverged(data: anndata.AnnData) -> None:
    data.X[:] = np.nan


def _two_of_a_well(data: anndata.AnnData) -> None:
    data.obs["bag_name"] = "A01"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_kind, "found 'embeddings'; make predictions with: wellstream predict"),
        (_no_measured, "no layer 'measured'"),
        (_no_part, "obs has no column 'part'"),
        (_no_mean, "var has no column 'train_mean'"),
        (_no_test, r"no rows with part 'test' \(parts found: train\)"),
        (_all_unknown, "holds no value for any test row"),
        (_infinite, "measured value of 'rna_M1/G1' in row 3 is inf; expected a finite number"),
        (_diverged, "prediction of 'rna_M1/G0' for bag .* of P1 is nan; .* the run diverged"),
        (_two_of_a_well, "repeated, first source=P1, bag_name=A01"),
    ],
)
def test_bad_predictions_say_what_is_wrong(wells, spoil, message: str) -> None:
    data = wells()
    spoil(data)
    with pytest.raises(InputError, match=message):
        open_predictions(data)


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such prediction file"):
        open_all([tmp_path / "none.h5ad"])
    (tmp_path / "text.h5ad").write_text("hello")
    with pytest.raises(InputError, match=r"not readable as predictions"):
        open_all([tmp_path / "text.h5ad"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.h5ad file in this folder"):
        open_all([tmp_path / "empty"])
    with pytest.raises(InputError, match="at least one"):
        open_all([])


def test_wells_and_tiles_do_not_mix(wells) -> None:
    tiles = wells()
    tiles.obs["tile"] = np.arange(len(tiles.obs))
    with pytest.raises(InputError, match="evaluate them in two calls"):
        open_all([wells(), tiles])


def test_files_of_other_programs_may_name_plate_and_well(wells) -> None:
    data = wells()
    data.obs = data.obs.rename(columns={"source": "Metadata_Plate", "bag_name": "Metadata_Well"})
    rows = open_predictions(data).rows
    assert rows["source"].equals(rows["Metadata_Plate"].rename("source"))
    assert rows["bag_name"].tolist() == rows["Metadata_Well"].tolist()
    data.obs = data.obs.drop(columns="Metadata_Well")
    with pytest.raises(InputError, match="obs has no column 'source'"):
        open_predictions(data)
