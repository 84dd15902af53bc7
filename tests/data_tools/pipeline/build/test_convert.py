"""Version 2 is what version 3 is under other names: a dataset is written back as version 2, and converted again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from blake3 import blake3
from fixtures.full_disk import at_every_moment, full_from

from data_tools.pipeline import ingest
from data_tools.pipeline.build.convert import convert
from data_tools.pipeline.cells.config import CellsIngestConfig
from framework.data.dataset import Dataset
from framework.data.verify import verify_dataset
from framework.durable import json_text
from framework.errors import DatasetError

Tree = Callable[[Path], dict[str, str]]
_OLD = {"source": "Metadata_Plate", "bag_name": "Metadata_Well", "n_cells": "n_nuclei", "cell": "nucleus"}


def as_version_2(new: Path, old: Path, *, crc32c: bool = False) -> Path:
    """Write a dataset of version 3 as the version before it wrote the same."""
    plain = json.loads((new / "dataset.json").read_text())
    files = {item["name"]: item for item in (*plain["files"], *plain["shards"])}
    for name in files:
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_bytes((new / name).read_bytes())
    (old / "cells.parquet").rename(old / "nuclei.parquet")
    (old / "tiles.arrow").unlink()
    for name in ("bags", "tiles"):
        _as_named_before(old / f"{name}.parquet")
    if crc32c:
        _with_crc32c(old, plain)
    names = ["nuclei.parquet" if item["name"] == "cells.parquet" else item["name"] for item in plain["files"]]
    plain |= {
        "schema_version": 2,
        "files": [_record(old, name) for name in names if name != "tiles.arrow"],
        "n_plates": plain.pop("n_sources"),
        "n_nuclei": plain.pop("n_cells"),
        "skipped": [
            {{"source": "plate", "bag": "well"}.get(key, key): value for key, value in item.items()}
            for item in plain["skipped"]
        ],
    }  # fmt: skip
    for source in plain["source"].get("sources", []):
        source["plate"] = source.pop("name")
    write_manifest(old, plain)
    return old


def _as_named_before(file: Path) -> None:
    with pq.ParquetFile(file) as table:
        groups = [table.read_row_group(number) for number in range(table.num_row_groups)]
    known = [name for name in groups[0].column_names if name not in ("Metadata_Plate", "Metadata_Well")]
    groups = [group.select(known).rename_columns([_OLD.get(name, name) for name in known]) for group in groups]
    with pq.ParquetWriter(file, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)


def write_manifest(folder: Path, plain: dict[str, Any]) -> None:
    plain.pop("digest", None)
    digest = blake3(json_text(plain).encode()).hexdigest()
    (folder / "dataset.json").write_text(json_text(plain | {"digest": digest}))


def _record(folder: Path, name: str) -> dict[str, Any]:
    data = (folder / name).read_bytes()
    return {"name": name, "bytes": len(data), "blake3": blake3(data).hexdigest()}


def _with_crc32c(folder: Path, plain: dict[str, Any]) -> None:
    sums = json.loads((folder / "checksums.json").read_text())
    size = sums["block_bytes"]
    of_shard = {}
    for shard in plain["shards"]:
        data = (folder / shard["name"]).read_bytes()
        of_shard[shard["name"]] = [google_crc32c.value(data[at : at + size]) for at in range(0, len(data), size)]
    (folder / "checksums.json").write_text(json.dumps({"block_bytes": size, "crc32c": of_shard}))


@pytest.fixture(scope="module")
def plates(two_plates: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("convert") / "new"
    ingest(two_plates.config(), out, workers=0)
    return out


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two proteins of three cells, one of a size that no tile takes."""
    folder = tmp_path_factory.mktemp("crops")
    for protein in "AB":
        for cell in range(3):
            size = 6 if (protein, cell) == ("B", 2) else 8
            picture = np.full((size, size), 65 + cell, np.uint8)
            tifffile.imwrite(folder / f"{protein}_{cell}_gfp.tif", picture)
    reader = {"name": "crops", "path": str(folder), "pattern": r"(?P<protein>[A-Z])_(?P<cell>\d)_(?P<channel>\w+)\.tif"}
    config = CellsIngestConfig.from_plain(
        {
            "kind": "cells",
            "name": "crops",
            "sources": [{"name": "SCREEN", "reader": reader}],
            "channels": ["gfp"],
            "tiles": {"size_px": 8},
            "bags": {"by": ["Metadata_Protein"]},
            "on_error": "skip",
            "shards": {"layout": "zarr", "codec": {"id": "blosc"}},
        }
    )  # fmt: skip
    ingest(config, folder / "new", workers=0)
    return folder / "new"


@pytest.mark.parametrize("kind", ["plates", "cells"])
@pytest.mark.parametrize("crc32c", [False, True])
def test_what_is_converted_is_what_would_be_ingested(
    kind: str, crc32c: bool, request: pytest.FixtureRequest, tmp_path: Path, tree: Tree
) -> None:
    new = request.getfixturevalue(kind)
    old = as_version_2(new, tmp_path / "old", crc32c=crc32c)
    before = tree(old)
    with pytest.raises(DatasetError, match=r"schema version 2, .*: wellstream convert DATASET --out FOLDER"):
        Dataset.open(old)
    told: list[tuple[int, int]] = []
    made = convert(old, tmp_path / "out", progress=lambda stage, done, total: told.append((done, total)))
    assert tree(tmp_path / "out") == tree(new)
    assert tree(old) == before
    assert verify_dataset(tmp_path / "out").sentences
    dataset = Dataset.open(tmp_path / "out")
    assert (made.bags, made.tiles, made.copied) == (len(dataset.bags), len(dataset.index), 0)
    assert made.linked == len({*dataset.manifest.shards}) + sum(
        item.name.startswith(("shards/", "qc/", "targets/")) for item in dataset.manifest.files
    )
    assert told[-1][0] == told[-1][1]


def test_a_converted_dataset_is_complete_for_its_ingest(plates: Path, two_plates: Any, tmp_path: Path) -> None:
    convert(as_version_2(plates, tmp_path / "old"), tmp_path / "out")
    assert ingest(two_plates.config(), tmp_path / "out", workers=0).state == "already_complete"


def test_another_disk_gets_copies(plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    made = convert(as_version_2(plates, tmp_path / "old"), tmp_path / "out")
    assert made.linked == 0
    assert made.copied > 0
    assert verify_dataset(tmp_path / "out").sentences


def test_a_conversion_that_was_stopped_goes_on(
    plates: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = as_version_2(plates, tmp_path / "old")
    with monkeypatch.context() as patch:
        patch.setattr("data_tools.pipeline.build.convert.tile_index", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            convert(old, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"no dataset\.json"):
        Dataset.open(tmp_path / "out")
    with pytest.raises(DatasetError, match="an unfinished conversion of another dataset"):
        convert(as_version_2(plates, tmp_path / "other"), tmp_path / "out")
    convert(old, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(plates)


def test_a_full_disk_leaves_nothing_half_written_and_the_next_call_goes_on(
    plates: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    old, out = as_version_2(plates, tmp_path / "old"), tmp_path / "out"
    before, copied = tree(old), []
    whole = shutil.copyfile
    monkeypatch.setattr("shutil.copyfile", lambda source, to: copied.append(Path(source).name) or whole(source, to))

    def after(sentence: str) -> None:
        assert sentence.startswith(f"{out}: the disk is full")
        assert not [file for file in out.rglob("*") if file.name.startswith(".partial-")]
        assert tree(old) == before

    assert at_every_moment(lambda: convert(old, out), after) > 5
    assert tree(out) == tree(plates)
    copied.clear()
    with full_from(8), pytest.raises(DatasetError, match="the disk is full"):
        convert(old, tmp_path / "again")
    begun = len(copied) - 1
    convert(old, tmp_path / "again")
    assert len(copied) == len(set(copied)) + 1, "a file that was whole was copied again"
    assert begun > 0


def test_what_cannot_be_converted_is_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is of version 3 already; there is nothing to convert"):
        convert(plates, tmp_path / "out")
    with pytest.raises(DatasetError, match=r"no such file, so .*nowhere is not a finished dataset"):
        convert(tmp_path / "nowhere", tmp_path / "out")
    old = as_version_2(plates, tmp_path / "old")
    with pytest.raises(DatasetError, match="holds other files; name a new folder"):
        convert(old, old)
    with pytest.raises(DatasetError, match="is a file; name a new folder"):
        convert(old, old / "bags.parquet")
    plain = json.loads((old / "dataset.json").read_text())
    write_manifest(old, plain | {"schema_version": 1})
    with pytest.raises(DatasetError, match="is of version 1; convert takes version 2"):
        convert(old, tmp_path / "out")
    write_manifest(old, {key: value for key, value in plain.items() if key != "shards"})
    with pytest.raises(DatasetError, match=r"dataset\.json: not the manifest of .* version 2: .*ingest again"):
        convert(old, tmp_path / "out")
    (old / "dataset.json").write_text(json_text(plain | {"name": "other"}))
    with pytest.raises(DatasetError, match="was changed since it was written"):
        convert(old, tmp_path / "out")
    write_manifest(old, plain | {"files": [{**plain["files"][0], "name": "../x"}]})
    with pytest.raises(DatasetError, match=r"not the manifest .*outside the dataset folder"):
        convert(old, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damage_is_not_converted(plates: Path, tmp_path: Path) -> None:
    old = as_version_2(plates, tmp_path / "old")
    shard = old / json.loads((old / "dataset.json").read_text())["shards"][0]["name"]
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(DatasetError, match="missing, or its size is not the recorded one"):
        convert(old, tmp_path / "out")
    shard.write_bytes(content)
    table = bytearray((old / "tiles.parquet").read_bytes())
    table[len(table) // 2] ^= 1
    (old / "tiles.parquet").write_bytes(table)
    with pytest.raises(DatasetError, match=r"tiles\.parquet: .* of other content"):
        convert(old, tmp_path / "out2")
