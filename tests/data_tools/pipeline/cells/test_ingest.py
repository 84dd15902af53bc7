"""Ingest of cells from beginning to end: what is stored, the same however it is made, and how it continues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import webdataset as wds
import zarr
from fixtures.web import needs_nginx, serve
from pydantic import ValidationError

from data_tools.pipeline import CellsIngestConfig, ingest
from framework.data.dataset import Dataset
from framework.data.remote.cache import CacheConfig
from framework.data.store import TileStore
from framework.data.verify import verify_dataset
from framework.errors import DatasetError, InputError

PATTERN = r"(?P<protein>\w+)_(?P<field>\d+)_(?P<cell>\d+)_(?P<channel>rfp|gfp)\.tif"
CELLS = {("AAC1", 1): 5, ("AAC1", 2): 3, ("AAC1", 10): 4, ("AAH1", 1): 6, ("ONE", 1): 1}
Tree = Callable[[Path], dict[str, str]]


def image(protein: str, field: int, cell: int, channel: str) -> np.ndarray:
    rng = np.random.default_rng([len(protein), ord(protein[-1]), field, cell, channel == "gfp"])
    return rng.integers(0, 4096, (8, 8), dtype=np.uint16)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    folder = tmp_path / "crops"
    folder.mkdir()
    for (protein, field), count in CELLS.items():
        for cell in range(count):
            for channel in ("rfp", "gfp"):
                tifffile.imwrite(
                    folder / f"{protein}_{field}_{cell}_{channel}.tif", image(protein, field, cell, channel)
                )
    return folder


def plain(folder: Path, **changes: Any) -> dict[str, Any]:
    base = {
        "kind": "cells",
        "name": "tiny",
        "sources": [{"name": "SCREEN", "reader": {"name": "crops", "path": str(folder), "pattern": PATTERN}}],
        "channels": ["gfp", "rfp"],
        "tiles": {"size_px": 8},
        "bags": {"by": ["Metadata_Protein", "Metadata_Field"]},
        "shards": {"bags_per_shard": 2, "chunk_tiles": 2},
    }
    return {**base, **changes}


def config(folder: Path, **changes: Any) -> CellsIngestConfig:
    return CellsIngestConfig.from_plain(plain(folder, **changes))


def stored(dataset: Dataset) -> np.ndarray:
    store = TileStore(dataset, None)
    out = np.empty((len(store), *store.sample_shape), store.dtype)
    store.gather(np.arange(len(store)), out)
    return out


def test_every_cell_is_stored_with_its_names(crops: Path, tmp_path: Path) -> None:
    summary = ingest(config(crops), tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    assert (summary.state, summary.bags, summary.cells, summary.tiles) == ("built", 5, 19, 19)
    assert summary.lone_cells == ("SCREEN/ONE/1",)
    assert dataset.bags["bag_name"].tolist() == ["AAC1/1", "AAC1/2", "AAC1/10", "AAH1/1", "ONE/1"]
    assert dataset.bags["Metadata_Protein"].tolist() == ["AAC1", "AAC1", "AAC1", "AAH1", "ONE"]
    assert dataset.bags["Metadata_Field"].tolist() == ["1", "2", "10", "1", "1"]
    assert dataset.bags["n_tiles"].tolist() == [5, 3, 4, 6, 1]
    table = dataset.tile_table().merge(dataset.bags, on="bag")
    pixels = stored(dataset)
    assert sorted(zip(table["bag"], table["Metadata_Cell"], strict=True)) == [
        (bag, str(cell)) for bag, count in enumerate(CELLS.values()) for cell in range(count)
    ]
    for row, tile in zip(table.itertuples(), pixels, strict=True):
        for channel, plane in zip(("gfp", "rfp"), tile, strict=True):
            expected = image(row.Metadata_Protein, int(row.Metadata_Field), int(row.Metadata_Cell), channel)
            np.testing.assert_array_equal(plane, expected)
    first = table[table["bag"] == 3]["Metadata_Cell"].astype(int).tolist()
    assert sorted(first) == list(range(6))
    assert first != list(range(6))  # stored in a seeded random order
    verify_dataset(tmp_path / "out")
    mean = pixels[:, 0].astype(float).mean()
    assert dataset.manifest.channel_statistics["gfp"].mean == pytest.approx(mean)


@pytest.mark.parametrize("layout", ["tar", "zarr"])
def test_any_number_of_workers_gives_the_same_bytes(crops: Path, tmp_path: Path, tree: Tree, layout: str) -> None:
    codec = {"id": "blosc"} if layout == "zarr" else "none"
    settings = config(crops, shards={"bags_per_shard": 2, "chunk_tiles": 2, "layout": layout, "codec": codec})
    ingest(settings, tmp_path / "here", workers=0)
    ingest(settings, tmp_path / "there", workers=2)
    assert tree(tmp_path / "here") == tree(tmp_path / "there")
    verify_dataset(tmp_path / "there")


def test_stock_readers_see_the_same_pixels(crops: Path, tmp_path: Path) -> None:
    ingest(config(crops), tmp_path / "tar", workers=0)
    ingest(config(crops, shards={"bags_per_shard": 2, "layout": "zarr"}), tmp_path / "zarr", workers=0)
    mine = stored(Dataset.open(tmp_path / "tar"))
    files = sorted((tmp_path / "tar" / "shards").glob("*.tar"))
    samples = [
        sample for file in files for sample in wds.WebDataset(str(file), shardshuffle=False, empty_check=False).decode()
    ]
    np.testing.assert_array_equal(np.concatenate([sample["npy"] for sample in samples]), mine)
    assert samples[0]["json"]["name"] == "AAC1/1"
    assert samples[0]["json"]["y_px"][0] is None
    assert len(samples[0]["json"]["cell"]) == 2
    arrays = [zarr.open_array(folder, mode="r")[:] for folder in sorted((tmp_path / "zarr" / "shards").iterdir())]
    np.testing.assert_array_equal(np.concatenate(arrays), mine)


class Stopped(Exception):
    """Stands for a build that ends between two steps."""


def test_a_stopped_build_continues_and_ends_the_same(
    crops: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr("data_tools.pipeline.build.attempt.finish", stop)
        with pytest.raises(Stopped):
            ingest(config(crops), tmp_path / "out", workers=0)
    file = crops / "ONE_1_0_gfp.tif"
    tifffile.imwrite(file, image("ONE", 1, 5, "gfp"))  # its shard, and no other, is to be made again
    summary = ingest(config(crops), tmp_path / "out", workers=0)
    assert (summary.shards, summary.shards_reused) == (3, 2)
    ingest(config(crops), tmp_path / "anew", workers=0)
    assert tree(tmp_path / "out") == tree(tmp_path / "anew")
    assert ingest(config(crops), tmp_path / "out").state == "already_complete"
    with pytest.raises(DatasetError, match="differs in seed"):
        ingest(config(crops, seed=1), tmp_path / "out")


def test_a_lost_shard_is_made_again(crops: Path, tmp_path: Path, tree: Tree) -> None:
    ingest(config(crops), tmp_path / "out", workers=0)
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "shards" / "shard-000001.tar").unlink()
    summary = ingest(config(crops), tmp_path / "out", workers=0)
    assert (summary.state, summary.shards_reused) == ("repaired", 2)
    assert tree(tmp_path / "out") == before


def test_a_lost_index_is_made_again(crops: Path, tmp_path: Path, tree: Tree) -> None:
    ingest(config(crops), tmp_path / "out", workers=0)
    before = tree(tmp_path / "out")
    (tmp_path / "out" / "tiles.arrow").unlink()
    assert ingest(config(crops), tmp_path / "out", workers=0).state == "repaired"
    assert tree(tmp_path / "out") == before


@needs_nginx
def test_over_http_tiles_are_read_by_the_index_alone(crops: Path, tmp_path: Path) -> None:
    ingest(config(crops), tmp_path / "site" / "out", workers=0)
    local = Dataset.open(tmp_path / "site" / "out")
    with serve(tmp_path / "site", tmp_path / "nginx") as web:
        remote = Dataset.open(f"{web.url}/out", CacheConfig(folder=str(tmp_path / "cache")))
        assert np.array_equal(stored(remote), stored(local))
        assert len(web.requests("tiles.arrow")) == 1
        assert not web.requests("tiles.parquet"), "the table waits until somebody asks for its columns"
        assert remote.tile_table().equals(local.tile_table())


def test_a_dry_run_counts_and_writes_nothing(crops: Path, tmp_path: Path) -> None:
    summary = ingest(config(crops, bags={"by": ["Metadata_Protein"], "min_cells": 2}), tmp_path / "out", dry_run=True)
    assert (summary.state, summary.bags, summary.cells, summary.tiles) == ("dry_run", 3, 19, 18)
    assert summary.bytes == 18 * 2 * 8 * 8 * 2
    assert summary.empty_bags == ("SCREEN/ONE",)
    assert summary.labels == ("Metadata_Cell", "Metadata_Field")
    assert not (tmp_path / "out").exists()


def test_small_bags_get_no_tiles(crops: Path, tmp_path: Path) -> None:
    few = {"by": ["Metadata_Protein", "Metadata_Field"], "min_cells": 6}
    ingest(config(crops, bags=few), tmp_path / "by_bag", workers=0)
    assert Dataset.open(tmp_path / "by_bag").bags["n_tiles"].tolist() == [0, 0, 0, 6, 0]
    by_protein = {**few, "count_by": ["Metadata_Protein"]}
    summary = ingest(config(crops, bags=by_protein), tmp_path / "by_protein", workers=0)
    dataset = Dataset.open(tmp_path / "by_protein")
    assert dataset.bags["n_tiles"].tolist() == [5, 3, 4, 6, 0]
    assert summary.empty_bags == ("SCREEN/ONE/1",)
    assert dataset.cells()["status"].value_counts().to_dict() == {"tile": 18, "few_cells": 1}
    verify_dataset(tmp_path / "by_protein")


def test_cells_without_a_unit_are_dealt_into_groups(crops: Path, tmp_path: Path) -> None:
    ingest(config(crops, bags={"by": ["Metadata_Protein"], "groups": 4}), tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    counts = dataset.bags.groupby("Metadata_Protein")["n_tiles"].apply(list).to_dict()
    assert counts == {"AAC1": [3, 3, 3, 3], "AAH1": [2, 2, 1, 1], "ONE": [1]}
    assert dataset.bags["Metadata_Group"].tolist() == ["0", "1", "2", "3", "0", "1", "2", "3", "0"]
    table = dataset.tile_table()
    mine = table[table["bag"] == 0]
    assert mine["Metadata_Field"].nunique() + mine["Metadata_Cell"].nunique() > 3  # a mixture, not the first three


def test_cells_of_one_field_are_dealt_together(crops: Path, tmp_path: Path) -> None:
    bags = {"groups": 2, "together": ["Metadata_Protein", "Metadata_Field"]}
    ingest(config(crops, bags=bags), tmp_path / "out", workers=0)
    table = Dataset.open(tmp_path / "out").tile_table()
    of_field = table.groupby(["Metadata_Protein", "Metadata_Field"], observed=True)["bag"].nunique()
    assert len(of_field) == len(CELLS)
    assert (of_field == 1).all()
    fields = table.drop_duplicates(["Metadata_Protein", "Metadata_Field"]).groupby("bag").size()
    assert abs(fields.iloc[0] - fields.iloc[1]) <= 1
    with pytest.raises(ValidationError, match="set 'groups' too"):
        config(crops, bags={"together": ["Metadata_Field"]})
    with pytest.raises(InputError, match="not a column of its cells"):
        ingest(config(crops, bags={"groups": 2, "together": ["Metadata_Donor"]}), tmp_path / "other", workers=0)


def test_tables_give_labels_markers_and_bounds(crops: Path, tmp_path: Path) -> None:
    rows = [
        {"gene": protein, "site": field, "n": cell, "area": 100 * field + cell, "phase": "G1" if cell else "S"}
        for (protein, field), count in CELLS.items()
        for cell in range(count)
        if (protein, field) != ("AAC1", 2)
    ]
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(tmp_path / "cells.csv", index=False)
    (tmp_path / "proteins.tsv").write_text("gene\tplace\nAAC1\tmitochondrion\nAAH1\tnucleus\nONE\tER\n")
    cells = {
        "table": {"name": "csv", "path": str(tmp_path / "cells.csv")},
        "by": {"Metadata_Protein": "gene", "Metadata_Field": "site", "Metadata_Cell": "n"},
        "labels": {"Metadata_Phase": "phase"},
        "measurements": ["area"],
    }
    proteins = {
        "table": {"name": "csv", "path": str(tmp_path / "proteins.tsv")},
        "by": {"Metadata_Protein": "gene"},
        "labels": {"Metadata_Place": "place"},
    }
    source = {**plain(crops)["sources"][0], "tables": [cells, proteins]}
    summary = ingest(config(crops, sources=[source], markers={"Area": "area"}), tmp_path / "out", workers=0)
    assert [text.split(": ", 2)[2] for text in summary.matched] == [
        "16 of 19 cells have one of its 16 rows; 3 cells have none, as Metadata_Protein AAC1, Metadata_Field 2, "
        "Metadata_Cell 0",
        "19 of 19 cells have one of its 3 rows",
    ]
    dataset = Dataset.open(tmp_path / "out")
    missing = "source SCREEN: 3 of 19 cells have no marker 'Area' (area), as cell 0"
    assert dataset.manifest.notes == (missing, *summary.matched)
    assert summary.notes == (missing,)
    assert dataset.bags["Metadata_Place"].tolist() == ["mitochondrion"] * 3 + ["nucleus", "ER"]
    table = dataset.tile_table().merge(dataset.bags, on="bag")
    expected = 100 * table["Metadata_Field"].astype(int) + table["Metadata_Cell"].astype(int)
    known = table["Metadata_Field"] != "2"
    np.testing.assert_array_equal(dataset.markers(("Area",))[known, 0], expected[known])
    assert np.isnan(dataset.markers(("Area",))[~known]).all()
    assert set(table.loc[known & (table["Metadata_Cell"] == "0"), "Metadata_Phase"]) == {"S"}
    kept = config(crops, sources=[source], keep={"area": {"min": 101, "max": 104}})
    summary = ingest(kept, tmp_path / "kept", workers=0)
    assert summary.tiles == 4 + 4
    assert any("left out by keep.area" in note for note in summary.notes)


def test_two_exports_make_one_dataset(crops: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "more.npz", images=np.ones((3, 2, 8, 8), np.uint16), label=np.array(["a", "b", "a"]))
    stack = {
        "name": "STACK",
        "reader": {
            "name": "stack",
            "path": str(tmp_path / "more.npz"),
            "channels": ["rfp", "gfp"],
            "labels": {"Metadata_Protein": "label", "Metadata_Field": "label"},
        },
    }
    ingest(config(crops, sources=[*plain(crops)["sources"], stack]), tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.manifest.n_sources == 2
    assert dataset.bags[["source", "bag_name", "n_tiles"]].tail(2).to_numpy().tolist() == [
        ["STACK", "a/a", 2],
        ["STACK", "b/b", 1],
    ]
    verify_dataset(tmp_path / "out")


def test_fields_that_are_segmented_make_tiles_of_many_cells(tmp_path: Path) -> None:
    folder = tmp_path / "fields"
    folder.mkdir()
    for field in (1, 2):
        picture = np.zeros((120, 120), np.uint8)
        for y, x in [(30, 30), (30, 80), (80, 50), (5, 60)][: 2 + 2 * (field == 1)]:
            picture[y - 5 : y + 5, x - 5 : x + 5] = 200
        for channel in ("blue", "green"):
            tifffile.imwrite(folder / f"A_{field}_{channel}.tif", picture)
    reader = {
        "name": "hpa",
        "path": str(folder),
        "pattern": r"(?P<protein>\w)_(?P<field>\d)_(?P<channel>\w+)\.tif",
        "channel_names": {"blue": "nucleus", "green": "protein"},
        "nucleus": "nucleus",
        "crops": {"crop_px": 32, "min_area_px": 50},
    }
    settings = config(
        folder,
        sources=[{"name": "HPA", "reader": reader}],
        channels=["nucleus", "protein"],
        tiles={"size_px": 16, "dtype": "float32", "fit": "resize"},
        intensity={"protein": {"min_max": True}, "nucleus": {"divide_by": 255, "floor": 0.05}},
        bags={"by": ["Metadata_Protein", "Metadata_Field"], "min_cells": 3},
    )
    summary = ingest(settings, tmp_path / "out", workers=0)
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.bags["n_tiles"].tolist() == [3, 0]
    assert dataset.bags["n_cells"].tolist() == [4, 2]
    assert summary.empty_bags == ("HPA/A/2",)
    assert sorted(dataset.cells()["status"]) == ["border", "few_cells", "few_cells", "tile", "tile", "tile"]
    table = dataset.tile_table()
    assert sorted(zip(table["y_px"].round(1), table["x_px"].round(1), strict=True)) == [
        (29.5, 29.5),
        (29.5, 79.5),
        (79.5, 49.5),
    ]
    pixels = stored(dataset)
    assert pixels.min() == 0
    assert pixels[:, 1].max() == 1
    assert dataset.manifest.channel_statistics["protein"].mean == pytest.approx(pixels[:, 1].mean(), rel=1e-4)
    with pytest.raises(InputError, match=r"remove 'bags\.count_by'"):
        ingest(
            settings.model_copy(update={"bags": settings.bags.model_copy(update={"count_by": ("Metadata_Protein",)})}),
            tmp_path / "x",
            workers=0,
        )


def test_a_star_takes_every_measurement_under_its_own_name(tmp_path: Path) -> None:
    """Numbers of the reader and of a table; one that is named otherwise too is kept once under each name."""
    images = np.random.default_rng(0).integers(0, 99, (6, 1, 8, 8), dtype=np.uint16)
    np.savez(tmp_path / "cells.npz", images=images, ESR1=np.arange(6.0), KRT5=np.arange(6.0) ** 2, size=np.ones(6))
    reader = {"name": "stack", "path": str(tmp_path / "cells.npz"), "channels": ["A"]}
    source = {"name": "S", "reader": {**reader, "measurements": ["ESR1", "KRT5", "size"]}}
    base = {"kind": "cells", "name": "tiny", "sources": [source], "channels": ["A"], "tiles": {"size_px": 8}}

    def made(name: str, markers: dict[str, str]) -> Dataset:
        config = CellsIngestConfig.from_plain({**base, "markers": markers})
        ingest(config, tmp_path / name)
        return Dataset.open(tmp_path / name)

    everything = made("all", {"*": "*"})
    assert everything.manifest.markers == ("ESR1", "KRT5", "size")
    np.testing.assert_array_equal(np.sort(everything.markers(("KRT5",))[:, 0]), [0, 1, 4, 9, 16, 25])
    assert made("some", {"area": "size", "*R*": "*R*"}).manifest.markers == ("area", "ESR1", "KRT5")
    with pytest.raises(InputError, match="no measurement matches 'M*'; there is ESR1, KRT5, size".replace("*", "[*]")):
        made("none", {"M*": "M*"})
    with pytest.raises(ValidationError, match=r"a name with [*] takes measurements under their own names"):
        CellsIngestConfig.from_plain({**base, "markers": {"gene": "*"}})
