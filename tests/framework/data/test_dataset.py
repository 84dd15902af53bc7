from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import make_dataset

from framework.data.checksum import file_checksum
from framework.data.dataset import Dataset
from framework.data.schema import TileFormat, read_manifest
from framework.data.verify import verify_dataset
from framework.errors import DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "tiny", markers=("FRA1",), targets={"transcripts_M1": 3}).root


def edit_manifest(folder: Path, **changes: object) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_bag_starts_point_at_each_bags_tiles(folder: Path) -> None:
    dataset = Dataset.open(folder)
    index = dataset.index
    assert index.bag_start[0] == 0
    assert index.bag_start[-1] == len(index) == dataset.manifest.n_tiles
    for bag in range(len(dataset.bags)):
        rows = np.arange(index.bag_start[bag], index.bag_start[bag + 1])
        assert (index.bag[rows] == bag).all()
        assert len(rows) == dataset.bags["n_tiles"][bag]


def test_tile_format_counts_bytes_by_hand() -> None:
    assert TileFormat(channels=("a", "b", "c"), height=128, width=128, dtype="uint16").nbytes == 98304
    assert TileFormat(channels=("a",), height=2, width=3, dtype="float32").nbytes == 24


def test_unknown_names_are_answered_with_the_nearest(folder: Path) -> None:
    dataset = Dataset.open(folder)
    assert dataset.channel_indices(("B", "A")) == [1, 0]
    with pytest.raises(DatasetError, match=r"no channel 'b'; this dataset has: A, B; did you mean 'B'\?"):
        dataset.channel_indices(("b",))
    with pytest.raises(DatasetError, match=r"no marker 'FRA'; this dataset has: FRA1; did you mean 'FRA1'\?"):
        dataset.markers(("FRA",))
    with pytest.raises(DatasetError, match=r"no target 'transcript_M1'.*did you mean 'transcripts_M1'\?"):
        dataset.target("transcript_M1")


def test_no_folder_no_manifest_no_json_each_say_what_to_do(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such dataset folder; make one with: wellstream ingest CONFIG"):
        read_manifest(tmp_path / "nowhere")
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"not readable as a dataset manifest: .*ingest again"):
        read_manifest(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"no dataset\.json, so this is no finished dataset; run the same"):
        read_manifest(folder)


def test_another_schema_version_and_an_unknown_key_are_refused(folder: Path) -> None:
    edit_manifest(folder, surprise=1)
    with pytest.raises(DatasetError, match="surprise: Extra inputs are not permitted"):
        Dataset.open(folder)
    edit_manifest(folder, schema_version=1)  # its keys are those of another version, and that is what is told
    with pytest.raises(DatasetError, match="schema version 1, this Wellstream reads version 2"):
        Dataset.open(folder)


def test_a_stale_or_unsorted_index_is_refused(folder: Path) -> None:
    tiles = pd.read_parquet(folder / "tiles.parquet")
    tiles.iloc[:-1].to_parquet(folder / "tiles.parquet")
    with pytest.raises(DatasetError, match="a stale index; ingest again"):
        Dataset.open(folder)
    tiles.iloc[::-1].to_parquet(folder / "tiles.parquet")
    with pytest.raises(DatasetError, match="tiles are not sorted by bag"):
        Dataset.open(folder)
    tiles.drop(columns="offset").to_parquet(folder / "tiles.parquet")
    with pytest.raises(DatasetError, match=r"missing column\(s\) offset"):
        Dataset.open(folder)


def test_verify_passes_an_intact_dataset_and_counts_its_files(folder: Path) -> None:
    manifest = read_manifest(folder)
    ticks: list[tuple[int, int]] = []
    verdict = verify_dataset(folder, progress=lambda stage, done, total: ticks.append((done, total)))
    n_files = len(manifest.files) + len(manifest.shards)
    assert f"{n_files} files" in verdict.sentences[0]
    assert ticks[-1] == (n_files, n_files)


def test_verify_names_a_flipped_byte_a_truncated_and_a_missing_file(folder: Path) -> None:
    first, second, third = [folder / shard.name for shard in read_manifest(folder).shards][:3]
    data = bytearray(first.read_bytes())
    data[700] ^= 1
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:-10])
    third.unlink()
    with pytest.raises(DatasetError) as caught:
        verify_dataset(folder)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{first}: content differs from its recorded BLAKE3; they hold 16 tiles, rows 0 to 15")
    assert lines[1].startswith(f"{second}: expected ")
    assert lines[2].startswith(f"{third}: missing")
    assert lines[3].endswith(f"with: rm {first} {second} && wellstream ingest CONFIG --out {folder}")


def test_verify_refuses_a_path_out_of_the_folder(folder: Path) -> None:
    outside = folder.parent / "outside.tar"
    outside.write_bytes(b"x")
    record = {"name": "../outside.tar", "bytes": 1, "blake3": file_checksum(outside)}
    edit_manifest(folder, files=[record])
    with pytest.raises(DatasetError, match="named outside the dataset folder"):
        verify_dataset(folder)
