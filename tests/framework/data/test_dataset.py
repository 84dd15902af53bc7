from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from fixtures.tiny_dataset import edit_manifest, make_dataset, resealed

from framework.data.dataset import Dataset
from framework.data.format.checks import check_content
from framework.data.format.schema import PERCENTILES, FileRecord, TileFormat, read_manifest
from framework.data.verify import verify_dataset
from framework.durable import file_checksum
from framework.errors import DatasetError

FLAT = {"mean": 1.0, "sd": 1.0, "percentiles": dict.fromkeys(PERCENTILES, 1.0)}
FALLING = dict.fromkeys(PERCENTILES, 1.0) | {"99.9": 0.5}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "tiny", markers=("FRA1",), targets={"transcripts_M1": 3}).root


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
    near = f"did you mean '{folder.name}'?; make one with: wellstream ingest CONFIG"
    with pytest.raises(DatasetError, match=re.escape(near)):
        read_manifest(folder.with_name(folder.name + "s"))
    (folder / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match=r"not readable as a dataset manifest: .*ingest again"):
        read_manifest(folder)
    (folder / "dataset.json").unlink()
    with pytest.raises(DatasetError, match=r"no dataset\.json, so this is not a finished dataset; run the same"):
        read_manifest(folder)


def test_another_schema_version_and_an_unknown_key_are_refused(folder: Path) -> None:
    edit_manifest(folder, surprise=1)
    with pytest.raises(DatasetError, match="surprise: unknown key"):
        Dataset.open(folder)
    edit_manifest(folder, schema_version=1)  # its keys are those of another version, and that is what is told
    with pytest.raises(DatasetError, match="schema version 1, this Wellstream reads version 3; ingest again"):
        Dataset.open(folder)
    edit_manifest(folder, schema_version=2)
    with pytest.raises(DatasetError, match=r"reads version 3; .*: wellstream convert DATASET --out FOLDER"):
        Dataset.open(folder)


def record_again(folder: Path, name: str) -> None:
    """Make the manifest record a file as it is now."""
    file = folder / name
    now = {"name": name, "bytes": file.stat().st_size, "blake3": file_checksum(file)}
    listed = json.loads((folder / "dataset.json").read_text())["files"]
    edit_manifest(folder, files=[now if item["name"] == name else item for item in listed])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tile": {"channels": ["A", "A"], "height": 2, "width": 2, "dtype": "uint8"}}, "'A' appears twice"),
        ({"tile": {"channels": ["A", ""], "height": 2, "width": 2, "dtype": "uint8"}}, "at least 1 character"),
        ({"pixel_size_um": -0.5}, "greater than 0"),
        ({"pixel_size_um": 0}, "greater than 0"),
        ({"pixel_size_um": math.nan}, "finite"),
        ({"targets": ["../x"]}, "pattern"),
        ({"markers": ["a", "a"]}, "'a' appears twice"),
        ({"n_tiles": 1}, "n_tiles is 1, the shards hold"),
        ({"n_bags": 2.5}, "valid integer"),
        ({"channel_statistics": dict.fromkeys("ABX", FLAT)}, "names 'X', which is not a channel"),
        ({"channel_statistics": {"B": FLAT}}, "channel_statistics lacks channel 'A'"),
        ({"channel_statistics": {"A": FLAT | {"sd": -1.0}}}, "channel_statistics.A.sd: .*greater than or equal to 0"),
        ({"channel_statistics": {"A": FLAT | {"mean": math.nan}}}, "channel_statistics.A.mean: .*finite"),
        (
            {"channel_statistics": {"A": FLAT | {"percentiles": {"1": 0.0}}}},
            "expected the percentiles 0.1, 1.* found 1",
        ),
        ({"channel_statistics": {"A": FLAT | {"percentiles": FALLING}}}, "higher percentile is smaller than a lower"),
        ({"shards": [{"name": "a\0", "bytes": 1, "blake3": "0" * 64, "tiles": 1}]}, "pattern"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(folder: Path, change: dict[str, object], said: str) -> None:
    edit_manifest(folder, **change)
    with pytest.raises(DatasetError, match=rf"dataset\.json: not a dataset manifest: .*{said}.*; ingest again"):
        Dataset.open(folder)


def test_a_sealed_manifest_that_was_changed_is_refused(folder: Path) -> None:
    sealed = read_manifest(folder).sealed()
    (folder / "dataset.json").write_text(sealed.model_dump_json())
    assert read_manifest(folder) == sealed
    (folder / "dataset.json").write_text(sealed.model_copy(update={"name": "other"}).model_dump_json())
    with pytest.raises(DatasetError, match=r"dataset\.json: was changed since it was written"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("bag", lambda bag: bag + 0.5, "'bag' holds values that are not whole numbers"),
        ("bag", lambda bag: bag - 1, "'bag' holds values that are not whole numbers from 0 on"),
        ("bag", lambda bag: bag * 0, "row 1 is bag 0, expected bag 1"),
        ("n_cells", lambda n: n + 1, "its bags have 60 cells, but the manifest records 54"),
        (
            "n_cells",
            lambda n: n.astype("int64") + 2**62,
            "its bags have 27670116110564327478 cells",
        ),
        (
            "bag_name",
            lambda name: name.where(name.index != 2),
            "row 2, column 'bag_name': expected text, found",
        ),
        ("source", lambda source: source.index + 1, "row 0, column 'source': expected text, found 1"),
        ("n_tiles", lambda n: n + 1, "its bags have .* tiles, but the manifest"),
        (
            "n_tiles",
            lambda n: n + (n.index == 0) - (n.index == 1),
            "its bags do not have the numbers of tiles that bags.parquet",
        ),
    ],
)
def test_a_table_of_bags_that_contradicts_the_rest_is_refused(
    folder: Path, column: str, values: Callable[[pd.Series], pd.Series], said: str
) -> None:
    bags = pd.read_parquet(folder / "bags.parquet")
    bags[column] = values(bags[column])
    bags.to_parquet(folder / "bags.parquet")
    with pytest.raises(DatasetError, match=r"bags\.parquet: .* bytes, but the manifest records"):
        Dataset.open(folder)
    record_again(folder, "bags.parquet")
    with pytest.raises(DatasetError, match=said):
        Dataset.open(folder)


def test_one_changed_byte_of_the_table_of_bags_is_seen_at_opening(folder: Path) -> None:
    data = bytearray((folder / "bags.parquet").read_bytes())
    data[-30] ^= 1
    (folder / "bags.parquet").write_bytes(data)
    with pytest.raises(DatasetError, match=r"bags\.parquet: .*of other content"):
        Dataset.open(folder)


def test_one_changed_byte_of_any_table_is_seen_when_it_is_read(folder: Path) -> None:
    dataset = Dataset.open(folder)
    reads = {
        "tiles.parquet": dataset.tile_table,
        "cells.parquet": dataset.cells,
        "targets/transcripts_M1.h5ad": lambda: dataset.target("transcripts_M1"),
    }
    for name, read in reads.items():
        read()
        sound = (folder / name).read_bytes()
        data = bytearray(sound)
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(DatasetError, match=rf"{name}: .*of other content.*wellstream verify {folder}$"):
            read()
        (folder / name).write_bytes(sound)


def test_one_changed_byte_of_a_large_table_is_seen_too(tmp_path: Path) -> None:
    file = tmp_path / "tiles.parquet"
    with file.open("wb") as stream:
        stream.truncate((64 << 20) + 1)  # takes no place on disk
    record = FileRecord(name=file.name, bytes=file.stat().st_size, blake3=file_checksum(file))
    check_content(file, record)
    with file.open("r+b") as stream:
        stream.seek(50 << 20)
        stream.write(b"x")
    with pytest.raises(DatasetError, match="of other content"):
        check_content(file, record)


def test_a_stale_index_is_refused(folder: Path) -> None:
    tiles = pd.read_parquet(folder / "tiles.parquet")
    tiles.iloc[:-1].to_parquet(folder / "tiles.parquet")
    record_again(folder, "tiles.parquet")
    with pytest.raises(
        DatasetError, match=r"tiles\.arrow: .* belongs to another tiles\.parquet than the manifest [(]a stale"
    ):
        Dataset.open(folder)
    tiles.iloc[::-1].to_parquet(folder / "tiles.parquet")
    with pytest.raises(
        DatasetError, match=r"tiles\.arrow: its bags do not have the numbers of tiles that bags\.parquet says"
    ):
        resealed(folder)


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


@pytest.mark.parametrize(
    "name", ["../outside.tar", "shards/../../outside.tar", "/etc/hostname", "..", "shards//0.tar", "./0.tar", "."]
)
def test_a_manifest_may_not_name_a_file_elsewhere(folder: Path, name: str) -> None:
    outside = folder.parent / "outside.tar"
    outside.write_bytes(b"x")
    manifest = json.loads((folder / "dataset.json").read_text())
    for key in ("files", "shards"):
        changed = [{**manifest[key][0], "name": name}, *manifest[key][1:]]
        edit_manifest(folder, **{key: changed})
        with pytest.raises(DatasetError, match=rf"dataset.json: .*{key}.*(outside the dataset|not a plain name)"):
            Dataset.open(folder)
        edit_manifest(folder, **{key: manifest[key]})
    for target in ("../x", "/x", "a/b"):
        edit_manifest(folder, targets=[target])
        with pytest.raises(DatasetError, match=r"dataset.json: .*targets"):
            Dataset.open(folder)


def test_verify_refuses_a_path_out_of_the_folder(folder: Path) -> None:
    outside = folder.parent / "outside.tar"
    outside.write_bytes(b"x")
    record = {"name": "../outside.tar", "bytes": 1, "blake3": file_checksum(outside)}
    edit_manifest(folder, files=[record])
    with pytest.raises(DatasetError, match="named outside the dataset folder"):
        verify_dataset(folder)


def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "bags.parquet"
    file.symlink_to("/proc/self/mem")  # it opens, has no size, and reading it is an error of the disk
    record = FileRecord(name=file.name, bytes=0, blake3="0" * 64)
    with pytest.raises(DatasetError) as caught:
        check_content(file, record)
    said = f"{file}: not readable as a file of a dataset: Input/output error; find all damage with: wellstream verify "
    assert str(caught.value) == f"{said}{tmp_path}"


def rewrite(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a Parquet table and make the manifest record it."""
    change(pd.read_parquet(folder / name)).to_parquet(folder / name, index=False)
    record_again(folder, name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[:-1], "0 cells of bag 5, bags.parquet counts|8 cells of bag 5, but bags.parquet counts 9"),
        (lambda t: t.assign(bag=t["bag"].where(t.index > 0, 3)), "7 cells of bag 0, but bags.parquet counts 8"),
        (lambda t: t.assign(status="border"), "0 tiles of bag 0, but bags.parquet counts 7"),
        (lambda t: t.assign(bag=t["bag"] + 6), "has a row that belongs to no bag of this dataset"),
        (lambda t: t.drop(columns="status"), "missing column.* status"),
    ],
)
def test_verify_finds_cells_of_another_dataset_whose_checksum_was_corrected(
    folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    rewrite(folder, "cells.parquet", change)
    with pytest.raises(DatasetError, match=rf"cells\.parquet: .*{said}"):
        verify_dataset(folder)


def test_verify_finds_tiles_that_lack_a_column(folder: Path) -> None:
    tiles = pd.read_parquet(folder / "tiles.parquet")
    tiles.drop(columns="cell").to_parquet(folder / "tiles.parquet", index=False)
    resealed(folder)
    with pytest.raises(DatasetError, match=r"tiles\.parquet: missing column\(s\) cell; found: bag, site"):
        verify_dataset(folder)


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        ({"bag": ["x"] * 5}, "obs has no column 'bag' of whole numbers"),
        ({"other": range(5)}, "obs has no column 'bag' of whole numbers"),
        ({"bag": [0, 2, 3, 4, 6]}, "a row of bag 6, but this dataset has 6 bags"),
        ({"bag": [-1, 2, 3, 4, 5]}, "a row of bag -1"),
        ({"bag": [0, 2, 2, 4, 5]}, "has several rows of bag 2"),
        (
            {"bag": [5, 4, 3, 2, 0], "Metadata_Well": ["A01", "A03", "A04", "A05", "A06"]},
            "row 0 is of bag 5, Metadata_Well 'A01', which is 'A06' in bags.parquet: it belongs to another build",
        ),
        ({"bag": [0, 2, 3, 4, 5], "Metadata_Plate": ["plate2"] * 5}, "Metadata_Plate 'plate2', which is 'plate1'"),
    ],
)
def test_a_target_whose_rows_are_of_other_bags_is_refused(folder: Path, obs: dict[str, Any], said: str) -> None:
    name = "targets/transcripts_M1.h5ad"
    table = anndata.AnnData(np.ones((5, 3), np.float32), pd.DataFrame(obs, index=[f"b{row}" for row in range(5)]))
    table.write_h5ad(folder / name)
    record_again(folder, name)
    with pytest.raises(DatasetError, match=rf"transcripts_M1\.h5ad: .*{said}"):
        Dataset.open(folder).target("transcripts_M1")
    with pytest.raises(DatasetError, match=said):
        verify_dataset(folder)
