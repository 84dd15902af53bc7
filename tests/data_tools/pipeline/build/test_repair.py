"""Damage of a finished dataset is located, and the command that verify names repairs it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import zarr

from data_tools.pipeline import ingest
from data_tools.pipeline.build.folder import record
from data_tools.pipeline.build.joining import tile_index
from framework.data.dataset import Dataset
from framework.data.format import schema
from framework.data.format.schema import MANIFEST_NAME, read_manifest
from framework.data.verify import verify_dataset
from framework.errors import DatasetError

Tree = Callable[[Path], dict[str, str]]
BLOCK = 8 << 10
TAR = {"bags_per_shard": 2, "chunk_tiles": 4}
ZARR = {**TAR, "layout": "zarr", "codec": {"id": "blosc", "cname": "lz4"}}


@pytest.fixture(scope="module", params=[TAR, ZARR], ids=["tar", "zarr"])
def finished(request: pytest.FixtureRequest, two_plates: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A dataset with blocks small enough that a shard has several, and what it was made of."""
    experiment = replace(two_plates, plain={**two_plates.plain, "shards": request.param})
    out = tmp_path_factory.mktemp("finished") / "data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_tools.shards.base.CHECKSUM_BLOCK_BYTES", BLOCK)
        patch.setattr(
            "data_tools.pipeline.build.joining.BlockSums",
            lambda **facts: schema.BlockSums(block_bytes=BLOCK, **facts),
        )
        ingest(experiment.config(), out, workers=0)
    return experiment, out


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> tuple[Any, Path]:
    experiment, out = finished
    shutil.copytree(out, tmp_path / "data")
    return experiment, tmp_path / "data"


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_flipped_byte_is_located_and_repaired(copy: tuple[Any, Path], tree: Tree) -> None:
    experiment, out = copy
    before = tree(out)
    dataset = Dataset.open(out)
    row = int(dataset.index.bag_start[4]) - 1  # the last tile of bag 3, second in its shard
    shard = int(dataset.index.shard[row])
    at = int(dataset.index.offset[row]) + 20
    file = out / dataset.manifest.shards[shard].name
    flip(file, at)
    start = at // BLOCK * BLOCK
    end = min(start + BLOCK, file.stat().st_size)
    with pytest.raises(DatasetError) as caught:
        verify_dataset(out)
    first, last = str(caught.value).splitlines()
    assert first.startswith(f"{file}: bytes {start} to {end} differ from their recorded CRC-32; they hold ")
    table = pd.read_parquet(out / "tiles.parquet")
    inside = table[(table.shard == shard) & (table.offset < end) & (table.offset + table.nbytes > start)]
    assert f"they hold {len(inside)} tiles, rows {inside.index[0]} to {row} of tiles.parquet" in first
    assert first.endswith("P1/B01")
    command = f"rm {file} && wellstream ingest CONFIG --out {out}"
    assert last.endswith(command)
    file.unlink()
    summary = ingest(experiment.config(), out, workers=0)
    assert (summary.state, summary.shards_reused) == ("repaired", summary.shards - 1)
    assert tree(out) == before
    assert verify_dataset(out).sentences


def test_two_damaged_blocks_name_the_first(copy: tuple[Any, Path]) -> None:
    _, out = copy
    file = out / read_manifest(out).shards[0].name
    flip(file, 10)
    flip(file, BLOCK + 10)
    with pytest.raises(DatasetError, match=rf"bytes 0 to {BLOCK} differ .*the first of 2 damaged blocks"):
        verify_dataset(out)


def test_missing_and_truncated_shards_are_made_again(copy: tuple[Any, Path], tree: Tree) -> None:
    experiment, out = copy
    before = tree(out)
    one, two = [out / shard.name for shard in read_manifest(out).shards[:2]]
    one.unlink()
    two.write_bytes(two.read_bytes()[:-1])
    beside = list((out / "shards").rglob("zarr.json"))[-1:]
    for file in beside:
        file.unlink()
    with pytest.raises(DatasetError) as caught:
        verify_dataset(out)
    text = str(caught.value)
    assert f"{one}: missing; they hold" in text
    assert f"{two}: expected {two.stat().st_size + 1} bytes, found {two.stat().st_size}; they hold" in text or beside
    assert text.endswith(f"rm {two} && wellstream ingest CONFIG --out {out}")
    assert ingest(experiment.config(), out, workers=0).state == "repaired"
    assert tree(out) == before


def test_a_shard_of_changed_raw_files_is_not_taken_for_the_lost_one(copy: tuple[Any, Path], tmp_path: Path) -> None:
    experiment, out = copy
    raw = tmp_path / "raw"
    shutil.copytree(experiment.folder, raw)
    image = experiment.image("P1", "A01", 1, "Actin")
    file = out / read_manifest(out).shards[0].name
    file.unlink()
    kept = image.read_bytes()
    try:
        image.write_bytes(experiment.image("P1", "A01", 2, "Actin").read_bytes())
        with pytest.raises(DatasetError, match="was made again and is different, so the raw files or"):
            ingest(experiment.config(), out, workers=0)
    finally:
        image.write_bytes(kept)
    assert not file.exists()


def test_a_lost_shard_and_a_lost_index_are_both_told(copy: tuple[Any, Path], tree: Tree) -> None:
    experiment, out = copy
    before = tree(out)
    (out / read_manifest(out).shards[1].name).unlink()
    (out / "tiles.arrow").unlink()
    summary = ingest(experiment.config(), out, workers=0)
    assert summary.notes == (
        "tiles.arrow was made again from tiles.parquet",
        "1 lost shards were made again, each with its recorded checksum",
    )
    assert summary.shards_reused == summary.shards - 1
    assert tree(out) == before


def test_a_lost_shard_whose_wells_are_gone_is_not_called_repaired(raw: Any, tmp_path: Path) -> None:
    out = tmp_path / "data"
    ingest(raw.config(), out, workers=0)
    lost = out / read_manifest(out).shards[1].name
    lost.unlink()
    for well in ("A10", "B01", "B02"):  # those of the second shard and of the last
        for image in (raw.folder / "P1").glob(f"{well}_*.tif"):
            image.unlink()
    with pytest.raises(DatasetError, match=rf"{lost}: lost, and the input no longer makes this shard, .*rm -r {out}"):
        ingest(raw.config(), out, workers=0)


def test_a_stale_index_is_refused(copy: tuple[Any, Path]) -> None:
    _, out = copy
    table = pd.read_parquet(out / "tiles.parquet")
    table.loc[3, "offset"] += 1
    table.to_parquet(out / "tiles.parquet", index=False)
    with pytest.raises(
        DatasetError, match=r"(?s)tiles\.parquet: (expected|content).*rm -r .*data && wellstream ingest"
    ) as e:
        verify_dataset(out)
    assert "1 of" in str(e.value)
    # Even where somebody made the manifest agree with the table, it contradicts the index, and the shards.
    manifest = read_manifest(out)
    for made_again, what in ((False, r"belongs to another tiles\.parquet"), (True, "does not fit the shards")):
        if made_again:
            tile_index(out, coded=manifest.codec is not None)
        files = tuple(record(out / item.name, out) for item in manifest.files)
        (out / MANIFEST_NAME).write_text(manifest.model_copy(update={"files": files}).sealed().model_dump_json())
        with pytest.raises(DatasetError, match=rf"{what}.*stale index"):
            verify_dataset(out)


def test_a_lost_index_is_made_again_from_the_table(copy: tuple[Any, Path], tree: Tree) -> None:
    experiment, out = copy
    before = tree(out)
    file = out / "tiles.arrow"
    flip(file, file.stat().st_size // 2)
    with pytest.raises(DatasetError) as caught:
        verify_dataset(out)
    assert str(caught.value).endswith(f"rm {file} && wellstream ingest CONFIG --out {out}")
    file.unlink()
    summary = ingest(experiment.config(), out, workers=0)
    assert (summary.state, summary.notes) == ("repaired", ("tiles.arrow was made again from tiles.parquet",))
    assert tree(out) == before
    assert ingest(experiment.config(), out, workers=0).state == "already_complete"
    file.unlink()
    (out / "tiles.parquet").unlink()
    with pytest.raises(DatasetError, match=r"tiles\.parquet: missing, so tiles\.arrow cannot be made again"):
        ingest(experiment.config(), out, workers=0)


def test_a_scheduler_that_nothing_needs_is_said_not_to_be_asked(copy: tuple[Any, Path]) -> None:
    """Nobody listens there: where nothing is to be made, nobody is asked."""
    experiment, out = copy
    note = "the Dask scheduler 'nowhere:1' was not asked: "
    whole = ingest(experiment.config(), out, scheduler="nowhere:1")
    assert (whole.state, whole.notes[-1]) == ("already_complete", f"{note}all of the dataset is there")
    planned = ingest(experiment.config(), out, scheduler="nowhere:1", dry_run=True)
    assert (planned.state, planned.notes[-1]) == ("dry_run", f"{note}a dry run makes nothing")
    assert not any(note in said for said in ingest(experiment.config(), out, workers=0).notes)


def test_stock_zarr_opens_an_ingested_shard(finished: Any) -> None:
    _, out = finished
    manifest = read_manifest(out)
    if manifest.layout == "tar":
        assert all(shard.name.endswith(".tar") for shard in manifest.shards)
        return
    for shard in manifest.shards:
        array = zarr.open_array((out / shard.name).parents[3].parent, mode="r")
        assert array.shape == (shard.tiles, *manifest.tile.shape)
        assert tuple(array.attrs["channels"]) == manifest.tile.channels
