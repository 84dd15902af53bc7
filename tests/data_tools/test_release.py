"""The published layout of Image2Omics, made up in small: from its files to a dataset, and what is refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from fixtures.full_disk import at_every_moment, content
from fixtures.small_release import CHANNELS, GENES, PLATES, SIDE, TILE, rows, write_release

from data_tools.nuclei import NUCLEI, FieldOfView
from data_tools.pipeline import ingest, load_ingest_config
from data_tools.readers.plates import READERS, read_image
from data_tools.release import import_release, read_ground_truth
from framework.data.dataset import Dataset
from framework.data.store import TileStore
from framework.errors import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("release") / "data")


def options(data: Path, **more: object) -> object:
    return READERS.get("image2omics").config.from_plain({"name": "image2omics", "path": str(data / "ICF"), **more})


def reading(data: Path, **more: object) -> object:
    return READERS.get("image2omics").build(options(data, **more))


def test_a_release_becomes_a_dataset_with_the_authors_tiles(data: Path, tmp_path: Path) -> None:
    summary = import_release(data, tmp_path / "prepared")
    assert (summary.plates, summary.wells, summary.conditions) == (PLATES, 12, 10)
    config = load_ingest_config(tmp_path / "prepared" / "ingest.yaml")
    ingest(config, tmp_path / "dataset", workers=0)
    dataset = Dataset.open(tmp_path / "dataset")
    assert dataset.manifest.tile.channels == CHANNELS
    assert dataset.manifest.targets == ("transcriptomics_m1",)
    assert len(dataset.index) == 12 * 4  # the tile that would leave the image is a cell without a tile
    assert len(pd.read_parquet(tmp_path / "dataset" / "cells.parquet")) == 12 * 5
    table = dataset.tile_table(["site", "y_px", "x_px"])
    store = TileStore(dataset)
    out = np.empty((len(table), *store.sample_shape), dtype=store.dtype)
    store.gather(np.arange(len(table)), out)
    for tile, bag in enumerate(dataset.index.bag):
        well = dataset.bags.iloc[bag]
        column = int(well["Metadata_Well"][1:])
        top, left = (int(table[key][tile]) - TILE // 2 for key in ("y_px", "x_px"))
        assert (top, left) in {0: {(0, 0), (5, 17), (32, 32)}, 1: {(3, 9)}}[table["site"][tile]]
        with h5py.File(data / "ICF" / f"ICF.X1.Y{column}.P1.0.{well['Metadata_Plate']}.h5") as file:
            images = [file[f"{name}/fov_{table['site'][tile]}"][()] for name in CHANNELS]
        cut = np.stack(images)[:, top : top + TILE, left : left + TILE]
        np.testing.assert_array_equal(out[tile], cut)


def test_labels_keep_their_values_and_the_order_of_genes(data: Path, tmp_path: Path) -> None:
    import_release(data, tmp_path / "prepared")
    ingest(load_ingest_config(tmp_path / "prepared" / "ingest.yaml"), tmp_path / "dataset", workers=0)
    target = Dataset.open(tmp_path / "dataset").target("transcriptomics_m1")
    assert tuple(target.var_names) == GENES
    truth = {(row["plate_barcode"], row["well_id"], row["gene/protein"]): row["measured (absolute)"]
             for row in rows(PLATES)}  # fmt: skip
    wells = zip(target.obs["Metadata_Plate"], target.obs["Metadata_Well"], strict=True)
    expected = [[truth[plate, f"A{int(well[1:])}", gene] for gene in GENES] for plate, well in wells]
    np.testing.assert_allclose(target.X, expected)
    bags = Dataset.open(tmp_path / "dataset").bags
    same = bags[bags["Metadata_Plate"] == "BR001"].set_index("Metadata_Well")["Metadata_Perturbation"]
    assert same["A01"] == same["A02"] != same["A03"]
    assert bags["Metadata_Fold_transcriptomics_m1"].tolist()[:6] == ["train"] * 4 + ["val", "test"]


def test_a_full_disk_leaves_what_was_prepared_before_whole(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    at_every_moment(lambda: import_release(data, out), said.append)
    wanted = content(out)
    assert set(wanted) == {"platemap.csv", "transcriptomics_m1.h5ad", "ingest.yaml"}
    (out / "platemap.csv").write_text("older")
    before = content(out)

    def after(sentence: str) -> None:
        said.append(sentence)
        assert content(out) in (before, wanted)

    assert at_every_moment(lambda: import_release(data, out), after) > 3
    assert content(out) == wanted
    assert all(each.startswith(str(out)) and "no space left on device" in each for each in said)


def test_rows_and_columns_may_count_from_zero(tmp_path: Path) -> None:
    export = reading(write_release(tmp_path / "data", first=0), plate="BR001")
    assert export.wells() == [f"A0{n}" for n in range(1, 7)]
    assert any("count from 0" in note for note in export.notes)
    assert export.sites()[:2] == [("A01", 0), ("A01", 1)]
    assert read_image(export.refs[0]).shape == (SIDE, SIDE)


def test_what_does_not_fit_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"several plates \(BR001, BR002\); choose one with 'plate:'"):
        reading(data)
    with pytest.raises(InputError, match="no image of plate 'BR003'; there are BR001, BR002"):
        reading(data, plate="BR003")
    other = write_release(tmp_path / "data")
    with h5py.File(other / "ICF" / "ICF.X1.Y2.P1.0.BR001.h5", "r+") as file:
        file.attrs["COLUMN"] = 3
    (other / "ICF" / "ICF.X1.Y3.P1.0.BR001.h5").write_bytes(b"no HDF5")
    problems = reading(other, plate="BR001").problems
    assert [problem.well for problem in problems] == ["A02", "A03"]
    assert "its name says column 2, its attribute COLUMN says 3" in problems[0].detail
    assert "not readable as a file of images of Image2Omics" in problems[1].detail
    (tmp_path / "half" / "ICF").mkdir(parents=True)
    with pytest.raises(InputError, match="no folder TILES"):
        import_release(tmp_path / "half", tmp_path / "out")


@pytest.mark.parametrize("corners", [[[300.0, 2.0]], [[np.nan, 2.0]], [[-500.0, 0.0]]])
def test_coordinates_outside_of_the_image_are_refused(data: Path, tmp_path: Path, corners: list[list[float]]) -> None:
    entry = NUCLEI.get("image2omics")
    plain = {"method": "image2omics", "channel": CHANNELS[0], "path": str(tmp_path)}
    method = entry.build(entry.config.from_plain(plain))
    file = tmp_path / "TILES.X1.Y1.P1.0.BR001.h5"
    with h5py.File(file, "w") as made:
        made["fov_0"] = np.array(corners)
    field = FieldOfView(plate="BR001", well="A01", site=0, image="ICF.X1.Y1.P1.0.BR001.h5")
    found = method.survey([field]).files[field.key]
    assert found == (file,)
    with pytest.raises(InputError, match="tiles outside of the image of 160 x 160 px"):
        method.find(np.zeros((160, 160)), FieldOfView(plate="BR001", well="A01", site=0, files=found))
    with pytest.raises(InputError, match="no coordinates of any site"):
        method.survey([FieldOfView(plate="BR001", well="A02", site=0, image="ICF.X1.Y2.P1.0.BR001.h5")])


def test_tables_of_ground_truth_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "proteomics_m2.csv"

    def reads(frame: pd.DataFrame, **more: str) -> None:
        frame.to_csv(file, index=False)
        read_ground_truth(file, **more)

    whole = pd.DataFrame(rows(["BR001"]))
    with pytest.raises(InputError, match=r"plate BR001 well A1 has 'Zyx' twice"):
        reads(pd.concat([whole, whole.iloc[:1]]))
    with pytest.raises(InputError, match=r"no column 'gene/protein'; it has plate_barcode"):
        reads(whole.drop(columns="gene/protein"))
    with pytest.raises(InputError, match=r"no column of measured \(absolute\), measured, absolute.*--value"):
        reads(whole.rename(columns={"measured (absolute)": "amount"}))
    with pytest.raises(InputError, match="plate BR001 well A1 is in two parts"):
        reads(whole.assign(fold=["test", *whole["fold"][1:]]))
    with pytest.raises(InputError, match="the part 'seven' is not one of train, val, test"):
        reads(whole.assign(fold="seven"))
    gaps = whole.drop(index=[4]).drop(columns="fold")
    gaps.to_csv(file, index=False)
    found = read_ground_truth(file)
    assert (found.name, found.stimulation, set(found.folds)) == ("proteomics_m2", "M2", {"none"})
    assert np.isnan(found.values).sum() == 1
    assert np.isnan(found.values[1, 1])


def test_the_prepared_config_says_what_is_the_authors(data: Path, tmp_path: Path) -> None:
    import_release(data, tmp_path)
    plain = yaml.safe_load((tmp_path / "ingest.yaml").read_text())
    assert plain["illumination"] == {"method": "none"}
    assert plain["nuclei"]["channel"] == CHANNELS[0]
    assert [entry["source"]["plate"] for entry in plain["plates"]] == list(PLATES)
