"""From raw files to a dataset that framework opens, with the pixels that direct cropping gives."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
import webdataset as wds

from data_tools.illumination import StreamingMean, correct, fit_flatfield
from data_tools.nuclei import find_nuclei
from data_tools.pipeline import ingest
from data_tools.pipeline.plates import task as shard_task
from framework.data.dataset import Dataset
from framework.data.format.schema import read_manifest
from framework.data.verify import verify_dataset
from framework.errors import DatasetError, InputError
from framework.files.h5ad import read_h5ad

Tree = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def built(two_plates: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Any]:
    out = tmp_path_factory.mktemp("built") / "data"
    return two_plates, out, ingest(two_plates.config(), out, workers=0)


def _pixels(dataset: Dataset, row: int) -> np.ndarray:
    index, tile = dataset.index, dataset.manifest.tile
    raw = (dataset.root / dataset.manifest.shards[index.shard[row]].name).read_bytes()
    start = index.offset[row]
    return np.frombuffer(raw[start : start + tile.nbytes], dtype="<u2").reshape(tile.shape)


def test_bags_are_wells_in_plate_row_and_column_order(built: tuple[Any, Path, Any]) -> None:
    _, out, summary = built
    bags = Dataset.open(out).bags
    wells = ["A01", "A02", "A10", "B01", "B02"]
    found = list(zip(bags.Metadata_Plate, bags.Metadata_Well, strict=True))
    assert found == [(plate, well) for plate in ("P1", "P2") for well in wells]
    assert bags.bag.tolist() == list(range(10))
    assert bags.Metadata_Dose.tolist() == ["0", "1", "2", "3", "4"] * 2, "further columns of the plate map are kept"
    assert bags.n_sites.tolist() == [2] * 10
    assert (bags.n_tiles[bags.Metadata_Well.isin(["A10", "B02"])] == 0).all(), "marked empty; no cell found"
    assert (bags.n_tiles[~bags.Metadata_Well.isin(["A10", "B02"])] > 3).all()
    assert summary.empty_wells == ("P1/A10", "P1/B02", "P2/A10", "P2/B02")
    assert (summary.state, summary.wells, summary.sites) == ("built", 10, 20)


def test_every_tile_is_the_direct_crop_of_the_corrected_image(built: tuple[Any, Path, Any]) -> None:
    raw, out, _ = built
    dataset = Dataset.open(out)
    tiles = dataset.tile_table()
    flat = {}
    for plate in ("P1", "P2"):
        for channel in ("Actin", "DNA"):
            mean = StreamingMean()
            for well in ("A01", "A02", "B01", "B02"):
                for site in (1, 2):
                    mean.add(tifffile.imread(raw.image(plate, well, site, channel)))
            flat[plate, channel] = fit_flatfield(mean.mean(), kernel_px=20, sigma_px=5)
            stored = np.load(out / "qc" / f"flatfield_{plate}_{channel}.npy", allow_pickle=False)
            np.testing.assert_array_equal(stored, flat[plate, channel])
    assert len(tiles) > 40
    for row in range(len(tiles)):
        bag = dataset.bags.iloc[tiles.bag[row]]
        stack = np.stack(
            [
                correct(
                    tifffile.imread(raw.image(bag.Metadata_Plate, bag.Metadata_Well, tiles.site[row], channel)),
                    flat[bag.Metadata_Plate, channel],
                )
                for channel in ("Actin", "DNA")
            ]
        )
        top, left = int(np.floor(tiles.y_px[row] + 0.5)) - 12, int(np.floor(tiles.x_px[row] + 0.5)) - 12
        np.testing.assert_array_equal(_pixels(dataset, row), stack[:, top : top + 24, left : left + 24])


def test_nuclei_are_all_there_with_the_reason_they_have_no_tile(built: tuple[Any, Path, Any]) -> None:
    raw, out, summary = built
    dataset = Dataset.open(out)
    nuclei, tiles = dataset.cells(), dataset.tile_table()
    assert set(nuclei.status) == {"tile", "border"}
    assert tiles.cell.is_unique
    assert set(tiles.cell) == set(np.flatnonzero(nuclei.status == "tile"))
    for name in ("bag", "site", "y_px", "x_px"):
        np.testing.assert_array_equal(tiles[name], nuclei[name].to_numpy()[tiles.cell])
    assert len(nuclei) == dataset.bags.n_cells.sum() == summary.nuclei
    flat = np.load(out / "qc" / "flatfield_P2_DNA.npy", allow_pickle=False)
    image = correct(tifffile.imread(raw.image("P2", "B01", 2, "DNA")), flat)
    expected = find_nuclei(image, raw.config().nuclei)
    mine = nuclei[(nuclei.bag == 8) & (nuclei.site == 2)]
    np.testing.assert_array_equal(mine.y_px, expected.y_px)
    np.testing.assert_array_equal(mine.score, expected.score)


def test_tables_have_the_types_of_the_contract(built: tuple[Any, Path, Any]) -> None:
    dataset = Dataset.open(built[1])
    types = {name: str(kind) for name, kind in dataset.tile_table().dtypes.items()}
    assert types == {
        "bag": "int32",
        "site": "int16",
        "y_px": "float32",
        "x_px": "float32",
        "cell": "int64",
        "shard": "int32",
        "offset": "int64",
        "nbytes": "int32",
    }
    assert str(dataset.cells().y_px.dtype) == "float32"
    assert dataset.tile_table().nbytes.unique().tolist() == [2 * 24 * 24 * 2]


def test_stock_webdataset_reads_the_same_pixels_in_stored_order(built: tuple[Any, Path, Any]) -> None:
    dataset = Dataset.open(built[1])
    urls = [str(dataset.root / shard.name) for shard in dataset.manifest.shards]
    row = 0
    for sample in wds.WebDataset(urls, shardshuffle=False):
        facts = json.loads(sample["json"])
        pixels = np.load(io.BytesIO(sample["npy"]), allow_pickle=False)
        assert len(pixels) == facts["n"] <= 4
        assert sample["__key__"].startswith(f"{facts['source']}_{facts['name']}_")
        for tile in pixels:
            assert dataset.index.bag[row] == facts["bag"]
            np.testing.assert_array_equal(tile, _pixels(dataset, row))
            row += 1
    assert row == dataset.manifest.n_tiles


def test_tiles_of_a_bag_are_shuffled_over_its_sites(built: tuple[Any, Path, Any]) -> None:
    tiles = Dataset.open(built[1]).tile_table()
    order = [group.cell.tolist() for _, group in tiles.groupby("bag")]
    assert all(nuclei != sorted(nuclei) for nuclei in order)


def test_statistics_are_those_of_the_stored_pixels(built: tuple[Any, Path, Any]) -> None:
    dataset = Dataset.open(built[1])
    pixels = np.stack([_pixels(dataset, row) for row in range(dataset.manifest.n_tiles)]).astype(np.float64)
    for index, channel in enumerate(("Actin", "DNA")):
        found = dataset.manifest.channel_statistics[channel]
        assert found.mean == pytest.approx(pixels[:, index].mean(), rel=1e-12)
        assert found.sd == pytest.approx(pixels[:, index].std(), rel=1e-9)
        for key, value in found.percentiles.items():
            assert value == pytest.approx(np.percentile(pixels[:, index], float(key)), rel=1e-12)


def test_every_file_is_recorded_and_nothing_else_lies_there(built: tuple[Any, Path, Any], tree: Tree) -> None:
    _, out, _ = built
    manifest = read_manifest(out)
    recorded = {record.name: record.blake3 for record in (*manifest.files, *manifest.shards)}
    found = tree(out)
    del found["dataset.json"]
    assert found == recorded
    assert verify_dataset(out).sentences


def test_overviews_are_listed_with_the_facts_to_draw_them(built: tuple[Any, Path, Any]) -> None:
    _, out, _ = built
    index = json.loads((out / "qc" / "index.json").read_text())
    assert [(entry["plate"], entry["channel"]) for entry in index["overviews"]] == [
        ("P1", "Actin"),
        ("P1", "DNA"),
        ("P2", "Actin"),
        ("P2", "DNA"),
    ]
    for entry in index["overviews"]:
        picture = cv2.imread(str(out / entry["file"]), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (48, 48)
        assert entry["scale"] == 0.5
        assert entry["low"] < entry["high"]
    assert [entry["file"] for entry in index["flatfields"]][:2] == [
        "qc/flatfield_P1_Actin.npy",
        "qc/flatfield_P1_DNA.npy",
    ]


def test_a_finished_dataset_is_left_alone_and_another_config_refused(
    built: tuple[Any, Path, Any], tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, out, first = built
    before = tree(out)
    monkeypatch.setattr(shard_task, "load_site", None)
    again = ingest(raw.config(), out, workers=0)
    assert (again.state, again.tiles) == ("already_complete", read_manifest(out).n_tiles)
    assert again.sites == first.sites > 0
    assert (again.plates, again.wells, again.empty_wells) == (first.plates, first.wells, first.empty_wells)
    with pytest.raises(DatasetError, match=r"another config \(it differs in seed\); choose another folder, or"):
        ingest(raw.config(seed=1), out, workers=0)
    assert tree(out) == before


def test_a_folder_with_other_files_is_refused(raw: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds other files and no unfinished ingest"):
        ingest(raw.config(), tmp_path, workers=0)
    with pytest.raises(DatasetError, match="a file; choose a folder"):
        ingest(raw.config(), tmp_path / "notes.txt", workers=0)


def test_dry_run_lists_and_writes_nothing(raw: Any, tmp_path: Path) -> None:
    raw.image("P1", "A02", 1, "DNA").unlink()
    summary = ingest(raw.config(), tmp_path / "data", dry_run=True)
    assert not (tmp_path / "data").exists()
    assert (summary.state, summary.plates, summary.wells, summary.sites) == ("dry_run", ("P1",), 5, 9)
    assert (summary.channels, summary.pixel_size_um) == (("Actin", "DNA"), 0.5)
    assert summary.bytes == summary.tiles * 2 * 24 * 24 * 2 > 0
    assert len(summary.problems) == 1
    assert "well A02 site 1 has no image of channel 'DNA'" in summary.problems[0]


def test_progress_reaches_its_totals(raw: Any, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    ingest(raw.config(), tmp_path / "data", workers=0, progress=lambda *call: calls.append(call))
    assert {"flat-fields", "wells", "tables"} == {stage for stage, _, _ in calls}
    last = {stage: (done, total) for stage, done, total in calls}
    assert last == {"flat-fields": (8, 8), "wells": (5, 5), "tables": (1, 1)}


def test_fields_of_one_well_are_held_at_a_time(raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[int, ...]] = []
    filled: set[int] = set()

    def opening(*args: Any, original: Any = shard_task.open_fields) -> np.ndarray:
        fields = original(*args)
        opened.append(fields.shape)
        return fields

    def correcting(images: Any, flatfields: Any, out: np.ndarray, original: Any = shard_task.correct_site) -> None:
        filled.add(out.ctypes.data)
        original(images, flatfields, out)

    monkeypatch.setattr(shard_task, "open_fields", opening)
    monkeypatch.setattr(shard_task, "correct_site", correcting)
    ingest(raw.config(shards={"bags_per_shard": 5, "chunk_tiles": 4}), tmp_path / "data", workers=0)
    assert [shape[:2] for shape in opened] == [(2, 2)]  # the most sites a well has, channels
    assert len(filled) == 2


def test_the_nucleus_channel_need_not_be_stored(raw: Any, tmp_path: Path) -> None:
    both = ingest(raw.config(), tmp_path / "both", workers=0)
    one = ingest(raw.config(channels=["Actin"]), tmp_path / "one", workers=0)
    assert one.tiles == both.tiles
    manifest = read_manifest(tmp_path / "one")
    assert manifest.tile.shape == (1, 24, 24)
    assert manifest.channel_statistics["Actin"] == read_manifest(tmp_path / "both").channel_statistics["Actin"]


def test_without_correction_tiles_are_the_raw_pixels(raw: Any, tmp_path: Path) -> None:
    ingest(raw.config(illumination={"method": "none"}), tmp_path / "data", workers=0)
    dataset = Dataset.open(tmp_path / "data")
    tile = dataset.tile_table().iloc[0]
    image = tifffile.imread(raw.image("P1", dataset.bags.Metadata_Well[tile.bag], int(tile.site), "Actin"))
    top, left = int(np.floor(tile.y_px + 0.5)) - 12, int(np.floor(tile.x_px + 0.5)) - 12
    np.testing.assert_array_equal(_pixels(dataset, 0)[0], image[top : top + 24, left : left + 24])
    assert not list((tmp_path / "data" / "qc").glob("flatfield*"))


def test_float_images_are_stored_as_floats_when_asked(raw: Any, tmp_path: Path) -> None:
    for file in (raw.folder / "P1").glob("*.tif"):
        tifffile.imwrite(file, (tifffile.imread(file) / 65535).astype(np.float32))
    with pytest.raises(InputError, match=r"float32, but tiles are stored as uint16.*set tiles.dtype: float32"):
        ingest(raw.config(), tmp_path / "no", workers=0)
    ingest(raw.config(tiles={"size_px": 24, "dtype": "float32"}), tmp_path / "data", workers=0)
    manifest = read_manifest(tmp_path / "data")
    assert manifest.tile.dtype == "float32"
    statistics = manifest.channel_statistics["DNA"]
    assert 100 / 65535 < statistics.percentiles["1"] < 220 / 65535
    assert statistics.percentiles["99.9"] < 4000 / 65535


def test_cells_become_markers_of_their_tiles(raw: Any, tmp_path: Path) -> None:
    raw.plain["plates"][0]["cells"] = {
        "pattern": str(raw.folder / "{plate}" / "cells_{well}.csv"),
        "x": "x",
        "y": "y",
        "site": "site",
        "offset_px": {"x": 2, "y": 1},
        "max_distance_px": 3,
        "markers": {"M": {"column": "intensity"}},
    }
    summary = ingest(raw.config(), tmp_path / "data", workers=0)
    assert summary.cells_matched[0].startswith("P1/A01: 14 of 14 cells, 14 nuclei")
    dataset = Dataset.open(tmp_path / "data")
    tiles = dataset.tile_table()
    values = dataset.markers(("M",))[:, 0]
    assert values.dtype == np.float32
    for row, tile in tiles.iterrows():
        table = pd.read_csv(raw.folder / "P1" / f"cells_{dataset.bags.Metadata_Well[int(tile.bag)]}.csv")
        near = np.hypot(table.x + 2 - tile.x_px, table.y + 1 - tile.y_px) + 1000 * (table.site != tile.site)
        assert values[row] == table.intensity[near.idxmin()]
    index = json.loads((tmp_path / "data" / "qc" / "index.json").read_text())
    assert index["cells"][0] == {
        "plate": "P1",
        "well": "A01",
        "cells": 14,
        "without_position": 0,
        "nuclei": 14,
        "matched": 14,
    }


def test_targets_join_bags_by_condition(raw: Any, tmp_path: Path) -> None:
    rows = ["Metadata_Plate,Metadata_Perturbation,Metadata_Stimulation,g1,g2"]
    conditions = (("NT", "M1", 8), ("gene1", "M2", 4), ("x", "M2", 2))
    rows += [f"R{plate},{p},{s},{10 + plate},{value}" for plate in (1, 2) for p, s, value in conditions]
    (raw.folder / "rna.csv").write_text("\n".join(rows) + "\n")
    omics = [{"name": "rna", "table": str(raw.folder / "rna.csv"), "kind": "counts"}]
    summary = ingest(raw.config(omics=omics), tmp_path / "data", workers=0)
    assert summary.targets == ("rna_M1", "rna_M2")
    target = Dataset.open(tmp_path / "data").target("rna_M2")
    assert target.obs["bag"].tolist() == [1, 3], "wells A02 and B01; A10 is empty"
    assert target.X.dtype == np.float32
    index = json.loads((tmp_path / "data" / "qc" / "index.json").read_text())
    assert index["targets"]["rna_M2"]["without_images"] == [["x", "M2"]]
    kept = read_h5ad(tmp_path / "data" / index["targets"]["rna_M2"]["samples_file"])
    assert kept.obs["Metadata_Plate"].tolist() == ["R1", "R1", "R2", "R2"]
    assert kept.obs["Metadata_Perturbation"].tolist() == ["gene1", "x"] * 2
    before, after = (values[:2].mean(axis=0) - values[2:].mean(axis=0) for values in (kept.layers["before"], kept.X))
    assert np.abs(before).max() > 0.01
    assert np.abs(after).max() < 1e-5, "plates are equal after batch correction"
    verify_dataset(tmp_path / "data")


def test_a_finished_dataset_without_its_bags_is_not_called_complete(raw: Any, tmp_path: Path) -> None:
    ingest(raw.config(), tmp_path / "data", workers=0)
    (tmp_path / "data" / "bags.parquet").unlink()
    with pytest.raises(DatasetError, match=r"bags\.parquet: no such file.*; find all damage with: wellstream verify"):
        ingest(raw.config(), tmp_path / "data", workers=0)
